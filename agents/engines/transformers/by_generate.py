"""Decoding by transformers' `generate`, for models whose memory our own loop does not know."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList

from agents.engines.transformers.padding import left_padded

if TYPE_CHECKING:
    from agents.engines.transformers.decoding import Pick


def decode(
    model: PreTrainedModel, prompts: Sequence[list[int]], *, limits: torch.Tensor, pick: "Pick", end_ids: set[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode a batch, see `decoding.Decode`. `generate` is greedy over logits that leave it only the picked tokens."""
    speaker: Any = model
    rows = torch.arange(len(prompts), device=speaker.device)
    limits = limits.to(speaker.device)
    ids = left_padded([torch.tensor(prompt) for prompt in prompts]).to(speaker.device)
    mask = left_padded([torch.ones(len(prompt), dtype=torch.long) for prompt in prompts]).to(speaker.device)
    width, longest = ids.shape[1], int(limits.max())

    def only_picked(seen: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        token = pick(logits, rows, seen.shape[1] - width)
        return torch.full_like(logits, -torch.inf).scatter_(1, token.unsqueeze(1), 0.0)

    def at_limit(seen: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return seen.shape[1] - width >= limits

    # Settings of the checkpoint, such as a repetition penalty, would change what is sampled; our own loop has none.
    speaker.generation_config = GenerationConfig(eos_token_id=sorted(end_ids) or None, pad_token_id=0)
    said = speaker.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=False,
        max_new_tokens=longest,
        logits_processor=LogitsProcessorList([only_picked]),
        stopping_criteria=StoppingCriteriaList([at_limit]),
    )[:, width:]
    output = torch.nn.functional.pad(said, (0, longest - said.shape[1]))
    ends = torch.isin(output, torch.tensor(sorted(end_ids), dtype=torch.long, device=output.device))
    until_end = torch.where(ends.any(1), ends.int().argmax(1) + 1, longest)
    return output, torch.minimum(until_end, limits)


def decode_unpadded(
    model: PreTrainedModel, prompts: Sequence[list[int]], *, limits: torch.Tensor, pick: "Pick", end_ids: set[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same, with one batch for each length of prompts, so that no row has padding."""
    output = torch.zeros(len(prompts), int(limits.max()), dtype=torch.long, device=model.device)
    counts = torch.zeros(len(prompts), dtype=torch.long, device=model.device)
    by_length: dict[int, list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        by_length[len(prompt)].append(place)
    for places in by_length.values():
        rows = torch.tensor(places, device=model.device)
        said, count = decode(
            model,
            [prompts[place] for place in places],
            limits=limits[rows.cpu()],
            pick=partial(_pick_of, pick, rows),
            end_ids=end_ids,
        )
        output[rows, : said.shape[1]] = said
        counts[rows] = count
    return output, counts


def _pick_of(pick: "Pick", rows: torch.Tensor, logits: torch.Tensor, own: torch.Tensor, step: int) -> torch.Tensor:
    """`pick` for a batch that has these rows of the whole one."""
    return pick(logits, rows[own], step)
