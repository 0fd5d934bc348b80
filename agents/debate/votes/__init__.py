"""Votes: how much each answer of the last round counts. Each vote has its own file in this folder."""

from typing import ClassVar

from agents.records import Responses, Transcript
from agents.run import Run
from agents.society import Society
from evaluation.record import Record
from evaluation.registry import Registry


class Vote(Record):
    """How answers are weighed. The docstring of a subclass is its description in the config."""

    weighs: ClassVar[bool] = True
    """Whether answers can have different weights."""
    reads_likelihoods: ClassVar[bool] = False
    """Whether the vote needs likelihoods, which only an engine with its model in this process can compute."""

    def weigh(self, run: Run, society: Society, *, transcript: Transcript) -> Responses:
        """The last round of a debate, each response with its weight."""
        raise NotImplementedError


VOTES: Registry[Vote] = Registry("vote", __name__)


def weigh(run: Run, society: Society, *, transcript: Transcript, vote: Vote) -> Responses:
    """The last round of a debate, each response with its weight in the vote.

    Args:
        run: the base models, the engine and the store.
        society: the agents that debated.
        transcript: the whole debate.
        vote: how the responses are weighed.

    Raises:
        EngineError: the vote needs likelihoods, which the engine cannot compute.
    """
    return vote.weigh(run, society, transcript=transcript)
