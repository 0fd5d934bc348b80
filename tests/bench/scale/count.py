"""Counts what finished jobs left in their homes: rows of both databases, files and bytes, seconds of each kind of task.

    python -m tests.bench.scale.count HOME...      one column for each home, which holds one job

With several homes, what is equal in all of them is left out, since it does not grow with the job. Files are those that
a store in a bucket would hold; each is one put when it is written.
"""

import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

DATABASES = ("prefect/prefect.db", "mlflow/mlflow.db")
STORED = {
    "adapters and other folders": "artifacts/folders",
    "frames": "artifacts/frames",
    "results": "results",
    "MLflow's artifacts": "mlflow/artifacts",
    "pictures": "pictures",
}
"""Folders of a home whose files a bucket would hold."""


def rows(home: Path) -> Counter[str]:
    """The number of rows of each table of both databases."""
    found: Counter[str] = Counter()
    for path in DATABASES:
        with sqlite3.connect(f"file:{home / path}?mode=ro", uri=True) as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                found[f"{Path(path).stem}: {name}"] = database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
    for name in ("prefect", "mlflow"):
        found[f"{name}: all tables"] = sum(count for key, count in found.items() if key.startswith(f"{name}: "))
    return found


def files(home: Path) -> Counter[str]:
    """The number of files, and of bytes, in each folder of STORED."""
    found: Counter[str] = Counter()
    for name, folder in STORED.items():
        sizes = [file.stat().st_size for file in (home / folder).rglob("*") if file.is_file()]
        found[f"files: {name}"], found[f"bytes: {name}"] = len(sizes), sum(sizes)
    for unit in ("files", "bytes"):
        found[f"{unit}: all"] = sum(count for key, count in found.items() if key.startswith(f"{unit}: "))
    return found


def kind(task: str) -> str:
    """A task's name without the numbers of its iteration, round and agent: iteration 2 · split · critic-0 is split."""
    parts = [part for part in task.split(" · ") if not re.fullmatch(r"(critic|generator|round)[- ]\d+", part)]
    return re.sub(r"[ -]\d+$", "", parts[-1])


def seconds(home: Path) -> dict[str, list[float]]:
    """The seconds of the tasks of each kind, in the order in which they began."""
    found: dict[str, list[float]] = {}
    with sqlite3.connect(f"file:{home / DATABASES[0]}?mode=ro", uri=True) as database:
        asked = "SELECT name, start_time, end_time FROM task_run WHERE end_time IS NOT NULL ORDER BY start_time"
        for name, began, ended in database.execute(asked):
            spent = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
            found.setdefault(kind(name), []).append(spent.total_seconds())
    return found


def table(columns: Mapping[str, Mapping[str, float]], digits: int = 0) -> Iterable[str]:
    """Lines in Markdown: one column for each home, one row for each key that is not equal in all of them."""
    yield f"| | {' | '.join(columns)} |"
    yield f"|---|{'--:|' * len(columns)}"
    for key in dict.fromkeys(key for column in columns.values() for key in column):
        values = [column.get(key, 0) for column in columns.values()]
        if any(values) and (len(values) == 1 or len(set(values)) > 1):
            yield f"| {key} | {' | '.join(f'{value:,.{digits}f}' for value in values)} |"


def main(homes: Iterable[Path]) -> None:
    """Print the tables of these homes."""
    named = {home.name: home for home in homes}
    print("\n".join(table({name: rows(home) + files(home) for name, home in named.items()})), "\n")
    spent = {name: {f"s: {key}": sum(each) for key, each in seconds(home).items()} for name, home in named.items()}
    print("\n".join(table(spent, 1)))


if __name__ == "__main__":
    main(map(Path, sys.argv[1:]))
