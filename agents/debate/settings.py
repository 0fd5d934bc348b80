"""How a debate is held: the section `debate` of every config.

A new setting of the debate is added here and nowhere else. The first fields are the paper's; the others are directions
that the paper's authors or other papers name.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agents.debate.formats import FORMATS
from agents.debate.topology import TOPOLOGIES
from agents.debate.votes import VOTES
from evaluation.registry import OneOf

Persona = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
"""The text that begins an agent's conversations, such as an instruction how to reason."""


class DebateSettings(BaseModel):
    """How a debate is held."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Debate")

    rounds: int = Field(
        default=2, ge=1, le=16, title="Rounds", description="M, rounds of debate; round 1 is generation (paper: 2)."
    )
    summarize: bool = Field(
        default=True,
        title="Summarize",
        description="Whether critics read a summary of the other agents, written by the base, or their full responses.",
    )
    topology: Annotated[str, OneOf(TOPOLOGIES)] = Field(
        default="all-to-all", title="Topology", description=f"Whom a critic reads. {TOPOLOGIES.described()}"
    )
    personas: list[Persona] = Field(
        default=[],
        max_length=64,
        title="Personas",
        description="Reasoning prompts that begin an agent's conversations. The agents take them in turn, starting "
        "again from the first if there are fewer prompts than agents. Empty: no prompts.",
    )
    stop_on_consensus: bool = Field(
        default=False,
        title="Stop on consensus",
        description="Stop debating a problem when all agents agree; their responses count for the remaining rounds.",
    )
    messages: Annotated[str, OneOf(FORMATS)] = Field(
        default="text", title="Messages", description=f"Format of the messages that critics read. {FORMATS.described()}"
    )
    vote: Annotated[str, OneOf(VOTES)] = Field(
        default="majority", title="Vote", description=f"What an answer counts for in the vote. {VOTES.described()}"
    )

    @property
    def of_one_round(self) -> "DebateSettings":
        """The same settings, with defaults for the fields that no single round depends on.

        Debates that differ only in these fields share their cached rounds.
        """
        usual = DebateSettings()
        return self.model_copy(update={"rounds": usual.rounds, "vote": usual.vote})
