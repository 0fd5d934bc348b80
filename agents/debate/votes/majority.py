"""The paper's majority vote."""

from typing import ClassVar

from agents.debate.votes import VOTES, Vote
from agents.records import Responses, Transcript
from agents.run import Run
from agents.society import Society


class Majority(Vote):
    """each answer of the last round counts the same (paper)"""

    weighs: ClassVar[bool] = False

    def weigh(self, run: Run, society: Society, *, transcript: Transcript) -> Responses:
        """The last round, unchanged: every response has the weight 1."""
        return transcript.rounds[-1]


VOTES.add("majority")(Majority())
