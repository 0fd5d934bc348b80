"""A vote by confidence."""

from typing import ClassVar

from agents.debate.votes import VOTES, Vote
from agents.records import Responses, Transcript
from agents.run import Run
from agents.society import Society


class Confidence(Vote):
    """as much as its agent was sure of its words, the geometric mean of their probabilities"""

    reads_likelihoods: ClassVar[bool] = True

    def weigh(self, run: Run, society: Society, *, transcript: Transcript) -> Responses:
        """See `agents.judging.confidence`."""
        # Imports torch, which nobody should wait for before there is something to weigh.
        from agents.judging.confidence import confidence

        return confidence(run, society, transcript=transcript)


VOTES.add("confidence")(Confidence())
