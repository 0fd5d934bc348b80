"""The vote of a society on one problem."""

import math
import random
from collections.abc import Sequence
from itertools import chain

from pydantic import Field

from evaluation.answers.grader import Grader
from evaluation.answers.kinds.math import MATH
from evaluation.record import Record


class Tally(Record):
    """The outcome of one vote."""

    answer: str | None = Field(description="The winning answer, as its first voter wrote it; none if nobody answered.")
    votes: int = Field(ge=0, description="Agents that gave the winning answer.")
    voters: int = Field(ge=0, description="Agents that gave any answer.")
    tied: bool = Field(description="Whether other answers had the same weight, so that the seed decided.")
    agrees: list[bool] = Field(description="Per agent, in order, whether it gave the winning answer.")


def tally(
    answers: Sequence[str | None],
    seed: int | str,
    weights: Sequence[float] | None = None,
    *,
    grader: Grader = MATH,
) -> Tally:
    """Count the votes of one problem.

    An answer gets the votes of all agents whose answer is equivalent to it. The answer with the greatest sum of
    weights wins: the one with the most votes, if all weigh the same. The seed breaks ties. None is no vote.

    Args:
        answers: one per agent, in the order of the agents.
        seed: breaks ties; the same seed and the same answers give the same outcome in every process.
        weights: one per agent, finite and not negative; None if all weigh the same.
        grader: decides which answers are equivalent.

    Raises:
        ValueError: a weight is negative or not finite, or there are more or fewer weights than answers.
    """
    weights = [1.0] * len(answers) if weights is None else weights
    if not all(0.0 <= weight < math.inf for weight in weights):
        raise ValueError(f"weights must be finite and not negative, but are {list(weights)}")
    held: dict[str, list[float]] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None:
            held.setdefault(answer, []).append(weight)
    if not held:
        return Tally(answer=None, votes=0, voters=0, tied=False, agrees=[False] * len(answers))
    # Exact sums, so that the order of the agents does not matter.
    sums = {a: math.fsum(chain.from_iterable(own for b, own in held.items() if grader.equivalent(a, b))) for a in held}
    most = max(sums.values())
    options: list[str] = []
    for answer in held:
        if sums[answer] == most and not any(grader.equivalent(answer, option) for option in options):
            options.append(answer)
    winner = random.Random(f"vote:{seed}").choice(options)
    agrees = [grader.equivalent(answer, winner) for answer in answers]
    return Tally(
        answer=winner,
        votes=sum(agrees),
        voters=sum(map(len, held.values())),
        tied=len(options) > 1,
        agrees=agrees,
    )


def unanimous(answers: Sequence[str | None], *, grader: Grader = MATH) -> bool:
    """Whether all agents gave the winning answer, and there is at least one agent. See `tally`."""
    return 0 < len(answers) == tally(answers, seed=0, grader=grader).votes


def majority(answers: Sequence[str | None], seed: int | str) -> str | None:
    """The answer that most agents gave, ties drawn with the seed; None if nobody answered. See `tally`."""
    return tally(answers, seed).answer


def vote_seed(seed: int, round: int, problem_id: str) -> str:
    """The seed that breaks a tie in one problem's vote in one round; the vote step and the scores share it.

    Args:
        seed: the run's seed, or one derived from it for an iteration.
        round: of the debate, from 1.
        problem_id: `Problem.id`.
    """
    return f"{seed}:{round}:{problem_id}"
