"""The vote that weighs answers by the agents' confidence."""

from typing import ClassVar

from agents.debate.votes import VOTES, Vote
from agents.records import Responses, Transcript
from agents.run import Run
from agents.society import Society


class Confidence(Vote):
    """the confidence of its agent, which is the geometric mean of the probabilities of the response's tokens"""

    reads_likelihoods: ClassVar[bool] = True

    def weigh(self, run: Run, society: Society, *, transcript: Transcript) -> Responses:
        """The last round with the agents' confidence as weights, see `agents.judging.confidence`."""
        # Imported here, since it imports torch, which takes seconds.
        from agents.judging.confidence import confidence

        return confidence(run, society, transcript=transcript)


VOTES.add("confidence")(Confidence())
