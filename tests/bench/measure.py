"""What the rows of the bench share: two pieces of work that take turns, and a table."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence

import torch

REPEATS = 5
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Row = tuple[str, str, str, str, str]
"""Measure, ours, against, ratio, goal."""


def quiet(done: int, total: int) -> None:
    """Nobody listens."""


def rate(work: Callable[[], int]) -> Callable[[], float]:
    """Tokens per second of a piece of work that tells its tokens."""

    def timed() -> float:
        started = time.perf_counter()
        tokens = work()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return tokens / (time.perf_counter() - started)

    return timed


def compared(name: str, ours: Callable[[], float], theirs: Callable[[], float], goal: float | None) -> Row:
    """One row: medians of both rates and the median of their ratios with its range."""
    pairs = [(ours(), theirs()) for _ in range(REPEATS + 1)][1:]  # the first warms up
    ratios = [a / b for a, b in pairs]
    return (
        name,
        f"{statistics.median(a for a, _ in pairs):,.0f}",
        f"{statistics.median(b for _, b in pairs):,.0f}",
        spread(ratios, 2),
        f"≥ {goal}" if goal else "",
    )


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median and range."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def table(rows: Iterable[Row]) -> None:
    """Print the rows as Markdown, each when it is known."""
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; medians of {REPEATS} and their range\n")
    print("| measure | ours | against | ratio | goal |\n|---|---|---|---|---|", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
