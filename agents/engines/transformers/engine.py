"""The default engine: one transformers model in memory, batched decoding, adapters merged for their batch.

It has no adapter layers while it decodes: an adapter's product is added to the base weights for its batch, and
afterwards the base weights are restored, bit for bit.
"""

import functools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agents.engines.base_model.nf4 import is_quantized
from agents.engines.chat import prompt_ids, turn_end_ids
from agents.engines.protocol import Completion, EngineError, OnProgress, Request, Sampling
from agents.engines.response_text import response_texts
from agents.engines.transformers.decoding import Decode, Decoding, decoding_of
from agents.engines.transformers.room import PromptMemory, prompt_memory
from agents.engines.transformers.sampler import choose, uniforms
from agents.hosted.adapter import check_weights

log = logging.getLogger("maft.engines")


class TransformersEngine:
    """Completes requests on one resident base model.

    Args:
        model: the base model, in eval mode.
        tokenizer: its tokenizer, padding on the left, with a chat template.
        adapters: the folder with one folder for each adapter, named by its SHA-256.
        batch_rows: prompts decoded at once.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        adapters: Path,
        batch_rows: int = 200,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.adapters = adapters
        self.batch_rows = batch_rows
        self.context = int(getattr(model.config, "max_position_embeddings", 0) or 2**31)
        self.end_ids = _end_ids(model, tokenizer)

    @functools.cached_property
    def decoding(self) -> Decoding:
        """The way in which the model is decoded; a short trial decides it, see `decoding_of`."""
        return decoding_of(self.model)

    @functools.cached_property
    def memory(self) -> PromptMemory:
        """The memory that a prompt takes while it is decoded."""
        return prompt_memory(self.model)

    def of(self, index: int) -> "TransformersEngine":
        """This engine: all agents share its base. `MixedEngine.of` picks the engine of an agent's base."""
        return self

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """Completions in the order of the requests; adapters are taken one after another."""
        if not requests:
            return []
        decode = self.decoding.decode  # Its trial is made on the base, before an adapter is merged.
        completions: list[Completion | None] = [None] * len(requests)
        prompts = prompt_ids(self.tokenizer, [request.messages for request in requests])
        done = 0
        for adapter in dict.fromkeys(request.adapter for request in requests):
            places = [place for place, request in enumerate(requests) if request.adapter == adapter]
            places.sort(key=lambda place: len(prompts[place]))
            with speaking_as(self.model, self.adapters / adapter if adapter else None):
                start = 0
                while start < len(places):
                    batch = places[start : start + self.batch_rows]
                    batch = batch[: self._room([prompts[p] for p in batch], [requests[p] for p in batch])]
                    rows = self._fitting(decode, [prompts[p] for p in batch], [requests[p] for p in batch], sampling)
                    for place, row in zip(batch, rows, strict=False):
                        completions[place] = row
                    start += len(rows)
                    done += len(rows)
                    on_progress(done, len(requests))
        return [completion for completion in completions if completion is not None]

    def _room(self, prompts: list[list[int]], requests: list[Request]) -> int:
        """How many of the first prompts of a batch fit into the free memory, if that is known; lowers `batch_rows`.

        Raises:
            EngineError: a single prompt does not fit.
        """
        longest = max(len(prompt) + request.max_new_tokens for prompt, request in zip(prompts, requests, strict=True))
        longest = min(longest, self.context)
        most = self.memory.rows_that_fit(longest, self.model.device.type)
        if most is None or most >= len(prompts):
            return len(prompts)
        if most == 0:
            raise EngineError(
                f"there is no memory for one prompt: {longest:,} tokens take "
                f"{self.memory.of(longest) / 1e9:,.2f} GB; lower sampling.max_new_tokens, or end other programs"
            )
        log.warning("%d prompts at once do not fit into the free memory; going on with %d", len(prompts), most)
        self.batch_rows = most
        return most

    def _fitting(
        self, decode: Decode, prompts: list[list[int]], requests: list[Request], sampling: Sampling
    ) -> list[Completion]:
        """Decode as many of the first prompts as fit into memory, and lower `batch_rows` to that number.

        Raises:
            torch.OutOfMemoryError: a single prompt does not fit.
        """
        rows = len(prompts)
        while True:
            try:
                return self._decoded(decode, prompts[:rows], requests[:rows], sampling)
            except torch.OutOfMemoryError:
                if rows == 1:
                    raise
            # This is outside the handler, where the error and the tensors in its frames are freed.
            log.warning("out of memory with %d prompts at once; going on with %d", rows, rows // 2)
            rows = self.batch_rows = rows // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    @torch.inference_mode()
    def _decoded(
        self, decode: Decode, prompts: list[list[int]], requests: list[Request], sampling: Sampling
    ) -> list[Completion]:
        """Decode one batch; a prompt that fills the context gets an empty text that is not finished."""
        room = [min(r.max_new_tokens, self.context - len(p)) for p, r in zip(prompts, requests, strict=True)]
        fits = [place for place, tokens in enumerate(room) if tokens > 0]
        tokens: list[list[int]] = [[] for _ in prompts]
        if fits:
            limits = torch.tensor([room[place] for place in fits])
            noise = uniforms([requests[place].seed for place in fits], int(limits.max())).to(self.model.device)

            def pick(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
                return choose(logits, noise[rows, step], sampling.temperature, sampling.top_p)

            sampled, counts = decode(
                self.model, [prompts[place] for place in fits], limits=limits, pick=pick, end_ids=self.end_ids
            )
            for place, row, count in zip(fits, sampled.tolist(), counts.tolist(), strict=True):
                tokens[place] = row[:count]
        finished = [bool(row) and row[-1] in self.end_ids for row in tokens]
        texts = response_texts(
            self.tokenizer, [row[:-1] if end else row for row, end in zip(tokens, finished, strict=True)]
        )
        return [
            Completion(text, len(prompt), len(row), end)
            for text, prompt, row, end in zip(texts, prompts, tokens, finished, strict=True)
        ]


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """All tokens that end a turn, by the chat template, the tokenizer and the generation config."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ends = configured if isinstance(configured, list) else [configured]
    return {int(token) for token in [*ends, tokenizer.eos_token_id, *turn_end_ids(tokenizer)] if token is not None}


@contextmanager
def speaking_as(model: PreTrainedModel, adapter: Path | None) -> Iterator[None]:
    """Merge an adapter into the model until the context ends; then restore the base weights, bit for bit.

    In a model of four bits, the adapter's layers stay beside the weights instead, see `base_model.nf4`.

    Raises:
        EngineError: the adapter's weights are only at a service.
    """
    if adapter is None:
        yield
        return
    check_weights(adapter)
    tuned = PeftModel.from_pretrained(model, adapter)
    if is_quantized(model):
        try:
            yield
        finally:
            tuned.unload()
        return
    # An expert's layer has several parameters, of which each may have an adapter.
    merged = {
        parameter: parameter.detach().clone()
        for module in tuned.modules()
        if isinstance(module, LoraLayer)
        for parameter in module.get_base_layer().parameters(recurse=False)
    }
    try:
        tuned.merge_and_unload()
        yield
    finally:
        with torch.no_grad():
            for parameter, original in merged.items():
                parameter.copy_(original)
