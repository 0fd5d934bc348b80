"""What the rows of the bench share: two pieces of work that take turns, and a line of the table."""

import statistics
import time
from collections.abc import Callable

REPEATS = 5
Row = tuple[str, str, str, str, str]


def quiet(done: int, total: int) -> None:
    """Nobody listens."""


def rate(work: Callable[[], int]) -> float:
    """Tokens per second of one piece of work."""
    started = time.perf_counter()
    tokens = work()
    return tokens / (time.perf_counter() - started)


def compared(name: str, ours: Callable[[], int], theirs: Callable[[], int], goal: float | None) -> Row:
    """One row: medians of both rates and the median of their ratios with its range."""
    pairs = [(rate(ours), rate(theirs)) for _ in range(REPEATS + 1)][1:]  # the first warms up
    ratios = sorted(a / b for a, b in pairs)
    ratio = statistics.median(ratios)
    return (
        name,
        f"{statistics.median(a for a, _ in pairs):,.0f}",
        f"{statistics.median(b for _, b in pairs):,.0f}",
        f"{ratio:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})",
        f">= {goal}" if goal else "",
    )
