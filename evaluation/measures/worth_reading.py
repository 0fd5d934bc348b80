"""Classifies debates by how they went, so that debates worth reading can be chosen."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Literal, NamedTuple, TypeVar

from evaluation.answers.grader import Grader
from evaluation.answers.kinds.math import MATH
from evaluation.answers.vote import Tally, vote_seed
from evaluation.measures.debates import Ballots, count

Kind = Literal["corrected", "spoiled", "split", "agreed"]
K = TypeVar("K")
T = TypeVar("T")


class Course(NamedTuple):
    """How the debate of one problem went."""

    kind: Kind
    """corrected: the first vote was wrong and the last is right. spoiled: the first vote was right and the last is
    wrong. split: otherwise, if the agents of the last round differ. agreed: otherwise, if they agree. A tie is
    broken at random, so a debate with a tied last vote is split, and one with a tied first vote is never spoiled."""
    right: bool
    """Whether the last vote is right."""
    votes: list[Tally]
    """The vote of each round."""

    @property
    def vote(self) -> Tally:
        """The last vote, which is the society's answer."""
        return self.votes[-1]


def course(rounds: Sequence[Ballots], problem_id: str, reference: str, seed: int, *, grader: Grader = MATH) -> Course:
    """How a debate went, according to the same votes as its scores.

    Args:
        rounds: per round, from the first, the answer and the weight of each agent in order.
        problem_id: `Problem.id`, which breaks ties together with the seed.
        reference: the right answer.
        seed: the run's seed.
        grader: decides which answers are equivalent.
    """
    seeds = (vote_seed(seed, number, problem_id) for number in range(1, len(rounds) + 1))
    votes = [count(ballots, each, grader=grader) for ballots, each in zip(rounds, seeds, strict=True)]
    first, last = votes[0], votes[-1]
    right, right_at_first = (grader.equivalent(vote.answer, reference) for vote in (last, first))
    kind: Kind = "agreed" if all(last.agrees) else "split"
    if last.tied:
        kind = "split"
    elif right and not right_at_first:
        kind = "corrected"
    elif right_at_first and not right and not first.tied:
        kind = "spoiled"
    return Course(kind, right, votes)


def in_turns(by_kind: Mapping[K, Sequence[T]], limit: int) -> list[T]:
    """The first item of each kind, then the second of each, at most `limit` in all; the order in a kind stays."""
    return [each for turn in zip_longest(*by_kind.values()) for each in turn if each is not None][:limit]
