"""Files that are there whole or not at all, however the process that writes them ends."""

import os
import tempfile
from pathlib import Path

MODE = 0o644


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, or leave the one that was there; once this returns, the file outlives a loss of power.

    Args:
        path: in a folder that exists; a file of that name is replaced, a link too. Everybody may read the new file.
        content: all of it.

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
    """Have the new name on the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
