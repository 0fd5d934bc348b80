"""Our own decoding loop: it never copies the cache, and drops rows that have ended."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad
from transformers import PreTrainedModel

from agents.engines.transformers.kv_cache import ReservedCache
from agents.engines.transformers.padding import left_padded

if TYPE_CHECKING:
    from agents.engines.transformers.decoding import Pick

PORTION_TOKENS = {"cpu": 2048, "cuda": 65_536}
"""Maximum prompt tokens read in one forward pass, padding included, by device."""
DROP_SHARE = 0.125
"""Finished rows are dropped from the batch when they are at least this share of it."""


def decode(
    model: PreTrainedModel, prompts: Sequence[list[int]], *, limits: torch.Tensor, pick: "Pick", end_ids: set[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode a batch, see `decoding.Decode`."""
    speaker: Any = model
    device, steps = model.device, int(limits.max())
    seen = left_padded([torch.ones(len(prompt), dtype=torch.long) for prompt in prompts])
    width = seen.shape[1]
    mask = pad(seen, (0, steps), value=1).to(device)
    limits = limits.to(device)
    ends = torch.tensor(sorted(end_ids), dtype=torch.long, device=device)
    output = torch.zeros(len(prompts), steps, dtype=torch.long, device=device)
    counts = torch.zeros(len(prompts), dtype=torch.long, device=device)
    rows = torch.arange(len(prompts), device=device)
    cache = ReservedCache(model.config.get_text_config().num_hidden_layers, len(prompts), width + steps)
    alive = torch.ones(len(rows), dtype=torch.bool, device=device)
    logits = _read(speaker, prompts, mask[:, :width], cache)
    position = mask[:, :width].sum(dim=1, keepdim=True) - 1
    for step in range(steps):
        token = pick(logits, rows, step)
        output[rows[alive], step] = token[alive]
        counts[rows[alive]] += 1
        alive = alive & ~torch.isin(token, ends) & (limits[rows] > step + 1)
        living = int(alive.sum())
        if not living:
            break
        position = position + 1
        if len(rows) - living >= DROP_SHARE * len(rows):
            keep = cache.keep(alive)
            rows, token, position, alive, mask = rows[keep], token[keep], position[keep], alive[keep], mask[keep]
        logits = speaker(
            input_ids=token.unsqueeze(1),
            attention_mask=mask[:, : width + step + 1],
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
    return output, counts


def _read(model: Any, prompts: Sequence[list[int]], mask: torch.Tensor, cache: ReservedCache) -> torch.Tensor:
    """Fill the cache with the prompts, right-aligned to the width of `mask`; return the next tokens' logits (B, V).

    Rows are read in small portions, each as wide as its longest prompt. So a layer's results stay in the processor's
    cache, and little of them is padding.
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
        ids = left_padded([torch.tensor(prompt) for prompt in prompts[portion]])
        seen = mask[portion, width - longest :]
        cache.aim(portion, width - longest, width - longest)
        logits.append(
            model(
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
