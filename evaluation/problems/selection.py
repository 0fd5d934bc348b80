"""Selects rows by level of difficulty and by subject: `level` and `type` of MATH, `subject` of MMLU and others."""

import re
from collections.abc import Callable, Mapping, Sequence

from evaluation.problems.problem import ProblemFileError
from evaluation.problems.source import Row

Rows = list[tuple[str, Row]]


def select(
    sources: Mapping[str, Rows], levels: Sequence[int] | None, subjects: Sequence[str] | None
) -> dict[str, Rows]:
    """The rows of each source that have one of these levels and subjects; None takes all. Generated sources have none.

    A source whose rows have no level, or no subject, is taken whole, so that training and evaluation may use different
    sources. But at least one source must have the field.

    Raises:
        ProblemFileError: no source has the field or a chosen value, or no row of a source is left.
    """
    chosen = dict(sources)
    if levels is not None:
        chosen = _of("levels", "level", chosen, {str(level): str(level) for level in levels}, _level)
    if subjects is not None:
        chosen = _of("subjects", "subject", chosen, {_fold(subject): subject for subject in subjects}, _subject)
    return chosen


def _of(
    name: str, field: str, sources: Mapping[str, Rows], wanted: Mapping[str, str], key: Callable[[Row], str | None]
) -> dict[str, Rows]:
    """The rows whose key is wanted; `wanted` maps keys to the names in the config."""
    keys = {source: [key(row) for _, row in rows] for source, rows in sources.items()}
    there = sorted({each for of_source in keys.values() for each in of_source if each})
    if not there:
        raise ProblemFileError(f"{' and '.join(sources)}: no field {field!r} to choose by; leave problems.{name} unset")
    unknown = [called for each, called in wanted.items() if each not in there]
    if unknown:
        raise ProblemFileError(f"problems.{name} has {unknown[0]!r}, but there are: {', '.join(there)}")
    chosen = {}
    for source, rows in sources.items():
        has = any(keys[source])
        chosen[source] = [row for row, of in zip(rows, keys[source], strict=True) if of in wanted] if has else rows
        if has and not chosen[source]:
            raise ProblemFileError(f"{source}: no problem of problems.{name} {', '.join(wanted.values())}")
    return chosen


def _level(row: Row) -> str | None:
    """The number in 3, "3", "Level 3" or 3.0 (from a column with gaps); None for "Level ?"."""
    found = re.fullmatch(r"(?:level )?(\d{1,3})(?:\.0)?", str(row.get("level")).strip().casefold())
    return found and str(int(found[1]))


def _subject(row: Row) -> str | None:
    value = row.get("subject", row.get("type"))
    return (_fold(value) or None) if isinstance(value, str) else None


def _fold(subject: str) -> str:
    """One spelling for each subject: Counting & Probability and counting_and_probability give the same."""
    return " ".join(subject.casefold().replace("&", " and ").replace("_", " ").split())
