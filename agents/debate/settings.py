"""How a debate is held: the section `debate` of every config.

A new field of a debate is a field here and nowhere else. The first ones are the paper's; the others are directions that
its authors, or others, name.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agents.debate.formats import FORMATS
from agents.debate.topology import TOPOLOGIES
from agents.debate.votes import VOTES
from evaluation.registry import OneOf

Persona = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
"""What an agent is told of itself, in the words in which it is told."""


class DebateSettings(BaseModel):
    """How a debate is held."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Debate")

    rounds: int = Field(
        default=2, ge=1, le=16, title="Rounds", description="M, rounds of debate; round 1 is generation (paper: 2)."
    )
    summarize: bool = Field(
        default=True,
        title="Summarize",
        description="Critics read a summary of the others, written by the base; else their very words.",
    )
    topology: Annotated[str, OneOf(TOPOLOGIES)] = Field(
        default="all-to-all", title="Topology", description=f"Whom a critic reads. {TOPOLOGIES.described()}"
    )
    personas: list[Persona] = Field(
        default=[],
        max_length=64,
        title="Personas",
        description="Reasoning prompts that begin an agent's conversations: the first agent has the first one, and so "
        "on, from the beginning again where there are fewer than agents. Empty: none.",
    )
    stop_on_consensus: bool = Field(
        default=False,
        title="Stop on consensus",
        description="Problems on which all agents agree are not debated further; what they said stands for the rounds "
        "left.",
    )
    messages: Annotated[str, OneOf(FORMATS)] = Field(
        default="text", title="Messages", description=f"What critics read of the others. {FORMATS.described()}"
    )
    vote: Annotated[str, OneOf(VOTES)] = Field(
        default="majority", title="Vote", description=f"What an answer counts for. {VOTES.described()}"
    )

    @property
    def of_one_round(self) -> "DebateSettings":
        """The same, with what no single round depends on at its default: debates share the rounds that are alike."""
        usual = DebateSettings()
        return self.model_copy(update={"rounds": usual.rounds, "vote": usual.vote})
