"""A place for files behind a URL that fsspec knows: a bucket (s3://, gs://, az://), a shared folder (file://).

An object is written whole or not at all. Nothing here relies on conditional writes or on checksums of the server, which
not every server has: who reads an object compares its digest.
"""

import re
import shutil
import tarfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tenacity import retry, retry_if_exception, stop_after_delay, wait_exponential_jitter

WRITING = ".writing-"
"""Prefix of the name of what is being written; a killed process leaves it behind."""

PATIENCE_SECONDS = 60.0
"""A request that failed is repeated until this time has passed; libraries repeat it several times before it counts."""

PRESENCE = "maft.txt"
"""Name of the object that `Bucket.check` writes."""

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be read or written, or lacks what a result needs; the message is one line, without secrets."""


@dataclass(frozen=True)
class Bucket:
    """Objects below one URL, such as s3://bucket/prefix. Their keys are relative paths, such as results/0a1b.

    Credentials come from the environment and from the usual files of the URL's library, never from the URL.

    All methods raise StoreError if the store does not answer for PATIENCE_SECONDS, or refuses.
    """

    url: str

    def check(self) -> None:
        """Write a small object, to see that the store can be written; asks once, so that a mistake is soon told."""
        self._once(lambda: self._write(PRESENCE, b"Results and artifacts of maft.\n"), "written")

    def look(self) -> None:
        """Read that small object, if it is there, to see that the store answers; asks once, and writes nothing."""
        self._once(lambda: _or_none(lambda: self._content(PRESENCE)), "read")

    def read(self, key: str) -> bytes | None:
        """The content of an object; None if there is none."""
        return self._ask(lambda: _or_none(lambda: self._content(key)), "read")

    def write(self, key: str, content: bytes) -> None:
        """Write an object, or replace it."""
        self._ask(lambda: self._write(key, content), "written")

    def fetch(self, key: str, path: Path) -> bool:
        """Copy an object to a file; False if there is none. After an error, the file may be incomplete."""
        get = self._files.get_file
        return self._ask(lambda: _or_none(lambda: (get(self._path(key), str(path)), True)[1]), "read") or False

    def send(self, path: Path, key: str) -> None:
        """Copy a file to an object; an object of this name is replaced."""
        self._ask(lambda: self._put(lambda target: self._files.put_file(str(path), target), key), "written")

    def delete(self, key: str) -> None:
        """Delete an object, unless it is gone."""
        self._ask(lambda: _or_none(lambda: self._files.rm_file(self._path(key))), "written")

    def objects(self, room: str) -> dict[str, int]:
        """The size in bytes of every object below `room`, by its key, in the order of the keys."""
        found = self._ask(lambda: _or_none(lambda: self._files.find(self._path(room), detail=True)), "listed")
        # s3fs may list the room itself, if its first object is written at this moment.
        start, inside = len(self._root) + 1, self._path(f"{room}/")
        return {
            path[start:]: int(info["size"]) for path, info in sorted((found or {}).items()) if path.startswith(inside)
        }

    def modified(self, key: str) -> float | None:
        """When an object was written last, in seconds since 1970; None if it is gone."""
        found = self._ask(lambda: _or_none(lambda: self._files.modified(self._path(key))), "read")
        return None if found is None else float(found.timestamp())

    def packed(self, key: str) -> list[str]:
        """The names of the files in an object that `pack` made; empty if it is no such object, or gone."""

        def names() -> list[str]:
            with self._files.open(self._path(key), "rb") as file, tarfile.open(fileobj=file, mode="r:") as packed:
                return packed.getnames()

        try:
            return self._ask(lambda: _or_none(names), "read") or []
        except tarfile.ReadError:
            return []

    @property
    def _files(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return str(self._opened[1]).rstrip("/")

    @property
    def _opened(self) -> tuple[Any, str]:
        import fsspec  # Only a store needs it, and a default job has none.

        # Another process may write at any time, so lists are never reused. fsspec returns the same object each time.
        options: dict[str, Any] = {"use_listings_cache": False}
        if self._is_folder:
            options["auto_mkdir"] = True
        opened: tuple[Any, str] = fsspec.core.url_to_fs(self.url, **options)
        return opened

    @property
    def _is_folder(self) -> bool:
        return self.url.startswith("file:")

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _content(self, key: str) -> bytes:
        # Without a start, s3fs asks for the size first, which takes a second request, and fails on OpenStack Swift.
        return bytes(self._files.cat_file(self._path(key), start=0))

    def _write(self, key: str, content: bytes) -> None:
        self._put(lambda target: self._files.pipe_file(target, content), key)

    def _put(self, write: Callable[[str], object], key: str) -> None:
        """An object of a bucket appears when it is complete. A file in a folder does not, so it is renamed then."""
        target = self._path(key)
        if not self._is_folder:
            write(target)
            return
        part = f"{target.rpartition('/')[0]}/{WRITING}{uuid.uuid4().hex}"
        write(part)
        self._files.mv(part, target)

    def _ask(self, request: Callable[[], T], what: str) -> T:
        again = retry(
            retry=retry_if_exception(_may_pass),
            wait=wait_exponential_jitter(initial=0.5, max=10.0),
            stop=stop_after_delay(PATIENCE_SECONDS),
            reraise=True,
        )
        return self._once(again(request), what)

    def _once(self, request: Callable[[], T], what: str) -> T:
        try:
            return request()
        except tarfile.ReadError:
            raise
        except Exception as error:  # Each library has errors of its own.
            raise StoreError(f"the store {self.url} cannot be {what}: {_in_words(error)}") from error


def pack(folder: Path, path: Path) -> None:
    """Write all files of a folder into one; the same files give the same bytes."""
    with tarfile.open(path, "w") as packed:
        for file in _files_in(folder):
            about = tarfile.TarInfo(file.relative_to(folder).as_posix())
            about.size = file.stat().st_size
            with file.open("rb") as content:
                packed.addfile(about, content)


def unpack(path: Path, folder: Path) -> bool:
    """Write the files that `pack` packed into a new folder; False if they are damaged."""
    folder.mkdir()
    try:
        with tarfile.open(path, "r:") as packed:
            for member in packed:
                target, content = folder / member.name, packed.extractfile(member)
                if content is None or not target.resolve().is_relative_to(folder.resolve()):
                    return False
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
    except tarfile.TarError:
        return False
    return True


def _files_in(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _or_none(request: Callable[[], T]) -> T | None:
    try:
        return request()
    except FileNotFoundError:
        return None


def _may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    for_good = FileNotFoundError, PermissionError, ImportError, ValueError, tarfile.TarError
    return isinstance(error, Exception) and not isinstance(error, for_good)


def _in_words(error: Exception) -> str:
    """What is wrong and what to check, on one line and without a password."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"//[^/@\s]*@", "//", text)
    if isinstance(error, ImportError):
        return f"{text}; install the package, for s3:// with maft's extra cluster"
    if isinstance(error, FileNotFoundError):
        return f"{text}; make the bucket, or correct MAFT_STORE"
    return (
        f"{type(error).__name__}: {text}; check MAFT_STORE, the network, the address of the server (AWS_ENDPOINT_URL) "
        "and the credentials"
    )
