"""The memory that a training takes, and the refusal of one that does not fit into what is free."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from agents.training.settings import FinetuneSettings, TrainingError

STATES = 4
"""Tensors of the size of an adapter while it is trained: weights, gradients, and two moments of AdamW."""
TRIAL_TOKENS = 16


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training takes besides the base model."""

    adapter_bytes: int
    """Of the weights of one adapter."""
    token_bytes: int
    """Of what the layers keep of one token for the backward pass; 0 with `finetune.gradient_checkpointing`."""


def training_memory(tuned: Any, settings: FinetuneSettings) -> TrainingMemory:
    """Measure what a pass over a few tokens keeps.

    Args:
        tuned: a base model with one trainable adapter.
        settings: those of the training.
    """
    adapter = sum(weight.nbytes for weight in tuned.parameters() if weight.requires_grad)
    if settings.gradient_checkpointing:
        return TrainingMemory(adapter, 0)
    config = tuned.config.get_text_config()
    ids = torch.arange(TRIAL_TOKENS, device=tuned.device)[None] * 7 % int(config.vocab_size)
    known = {tensor.untyped_storage().data_ptr() for tensor in (*tuned.parameters(), *tuned.buffers())}
    with _kept() as kept:
        tuned(input_ids=ids, use_cache=False, logits_to_keep=1)
    return TrainingMemory(adapter, sum(kept[place] for place in kept.keys() - known) // TRIAL_TOKENS)


@contextmanager
def _kept() -> Iterator[dict[int, int]]:
    """The bytes of all tensors that passes keep for their gradients, by the address of their storage."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def check_training_room(
    needs: TrainingMemory, settings: FinetuneSettings, *, learners: int, prompt_tokens: int, free: int
) -> None:
    """Refuse a training that needs more memory than there is, whatever the agents will say.

    Args:
        needs: what an adapter and a token take.
        settings: those of the training.
        learners: the number of agents that are trained together.
        prompt_tokens: tokens of the shortest prompt; an example has at least as many.
        free: free memory, in bytes.

    Raises:
        TrainingError: the message gives the numbers.
    """
    adapters = STATES * learners * needs.adapter_bytes
    batch = settings.batch_size * prompt_tokens * needs.token_bytes
    if adapters + batch <= free:
        return
    remedy = (
        "lower finetune.rank or agents, or name fewer finetune.target_modules"
        if adapters > batch
        else "lower finetune.batch_size, or set finetune.gradient_checkpointing"
    )
    raise TrainingError(
        f"there is no memory for the training: the adapters of {learners} agents take {adapters / 1e9:,.2f} GB "
        f"(finetune.rank {settings.rank}), a batch takes {batch / 1e9:,.2f} GB (finetune.batch_size "
        f"{settings.batch_size}), and {free / 1e9:,.2f} GB are free; {remedy}"
    )
