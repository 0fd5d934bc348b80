"""Prints the differences by iteration of this folder's README, and counts of how the agents answered.

    python docs/benchmark/why.py [HOME]

HOME (default .maft) is the home in which `maft benchmark docs/benchmark/benchmark.yaml` ran. Outcomes are counted only
if their values equal those of `values.parquet` in this folder. The embedded model says "Checking." before it writes out
its products (agents/embedded/README.md).
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from agents.benchmark.score_method import MethodScore
from agents.frames import read_problems, read_responses
from agents.store import Store
from evaluation.benchmark.methods import METHODS, MethodName
from evaluation.statistics.clustered import Difference, Estimate, Values, difference

LARGEST = 30
"""The largest value that the base was trained on."""
PRODUCT = re.compile(r"(?<!\d)(\d+)\*(\d+)=([0-9*+=]*?)(\d+)(?=[:.,\s]|$)")
"""A product in a response: its factors, the text in between, and its result."""


def scored(home: Path) -> Iterator[MethodScore]:
    """All scores of methods in a home."""
    for record in sorted((home / "results").iterdir()):
        result = json.loads(record.read_text("utf-8")).get("result")
        if isinstance(result, str) and "agents.benchmark.score_method.MethodScore" in result[:100]:
            yield MethodScore.model_validate(json.loads(result)["data"])


def turns(store: Store, measured: MethodScore) -> pd.DataFrame:
    """The answers of the last round; the columns vote, right, checks, and beyond (a factor above LARGEST) are added."""
    problems = {problem.id: problem for problem in read_problems(store, measured.problems)}
    frame = read_responses(store, measured.answered)
    frame = frame[frame["round"] == frame["round"].max()]
    asked = [problems[key] for key in frame["problem_id"]]
    votes = store.frame(measured.values).set_index("problem_id")["right"]
    return frame.assign(
        vote=frame["problem_id"].map(votes),
        right=[str(answer) == problem.answer for answer, problem in zip(frame["answer"], asked, strict=True)],
        checks=frame["text"].str.contains("Checking."),
        beyond=[any(beyond(*pair) for pair in re.findall(r"(\d+)\*(\d+)", problem.question)) for problem in asked],
    )


def beyond(one: str, other: str) -> bool:
    """Whether a factor is larger than any that the base saw."""
    return max(int(one), int(other)) > LARGEST


def share(values: "pd.Series[bool]") -> str:
    """A share in %, or a dash for fewer than 20 values."""
    return f"{100 * values.mean():.0f}" if len(values) >= 20 else "-"


def listing(title: str, *columns: str) -> Table:
    """An empty table whose first column is the method."""
    table = Table(title=title, box=SIMPLE_HEAD)
    table.add_column("method", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def checking(counted: pd.DataFrame) -> Table:
    """How often and how well agents check, over all seeds, for methods whose agents check."""
    table = listing("turns, %", "iter.", "vote right", "alone right", "checks", "right then", "right else")
    for name in METHODS.names():
        found = counted[counted["method"] == name]
        for iteration, turns in found.groupby("iteration") if found["checks"].any() else ():
            checked, others = turns[turns["checks"]]["right"], turns[~turns["checks"]]["right"]
            shares = (turns["vote"], turns["right"], turns["checks"], checked, others)
            table.add_row(METHODS[name].title, str(iteration), *map(share, shares))
    return table


def products(counted: pd.DataFrame) -> Table:
    """How many problems of another kind are solved, and how often written-out products are right."""
    table = listing(
        f"problems with a value > {LARGEST}, and products written out in them, %",
        *("right", f"no factor > {LARGEST}", f"products ≤ {LARGEST}", f"products > {LARGEST}"),
    )
    for name in METHODS.names():
        found = counted[counted["method"] == name]
        if len(found):
            written = [each for text in found["text"] for each in PRODUCT.findall(text) if each[2]]
            right: dict[bool, list[bool]] = {False: [], True: []}
            for one, other, _, value in written:
                right[beyond(one, other)].append(int(one) * int(other) == int(value[:9]))
            shares = (found["vote"], found[~found["beyond"]]["vote"], *map(pd.Series, right.values()))
            table.add_row(METHODS[name].title, *map(share, shares))
    return table


def kept(folder: Path) -> dict[tuple[object, ...], "pd.Series[float]"]:
    """The benchmark's values by method, seed, iteration and kind of problem, without the matched methods."""
    values = pd.read_parquet(folder / "values.parquet")
    values = values[~values["method"].map(lambda name: METHODS[name].matched)]
    groups = values.set_index("problem_id").sort_index().groupby(["method", "seed", "iteration", "transfer"])
    return {key: group["right"] for key, group in groups}  # type: ignore[misc]


def differences(folder: Path) -> Iterator[Table]:
    """Tables of gains between iterations, and of multiagent FT's lead over other methods, from the values."""
    values = pd.read_parquet(folder / "values.parquet")
    values = values[~values["transfer"]]
    seeds = sorted(map(int, values["seed"].unique()))

    def of(method: MethodName, iteration: int) -> Values:
        rows = values[(values["method"] == method) & (values["iteration"] == iteration)]
        by_seed = {seed: rows[rows["seed"] == seed] for seed in seeds}
        return {seed: dict(zip(each["problem_id"], each["right"], strict=True)) for seed, each in by_seed.items()}

    def listed(title: str, first: str, rows: Iterable[tuple[str, Values, Values]]) -> Table:
        table = Table(first, title=title, box=SIMPLE_HEAD)
        for column in ("all seeds", *(f"seed {seed}" for seed in seeds)):
            table.add_column(column, justify="right", no_wrap=True)
        for name, a, b in rows:
            found = difference(a, b)
            each: list[Difference | Estimate] = [found, *(found.seeds[seed] for seed in seeds)]
            table.add_row(name, *(f"{100 * one.value:+.1f} ± {100 * one.standard_error:.1f}" for one in each))
        return table

    society: MethodName = "multiagent-ft"
    others: tuple[MethodName, ...] = ("single-ft-debate", "pooled")
    for begin, end in ((1, 5), (4, 5)):
        yield listed(
            f"gain from iteration {begin} to {end}, points ± standard error",
            "method",
            ((METHODS[method].title, of(method, end), of(method, begin)) for method in (society, *others)),
        )
    for other in others:
        yield listed(
            f"{METHODS[society].title} − {METHODS[other].title}, points ± standard error",
            "iteration",
            ((str(iteration), of(society, iteration), of(other, iteration)) for iteration in range(1, 6)),
        )


def main(home: Path) -> None:
    """Print the differences, then the counts if the home has the benchmark's results."""
    console = Console()
    for table in differences(Path(__file__).parent):
        console.print(table)
    if not (home / "results").is_dir():
        print(f"{home}: not a maft home; `maft benchmark docs/benchmark/benchmark.yaml` makes .maft", file=sys.stderr)
        sys.exit(2)
    store = Store(home / "artifacts")
    wanted = kept(Path(__file__).parent)
    found = {}
    for measured in scored(home):
        of = measured.outcome
        key = (of.method, of.seed, of.iteration, of.transfer)
        values = store.frame(measured.values).set_index("problem_id").sort_index()
        if key in wanted and wanted[key].equals(values["right"]):
            found[key] = turns(store, measured).assign(method=of.method, iteration=of.iteration, transfer=of.transfer)
    console.print(f"{len(found)} of {len(wanted)} outcomes found in {home}")
    if found:
        counted = pd.concat(found.values(), ignore_index=True)
        console.print(checking(counted[~counted["transfer"]]))
        console.print(products(counted[counted["transfer"]]))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".maft"))
