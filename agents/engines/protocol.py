"""The engine protocol: a batch of requests in, completions in the same order out.

Agents share resident base models, mostly one; a request names the agent, and so the base, and the adapter that answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from agents.engines.chat import Message

OnProgress = Callable[[int, int], None]
"""Called with (requests done, requests in all)."""


class EngineError(RuntimeError):
    """The chosen engine cannot be used, or gave up; the message names it and what would be right."""


class Sampling(BaseModel):
    """How responses are sampled. Defaults are the paper's: temperature 1, top-p 0.9."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Sampling")

    temperature: float = Field(
        default=1.0, ge=0.0, le=10.0, title="Temperature", description="0 decodes greedily (paper: 1)."
    )
    top_p: float = Field(
        default=0.9, gt=0.0, le=1.0, title="Top-p", description="Nucleus kept before sampling (paper: 0.9)."
    )
    max_new_tokens: int = Field(
        default=256, ge=1, le=32_768, title="Longest response", description="Most tokens of one response."
    )
    max_summary_tokens: int = Field(
        default=256, ge=1, le=32_768, title="Longest summary", description="Most tokens of one summary."
    )


@dataclass(frozen=True)
class Request:
    """One conversation to continue. `adapter` is the SHA-256 of an adapter, or None for the base itself."""

    messages: list[Message]
    adapter: str | None
    seed: int
    max_new_tokens: int
    agent: int = 0
    """Index of the agent that asks: where bases differ, its own one answers."""


@dataclass(frozen=True)
class Completion:
    """What the model said. `finished` is False when it was cut at the token limit or by the end of its context."""

    text: str
    prompt_tokens: int
    sampled_tokens: int
    finished: bool


class Engine(Protocol):
    """Anything that can complete requests."""

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """Completions in the order of the requests."""
        ...
