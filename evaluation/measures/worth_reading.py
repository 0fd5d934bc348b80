"""Which debates are worth reading: where the critics changed the outcome, then where they could not."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Literal, NamedTuple, TypeVar

from evaluation.answers.equality import equivalent
from evaluation.answers.vote import Tally, vote_seed
from evaluation.measures.debates import Ballots, count

Kind = Literal["corrected", "spoiled", "split", "agreed"]
K = TypeVar("K")
T = TypeVar("T")


class Course(NamedTuple):
    """How the debate of one problem went."""

    kind: Kind
    """corrected: the first vote was wrong, the last is right. spoiled: the first was right, the last is wrong. split:
    else the agents of the last round differ. agreed: they do not. What was drawn by lot was not earned, so a tied last
    vote is split whatever came out, and a tied first vote cannot be spoiled."""
    right: bool
    """Whether the last vote is."""
    votes: list[Tally]
    """One per round."""

    @property
    def vote(self) -> Tally:
        """The last one, which is the society's answer."""
        return self.votes[-1]


def course(rounds: Sequence[Ballots], problem_id: str, reference: str, seed: int) -> Course:
    """How a debate went, by the same votes as in its scores.

    Args:
        rounds: per round, from the first, the answer and the weight of each agent in order.
        problem_id: `Problem.id`, which breaks ties together with the seed.
        reference: the right answer.
        seed: the run's.
    """
    votes = [count(ballots, vote_seed(seed, number, problem_id)) for number, ballots in enumerate(rounds, start=1)]
    first, last = votes[0], votes[-1]
    right, right_at_first = (equivalent(vote.answer, reference) for vote in (last, first))
    kind: Kind = "agreed" if all(last.agrees) else "split"
    if last.tied:
        kind = "split"
    elif right and not right_at_first:
        kind = "corrected"
    elif right_at_first and not right and not first.tied:
        kind = "spoiled"
    return Course(kind, right, votes)


def in_turns(by_kind: Mapping[K, Sequence[T]], limit: int) -> list[T]:
    """The first of each kind, then the second of each, at most `limit` in all; within a kind the order stays."""
    return [each for turn in zip_longest(*by_kind.values()) for each in turn if each is not None][:limit]
