"""The default engine: one transformers model in memory, batched decoding, adapters merged for their batch.

It is fast on small models since it never copies the cache, drops rows that have ended, and has no adapter layers in the
decode loop: an adapter's product is added to the base weights for its batch, and afterwards the base weights are
restored, bit for bit.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agents.engines.chat import prompt_ids, turn_end
from agents.engines.protocol import Completion, OnProgress, Request, Sampling
from agents.engines.transformers.decode_attention import use_decode_attention
from agents.engines.transformers.kv_cache import ReservedCache
from agents.engines.transformers.sampler import choose, uniforms

log = logging.getLogger("maft.engines")

PORTION_TOKENS = {"cpu": 2048, "cuda": 65_536}
"""Maximum prompt tokens read in one forward pass, padding included, by device."""
DROP_SHARE = 0.125
"""Finished rows are dropped from the batch when they are at least this share of it."""


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
        use_decode_attention(model)

    def of(self, index: int) -> "TransformersEngine":
        """This engine: all agents share its base. `MixedEngine.of` picks the engine of an agent's base."""
        return self

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        """Completions in the order of the requests; adapters are taken one after another."""
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
                    rows = self._fitting([prompts[p] for p in batch], [requests[p] for p in batch], sampling)
                    for place, row in zip(batch, rows, strict=False):
                        completions[place] = row
                    start += len(rows)
                    done += len(rows)
                    on_progress(done, len(requests))
        return [completion for completion in completions if completion is not None]

    def _fitting(self, prompts: list[list[int]], requests: list[Request], sampling: Sampling) -> list[Completion]:
        """Decode as many of the first prompts as fit into memory, and lower `batch_rows` to that number.

        Raises:
            torch.OutOfMemoryError: a single prompt does not fit.
        """
        rows = len(prompts)
        while True:
            try:
                return self._decode(prompts[:rows], requests[:rows], sampling)
            except torch.OutOfMemoryError:
                if rows == 1:
                    raise
            # This is outside the handler, where the error and the tensors in its frames are freed.
            log.warning("out of memory with %d prompts at once; going on with %d", rows, rows // 2)
            rows = self.batch_rows = rows // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    @torch.inference_mode()
    def _decode(self, prompts: list[list[int]], requests: list[Request], sampling: Sampling) -> list[Completion]:
        """Decode one batch; a prompt that fills the context gets an empty text that is not finished."""
        room = [min(r.max_new_tokens, self.context - len(p)) for p, r in zip(prompts, requests, strict=True)]
        fits = [place for place, tokens in enumerate(room) if tokens > 0]
        tokens: list[list[int]] = [[] for _ in prompts]
        if fits:
            limits = torch.tensor([room[place] for place in fits])
            noise = uniforms([requests[place].seed for place in fits], int(limits.max()))
            sampled, counts = self._loop([prompts[place] for place in fits], limits, noise, sampling)
            for place, row, count in zip(fits, sampled.tolist(), counts.tolist(), strict=True):
                tokens[place] = row[:count]
        finished = [bool(row) and row[-1] in self.end_ids for row in tokens]
        texts = self.tokenizer.batch_decode(
            [row[:-1] if end else row for row, end in zip(tokens, finished, strict=True)], skip_special_tokens=True
        )
        return [
            Completion(text.strip(), len(prompt), len(row), end)
            for text, prompt, row, end in zip(texts, prompts, tokens, finished, strict=True)
        ]

    def _loop(
        self, prompts: list[list[int]], limits: torch.Tensor, noise: torch.Tensor, sampling: Sampling
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids (B, longest limit), and the number sampled in each row (B,), the end token included."""
        device = self.model.device
        steps = noise.shape[1]
        seen = _left_padded([torch.ones(len(prompt), dtype=torch.long) for prompt in prompts])
        width = seen.shape[1]
        mask = pad(seen, (0, steps), value=1).to(device)
        noise, limits = noise.to(device), limits.to(device)
        end_ids = torch.tensor(sorted(self.end_ids), device=device)
        output = torch.zeros(len(prompts), steps, dtype=torch.long, device=device)
        counts = torch.zeros(len(prompts), dtype=torch.long, device=device)
        rows = torch.arange(len(prompts), device=device)
        cache = ReservedCache(self.model.config.get_text_config().num_hidden_layers, len(prompts), width + steps)
        alive = torch.ones(len(rows), dtype=torch.bool, device=device)
        logits = self._read(prompts, mask[:, :width], cache)
        position = mask[:, :width].sum(dim=1, keepdim=True) - 1
        for step in range(steps):
            token = choose(logits, noise[rows, step], sampling.temperature, sampling.top_p)
            output[rows[alive], step] = token[alive]
            counts[rows[alive]] += 1
            alive = alive & ~torch.isin(token, end_ids) & (limits[rows] > step + 1)
            living = int(alive.sum())
            if not living:
                break
            position = position + 1
            if len(rows) - living >= DROP_SHARE * len(rows):
                keep = cache.keep(alive)
                rows, token, position, alive, mask = rows[keep], token[keep], position[keep], alive[keep], mask[keep]
            logits = self.model(
                input_ids=token.unsqueeze(1),
                attention_mask=mask[:, : width + step + 1],
                position_ids=position,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
        return output, counts

    def _read(self, prompts: list[list[int]], mask: torch.Tensor, cache: ReservedCache) -> torch.Tensor:
        """Fill the cache with the prompts, right-aligned to the width of `mask`; return the next tokens' logits (B, V).

        Rows are read in small portions, each as wide as its longest prompt. So a layer's results stay in the
        processor's cache, and little of them is padding.
        """
        width, most = mask.shape[1], PORTION_TOKENS[mask.device.type]
        logits = []
        start = 0
        while start < len(prompts):
            end, longest = start + 1, len(prompts[start])
            while end < len(prompts) and (end + 1 - start) * max(longest, len(prompts[end])) <= most:
                longest = max(longest, len(prompts[end]))
                end += 1
            portion = slice(start, end)
            ids = _left_padded([torch.tensor(prompt) for prompt in prompts[portion]])
            seen = mask[portion, width - longest :]
            cache.aim(portion, width - longest, width - longest)
            logits.append(
                self.model(
                    input_ids=ids.to(mask.device),
                    attention_mask=seen,
                    position_ids=(seen.cumsum(dim=1) - 1).clamp(min=0),
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                ).logits[:, -1]
            )
            start = end
        cache.aim(slice(None), 0, width)
        return torch.cat(logits)


def _left_padded(rows: list[torch.Tensor]) -> torch.Tensor:
    """Rows of different lengths as one tensor (rows, longest), with zeros before the shorter rows."""
    return pad_sequence(rows, batch_first=True, padding_side="left")


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """All tokens that end a turn, by the chat template, the tokenizer and the generation config."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ends = configured if isinstance(configured, list) else [configured]
    learned = tokenizer(turn_end(tokenizer), add_special_tokens=False)["input_ids"][-1:]
    return {int(token) for token in [*ends, tokenizer.eos_token_id, *learned] if token is not None}


@contextmanager
def speaking_as(model: PreTrainedModel, adapter: Path | None) -> Iterator[None]:
    """Merge an adapter into the model until the context ends; then restore the base weights, bit for bit."""
    if adapter is None:
        yield
        return
    tuned = PeftModel.from_pretrained(model, adapter)
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
