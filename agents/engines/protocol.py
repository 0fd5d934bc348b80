"""The engine protocol: a batch of requests in, completions in the same order out.

Agents share the base models in memory, usually one. A request names the agent, which determines the base, and the
adapter that answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from agents.engines.chat import Message

OnProgress = Callable[[int, int], None]
"""Called with (requests done, requests in all)."""


class EngineError(RuntimeError):
    """The chosen engine cannot be used, or gave up; the message names the engine and says what to change."""


class Sampling(BaseModel):
    """How responses are sampled. Defaults are the paper's: temperature 1, top-p 0.9."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Sampling")

    temperature: float = Field(
        default=1.0, ge=0.0, le=10.0, title="Temperature", description="At 0, decoding is greedy (paper: 1)."
    )
    top_p: float = Field(
        default=0.9, gt=0.0, le=1.0, title="Top-p", description="Probability that the nucleus must reach (paper: 0.9)."
    )
    max_new_tokens: int = Field(
        default=256, ge=1, le=32_768, title="Longest response", description="Maximum tokens of one response."
    )
    max_summary_tokens: int = Field(
        default=256, ge=1, le=32_768, title="Longest summary", description="Maximum tokens of one summary."
    )


@dataclass(frozen=True, slots=True)
class Request:
    """One conversation to continue. `adapter` is the SHA-256 of an adapter, or None for the base itself."""

    messages: list[Message]
    adapter: str | None
    seed: int
    max_new_tokens: int
    agent: int = 0
    """Index of the agent; if agents have different bases, the base of this agent answers."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model said. `finished` is False if the text was cut at the token limit or at the end of the context."""

    text: str
    prompt_tokens: int
    sampled_tokens: int
    finished: bool


class Engine(Protocol):
    """Anything that can complete requests."""

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """Completions in the order of the requests."""
        ...
