"""Reads the rows of a problem file (JSON Lines, CSV or Parquet), each with its place. Errors name the line."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from evaluation.problems.problem import ProblemFileError
from evaluation.problems.source import Row

SUFFIXES = (".jsonl", ".csv", ".parquet")
MMLU_COLUMNS = ["question", "A", "B", "C", "D", "answer"]
"""The columns of MMLU's published CSV files, which have no header."""


class Written(str):
    """A number as it is written in JSON, so that 1.50 and integers of any length are kept as answers."""


def file_rows(path: str) -> Iterator[tuple[str, Row]]:
    """Every row of a file, in order, each with its place: FILE:LINE, or FILE:row N for Parquet.

    Args:
        path: ends in .jsonl (UTF-8, an object per line), .csv (UTF-8, with a header unless it is MMLU's) or .parquet.

    Raises:
        ProblemFileError: the file does not exist or is of another kind, or a line cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ProblemFileError(f"{path}: a problem file ends in {', '.join(SUFFIXES)}, not in {suffix or 'nothing'}")
    if not Path(path).is_file():
        raise ProblemFileError(f"{path}: no such file" if not Path(path).exists() else f"{path}: not a file")
    return {".jsonl": _jsonl_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}[suffix](path)


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
    # Not splitlines(), which also splits at characters that JSON leaves unescaped within a string.
    for number, line in enumerate(_text(path).split("\n"), start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_int=Written, parse_float=Written, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ProblemFileError(f"{where}: not JSON ({error}); each line must be one whole object") from error
        if not isinstance(row, dict):
            raise ProblemFileError(f'{where}: {kind(row)}, not an object such as {{"question": ..., "answer": ...}}')
        yield where, row


def _csv_rows(path: str) -> Iterator[tuple[str, Row]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            # A quoted cell may span lines; messages name the first line of a row.
            where, line = f"{path}:{line}", reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = [name.strip() for name in cells]
                if len(header) == len(MMLU_COLUMNS) and header[-1] in MMLU_COLUMNS[1:5] and "question" not in header:
                    header = MMLU_COLUMNS
                    yield where, dict(zip(header, cells, strict=True))
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
    # Not at the top: the other kinds of file do not need it, and it is slow to load.
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ProblemFileError(f"{path}: not Parquet ({error})") from error
    for number, row in enumerate(rows, start=1):
        yield f"{path}:row {number}", row


def kind(value: object) -> str:
    """The type of a value in words, for a message."""
    names = {bool: "true or false", str: "text", Written: "text", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)
