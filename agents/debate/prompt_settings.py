"""What agents are asked: the section `prompts` of every config."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from agents.debate.prompt_sets import PROMPT_SETS
from agents.debate.prompts import Alone, Debate, Examples, Prompts, Response, Solve, Summarise, System
from evaluation.registry import OneOf


class PromptSettings(BaseModel):
    """The prompts: a set by name, and single texts that replace those of the set."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Prompts")

    name: Annotated[str, OneOf(PROMPT_SETS)] = Field(
        default="default",
        title="Set of prompts",
        description=f"The set whose texts are used where no other text is given below. {PROMPT_SETS.described()}",
    )
    system: System | None = Field(
        default=None,
        title="System prompt",
        description="First message of every conversation of an agent; a summariser does not read it. It needs base "
        "models whose chat template has a system role. None: that of the set, which has none.",
    )
    solve: Solve | None = Field(
        default=None,
        title="Solve",
        description="Prompt of round 1, with {question}. An agent's persona comes before it. None: that of the set.",
    )
    summarise: Summarise | None = Field(
        default=None,
        title="Summarise",
        description="Request for a summary, with {agents}, the list of responses, and optionally {question}. None: "
        "that of the set.",
    )
    summarise_json: Summarise | None = Field(
        default=None,
        title="Summarise as JSON",
        description="The same request where debate.messages is json. None: that of the set.",
    )
    debate: Debate | None = Field(
        default=None,
        title="Debate",
        description="Prompt of the rounds after the first, with {others}, what a critic reads of the other agents, and "
        "optionally {question}. None: that of the set.",
    )
    alone: Alone | None = Field(
        default=None,
        title="Alone",
        description="The same prompt for a critic that reads nobody; it may have {question}. None: that of the set.",
    )
    response: Response | None = Field(
        default=None,
        title="Response",
        description="One response in {agents}, and in {others} without summaries: {response}, and optionally "
        "{number}, counted from 1. None: that of the set.",
    )
    examples: Examples | None = Field(
        default=None,
        title="Examples",
        description="Solved examples that an agent reads as earlier turns before its question. None: those "
        "of the set, which has none.",
    )

    @property
    def texts(self) -> Prompts:
        """All texts: those given, and those of the set for the rest."""
        own = {name: getattr(self, name) for name in Prompts.model_fields}
        given = {name: text for name, text in own.items() if text is not None}
        return PROMPT_SETS[self.name]().model_copy(update=given)

    @property
    def whole(self) -> "PromptSettings":
        """The same settings with all texts given, so that a later edit of the set does not change them."""
        return self.model_copy(update=dict(self.texts))

    @model_serializer(mode="wrap")
    def _without_unset(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A run's page in MLflow would list every unset text.
        return {name: value for name, value in dump(self).items() if value is not None}
