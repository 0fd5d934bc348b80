"""The memory that a prompt takes while it is decoded, and how many prompts fit into what is free."""

from typing import Any

from transformers import PreTrainedModel

from agents.engines.base_model.room import free_bytes

LOGIT_BYTES = 40
"""Bytes per entry of the vocabulary while a token is chosen: the logits, and copies of them that are sorted."""
SHARE = 0.9
"""Share of the free memory that a batch may take; other programs and the layers' own results need the rest."""


def row_bytes(model: PreTrainedModel, tokens: int) -> int:
    """Bytes of one prompt in a batch: keys and values of all its tokens, and the logits of the next token.

    Args:
        model: the model that decodes. What a layer remembers besides keys and values is not counted.
        tokens: tokens of the prompt and its response together.
    """
    shape: Any = model.config.get_text_config()
    all_heads = getattr(shape, "num_attention_heads", None) or 0
    heads = getattr(shape, "num_key_value_heads", None) or all_heads
    width = getattr(shape, "head_dim", None) or (shape.hidden_size // all_heads if all_heads else 0)
    cached = 2 * shape.num_hidden_layers * heads * width * model.dtype.itemsize * tokens
    return int(cached + LOGIT_BYTES * shape.vocab_size)


def rows_that_fit(model: PreTrainedModel, tokens: int) -> int | None:
    """How many prompts can be decoded at once on a CPU; None on a GPU, which reports that its memory is full.

    A program that takes more memory than a machine has is ended by the kernel, without an error.

    Args:
        model: the model that decodes.
        tokens: tokens of the longest prompt and its response together.
    """
    if model.device.type != "cpu":
        return None
    return int(SHARE * free_bytes("cpu")) // row_bytes(model, tokens)
