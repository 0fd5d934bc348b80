"""Generated arithmetic as a source of problems: the reserved questions of `evaluation.problems.arithmetic`."""

from itertools import product

from evaluation.problems.arithmetic import arithmetic_problems, question, reserved
from evaluation.problems.source import SOURCES, GeneratedSource

_COUNTED_MAX_VALUE = 6


def _owns(name: str) -> bool:
    return name == "arithmetic"


def _available(max_value: int) -> int:
    """Number of reserved questions; above _COUNTED_MAX_VALUE a low estimate, since one in sixteen is reserved."""
    if max_value > _COUNTED_MAX_VALUE:
        return max_value**6 // 32
    values = range(1, max_value + 1)
    return sum(reserved(question(six)) for six in product(values, values, values, values, values, values))


SOURCES.add("arithmetic")(
    GeneratedSource(
        about="arithmetic, for generated problems", owns=_owns, stream=arithmetic_problems, available=_available
    )
)
