"""Whether two answers are the same mathematically."""

from functools import lru_cache

from evaluation.answers import symbolic
from evaluation.answers.exact import canonical, decide, formula

MAX_COMPARED_CHARS = 1_000


def equivalent(a: str | None, b: str | None) -> bool:
    """Whether two answers are the same mathematically. None, the answer that was not given, equals nothing.

    Numbers are compared exactly, words without regard to case, formulas by math-verify in a process of its own; see
    `evaluation.answers.exact` and `evaluation.answers.symbolic`. Symmetric and reflexive (but for None), and
    remembered. Not quite transitive: 50% fits 50 as well as 0.5. Safe from any thread, and bounded whatever the texts
    are.

    Raises:
        RuntimeError: math-verify does not start (not installed).
        TimeoutError: the machine is so overloaded that math-verify gets no processor.
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
