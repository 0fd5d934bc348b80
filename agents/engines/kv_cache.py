"""A key-value cache that is written in place and can drop finished rows.

transformers' dynamic cache copies all keys and values at every step, its static cache attends over the whole
reserved length; this one reserves, writes in place and attends over what is there.
"""

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class ReservedLayer(CacheLayerMixin):
    """Keys and values of one layer in buffers of shape (B, heads, capacity, head_dim)."""

    is_compileable = False
    is_sliding = False
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Reserve the buffers once the shapes are known."""
        batch, heads, _, head_dim = key_states.shape
        self.keys = key_states.new_empty(batch, heads, self.capacity, head_dim)
        self.values = value_states.new_empty(batch, value_states.shape[1], self.capacity, value_states.shape[3])
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (B, heads, t, head_dim) and return views of all that was written."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Drop every row but these, copying only what was written."""
        self.keys = self._kept(self.keys, rows)
        self.values = self._kept(self.values, rows)

    def _kept(self, buffer: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        kept = buffer.new_empty(len(rows), *buffer.shape[1:])
        kept[:, :, : self.length] = buffer[rows, :, : self.length]
        return kept

    def get_mask_sizes(self, query_length: int, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """(key length, offset) of the mask for the coming step."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens written per row."""
        return self.length

    def get_max_length(self) -> int:
        """No limit but the capacity."""
        return self.capacity


class ReservedCache(Cache):
    """One `ReservedLayer` per decoder layer, each for `capacity` tokens a row."""

    def __init__(self, layers: int, capacity: int) -> None:
        self.reserved = [ReservedLayer(capacity) for _ in range(layers)]
        super().__init__(layers=[*self.reserved])

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Drop every row of the batch but these."""
        for layer in self.reserved:
            layer.keep_rows(rows)
