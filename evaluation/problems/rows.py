"""Reads the rows of a problem file, each with its place. Errors name the line."""

import csv
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from evaluation.problems.arrow import arrow_rows
from evaluation.problems.json_rows import json_rows, jsonl_rows
from evaluation.problems.problem import ProblemFileError
from evaluation.problems.source import Row

MAX_UNPACKED_BYTES = 256 * 2**20
"""A .gz file that unpacks to more bytes is refused."""
MMLU_COLUMNS = ["question", "A", "B", "C", "D", "answer"]
"""The columns of MMLU's published CSV files, which have no header."""


def file_rows(path: str) -> Iterator[tuple[str, Row]]:
    """Every row of a file, in order, each with its place: FILE:LINE, FILE:item N (JSON) or FILE:row N (Parquet).

    Args:
        path: ends in
            .jsonl (UTF-8, an object per line);
            .json (UTF-8, an array of objects, an object with one key that holds such an array, one object that is a
            single problem, or an object per line);
            .jsonl.gz or .json.gz (the same, compressed; at most MAX_UNPACKED_BYTES unpacked);
            .csv (UTF-8, with a header unless it is MMLU's); or .parquet.

    Raises:
        ProblemFileError: the file does not exist or is of another kind, or a line cannot be read.
    """
    ending = ending_of(path)
    if ending not in READERS:
        raise ProblemFileError(f"{path}: a problem file ends in {', '.join(READERS)}, not in {ending or 'nothing'}")
    # Methods of Path raise an error for a name that is too long.
    if not os.path.isfile(path):  # noqa: PTH113
        raise ProblemFileError(f"{path}: not a file" if os.path.exists(path) else f"{path}: no such file")  # noqa: PTH110
    return READERS[ending](path)


def ending_of(path: str) -> str:
    """The end of a file's name that says what is in it, in lower case, such as .csv or .jsonl.gz."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return "".join(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:])


def _text(path: str) -> str:
    data = _unpacked(path) if path.lower().endswith(".gz") else Path(path).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProblemFileError(f"{path}:{line}: not UTF-8 ({error.reason}); save the file as UTF-8") from error


def _unpacked(path: str) -> bytes:
    try:
        with gzip.open(path) as file:
            data = file.read(MAX_UNPACKED_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ProblemFileError(
            f"{path}: not gzip ({error}); compress the file again, or name it without .gz"
        ) from error
    if len(data) > MAX_UNPACKED_BYTES:
        raise ProblemFileError(
            f"{path}: unpacks to more than {MAX_UNPACKED_BYTES} bytes; unpack it, and name that file"
        )
    return data


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
        rows = arrow_rows(pyarrow.parquet.read_table(path))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ProblemFileError(f"{path}: not Parquet ({error})") from error
    for number, row in enumerate(rows, start=1):
        yield f"{path}:row {number}", row


def _jsonl_rows(path: str) -> Iterator[tuple[str, Row]]:
    return jsonl_rows(path, _text(path))


def _json_rows(path: str) -> Iterator[tuple[str, Row]]:
    return json_rows(path, _text(path))


READERS: dict[str, Callable[[str], Iterator[tuple[str, Row]]]] = {
    ".jsonl": _jsonl_rows,
    ".json": _json_rows,
    ".jsonl.gz": _jsonl_rows,
    ".json.gz": _json_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
"""The kinds of problem file, by the end of the name."""
