"""Compares the outputs of `maft run --json` or `maft benchmark --json` of two checkouts: are the numbers the same?


    (cd before && .venv/bin/maft run --json --set seed=1 --home /tmp/before > /tmp/before.json)
    (cd after && .venv/bin/maft run --json --set seed=1 --home /tmp/after > /tmp/after.json)
    .venv/bin/python -m tests.bench.same_numbers /tmp/before.json /tmp/after.json

Seconds, addresses and the config, whose form may change, are not compared; digests of adapters, data sets and responses
are compared if the output has them. The exit status is 1 if anything differs.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOT_NUMBERS = {"seconds", "mlflow", "prefect", "home", "config", "cached", "computed", "report", "run_id", "path"}
SHOWN = 20


def differences(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """A line for every place where two JSON values differ, with both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted((before.keys() | after.keys()) - NOT_NUMBERS):
            if key in before and key in after:
                yield from differences(before[key], after[key], f"{place}.{key}")
            else:
                yield f"{place}.{key}: only {'before' if key in before else 'after'}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{place}[{number}]")
    elif before != after:
        yield f"{place}: {before!r:.80} before, {after!r:.80} after"


def main(before: Path, after: Path) -> int:
    """Print the differences; return the exit status."""
    found = list(differences(*(json.loads(path.read_text("utf-8")) for path in (before, after))))
    for line in found[:SHOWN]:
        print(line)
    print(f"{len(found)} differences" if found else "equal")
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:3])))
