"""Reads the headers of a folder's safetensors files, which tell what is in them without loading it."""

import json
from math import prod
from pathlib import Path
from typing import Any

from agents.engines.base_model.record import FilesError

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_MAX_HEADER_BYTES = 100_000_000
"""The limit of the format itself."""


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights: `model.safetensors`, or the shards that the index names.

    Raises:
        FilesError: there are none, or the index is damaged or names a file that is not there.
    """
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    if not (folder / INDEX).is_file():
        raise FilesError(f"has no {WHOLE} or {INDEX}; weights in other formats are not loaded")
    shards = shard_names(folder)
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing:
        raise FilesError(f"lacks {missing[0]}, which {INDEX} names; copy or fetch the whole model again")
    return [folder / name for name in shards]


def shard_names(folder: Path) -> list[str]:
    """The names of the shards in the folder's index.

    Raises:
        FilesError: the index is not a JSON object with a weight_map.
    """
    try:
        return sorted(set(json.loads((folder / INDEX).read_text("utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FilesError(f"has a damaged {INDEX}; copy or fetch the whole model again") from error


def tensors(file: Path) -> dict[str, dict[str, Any]]:
    """The `dtype`, `shape` and `data_offsets` of every tensor in a safetensors file, by name.

    Raises:
        FilesError: the file is cut or is not safetensors.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        text = opened.read(length) if length <= min(size, _MAX_HEADER_BYTES) else b""
    try:
        header: dict[str, dict[str, Any]] = json.loads(text)
        header.pop("__metadata__", None)
        end = 8 + length + max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FilesError(f"has a {file.name} that is cut or is not safetensors; copy or fetch it again") from error
    if end != size:
        raise FilesError(f"has a {file.name} of {size:,} bytes that should have {end:,}; copy or fetch it again")
    return header


def weight_bytes(folder: Path, item_bytes: float | None) -> int:
    """The memory that the weights take.

    Args:
        folder: the model's folder.
        item_bytes: bytes of a floating-point number after loading; None: as in the files.

    Raises:
        FilesError: see `weight_files` and `tensors`.
    """
    total = 0.0
    for file in weight_files(folder):
        for tensor in tensors(file).values():
            start, end = tensor["data_offsets"]
            loaded = item_bytes if "F" in tensor["dtype"] else None
            total += prod(tensor["shape"]) * loaded if loaded else end - start
    return int(total)
