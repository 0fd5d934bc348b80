"""The user's files as a source of problems. A name that no other source owns is read as a path."""

from collections.abc import Iterator
from pathlib import Path

from evaluation.problems.problem import ProblemFileError
from evaluation.problems.rows import READERS, ending_of, file_rows
from evaluation.problems.source import FALLBACK, SOURCES, ListedSource, Row, every_name, forms


def _rows(path: str) -> Iterator[tuple[str, Row]]:
    try:
        return file_rows(path)
    except ProblemFileError as error:
        if ending_of(path) in READERS:
            raise
        # The name may not be meant as a path, so the message lists all forms.
        raise ProblemFileError(f"{error}; problems are from {forms()}") from None


def _identity(path: str) -> object:
    return Path(path).resolve()


def _absolute(path: str) -> str:
    return str(Path(path).resolve())


*_OTHERS, _LAST = READERS

SOURCES.add(FALLBACK)(
    ListedSource(
        about=f"the path of a {', '.join(_OTHERS)} or {_LAST} file",
        owns=every_name,
        rows=_rows,
        mendable=True,
        identity=_identity,
        absolute=_absolute,
    )
)
