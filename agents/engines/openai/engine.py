"""An engine behind HTTP: any server with OpenAI's API, such as a running vLLM server or a hosted model.

The base model answers under its served name. An adapter that a service trained and keeps answers under the name that
the service gave it. Others are loaded into a vLLM server, under their SHA-256, when a request first needs them; this
server must see the same files, so it runs on this machine or shares the home folder.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from agents.engines.base_model import Scalar
from agents.engines.openai import OpenAISettings
from agents.engines.protocol import Completion, EngineError, OnProgress, Request, Sampling
from agents.hosted.adapter import read_hosted
from agents.hosted.asking import at_once, collect
from agents.hosted.errors import RefusedError
from agents.hosted.http import Server
from agents.hosted.urls import same_server

T = TypeVar("T", bound=BaseModel)


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class _Answer(BaseModel):
    """The fields of a chat completion that are used."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage


class _Model(BaseModel):
    id: str
    parent: str | None = None
    """The base of an adapter, as vLLM reports it; None for a base."""


class _Models(BaseModel):
    data: list[_Model]


class OpenAIEngine:
    """Completes requests on a server, at most `settings.concurrency` at once.

    Args:
        settings: the server, and how requests are sent.
        adapters: the folder with one folder for each adapter, named by its SHA-256.
        chat_template: values of variables of the server's chat template, which vLLM takes as `chat_template_kwargs`.
            Default: none, and the field is not sent.
    """

    def __init__(
        self, settings: OpenAISettings, adapters: Path, chat_template: Mapping[str, Scalar] | None = None
    ) -> None:
        self.settings = settings
        self.extra = {"chat_template_kwargs": {**chat_template}} if chat_template else {}
        self.adapters = adapters.resolve()

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """Completions in the order of the requests.

        Raises:
            EngineError: see `each`.
        """
        return collect(self.each(requests, sampling), requests, on_progress)

    def each(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """The place of each request with its completion, as they come.

        Raises:
            EngineError: the server cannot be reached, refuses a request, cannot load adapters or breaks OpenAI's API.
                The first error ends the whole batch, after the requests already sent have ended.
        """
        if not requests:
            return
        with Server(self.settings) as server:
            names = self._names(server, {request.adapter for request in requests})

            def ask(request: Request) -> Completion:
                return _ask(server, {"model": names[request.adapter], **self.extra}, request, sampling)

            yield from at_once(ask, requests, most=self.settings.concurrency, stop=server.stop)

    def _names(self, server: Server, adapters: set[str | None]) -> dict[str | None, str]:
        """Load the adapters that the server lacks; return the served name of each, and of the base under None."""
        hosted = {adapter: self._hosted(adapter) for adapter in sorted(filter(None, adapters))}
        wanted = [adapter for adapter, name in hosted.items() if name is None]
        served = _served(server) if wanted or not self.settings.model else []
        there = {model.id for model in served}
        for adapter in wanted:
            if adapter not in there:
                self._load(server, adapter)
        names: dict[str | None, str] = {adapter: name or adapter for adapter, name in hosted.items()}
        return {**names, None: self.settings.model or _only_base(server, served)}

    def _hosted(self, adapter: str) -> str | None:
        """The name under which a service keeps an adapter; None if its weights are here."""
        hosted = read_hosted(self.adapters / adapter)
        if hosted is None:
            return None
        if not same_server(hosted.url, self.settings.url):
            raise EngineError(
                f"engine.url is {self.settings.url}, but adapter {adapter[:12]} is kept by {hosted.service} at "
                f"{hosted.url}; set engine.url to that server"
            )
        return hosted.speaks_as

    def _load(self, server: Server, adapter: str) -> None:
        try:
            server.call(
                "POST",
                "/load_lora_adapter",
                {"lora_name": adapter, "lora_path": str(self.adapters / adapter)},
            )
        except RefusedError as refused:
            # Another process may have loaded it first.
            if adapter not in {model.id for model in _served(server)}:
                raise EngineError(
                    f"engine.url {server.url}: the server did not load adapter {adapter[:12]} (status "
                    f"{refused.status}, {refused.said}); start vLLM with --enable-lora, --max-lora-rank at or above "
                    f"finetune.rank and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True where it can read {self.adapters}, "
                    "or set engine.name to another engine"
                ) from refused


def _ask(server: Server, fields: Mapping[str, Any], request: Request, sampling: Sampling) -> Completion:
    """One completion; `fields` are those of the body that do not depend on the request's text."""
    body = {
        **fields,
        "messages": request.messages,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": request.max_new_tokens,
        "seed": request.seed,
        "n": 1,
    }
    try:
        answer = _read(_Answer, server, server.call("POST", "/chat/completions", body))
    except RefusedError as refused:
        if "context_length_exceeded" in refused.said or "maximum context length" in refused.said:
            # Every engine answers a prompt that fills the context with an empty text.
            return Completion("", 0, 0, False)
        server.stop()
        raise
    except EngineError:
        server.stop()
        raise
    choice, usage = answer.choices[0], answer.usage
    text = (choice.message.content or "").strip()
    return Completion(text, usage.prompt_tokens, usage.completion_tokens, choice.finish_reason == "stop")


def _served(server: Server) -> list[_Model]:
    return _read(_Models, server, server.call("GET", "/models")).data


def _only_base(server: Server, served: Iterable[_Model]) -> str:
    bases = [model.id for model in served if model.parent is None]
    if len(bases) != 1:
        listed = server.shown(", ".join(bases[:20])) or "none"
        raise EngineError(
            f"engine.url {server.url}: the server has {len(bases)} models ({listed}); set engine.model to the name of "
            "the base model"
        )
    return bases[0]


def _read(kind: type[T], server: Server, content: bytes) -> T:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        place = ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "the whole answer"
        raise EngineError(
            f"engine.url {server.url}: not an answer of OpenAI's API ({place} is not valid): "
            f"{server.shown(content)!r}; set engine.url to the base URL of such a server, which usually ends in /v1"
        ) from None
