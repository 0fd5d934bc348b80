"""Keeps the folder of a store that has a bucket below a size: what was used longest ago is deleted.

The time of the last use is the time stamp of the file or folder, so that all processes that share it know it.
"""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from agents.bucket import WRITING

SPARED_SECONDS = 3600.0
"""What was used less than this time ago may be in use by another process, so it stays."""

_used: set[Path] = set()
"""What this process has written or read; it may read it again at any time, so it stays."""


def use(path: Path) -> None:
    """Note that an artifact is used now."""
    _used.add(path)
    with suppress(FileNotFoundError):  # Another process may just have deleted it; the read then fails and says so.
        os.utime(path)


def shrink(root: Path, most_bytes: int) -> None:
    """Delete artifacts of a store's folder until it is below a size, as far as they are not in use.

    A base model, a folder with config.json, always stays: a job's config may name its path.

    Args:
        root: the folder.
        most_bytes: its size afterwards, in bytes.
    """
    found = [path for room in ("frames", "folders") for path in (root / room).glob("*")]
    sizes = {path: _size(path) for path in found}
    too_many = sum(sizes.values()) - most_bytes
    if too_many <= 0:
        return
    recent = time.time() - SPARED_SECONDS
    last_used = sorted((_modified(path), path) for path in found)
    for at, path in last_used:
        if too_many <= 0 or at > recent:
            return
        if path not in _used and not (path / "config.json").exists():
            too_many -= sizes[path]
            _delete(path, root)


def _delete(path: Path, root: Path) -> None:
    """Delete an artifact; it is renamed first, so that what has its name is complete at any time."""
    with tempfile.TemporaryDirectory(dir=root, prefix=WRITING) as trash, suppress(FileNotFoundError):
        shutil.move(path, trash)


def _size(path: Path) -> int:
    files = [path, *path.rglob("*")]
    return sum(_stat(file).st_size for file in files if file.is_file())


def _modified(path: Path) -> float:
    return _stat(path).st_mtime


def _stat(path: Path) -> os.stat_result:
    try:
        return path.lstat()
    except FileNotFoundError:  # Another process has deleted it meanwhile.
        return os.stat_result((0,) * 10)
