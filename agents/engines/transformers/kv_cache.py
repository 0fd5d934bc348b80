"""A key-value cache that is written in place and can drop finished rows.

transformers' dynamic cache copies all keys and values at every step, and its static cache attends over the whole
reserved length. This cache reserves memory, writes in place and attends over the tokens written so far. Prompts can be
read a few rows at a time: `aim` sets the rows and columns that the next forward pass fills.
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

    def __init__(self, batch: int, capacity: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.batch = batch
        self.capacity = capacity
        self.aim(slice(None), 0, 0)

    def aim(self, rows: slice, first: int, length: int) -> None:
        """Let the next forward pass see columns first..length of `rows`, and append to them."""
        self.rows, self.first, self.length = rows, first, length

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Reserve the buffers once the shapes are known; they hold zeros, since masked values must be finite."""
        _, heads, _, head_dim = key_states.shape
        self.keys = key_states.new_zeros(self.batch, heads, self.capacity, head_dim)
        self.values = value_states.new_zeros(self.batch, value_states.shape[1], self.capacity, value_states.shape[3])
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (rows, heads, t, head_dim); return views of all keys and values of these rows."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[2]
        self.keys[self.rows, :, self.length : end] = key_states
        self.values[self.rows, :, self.length : end] = value_states
        self.length = end
        return self.keys[self.rows, :, self.first : end], self.values[self.rows, :, self.first : end]

    def close_up(self, holes: torch.Tensor, movers: torch.Tensor, rows: int) -> None:
        """Move the rows `movers` to the positions `holes`, then drop all rows from `rows` on."""
        if not self.is_initialized:  # A layer that uses the keys and values of another one.
            return
        for buffer in (self.keys, self.values):
            buffer.index_copy_(0, holes, buffer.index_select(0, movers))
        self.keys, self.values = self.keys[:rows], self.values[:rows]

    def get_mask_sizes(self, query_length: int, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """(key length, offset) of the mask for the next step."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens per row that the next step can see."""
        return self.length - self.first

    def get_max_length(self) -> int:
        """The capacity, in tokens."""
        return self.capacity


class ReservedCache(Cache):
    """One `ReservedLayer` per decoder layer, each for `batch` rows of `capacity` tokens."""

    def __init__(self, layers: int, batch: int, capacity: int) -> None:
        self.reserved = [ReservedLayer(batch, capacity) for _ in range(layers)]
        super().__init__(layers=[*self.reserved])

    def aim(self, rows: slice, first: int, length: int) -> None:
        """Let the next forward pass see columns first..length of `rows`, and append to them."""
        for layer in self.reserved:
            layer.aim(rows, first, length)

    def keep(self, alive: torch.Tensor) -> torch.Tensor:
        """Drop the rows that are not `alive` (B,); the last rows that are alive take their positions.

        Only as many rows are copied as there are free positions.

        Returns:
            The former index of each row, (rows alive,).
        """
        rows = int(alive.sum())
        holes = (~alive[:rows]).nonzero().squeeze(1)
        movers = alive[rows:].nonzero().squeeze(1) + rows
        for layer in self.reserved:
            layer.close_up(holes, movers, rows)
        order = torch.arange(rows, device=alive.device)
        order[holes] = movers
        return order
