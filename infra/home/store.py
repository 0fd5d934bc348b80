"""Where artifacts and results of tasks last: in the home, or in the bucket of MAFT_STORE.

With a bucket, the home's folder `artifacts` is a cache of it, and results, which are small, are in the bucket alone.
So every machine that names the same bucket resumes the same jobs. A result is written after its artifacts.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agents.bucket import Bucket, StoreError
from agents.store import Store
from infra.errors import UserError
from infra.home.home import Home, current_home

VARIABLE = "MAFT_STORE"
CACHE_VARIABLE = "MAFT_STORE_CACHE_GB"
CACHE_GB = 20.0
RESULTS = "results"
"""The part of a bucket that holds the results."""


def named_bucket() -> Bucket | None:
    """The bucket of MAFT_STORE; None if it is not set.

    Raises:
        UserError: the URL is none, names no bucket, or has a password.
    """
    url = os.environ.get(VARIABLE, "").strip().rstrip("/")
    if not url:
        return None
    right = "name a bucket and a prefix, such as s3://my-bucket/maft, or a folder, such as file:///srv/maft"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UserError(f"{VARIABLE} is not a URL: {error}; {right}") from error
    if parts.password is not None:
        raise UserError(
            f"{VARIABLE} has a password; leave it out: credentials are read from the environment, such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from ~/.aws"
        )
    # A folder has an absolute path, file:///path; with two slashes, its first part would be taken for a host.
    named = url.startswith("file:///") if parts.scheme == "file" else bool(parts.netloc)
    if not parts.scheme or not named or parts.query or parts.fragment:
        raise UserError(f"{VARIABLE} is {url!r}, which is not the URL of a place; {right}")
    return Bucket(url)


@dataclass(frozen=True)
class StoreStatus:
    """Whether the bucket of MAFT_STORE can be read; `fault` says why not."""

    url: str
    answering: bool
    fault: str


def store_status() -> StoreStatus | None:
    """The present state of the bucket of MAFT_STORE; None if it is not set. Writes nothing.

    Raises:
        UserError: as in `named_bucket`.
    """
    bucket = named_bucket()
    if bucket is None:
        return None
    try:
        bucket.look()
    except StoreError as error:
        return StoreStatus(bucket.url, False, str(error))
    return StoreStatus(bucket.url, True, "")


def check_store() -> None:
    """See that the bucket of MAFT_STORE, if it is set, can be written; a job would notice only after hours of work.

    Raises:
        UserError: as in `store_of`.
        StoreError: it cannot be written.
    """
    if bucket := named_bucket():
        _cache_bytes()
        bucket.check()


def store_of(home: Home) -> Store:
    """The store of a home.

    Raises:
        UserError: as in `named_bucket`, or MAFT_STORE_CACHE_GB is not a positive number.
    """
    bucket = named_bucket()
    return Store(home.artifacts, bucket, _cache_bytes()) if bucket else Store(home.artifacts)


def current_store() -> Store:
    """The store of this process's home.

    Raises:
        UserError: as in `store_of` and `Home.open`.
    """
    return store_of(current_home())


@dataclass(frozen=True)
class Results:
    """The stored results of tasks, by their keys.

    Args:
        folder: where they are without a bucket.
        bucket: where they are with a bucket.
    """

    folder: Path
    bucket: Bucket | None

    def read(self, key: str) -> bytes | None:
        """A result as it is stored; None if there is none.

        Raises:
            StoreError: the bucket does not answer.
        """
        if self.bucket:
            return self.bucket.read(f"{RESULTS}/{key}")
        file = self.folder / key
        return file.read_bytes() if file.is_file() else None

    def delete(self, key: str) -> None:
        """Delete a result.

        Raises:
            StoreError: the bucket does not answer.
        """
        if self.bucket:
            self.bucket.delete(f"{RESULTS}/{key}")
        else:
            (self.folder / key).unlink(missing_ok=True)


def results_of(home: Home) -> Results:
    """The results of a home.

    Raises:
        UserError: as in `named_bucket`.
    """
    return Results(home.results, named_bucket())


def _cache_bytes() -> int:
    text = os.environ.get(CACHE_VARIABLE) or str(CACHE_GB)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = 0.0
    if not 0.0 < gigabytes < 1e9:
        raise UserError(f"{CACHE_VARIABLE} is {text!r}; give the gigabytes of the local cache, such as {CACHE_GB:g}")
    return int(gigabytes * 1e9)
