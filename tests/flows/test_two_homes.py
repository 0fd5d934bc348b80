"""A job with its results in a bucket: a second machine, with an empty home, goes on where the first one stopped."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agents.bucket import Bucket
from tests.conftest import Maft, free_port
from tests.faults.test_resume import job, numbers
from tests.moto_server import PASSWORD, S3, s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server(free_port()) as server:
        yield server


@pytest.fixture(scope="module")
def stored(maft: Maft, s3: S3) -> Maft:
    return replace(maft, environment={**maft.environment, **s3.environment, "MAFT_STORE": f"s3://{s3.bucket}/a/b"})


def results(stored: Maft) -> dict[str, float | None]:
    """When each result in the bucket was written, by its key."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stored.environment.items():
            patch.setenv(name, value)
        bucket = Bucket(stored.environment["MAFT_STORE"])
        return {key: bucket.modified(key) for key in bucket.objects("results")}


def test_a_second_home_computes_only_what_the_bucket_lacks(stored: Maft, brief: list[str], tmp_path: Path) -> None:
    first, second, third = tmp_path / "first", tmp_path / "second", tmp_path / "third"
    process = stored.start(*job(brief, "two-homes", first))
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("iteration 1 · finetune"):
            break
    process.send_signal(signal.SIGINT)  # After a kill, another home waits a minute until the society is free.
    process.communicate()
    resumed = stored.json(*job(brief, "two-homes", second))
    assert resumed["cached"] >= 8
    kept = results(stored)
    again = stored.json(*job(brief, "two-homes", third))
    assert again["cached"] == len(kept) and results(stored) == kept, "nothing was computed again"
    assert numbers(again) == numbers(resumed)
    assert again["mlflow"] == resumed["mlflow"]
    assert not any(list((home / "results").iterdir()) for home in (first, second, third)), "all in the bucket"
    secret = PASSWORD.encode()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()]
