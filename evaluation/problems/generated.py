"""Takes the first problems of a generated source, or raises an error if there are too few."""

from itertools import islice

from evaluation.problems.problem import Problem
from evaluation.problems.source import GeneratedSource


class TooFewProblemsError(ValueError):
    """max_value is too small for the number of generated problems."""


def generated_problems(
    source: GeneratedSource, wanted: int, *, seed: int, max_value: int, above: int = 0
) -> list[Problem]:
    """The first `wanted` problems of the stream, all different.

    Args:
        source: the source that generates them.
        wanted: the number of problems.
        seed: the seed of the stream.
        max_value: the largest value in a question.
        above: at least one value of each question is greater than this.

    Raises:
        TooFewProblemsError: there are too few problems; the stream alone would search forever.
    """
    available = source.available(max_value) - source.available(above)
    if wanted > available:
        raise TooFewProblemsError(
            f"transfer.max_value={max_value} allows about {max(0, available)} problems with a value above {above}, but "
            f"transfer.size needs {wanted}; raise transfer.max_value or set a smaller transfer.size"
            if above
            else f"problems.max_value={max_value} allows about {available} problems, but the sizes need {wanted}; "
            "raise max_value or set smaller train_size and evaluation_size"
        )
    return list(islice(source.stream(seed, max_value, above), wanted))
