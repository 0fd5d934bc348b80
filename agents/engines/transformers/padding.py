"""Rows of tokens of different lengths as one tensor."""

import torch
from torch.nn.utils.rnn import pad_sequence


def left_padded(rows: list[torch.Tensor]) -> torch.Tensor:
    """Rows of different lengths as one tensor (rows, longest), with zeros before the shorter rows."""
    return pad_sequence(rows, batch_first=True, padding_side="left")
