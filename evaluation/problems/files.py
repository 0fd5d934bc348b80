r"""Reads problems from a file or data set, one problem per line or row, in the forms in which they are published.

    GSM8K  {"question": "Natalia sold clips to 48 of her friends ...", "answer": "Natalia sold 48/2 = 24 ... #### 72"}
    MATH   {"problem": "Compute ...", "solution": "... $\\boxed{3}$.", "level": "Level 2", "type": "Algebra"}
    MMLU   {"question": "Which of ...", "choices": ["0", "4", "2", "6"], "answer": 1, "subject": "abstract_algebra"}

The answer field may hold the answer alone, a worked solution with the answer after `####` (GSM8K), or a solution with
the answer in \boxed{...} (MATH); for multiple choice, see `evaluation.problems.choices`. Error messages name the file
and line, and what would be right.
"""

import logging
import math
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

from evaluation.answers.extract import boxed
from evaluation.problems.choices import choices_of, letter_of, with_choices
from evaluation.problems.problem import MAX_QUESTION_CHARS, Problem, ProblemFileError, normalized
from evaluation.problems.rows import file_rows, kind
from evaluation.problems.source import Row

log = logging.getLogger("maft.problems")

MAX_REFERENCE_CHARS = 1_000
PUBLISHED = {"question": "problem", "answer": "solution"}
"""MATH's names for these fields, used if the config has the default name and the row has no such field."""

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+|[^\w\s]|_")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
_ASIDE = frozenset('.,:;?"\u201c\u201d')
# MATH also has boxes without braces, which extend to the end of the formula.
_OPEN_BOX = re.compile(r"\\(?:boxed|fbox)\s+([^$\n]*[^$\s])")


class Located(NamedTuple):
    """A problem and its place: FILE:LINE, or SOURCE:row N for Parquet and data sets."""

    problem: Problem
    where: str


def same_question(question: str) -> str:
    """A key that is the same for questions that differ only in case, spacing or punctuation.

    Marks that carry meaning stay: operators, brackets, decimal points, the prime and the factorial.
    """
    tokens = _TOKEN.findall(_THOUSANDS.sub("", normalized(question).replace("\u2019", "'")))
    kept = [token for token in tokens if token not in _ASIDE]
    return " ".join(kept)


def read_problems(path: str, question_field: str = "question", answer_field: str = "answer") -> list[Located]:
    """All problems of a file, in order.

    Args:
        path: ends in .jsonl (UTF-8, an object per line), .csv (UTF-8, with a header) or .parquet.
        question_field: name of the field or column with the question, text of 1..MAX_QUESTION_CHARS characters.
        answer_field: the same for the reference answer, text or a number.

    Raises:
        ProblemFileError: the file does not exist, is of another kind or has no problems; a line cannot be read; a field
            is missing, blank or too long; a question is there twice (see `same_question`).
    """
    return located_problems(path, file_rows(path), question_field, answer_field)


def located_problems(
    source: str, rows: Iterable[tuple[str, Row]], question_field: str, answer_field: str, repeats: bool = False
) -> list[Located]:
    """The problems of rows; fields and errors as for `read_problems`.

    Args:
        source: the name of the file or data set, for messages.
        repeats: whether to keep the first of repeated questions; if not, they are refused.
    """
    located = [Located(_problem(row, where, question_field, answer_field), where) for where, row in rows]
    if not located:
        raise ProblemFileError(f"{source}: no problems in it; it needs at least one line with a question and an answer")
    first: dict[str, Located] = {}
    for each in located:
        before = first.setdefault(same_question(each.problem.question), each)
        if before is not each and not repeats:
            raise ProblemFileError(
                f"{each.where}: the same question as {before.where}: {each.problem.question[:80]!r}; "
                "remove one of the two"
            )
    if len(first) < len(located):
        log.warning("%s: %d questions are repeated; the first of each is kept", source, len(located) - len(first))
    return list(first.values())


def _field(row: Row, name: str, where: str, role: str) -> str:
    """The text of one field of a row."""
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
        raise ProblemFileError(f"{where}: {name!r} is {kind(value)}; the {role} must be text or a number")
    text = str(value).strip()
    if not text:
        raise ProblemFileError(f"{where}: {name!r} is blank; every problem needs one")
    if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ProblemFileError(f"{where}: {name!r} holds half a character (a lone surrogate); write the whole one")
    return text


def reference(solution: str) -> str:
    r"""The answer in a solution: the text after `####` (without commas), the content of \boxed{...}, or all of it."""
    answer = _final(solution)
    return solution.strip() if answer is None else answer


def _final(solution: str) -> str | None:
    """The marked answer of a worked solution; None if no answer is marked."""
    _, mark, after = solution.rpartition("####")
    if mark:
        return after.replace(",", "").strip()
    inside = boxed(solution)
    if inside is None and (opened := _OPEN_BOX.findall(solution)):
        return str(opened[-1]).rstrip(".")
    return inside


def _problem(row: Row, where: str, question_field: str, answer_field: str) -> Problem:
    published = _published(row, answer_field)
    question = _field(row, _published(row, question_field) or question_field, where, "question")
    answer_field = published or answer_field
    choices = choices_of(row, where)
    written = _field(row, answer_field, where, "answer")
    if choices:
        question = with_choices(question, choices)
        answer = letter_of(row[answer_field], choices, f"{where}: {answer_field!r}")
    elif published and _final(written) is None:
        raise ProblemFileError(f"{where}: {answer_field!r} has no answer in \\boxed{{}}; put it there, or after ####")
    else:
        answer = reference(written)
    if len(question) > MAX_QUESTION_CHARS:
        raise ProblemFileError(
            f"{where}: the question has {len(question)} characters; at most {MAX_QUESTION_CHARS} are allowed"
        )
    if not answer:
        raise ProblemFileError(f"{where}: {answer_field!r} has nothing after #### or in \\boxed{{}}")
    if len(answer) > MAX_REFERENCE_CHARS:
        raise ProblemFileError(
            f"{where}: the answer has {len(answer)} characters, at most {MAX_REFERENCE_CHARS} are allowed; "
            "in a worked solution, put the answer after #### or in \\boxed{}"
        )
    return Problem(question=question, answer=answer)


def _published(row: Row, configured: str) -> str | None:
    """MATH's name for a field, if the row has that and not the configured one; None for other rows."""
    name = PUBLISHED.get(configured)
    return name if name in row and configured not in row else None


def overlap(train: list[Located], evaluation: list[Located]) -> list[tuple[Located, Located]]:
    """The pairs of one training and one evaluation problem that ask the same question, in the order of `evaluation`."""
    trained = {same_question(located.problem.question): located for located in train}
    keys = ((same_question(located.problem.question), located) for located in evaluation)
    return [(trained[key], located) for key, located in keys if key in trained]
