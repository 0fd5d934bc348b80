"""Functions for the rows of the bench: they measure two pieces of work in turns, and print a table."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence

import torch

REPEATS = 5
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Row = tuple[str, str, str, str, str]
"""A row of the table: the measure, maft's value, the other value, their ratio, the goal."""


def quiet(done: int, total: int) -> None:
    """Ignore the progress."""


def rate(work: Callable[[], int]) -> Callable[[], float]:
    """A function that gives the tokens per second of a piece of work, which returns its number of tokens."""

    def timed() -> float:
        started = time.perf_counter()
        tokens = work()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return tokens / (time.perf_counter() - started)

    return timed


def compared(name: str, ours: Callable[[], float], theirs: Callable[[], float], goal: float | None) -> Row:
    """A row with the medians of both rates, and the median and range of their ratios."""
    pairs = [(ours(), theirs()) for _ in range(REPEATS + 1)][1:]  # The first pair only warms up.
    ratios = [a / b for a, b in pairs]
    return (
        name,
        f"{statistics.median(a for a, _ in pairs):,.0f}",
        f"{statistics.median(b for _, b in pairs):,.0f}",
        spread(ratios, 2),
        f"≥ {goal}" if goal else "",
    )


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median and the range as text."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def table(rows: Iterable[Row]) -> None:
    """Print the rows as Markdown, each as soon as it is measured."""
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; medians of {REPEATS} and their range\n")
    print("| measure | ours | against | ratio | goal |\n|---|---|---|---|---|", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
