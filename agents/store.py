"""The content-addressed artifact store: large data is kept in files and folders named by their SHA-256.

An artifact that exists is complete: it is written under a temporary name, fsynced and renamed. The cache of the steps
checks the digest of every artifact that it uses.

A store may have a bucket. Then every artifact is also there, a folder as one object, before its digest is returned; the
store's own folder is a cache, to which an artifact that is missing is fetched, and compared with its digest.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from agents.bucket import WRITING, Bucket, StoreError, pack, unpack
from agents.store_bound import shrink, use
from evaluation.record import Record

ARTIFACTS = "artifacts"
"""The part of a bucket that holds the artifacts."""

NOTES = "notes"
"""The part of a folder, and of a bucket, that holds the notes."""

PACKED = ".tar"
"""Suffix of the object that holds a folder."""


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
    """Artifacts under one folder, and in a bucket if there is one.

    Args:
        root: the folder.
        bucket: where the artifacts last; None: in the folder.
        most_bytes: with a bucket, the size above which the folder loses what was used longest ago.
    """

    root: Path
    bucket: Bucket | None = None
    most_bytes: int = 20 * 10**9

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
        """Read a stored frame.

        Raises:
            StoreError: it is neither in the folder nor, undamaged, in the bucket.
        """
        self._require(artifact.path, artifact.sha256)
        return pd.read_parquet(self.root / artifact.path)

    @property
    def folders(self) -> Path:
        """The directory that holds every stored folder under its digest."""
        return self.root / "folders"

    def folder(self, sha256: str) -> Path:
        """The path of the folder with this digest; with a bucket, the folder is fetched if it is missing.

        Raises:
            StoreError: with a bucket: it is in neither, or damaged.
        """
        self._require(f"folders/{sha256}", sha256)
        return self.folders / sha256

    def fetch(self, digests: Iterable[str]) -> None:
        """Let the folders with these digests be in `folders`, for an engine that reads them there.

        Raises:
            StoreError: as in `folder`.
        """
        for sha256 in digests:
            self.folder(sha256)

    def note(self, name: str, content: bytes) -> None:
        """Keep a small file that a later call may replace, such as what is known of work that is not finished."""
        if self.bucket:
            self.bucket.write(f"{NOTES}/{name}", content)
            return
        with self._temporary("") as path:
            path.write_bytes(content)
            target = self.root / NOTES / name
            target.parent.mkdir(exist_ok=True)
            _sync(path)
            path.replace(target)
            _sync(target.parent)

    def noted(self, name: str) -> bytes | None:
        """The note of this name; None if there is none."""
        if self.bucket:
            return self.bucket.read(f"{NOTES}/{name}")
        file = self.root / NOTES / name
        return file.read_bytes() if file.is_file() else None

    def whole(self, artifact: Artifact) -> bool:
        """Whether the artifact exists and still has its digest; with a bucket, it is in the folder afterwards."""
        return self._whole(artifact.path, artifact.sha256)

    def whole_folder(self, sha256: str) -> bool:
        """Whether the folder with this digest exists and still has this digest; with a bucket, as for `whole`."""
        return self._whole(f"folders/{sha256}", sha256)

    def _whole(self, path: str, sha256: str) -> bool:
        own = self.root / path
        if own.exists() and digest(own) == sha256:
            if self.bucket:
                use(own)
            return True
        return self._fetch(path, sha256)

    def _require(self, path: str, sha256: str) -> None:
        """With a bucket, let an artifact be in the folder."""
        if self.bucket is None:
            return
        if (self.root / path).exists():
            use(self.root / path)
        elif not self._fetch(path, sha256):
            raise StoreError(
                f"the store {self.bucket.url} has no undamaged {_key(path)}; run the job again, which computes it again"
            )

    def _fetch(self, path: str, sha256: str) -> bool:
        """Copy an artifact from the bucket; False if it is not there, or damaged."""
        if self.bucket is None:
            return False
        is_folder = path.startswith("folders/")
        with self._temporary(".object") as fetched:
            new = fetched.with_name("new") if is_folder else fetched
            if not self.bucket.fetch(_key(path), fetched) or (is_folder and not unpack(fetched, new)):
                return False
            if digest(new) != sha256:
                return False
            self._place(new, self.root / path, sha256)
        self._used(path)
        return True

    def _send(self, path: str) -> None:
        if self.bucket is None:
            return
        if path.startswith("folders/"):
            with self._temporary(".object") as packed:
                pack(self.root / path, packed)
                self.bucket.send(packed, _key(path))
        else:
            self.bucket.send(self.root / path, _key(path))
        self._used(path)

    def _used(self, path: str) -> None:
        use(self.root / path)
        shrink(self.root, self.most_bytes)

    @contextmanager
    def _temporary(self, suffix: str) -> Iterator[Path]:
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=WRITING, ignore_cleanup_errors=True) as folder:
            yield Path(folder) / f"new{suffix}"

    def _keep(self, path: Path, room: str, suffix: str, rows: int) -> Artifact:
        sha256 = digest(path)
        target = self.root / room / f"{sha256}{suffix}"
        self._place(path, target, sha256)
        artifact = Artifact(path=target.relative_to(self.root).as_posix(), sha256=sha256, rows=rows)
        self._send(artifact.path)
        return artifact

    def _place(self, path: Path, target: Path, sha256: str) -> None:
        """Move what was written to its name; `sha256` is its digest."""
        target.parent.mkdir(exist_ok=True)
        for part in [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]:
            _sync(part)
        if target.exists() and digest(target) != sha256:
            # A truncated or altered artifact is replaced.
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        if not target.exists():
            path.rename(target)
            _sync(target.parent)


def _sync(path: Path) -> None:
    """Let a file or the names in a folder be on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _key(path: str) -> str:
    """The key in a bucket of the artifact with this path."""
    return f"{ARTIFACTS}/{path}{PACKED if path.startswith('folders/') else ''}"


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
