"""How a debate is held: the fields of the config that say so, and the record of them that travels to whoever holds one.

The first ones are the paper's; the others are directions that its authors, or others, name.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from evaluation.record import Record

Topology = Literal["all-to-all", "ring", "sparse"]
MessageFormat = Literal["text", "json"]
Vote = Literal["majority", "confidence"]
Persona = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
"""What an agent is told of itself, in the words in which it is told."""

ROUNDS: Any = Field(
    default=2, ge=1, le=16, title="Rounds", description="M, rounds of debate; round 1 is generation (paper: 2)."
)
SUMMARIZE: Any = Field(
    default=True,
    title="Summarize",
    description="Critics read a summary of the others, written by the base; else their very words.",
)
TOPOLOGY: Any = Field(
    default="all-to-all",
    title="Topology",
    description="Whom a critic reads: all-to-all, every other agent (paper); ring, the agent before it; sparse, half "
    "of the others, drawn anew for each problem and round.",
)
PERSONAS: Any = Field(
    default=[],
    max_length=64,
    title="Personas",
    description="Reasoning prompts that begin an agent's conversations: the first agent has the first one, and so on, "
    "from the beginning again where there are fewer than agents. Empty: none.",
)
STOP_ON_CONSENSUS: Any = Field(
    default=False,
    title="Stop on consensus",
    description="Problems on which all agents agree are not debated further; what they said stands for the rounds "
    "left.",
)
MESSAGES: Any = Field(
    default="text",
    title="Messages",
    description="text: critics read prose (paper); json: each agent's answer and steps, asked of the summariser as "
    "JSON. Where what it writes is not valid, the message is built from the responses, which is counted.",
)
VOTE: Any = Field(
    default="majority",
    title="Vote",
    description="majority: each answer of the last round counts the same (paper); confidence: as much as its agent was "
    "sure of its words, the geometric mean of their probabilities (engine.name transformers only).",
)


class Rules(Record):
    """How a debate is held."""

    IMMATERIAL: ClassVar[dict[str, Any]] = {"rounds": True, "vote": True}
    """What no single round depends on, for pydantic's `exclude`: rounds that different debates share have one key."""

    rounds: int = ROUNDS
    summarize: bool = SUMMARIZE
    topology: Topology = TOPOLOGY
    personas: list[Persona] = PERSONAS
    stop_on_consensus: bool = STOP_ON_CONSENSUS
    messages: MessageFormat = MESSAGES
    vote: Vote = VOTE
