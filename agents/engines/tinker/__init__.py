"""An engine behind Tinker's API: a service, or a server of one's own, that trains and samples LoRA adapters."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator

from agents.engines.base_model import Bases
from agents.engines.protocol import Engine
from agents.engines.registry import ENGINES
from agents.hosted.spending import ServiceEngine
from agents.hosted.urls import base_url

if TYPE_CHECKING:
    from agents.runners.settings import Runner


@ENGINES.add("tinker")
class TinkerSettings(ServiceEngine):
    """Which service speaks and trains, and how it is asked."""

    model_config = ConfigDict(title="tinker")

    # The URL counts: an adapter exists only at its server.
    NOT_IN_CACHE_KEY: ClassVar[frozenset[str]] = frozenset({"concurrency", "patience_seconds", "prices", "budget"})

    asks_server: ClassVar[bool] = True
    reads_likelihoods: ClassVar[bool] = True
    loads_adapters: ClassVar[bool] = False
    learns_by: ClassVar[tuple[str, ...]] = ("tinker",)

    name: Literal["tinker"] = Field(
        default="tinker", title="Engine", description="a service with Tinker's API, which trains too (extra tinker)."
    )
    url: str | None = Field(
        default=None,
        max_length=2000,
        title="Server",
        description="Base URL of a server with Tinker's API, such as http://127.0.0.1:8000. None: Tinker itself. The "
        "key comes from TINKER_API_KEY.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        title="Base at the service",
        description="The service's name of the base model. None: base_model.",
    )
    concurrency: int = Field(
        default=32,
        ge=1,
        le=1024,
        title="Concurrency",
        description="Requests sent at once; also agents trained at once.",
    )
    patience_seconds: float = Field(
        default=600.0,
        gt=0.0,
        le=86_400.0,
        title="Patience",
        description="Longest wait for one answer of the service, queue included, in seconds.",
    )

    @field_validator("url")
    @classmethod
    def _whole_url(cls, url: str | None) -> str | None:
        return None if url is None else base_url(url)

    def check(self) -> None:
        """Refuse a missing client, a missing key, and a budget without prices.

        Raises:
            EngineError: the message says what to install or to set.
        """
        from agents.engines.tinker.service import check_client

        super().check()
        check_client(self)

    def open(self, bases: Bases, runner: "Runner", adapters: Path) -> Engine:
        """An engine that speaks through the service."""
        from agents.engines.tinker.engine import TinkerEngine

        return TinkerEngine(self, bases.of(0), adapters)
