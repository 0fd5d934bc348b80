"""The content-addressed artifact store: large data is kept in files and folders named by their SHA-256.

An artifact that exists is complete: it is written under a temporary name, fsynced and renamed. The cache of the steps
checks the digest of every artifact that it uses.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from evaluation.record import Record


class Artifact(Record):
    """A stored file or folder. `path` is relative to the store, so a home can be moved."""

    path: str
    sha256: str
    rows: int


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's sorted (name, digest) pairs."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = (f"{p.relative_to(path).as_posix()}\0{digest(p)}\n" for p in sorted(path.rglob("*")) if p.is_file())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class Store:
    """Artifacts under one folder."""

    root: Path

    def put_frame(self, frame: pd.DataFrame) -> Artifact:
        """Store a frame as zstd parquet."""
        with self._temporary(".parquet") as path:
            frame.to_parquet(path, compression="zstd", index=False)
            return self._keep(path, "frames", ".parquet", len(frame))

    def put_folder(self, write: Callable[[Path], None], rows: int) -> Artifact:
        """Store the folder that `write` fills."""
        with self._temporary("") as path:
            path.mkdir()
            write(path)
            return self._keep(path, "folders", "", rows)

    def frame(self, artifact: Artifact) -> pd.DataFrame:
        """Read a stored frame."""
        return pd.read_parquet(self.root / artifact.path)

    @property
    def folders(self) -> Path:
        """The directory that holds every stored folder under its digest."""
        return self.root / "folders"

    def folder(self, sha256: str) -> Path:
        """The path of the folder with this digest."""
        return self.folders / sha256

    def whole(self, artifact: Artifact) -> bool:
        """Whether the artifact exists and still has its digest."""
        path = self.root / artifact.path
        return path.exists() and digest(path) == artifact.sha256

    def whole_folder(self, sha256: str) -> bool:
        """Whether the folder with this digest exists and still has this digest."""
        return self.folder(sha256).is_dir() and digest(self.folder(sha256)) == sha256

    @contextmanager
    def _temporary(self, suffix: str) -> Iterator[Path]:
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=".writing-", ignore_cleanup_errors=True) as folder:
            yield Path(folder) / f"new{suffix}"

    def _keep(self, path: Path, room: str, suffix: str, rows: int) -> Artifact:
        sha256 = digest(path)
        target = self.root / room / f"{sha256}{suffix}"
        target.parent.mkdir(exist_ok=True)
        for part in [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        if target.exists() and digest(target) != sha256:
            # A truncated or altered artifact is replaced.
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        if not target.exists():
            path.rename(target)
            directory = os.open(target.parent, os.O_RDONLY)
            os.fsync(directory)
            os.close(directory)
        return Artifact(path=target.relative_to(self.root).as_posix(), sha256=sha256, rows=rows)


@dataclass(frozen=True)
class MemoryStore(Store):
    """A store that keeps frames in memory only, for debates that nobody keeps; it reads folders from `root` itself."""

    frames: dict[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def folders(self) -> Path:
        """The directory that holds every folder under its digest."""
        return self.root

    def put_folder(self, write: Callable[[Path], None], rows: int) -> Artifact:
        """Always fail: a store in memory cannot keep folders."""
        raise NotImplementedError("a store in memory cannot keep folders; training needs a Store")

    def put_frame(self, frame: pd.DataFrame) -> Artifact:
        """Keep a frame in memory under its number."""
        name = str(len(self.frames))
        self.frames[name] = frame
        return Artifact(path=name, sha256=name, rows=len(frame))

    def frame(self, artifact: Artifact) -> pd.DataFrame:
        """Return a stored frame."""
        return self.frames[artifact.path]
