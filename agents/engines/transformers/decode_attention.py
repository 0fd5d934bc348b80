"""Attention for decoding on a CPU: one query token per row against the cached keys and values.

torch's CPU flash kernel pads a single query to a block of 32 and takes 40 % of the decode time of a small model; two
batched products do the same at the speed of memory. Prompts (more than one query token) still go to that kernel.
"""

from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "maft_decode"


def decode_attention(  # noqa: PLR0913, transformers calls it
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attention (B, t, H, D) of query (B, H, t, D) to key and value (B, H_kv, T, D); boolean mask (B, 1, t, T)."""
    if query.shape[2] != 1 or torch.is_grad_enabled():
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    batch, heads, _, width = query.shape
    shared = key.shape[1]
    # Query heads that share a key head are adjacent, so grouped-query attention copies no keys.
    scores = query.reshape(batch, shared, heads // shared, width) @ key.transpose(2, 3)
    scores *= scaling if scaling is not None else width**-0.5
    if attention_mask is not None:
        if attention_mask.dtype == torch.bool:
            scores.masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
        else:
            scores += attention_mask
    attended = scores.softmax(dim=-1) @ value
    return attended.reshape(batch, 1, heads, width), None


def use_decode_attention(model: PreTrainedModel) -> None:
    """Use this attention in a model on a CPU that uses torch's attention; any other model stays unchanged."""
    if model.device.type == "cpu" and model.config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, decode_attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)
