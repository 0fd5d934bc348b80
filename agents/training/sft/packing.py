"""Packing: one base model reads rows of several agents as one sequence, each row through its own adapter alone.

A row is an example. Rows of one agent and of similar length form a rectangular block; the blocks of a portion follow
each other in a sequence of T tokens. Linear layers treat tokens one by one, attention stays within each row, and each
adapter's LoRA product is added to its own stretch of the sequence. So every adapter gets the gradient that it would get
alone.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy, pad
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from agents.training.examples import Encoded, padded
from agents.training.sft.lora import PackingError, Routing, lora_linear, plain_layers

NAME = "maft_packed"


@dataclass(frozen=True)
class Block:
    """Rows of one adapter, right-padded to the longest of them."""

    adapter: str
    rows: Sequence[Encoded]
    weight: float
    """Weight of each target token in the loss: 1 / (mean target tokens of the adapter's batches)."""

    @property
    def width(self) -> int:
        """Number of tokens of the longest row."""
        return max(map(len, self.rows))

    @property
    def tokens(self) -> int:
        """Number of tokens, padding included."""
        return len(self.rows) * self.width


def packed_attention(  # noqa: PLR0913, transformers calls it
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    blocks: Sequence[Block] | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each row. query (1, H, T, D), key and value (1, H_kv, T, D); returns (1, T, H, D).

    Raises:
        PackingError: the model's layers do not pass on where the rows are.
    """
    if blocks is None:
        raise PackingError("its layers do not tell their attention where the rows of a sequence are")
    sizes = [block.tokens for block in blocks]
    attended = []
    # One split and not many slices: each slice's backward pass would fill a tensor as long as the sequence.
    split = (states[0].split(sizes, dim=1) for states in (query, key, value))
    for block, *projections in zip(blocks, *split, strict=True):
        by_row = [states.unflatten(1, (len(block.rows), block.width)).transpose(0, 1) for states in projections]
        mask = _within_window(block.width, sliding_window, query.device)
        out, _ = sdpa_attention_forward(module, by_row[0], by_row[1], by_row[2], mask, **kwargs)
        attended.append(out.flatten(0, 1))
    return torch.cat(attended).unsqueeze(0), None


def _within_window(width: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    """The mask (1, 1, width, width) of a sliding window; None where a row is no longer than the window."""
    if window is None or width <= window:
        return None
    place = torch.arange(width, device=device)
    distance = place[:, None] - place[None, :]
    return ((distance >= 0) & (distance < window))[None, None]


@contextmanager
def routed(model: PreTrainedModel, tuned: PeftModel, *, packs: bool) -> "Iterator[Router]":
    """A router that sends each row of the model through its own adapter until the context ends.

    Args:
        model: the base model.
        tuned: the same model with an adapter for each agent.
        packs: whether to read the rows of several agents as one sequence; see `agents.training.sft.trial`.

    Raises:
        PackingError: `packs` is set, but an adapter is not plain LoRA on linear layers.
    """
    router = Router(model, tuned, packs)
    if not packs:
        yield router
        return
    for layer in plain_layers(tuned):
        # `Module.__call__` finds this attribute; it disappears with the layer when the adapters are unloaded.
        vars(layer)["forward"] = partial(lora_linear, layer, router.routing)
    attention = model.config._attn_implementation
    AttentionInterface.register(NAME, packed_attention)
    try:
        model.set_attn_implementation(NAME)
        yield router
    finally:
        model.set_attn_implementation(attention)


class Router:
    """A model that sends each row through its own adapter."""

    def __init__(self, model: PreTrainedModel, tuned: PeftModel, packs: bool) -> None:
        self.model: Any = model
        self.tuned: Any = tuned
        self.routing = Routing()
        self.packs = packs
        """Whether one pass can read several blocks; else it reads one, with PEFT's own layers and the model's own
        attention."""

    def losses(self, blocks: Sequence[Block]) -> torch.Tensor:
        """The loss of each block, (blocks,), from one forward pass over all; call `backward` on their sum."""
        parts = [padded(block.rows) for block in blocks]
        # Each position predicts the label of the next position.
        labels = [pad(labels[:, 1:], (0, 1), value=-100) for _, labels in parts]
        learned = torch.cat([labels.flatten() for labels in labels])
        learned = learned[learned != -100].to(self.model.device)
        logits = self.logits(blocks, [ids for ids, _ in parts], [labels != -100 for labels in labels])
        each = cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), learned, reduction="none")
        counts = [int((part != -100).sum()) for part in labels]
        return torch.stack([part.sum() * block.weight for part, block in zip(each.split(counts), blocks, strict=True)])

    def logits(self, blocks: Sequence[Block], ids: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
        """Logits (wanted positions, V); `ids` and `wanted` are (rows, width) for each block."""
        inputs: dict[str, Any] = {}
        if self.packs:
            self.routing.stretches = _stretches(blocks)
            inputs["position_ids"] = torch.cat([torch.arange(part.shape[1]).repeat(len(part)) for part in ids])[None]
            ids, wanted = ([torch.cat([part.flatten() for part in parts])[None]] for parts in (ids, wanted))
            inputs["blocks"] = blocks
        elif len(blocks) > 1:
            raise PackingError(f"{len(blocks)} blocks for a model that reads them one by one")
        elif self.tuned.active_adapter != blocks[0].adapter:
            self.tuned.set_adapter(blocks[0].adapter)
        # The head is applied only to columns with a token that is learned.
        columns = wanted[0].any(0).nonzero().squeeze(1)
        device = self.model.device
        inputs = {name: value.to(device) if torch.is_tensor(value) else value for name, value in inputs.items()}
        logits: torch.Tensor = self.model(
            input_ids=ids[0].to(device), use_cache=False, logits_to_keep=columns.to(device), **inputs
        ).logits
        return logits[wanted[0][:, columns].to(device)]


def _stretches(blocks: Sequence[Block]) -> list[tuple[str, int, int]]:
    """(adapter, start, end) of the blocks of each adapter, in tokens of the sequence."""
    stretches, start = [], 0
    for adapter, own in itertools.groupby(blocks, key=lambda block: block.adapter):
        end = start + sum(block.tokens for block in own)
        stretches.append((adapter, start, end))
        start = end
    return stretches
