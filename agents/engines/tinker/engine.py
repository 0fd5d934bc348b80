"""Speaks, and reads likelihoods, through a service with Tinker's API.

Conversations are rendered here, by the base's own chat template, token for token as for a local model; the service gets
and gives token ids.
"""

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.engines.base_model import Base, folder_of, load_tokenizer
from agents.engines.chat import prompt_ids, turn_end_ids
from agents.engines.protocol import Completion, EngineError, OnProgress, Request, Sampling
from agents.engines.response_text import response_texts
from agents.engines.tinker import TinkerSettings
from agents.engines.tinker.service import connect, one_line_errors
from agents.hosted.adapter import read_hosted
from agents.hosted.asking import at_once, collect
from agents.hosted.reading import Read

SEEDS = 2**31
"""Servers take seeds below this."""
SERVICE = "tinker"


class TinkerEngine:
    """Completes requests through the service, at most `settings.concurrency` at once.

    Args:
        settings: the service, and how it is asked.
        base: the base model of all agents, whose tokenizer and chat template are used.
        adapters: the folder with one folder for each adapter, named by its SHA-256.
    """

    def __init__(self, settings: TinkerSettings, base: Base, adapters: Path) -> None:
        self.settings, self.base, self.adapters = settings, base, adapters
        self.model = settings.model or base.name.partition("@")[0]
        self.tokenizer = _tokenizer(base)
        self.context = _context(base)
        self.ends = list(dict.fromkeys([*turn_end_ids(self.tokenizer), *_end(self.tokenizer)]))

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """Completions in the order of the requests.

        Raises:
            EngineError: see `each`.
        """
        return collect(self.each(requests, sampling), requests, on_progress)

    def each(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """The place of each request with its completion, as they come.

        Raises:
            EngineError: the service cannot be reached, refuses a request, or does not have the adapter.
        """
        if not requests:
            return
        speakers = {adapter: self.speaker(adapter) for adapter in {request.adapter for request in requests}}

        def ask(request: Request) -> Completion:
            return self._say(speakers[request.adapter], request, sampling)

        yield from at_once(ask, requests, most=self.settings.concurrency, stop=lambda: None)

    def likelihoods(self, speaker: Any, texts: Sequence[Read]) -> list[float]:
        """-ln of the likelihood of each text's target, given its prompt, in nats.

        Args:
            speaker: the sampling client that reads, see `speaker`.
            texts: prompt and target as token ids; no target is empty.

        Raises:
            EngineError: the service cannot be reached, or refuses.
        """
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            return list(pool.map(lambda text: self._nll(speaker, text), texts))

    def speaker(self, adapter: str | None) -> Any:
        """The sampling client of an adapter, or of the base.

        Raises:
            EngineError: the adapter is not one that this service keeps.
        """
        path = None
        if adapter is not None:
            hosted = read_hosted(self.adapters / adapter)
            here = SERVICE, self.settings.url or ""
            if hosted is None or (hosted.service, hosted.url) != here:
                where = (
                    f"kept by {hosted.service} at {hosted.url or 'its own address'}" if hosted else "on this machine"
                )
                raise EngineError(
                    f"engine.name is tinker and engine.url is {self.settings.url}, but adapter {adapter[:12]} is "
                    f"{where}; set them to what has it"
                )
            path = hosted.speaks_as
        return self.speaker_at(path)

    def speaker_at(self, path: str | None) -> Any:
        """The sampling client of weights at the service; None for the base."""
        return _speaker(self.settings, None if path else self.model, path)

    def _say(self, speaker: Any, request: Request, sampling: Sampling) -> Completion:
        import tinker

        (prompt,) = prompt_ids(self.tokenizer, [request.messages])
        room = min(request.max_new_tokens, self.context - len(prompt))
        if room <= 0:
            # Every engine answers a prompt that fills the context with an empty text.
            return Completion("", len(prompt), 0, False)
        parameters = tinker.SamplingParams(
            max_tokens=room,
            seed=request.seed % SEEDS,
            stop=self.ends or None,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
        )
        with one_line_errors(self.settings):
            asked = speaker.sample(
                prompt=tinker.ModelInput.from_ints(prompt), num_samples=1, sampling_params=parameters
            )
            (said,) = asked.result(timeout=self.settings.patience_seconds).sequences
        tokens = list(said.tokens)
        finished = said.stop_reason == "stop"
        (text,) = response_texts(self.tokenizer, [tokens[:-1] if tokens and tokens[-1] in self.ends else tokens])
        return Completion(text, len(prompt), len(tokens), finished)

    def _nll(self, speaker: Any, text: Read) -> float:
        import tinker

        prompt, target = text
        with one_line_errors(self.settings):
            asked = speaker.compute_logprobs(tinker.ModelInput.from_ints(prompt + target))
            read = asked.result(timeout=self.settings.patience_seconds)
        return -float(np.sum([float(value) for value in read[-len(target) :]]))


@functools.lru_cache(maxsize=64)
def _speaker(settings: TinkerSettings, model: str | None, path: str | None) -> Any:
    service = connect(settings)
    with one_line_errors(settings):
        return service.create_sampling_client(model_path=path, base_model=model)


@functools.lru_cache(maxsize=2)
def _tokenizer(base: Base) -> Any:
    return load_tokenizer(base.source, base.trust_remote_code, base.chat_template, weights=False)


def _context(base: Base) -> int:
    """The number of tokens that the base can read and write together."""
    config = json.loads((folder_of(base.source, weights=False) / "config.json").read_text("utf-8"))
    text = config.get("text_config") or config
    return int(text.get("max_position_embeddings") or 2**31)


def _end(tokenizer: Any) -> list[int]:
    return [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
