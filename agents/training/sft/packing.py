"""Rows of several agents as one sequence through one base model, each row seen by its own adapter alone.

A row is an example. Rows of one agent and of like length make a block, a rectangle; the blocks of a portion lie one
behind the other in a sequence of T tokens. Linear layers see no difference, attention keeps to its row, and LoRA is
added to each adapter's stretch of the sequence. So every adapter gets the gradient that it would get alone.
"""

import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch.nn.functional import cross_entropy, pad
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from agents.engines.transformers.decode_attention import NAME as DECODE
from agents.training.examples import Encoded, padded
from agents.training.sft.lora import PackingError, Routing, lora_linear, plain

NAME = "maft_packed"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Block:
    """Rows of one adapter, right-padded to the longest of them."""

    adapter: str
    rows: Sequence[Encoded]
    weight: float
    """Of each target token in the loss: 1 / the mean of the target tokens of the adapter's batches."""

    @property
    def width(self) -> int:
        """Tokens of its longest row."""
        return max(map(len, self.rows))

    @property
    def tokens(self) -> int:
        """Tokens, padding included."""
        return len(self.rows) * self.width


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    blocks: Sequence[Block],
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each row. query (1, H, T, D), key and value (1, H_kv, T, D); returns (1, T, H, D)."""
    sizes = [block.tokens for block in blocks]
    attended = []
    # One split, not many slices: the backward pass of each slice would fill a tensor of the whole sequence.
    split = (states[0].split(sizes, dim=1) for states in (query, key, value))
    for block, *projections in zip(blocks, *split, strict=True):
        by_row = [states.unflatten(1, (len(block.rows), block.width)).transpose(0, 1) for states in projections]
        mask = _within_window(block.width, sliding_window, query.device)
        out, _ = sdpa_attention_forward(module, by_row[0], by_row[1], by_row[2], mask, **kwargs)
        attended.append(out.flatten(0, 1))
    return torch.cat(attended).unsqueeze(0), None


def _within_window(width: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    """The mask of a sliding window; none where a row is no longer than it."""
    if window is None or width <= window:
        return None
    place = torch.arange(width, device=device)
    distance = place[:, None] - place[None, :]
    return ((distance >= 0) & (distance < window))[None, None]


@contextmanager
def routed(model: PreTrainedModel, tuned: PeftModel) -> "Iterator[Router]":
    """Let the rows that a model reads find their adapters, until the end of the context.

    Raises:
        PackingError: an adapter is not plain LoRA on linear layers.
    """
    router = Router(model)
    for name, layer in tuned.named_modules():
        if isinstance(layer, LoraLayer):
            # Found again by `Module.__call__`; gone with the layer when the adapters are unloaded.
            vars(layer)["forward"] = partial(lora_linear, plain(name, layer), router.routing)
    attention = model.config._attn_implementation
    AttentionInterface.register(NAME, packed_attention)
    try:
        router.pack()
        yield router
    finally:
        model.set_attn_implementation(attention)


class Router:
    """A model whose rows go each through its own adapter."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model: Any = model
        self.routing = Routing()
        self.packs = False
        """Whether several blocks may be read at once; else each is read by itself, by the model's own attention."""

    def losses(self, blocks: Sequence[Block]) -> torch.Tensor:
        """The loss of each block, (blocks,), by one forward pass over all of them; their sum is to go back from."""
        parts = [padded(block.rows) for block in blocks]
        # What each place predicts is the label of the next one.
        labels = [pad(labels[:, 1:], (0, 1), value=-100) for _, labels in parts]
        learned = torch.cat([labels.flatten() for labels in labels])
        learned = learned[learned != -100].to(self.model.device)
        logits = self._logits(blocks, [ids for ids, _ in parts], [labels != -100 for labels in labels])
        each = cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), learned, reduction="none")
        counts = [int((part != -100).sum()) for part in labels]
        return torch.stack([part.sum() * block.weight for part, block in zip(each.split(counts), blocks, strict=True)])

    def _logits(self, blocks: Sequence[Block], ids: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
        """Logits (wanted places, V), for ids and wanted (rows, width) of each block."""
        stretches, start = [], 0
        for adapter, own in itertools.groupby(blocks, key=lambda block: block.adapter):
            end = start + sum(block.tokens for block in own)
            stretches.append((adapter, start, end))
            start = end
        self.routing.stretches = stretches
        inputs: dict[str, Any] = {}
        if self.packs:
            inputs["position_ids"] = torch.cat([torch.arange(part.shape[1]).repeat(len(part)) for part in ids])[None]
            ids, wanted = ([torch.cat([part.flatten() for part in parts])[None]] for parts in (ids, wanted))
            inputs["blocks"] = blocks
        elif len(blocks) > 1:
            raise PackingError(f"{len(blocks)} blocks for a model that reads them one by one")
        # The head is applied to columns in which a token is learned, and to no other.
        columns = wanted[0].any(0).nonzero().squeeze(1)
        device = self.model.device
        inputs = {name: value.to(device) if torch.is_tensor(value) else value for name, value in inputs.items()}
        logits = self.model(
            input_ids=ids[0].to(device), use_cache=False, logits_to_keep=columns.to(device), **inputs
        ).logits
        return logits[wanted[0][:, columns].to(device)]

    def pack(self) -> None:
        """Read blocks together from now on, if this model then says what it says to each alone; warn if not."""
        fault: str | None
        if self.model.config._attn_implementation not in {"sdpa", DECODE}:
            fault = f"it uses the attention {self.model.config._attn_implementation!r}"
        else:
            fault = self._try_packing()
        self.packs = not fault
        if fault:
            logger.warning("%s is trained on the rows of one agent at a time: %s", type(self.model).__name__, fault)

    @torch.no_grad()
    def _try_packing(self) -> str | None:
        """What goes wrong when rows of unlike lengths are read as one sequence; None if nothing does."""
        vocabulary = int(self.model.config.get_text_config().vocab_size)
        rows = [torch.arange(length)[None] * 7 % vocabulary for length in (5, 11)]
        blocks = [Block("", [Encoded(row[0].tolist(), [])], 0.0) for row in rows]
        wanted = [torch.ones_like(row, dtype=torch.bool) for row in rows]
        alone = torch.cat([self._logits([b], [r], [w]) for b, r, w in zip(blocks, rows, wanted, strict=True)])
        self.packs = True
        self.model.set_attn_implementation(NAME)
        try:
            together = self._logits(blocks, rows, wanted)
        except (PackingError, TypeError, ValueError, RuntimeError) as error:
            return str(error)
        off = float((together - alone).float().norm() / alone.float().norm())
        return f"as one sequence they are read otherwise (off by {off:.1g})" if off > _tolerance(alone.dtype) else None


def _tolerance(dtype: torch.dtype) -> float:
    """Most that rounding may make of a difference, relative; a row that sees another one is off by far more."""
    return 1e-4 if dtype == torch.float32 else 5e-2
