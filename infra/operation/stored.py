"""Lists and deletes the results and artifacts of a home, and of its bucket if it has one."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from agents.bucket import WRITING, Bucket
from agents.store import ARTIFACTS, PACKED
from infra.errors import UserError
from infra.home.home import Home
from infra.home.store import RESULTS, named_bucket

DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
BASE_MODEL_FILE = "config.json"
"""A folder with this file is a base model of `maft pretrain`."""

Kind = Literal["result", "frame", "folder", "leftover"]
KINDS: tuple[Kind, ...] = ("result", "frame", "folder", "leftover")
"""In the order of deletion: results come before the artifacts that they refer to."""


@dataclass(frozen=True)
class InHome:
    """A file or folder of a home, named by a digest or left by a killed process."""

    home: Home
    kind: Kind
    path: Path

    @property
    def name(self) -> str:
        """The digest, or the name of a leftover."""
        return self.path.name.split(".")[0]

    @property
    def place(self) -> str:
        """The path in the home."""
        return self.path.relative_to(self.home.path).as_posix()

    @property
    def bytes(self) -> int:
        """The size of all its files."""
        path = self.path
        files = [path] if path.is_file() else [Path(at) / name for at, _, names in os.walk(path) for name in names]
        return sum(file.lstat().st_size for file in files)

    def modified(self) -> float:
        """When it was written last, in seconds since 1970."""
        return self.path.lstat().st_mtime

    def is_base_model(self) -> bool:
        """Whether it is a folder that `maft pretrain` made."""
        return (self.path / BASE_MODEL_FILE).exists()

    def delete(self) -> None:
        """Delete it; what has the name of a digest is complete at any time."""
        if self.kind in ("result", "frame"):
            self.path.unlink(missing_ok=True)
            return
        trash = tempfile.mkdtemp(dir=self.home.artifacts, prefix=WRITING)
        self.path.rename(Path(trash) / self.path.name)
        shutil.rmtree(trash)


@dataclass(frozen=True)
class InBucket:
    """An object of a bucket, named by a digest or left by a killed process. All its methods may raise StoreError."""

    bucket: Bucket
    kind: Kind
    key: str
    bytes: int

    @property
    def name(self) -> str:
        """The digest, or the name of a leftover."""
        return PurePosixPath(self.key).name.split(".")[0]

    @property
    def place(self) -> str:
        """The URL."""
        return f"{self.bucket.url}/{self.key}"

    def modified(self) -> float:
        """When it was written last, in seconds since 1970; 0 if it is gone."""
        return self.bucket.modified(self.key) or 0.0

    def is_base_model(self) -> bool:
        """Whether it is a folder that `maft pretrain` made."""
        return self.kind == "folder" and BASE_MODEL_FILE in self.bucket.packed(self.key)

    def delete(self) -> None:
        """Delete it."""
        self.bucket.delete(self.key)


Stored = InHome | InBucket


def stored(home: Home) -> list[Stored]:
    """What is in the home and in its bucket, in the order of KINDS; no links, and nothing with another name.

    Raises:
        UserError: a folder of the home is a symbolic link, behind which nothing must be deleted.
        StoreError: the bucket does not answer.
    """
    bucket = named_bucket()
    found: list[Stored] = [*_in_home(home), *(_in_bucket(bucket) if bucket else ())]
    return sorted(found, key=lambda each: KINDS.index(each.kind))


def _in_home(home: Home) -> Iterator[InHome]:
    rooms: list[tuple[Kind, Path, str]] = [
        ("result", home.results, ""),
        ("frame", home.artifacts / "frames", ".parquet"),
        ("folder", home.artifacts / "folders", ""),
        ("leftover", home.artifacts, ""),
    ]
    for kind, room, suffix in rooms:
        if room.is_symlink():
            raise UserError(
                f"{room} is a link; prune deletes nothing outside {home.path}: replace the link by the folder itself"
            )
        for entry in sorted(os.scandir(room), key=lambda entry: entry.name) if room.is_dir() else []:
            is_file, is_folder = entry.is_file(follow_symlinks=False), entry.is_dir(follow_symlinks=False)
            if kind == "leftover":
                fits = is_folder and entry.name.startswith(WRITING)
            else:
                fits = _named(entry.name, suffix) and (is_folder if kind == "folder" else is_file)
            if fits:
                yield InHome(home, kind, Path(entry.path))


def _in_bucket(bucket: Bucket) -> Iterator[InBucket]:
    rooms: list[tuple[Kind, str, str]] = [
        ("result", RESULTS, ""),
        ("frame", f"{ARTIFACTS}/frames", ".parquet"),
        ("folder", f"{ARTIFACTS}/folders", PACKED),
    ]
    for kind, room, suffix in rooms:
        for key, size in bucket.objects(room).items():
            name = key.removeprefix(f"{room}/")
            if name.startswith(WRITING):
                yield InBucket(bucket, "leftover", key, size)
            elif _named(name, suffix):
                yield InBucket(bucket, kind, key, size)


def _named(name: str, suffix: str) -> bool:
    return name.endswith(suffix) and bool(DIGEST.fullmatch(name.removesuffix(suffix)))
