"""The memory that a prompt takes while it is decoded, and how many prompts fit into what is free."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from agents.engines.base_model.room import free_bytes

LOGIT_BYTES = 40
"""Bytes per entry of the vocabulary while a token is chosen: the logits, and copies of them that are sorted."""
SHARE = 0.9
"""Share of the free memory that a batch may take; other programs and the layers' own results need the rest."""
TRIAL_TOKENS = 8


@dataclass(frozen=True)
class PromptMemory:
    """Bytes that one prompt in a batch takes."""

    token_bytes: int
    """Keys and values of one token; what a layer remembers besides them is not counted."""
    logit_bytes: int
    """The logits of the next token."""

    def of(self, tokens: int) -> int:
        """Bytes of a prompt and its response of so many tokens together."""
        return tokens * self.token_bytes + self.logit_bytes

    def rows_that_fit(self, tokens: int, device: str) -> int | None:
        """How many prompts can be decoded at once on a CPU; None on a GPU, which reports that its memory is full.

        A program that takes more memory than a machine has is ended by the kernel, without an error.

        Args:
            tokens: tokens of the longest prompt and its response together.
            device: cpu or cuda.
        """
        return int(SHARE * free_bytes("cpu")) // self.of(tokens) if device == "cpu" else None


@torch.inference_mode()
def prompt_memory(model: PreTrainedModel) -> PromptMemory:
    """Measure what a model keeps of a few tokens; configs differ in how they name the shapes of their layers."""
    reader: Any = model
    vocabulary = int(model.config.get_text_config().vocab_size)
    ids = torch.arange(TRIAL_TOKENS, device=model.device)[None] % vocabulary
    cache = getattr(reader(input_ids=ids, use_cache=True, logits_to_keep=1), "past_key_values", None)
    kept = [
        tensor.nbytes
        for layer in getattr(cache, "layers", ())
        for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None))
        if tensor is not None
    ]
    return PromptMemory(sum(kept) // TRIAL_TOKENS, LOGIT_BYTES * vocabulary)
