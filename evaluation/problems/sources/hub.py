"""Rows of a data set on the Hugging Face hub, or of a folder of data files that `datasets` reads in the same way.

hub:openai/gsm8k:main:train             DATASET:SUBSET:SPLIT
hub:HuggingFaceH4/MATH-500:test         DATASET:SPLIT, for a data set without subsets
hub:cais/mmlu:anatomy+virology:test     several subsets, one after another
hub:./folder:train                      a folder instead of a data set's id
"""

import os
from pathlib import Path
from typing import Any

from evaluation.problems.arrow import arrow_rows
from evaluation.problems.problem import ProblemFileError
from evaluation.problems.source import SOURCES, ListedSource, Row

HUB = "hub:"
MAX_REASON_CHARS = 400


def hub_rows(source: str) -> list[tuple[str, Row]]:
    """Every row of a split, in order, each with its place, SOURCE:row N; class names replace class numbers.

    A data set that was fetched before is read from the cache of `datasets`. No code of a data set is run.

    Raises:
        ProblemFileError: the source is not of the form above, or the data set, subset or split does not exist.
    """
    path, subsets, split = _parts(source)
    rows: list[tuple[str, Row]] = []
    for subset in subsets:
        for row in _load(source, path, subset, split):
            rows.append((f"{source}:row {len(rows) + 1}", row))
    return rows


def _parts(source: str) -> tuple[str, list[str | None], str]:
    parts = source.removeprefix(HUB).split(":")
    subsets = parts[1].split("+") if len(parts) == 3 else []
    if len(parts) not in {2, 3} or not all([*parts, *subsets]):
        raise ProblemFileError(
            f"{source}: a data set is named hub:DATASET:SPLIT or hub:DATASET:SUBSET:SPLIT, "
            "such as hub:openai/gsm8k:main:train"
        )
    path = parts[0]
    folder = Path(path).expanduser()
    known = os.path.isdir(folder)  # noqa: PTH112  (Path.is_dir raises an error for a name that is too long)
    if not known and (path.startswith((".", "/", "~")) or path.count("/") != 1):
        raise ProblemFileError(f"{source}: {path!r} is neither a folder that exists nor a hub id like org/name")
    return path, [*subsets] or [None], parts[-1]


def _load(source: str, path: str, subset: str | None, split: str) -> list[Row]:
    import datasets
    import pyarrow

    datasets.disable_progress_bars()
    folder = Path(path).expanduser()
    try:
        table: Any = datasets.load_dataset(str(folder.resolve()) if folder.is_dir() else path, subset, split=split)
    except (datasets.exceptions.DatasetsError, pyarrow.ArrowException, OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ProblemFileError(f"{source}: {reason[:MAX_REASON_CHARS]}") from error
    classes = {name: each for name, each in table.features.items() if isinstance(each, datasets.ClassLabel)}
    rows = arrow_rows(table.with_format("arrow")[:])
    return [{**row, **{name: _class(each, row[name]) for name, each in classes.items()}} for row in rows]


def _class(label: Any, number: Any) -> str | None:
    return None if number is None or number < 0 else str(label.int2str(number))


def _owns(name: str) -> bool:
    return name.startswith(HUB)


def _absolute(source: str) -> str:
    path, *rest = source.removeprefix(HUB).split(":")
    folder = Path(path).expanduser()
    known = os.path.isdir(folder)  # noqa: PTH112  (Path.is_dir raises an error for a name that is too long)
    return HUB + ":".join([str(folder.resolve()), *rest]) if known else source


SOURCES.add("hub")(
    ListedSource(
        about="a data set as hub:DATASET:SPLIT or hub:DATASET:SUBSET:SPLIT",
        owns=_owns,
        rows=hub_rows,
        absolute=_absolute,
    )
)
