"""Lets Prefect write the results of tasks into a bucket.

A block that is saved on the Prefect server would be another way, but every user of that server would find it there.
"""

from typing import Any

from prefect import Task
from prefect.filesystems import WritableFileSystem

from agents.bucket import Bucket
from infra.home.store import RESULTS


class BucketResults(WritableFileSystem):
    """Prefect's interface to the results in a bucket. It is never saved on a server."""

    url: str

    def _resolve_path(self, path: str) -> None:
        """A result is named by its key alone, so that every machine finds it."""

    def read_path(self, path: str, _sync: bool = True) -> bytes:  # type: ignore[override]
        """The result with this key.

        Raises:
            FileNotFoundError: there is none.
            StoreError: the bucket does not answer.
        """
        found = Bucket(self.url).read(f"{RESULTS}/{path}")
        if found is None:
            raise FileNotFoundError(path)
        return found

    def write_path(self, path: str, content: bytes, _sync: bool = True) -> None:  # type: ignore[override]
        """Write the result with this key.

        Raises:
            StoreError: the bucket does not answer.
        """
        Bucket(self.url).write(f"{RESULTS}/{path}", content)


def keep_in(bucket: Bucket, task: Task[Any, Any]) -> None:
    """Let a task's results be kept in a bucket."""
    # The decorator takes only a storage that is saved on the server.
    task.result_storage = BucketResults(url=bucket.url)
