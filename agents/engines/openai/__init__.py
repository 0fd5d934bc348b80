"""An engine behind HTTP: any server with OpenAI's API."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator

from agents.engines.base_model import Bases, Scalar
from agents.engines.protocol import Engine
from agents.engines.registry import ENGINES
from agents.hosted.keys import api_key
from agents.hosted.spending import ServiceEngine
from agents.hosted.urls import base_url

if TYPE_CHECKING:
    from agents.engines.openai.engine import OpenAIEngine
    from agents.runners.settings import Runner


@ENGINES.add("openai")
class OpenAISettings(ServiceEngine):
    """Which server gets the requests, and how they are sent."""

    model_config = ConfigDict(title="openai")

    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset(
        {"url", "concurrency", "timeout_seconds", "attempts", "prices", "budget"}
    )

    asks_server: ClassVar[bool] = True
    learns_by: ClassVar[tuple[str, ...]] = ("jobs",)

    name: Literal["openai"] = Field(default="openai", title="Engine", description="any server with OpenAI's HTTP API.")
    url: str = Field(
        max_length=2000,
        title="Server",
        description="Base URL such as http://127.0.0.1:8000/v1. The key comes from OPENAI_API_KEY.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        title="Served model",
        description="Name of the base model on the server; none if the server has only one base model.",
    )
    concurrency: int = Field(default=32, ge=1, le=1024, title="Concurrency", description="Requests sent at once.")
    timeout_seconds: float = Field(
        default=120.0, gt=0.0, le=3600.0, title="Time-out", description="Longest wait for one answer, in seconds."
    )
    attempts: int = Field(
        default=5,
        ge=1,
        le=20,
        title="Attempts",
        description="How often a request is tried if the server is busy, fails or cannot be reached.",
    )

    _whole_url = field_validator("url")(base_url)

    def check(self) -> None:
        """Refuse a server on another machine if no key is set, and a budget without prices.

        Raises:
            EngineError: the key is missing, or has characters that cannot be sent; or see `ServiceEngine.check`.
        """
        super().check()
        api_key(self.url)

    def open(self, bases: Bases, runner: "Runner", adapters: Path) -> Engine:
        """An engine that sends its requests to the server."""
        self.check()
        return _engine(self, bases.of(0).chat_template, adapters)


@functools.lru_cache(maxsize=1)
def _engine(settings: OpenAISettings, chat_template: tuple[tuple[str, Scalar], ...], adapters: Path) -> "OpenAIEngine":
    from agents.engines.openai.engine import OpenAIEngine

    return OpenAIEngine(settings, adapters, dict(chat_template))
