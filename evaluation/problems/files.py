r"""Problems from a file: JSON Lines, CSV or Parquet, one problem per line or row.

    {"question": "Natalia sold clips to 48 of her friends ...", "answer": "Natalia sold 48/2 = 24 ... #### 72"}

The answer may be the answer alone, GSM8K's worked solution with the answer after `####`, or a solution in the manner
of MATH with the answer in \boxed{...}. A fault is named with its file and line, and what would be right.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from evaluation.answers import boxed
from evaluation.problems.problem import MAX_QUESTION_CHARS, Problem, normalized

MAX_REFERENCE_CHARS = 1_000
SUFFIXES = (".jsonl", ".csv", ".parquet")

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+|[^\w\s]|_")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
_ASIDE = frozenset('.,:;?"\u201c\u201d')

Row = dict[str, object]


class ProblemFileError(ValueError):
    """A problem file that cannot be used, with the line at fault and what would be right."""


class Located(NamedTuple):
    """A problem and where it was read: FILE:LINE, for Parquet FILE:row N."""

    problem: Problem
    where: str


def same_question(question: str) -> str:
    """A key that two questions share if they differ in case, spacing or punctuation at most.

    Marks that carry meaning stay: operators, brackets, decimal points, the prime and the factorial.
    """
    tokens = _TOKEN.findall(_THOUSANDS.sub("", normalized(question).replace("\u2019", "'")))
    kept = [token for token in tokens if token not in _ASIDE]
    return " ".join(kept)


def read_problems(path: str, question_field: str = "question", answer_field: str = "answer") -> list[Located]:
    """All problems of a file, in its order.

    Args:
        path: ends in .jsonl (UTF-8, an object per line), .csv (UTF-8, with a header) or .parquet.
        question_field: name of the field or column with the question, text of 1..MAX_QUESTION_CHARS characters.
        answer_field: the same for the reference answer, text or a number.

    Raises:
        ProblemFileError: no such file, or another kind of file; no problems in it; a line that cannot be read, lacks
            a field or has it blank or too long; a question that is there twice (see `same_question`).
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ProblemFileError(f"{path}: a problem file ends in {', '.join(SUFFIXES)}, not in {suffix or 'nothing'}")
    if not Path(path).is_file():
        raise ProblemFileError(f"{path}: no such file" if not Path(path).exists() else f"{path}: not a file")
    rows = {".jsonl": _jsonl_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}[suffix](path)
    located = [Located(_problem(row, where, question_field, answer_field), where) for where, row in rows]
    if not located:
        raise ProblemFileError(f"{path}: no problems in it; it takes at least one line with a question and an answer")
    _refuse_duplicates(located)
    return located


def _refuse_duplicates(located: list[Located]) -> None:
    first: dict[str, str] = {}
    for problem, where in located:
        key = same_question(problem.question)
        if key in first:
            raise ProblemFileError(
                f"{where}: the same question as {first[key]}: {problem.question[:80]!r}; take one of the two out"
            )
        first[key] = where


def _text(path: str) -> str:
    data = Path(path).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProblemFileError(f"{path}:{line}: not UTF-8 ({error.reason}); save the file as UTF-8") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _jsonl_rows(path: str) -> Iterator[tuple[str, Row]]:
    # Not splitlines(), which also parts lines at characters that JSON leaves unescaped within a string.
    for number, line in enumerate(_text(path).split("\n"), start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            # Numbers stay as they are written: 1.50 is an answer, and so is an integer of any length.
            row = json.loads(line, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ProblemFileError(f"{where}: not JSON ({error}); each line must be one whole object") from error
        if not isinstance(row, dict):
            raise ProblemFileError(f'{where}: {_kind(row)}, not an object such as {{"question": ..., "answer": ...}}')
        yield where, row


def _csv_rows(path: str) -> Iterator[tuple[str, Row]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            # A quoted cell may span lines; a row is named by its first.
            where, line = f"{path}:{line}", reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = [name.strip() for name in cells]
                repeated = [name for name in header if header.count(name) > 1]
                if repeated:
                    raise ProblemFileError(f"{where}: column {repeated[0]!r} is there twice; name each column once")
            elif len(cells) != len(header):
                raise ProblemFileError(
                    f"{where}: {len(cells)} cells, but the header has {len(header)}; quote cells that hold commas"
                )
            else:
                yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise ProblemFileError(
            f"{path}:{line}: not CSV ({error}); quote cells that hold commas, quotes or line breaks"
        ) from error


def _parquet_rows(path: str) -> Iterator[tuple[str, Row]]:
    # Not at the top: the other kinds of file do not need it, and it takes its time to load.
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ProblemFileError(f"{path}: not Parquet ({error})") from error
    for number, row in enumerate(rows, start=1):
        yield f"{path}:row {number}", row


def _kind(value: object) -> str:
    kinds = {bool: "true or false", str: "text", list: "a list", dict: "an object", type(None): "null"}
    return kinds.get(type(value), type(value).__name__)


def _field(row: Row, name: str, where: str, role: str) -> str:
    """The text of one field."""
    if name not in row:
        found = ", ".join(repr(str(key)) for key in list(row)[:20]) or "none"
        near = get_close_matches(name.lower(), {str(key).lower(): key for key in row}, n=1)
        guess = next((str(key) for key in row if near and str(key).lower() == near[0]), None)
        nearest = f", the nearest {guess!r}" if guess else ""
        raise ProblemFileError(
            f"{where}: no field {name!r}; there are: {found}{nearest}. Set {role}_field to the one with the {role}"
        )
    value = row[name]
    if value is None or (isinstance(value, float) and math.isnan(value)):  # Parquet has either for an empty cell.
        value = ""
    if isinstance(value, (bool, list, dict, bytes)):
        raise ProblemFileError(f"{where}: {name!r} is {_kind(value)}; the {role} must be text or a number")
    text = str(value).strip()
    if not text:
        raise ProblemFileError(f"{where}: {name!r} is blank; every problem has its own")
    if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ProblemFileError(f"{where}: {name!r} holds half a character (a lone surrogate); write the whole one")
    return text


def reference(solution: str) -> str:
    r"""The reference answer in a solution: what follows `####` (without commas), or is in \boxed{...}, or all of it."""
    _, mark, after = solution.rpartition("####")
    if mark:
        return after.replace(",", "").strip()
    inside = boxed(solution)
    return solution.strip() if inside is None else inside


def _problem(row: Row, where: str, question_field: str, answer_field: str) -> Problem:
    question = _field(row, question_field, where, "question")
    if len(question) > MAX_QUESTION_CHARS:
        raise ProblemFileError(
            f"{where}: the question has {len(question)} characters; at most {MAX_QUESTION_CHARS} are allowed"
        )
    answer = reference(_field(row, answer_field, where, "answer"))
    if not answer:
        raise ProblemFileError(f"{where}: {answer_field!r} has nothing after #### or in \\boxed{{}}")
    if len(answer) > MAX_REFERENCE_CHARS:
        raise ProblemFileError(
            f"{where}: the answer has {len(answer)} characters, at most {MAX_REFERENCE_CHARS} are allowed; "
            "in a worked solution, put the answer after #### or in \\boxed{}"
        )
    return Problem(question=question, answer=answer)


def overlap(train: list[Located], evaluation: list[Located]) -> list[tuple[Located, Located]]:
    """The pairs of one training and one evaluation problem that ask the same, in the order of `evaluation`."""
    trained = {same_question(located.problem.question): located for located in train}
    keys = ((same_question(located.problem.question), located) for located in evaluation)
    return [(trained[key], located) for key, located in keys if key in trained]
