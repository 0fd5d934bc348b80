"""Writes a file so that it exists whole or not at all, even if the process is killed."""

import os
import tempfile
from pathlib import Path

MODE = 0o644


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step: an error leaves the old file, and a finished write survives a loss of power.

    Args:
        path: the file, in an existing folder; an existing file or link is replaced. Everybody may read the new file.
        content: the whole content.

    Raises:
        OSError: the folder is missing or cannot be written, or the disk is full.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(MODE)  # mkstemp makes files that only their owner can read
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Write the folder to disk too, so that the new file's name is not lost."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
