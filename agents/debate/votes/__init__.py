"""Votes: what the answers of the last round count for when a debate is decided. One file of this folder for each."""

from typing import ClassVar

from agents.records import Responses, Transcript
from agents.run import Run
from agents.society import Society
from evaluation.record import Record
from evaluation.registry import Registry


class Vote(Record):
    """How answers are weighed. The docstring of its class is what the config says of it."""

    weighs: ClassVar[bool] = True
    """Whether answers may count differently."""
    reads_likelihoods: ClassVar[bool] = False
    """Whether it takes an engine whose model is here to read with."""

    def weigh(self, run: Run, society: Society, *, transcript: Transcript) -> Responses:
        """The last round of a debate, each response with its weight."""
        raise NotImplementedError


VOTES: Registry[Vote] = Registry("vote", __name__)


def weigh(run: Run, society: Society, *, transcript: Transcript, vote: Vote) -> Responses:
    """The last round of a debate, each response with what it counts for.

    Args:
        run: the surroundings.
        society: those who spoke.
        transcript: the whole debate.
        vote: how they are weighed.

    Raises:
        EngineError: the vote reads likelihoods, and the engine cannot.
    """
    return vote.weigh(run, society, transcript=transcript)
