"""Whether two answers are the same mathematically."""

from functools import lru_cache

from evaluation.answers import symbolic
from evaluation.answers.exact import canonical, decide, formula

MAX_COMPARED_CHARS = 1_000


def equivalent(a: str | None, b: str | None) -> bool:
    """Whether two answers are the same mathematically. None, a missing answer, equals nothing.

    Numbers are compared exactly, words without regard to case, formulas by math-verify in a separate process; see
    `evaluation.answers.exact` and `evaluation.answers.symbolic`. The comparison is symmetric and reflexive (except for
    None), but not quite transitive: 50% equals both 50 and 0.5. Results are cached. Any thread may call this, and time
    and memory are bounded for any text.

    Raises:
        RuntimeError: math-verify does not start (not installed).
        TimeoutError: the machine is so overloaded that math-verify gets no CPU time.
    """
    if a is None or b is None:
        return False
    return a == b or _equivalent(min(a, b), max(a, b))


@lru_cache(maxsize=65_536)
def _equivalent(a: str, b: str) -> bool:
    if max(len(a), len(b)) > MAX_COMPARED_CHARS:
        return False
    decided = decide(canonical(a), canonical(b))
    return symbolic.equal(formula(a), formula(b)) if decided is None else decided
