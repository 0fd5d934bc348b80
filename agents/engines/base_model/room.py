"""Refuses a base model whose weights do not fit into the memory that is free."""

from pathlib import Path

from agents.engines.base_model.record import BaseModelError, DType
from agents.engines.base_model.weights import weight_bytes

_ITEM_BYTES = {"auto": None, "float32": 4, "bfloat16": 2, "nf4": 0.5}


def check_room(base_model: str, folder: Path, device: str, dtype: DType) -> None:
    """Compare the memory that the weights take with what is free, before they are loaded.

    Args:
        base_model: the name of the base model, for messages.
        folder: its folder.
        device: cpu, cuda or cuda:N.
        dtype: the type of the loaded weights; auto: as in the files.

    Raises:
        BaseModelError: they do not fit; the message gives both numbers.
    """
    needed, free = weight_bytes(folder, _ITEM_BYTES[dtype]), free_bytes(device)
    if needed > free:
        smaller = {"bfloat16": "set runner.dtype to nf4, ", "nf4": ""}.get(dtype, "set runner.dtype to bfloat16, ")
        raise BaseModelError(
            f"base_model: the weights of {base_model!r} take {needed / 1e9:,.2f} GB (runner.dtype {dtype}), but "
            f"{free / 1e9:,.2f} GB are free on {device}; {smaller}end other programs, or use a smaller base model"
        )


def free_bytes(device: str) -> int:
    """The memory that can be had: on a GPU, also what torch holds and does not use."""
    if device == "cpu":
        import psutil

        return int(psutil.virtual_memory().available)
    import torch

    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + unused
