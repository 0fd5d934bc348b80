"""A job with its results in a bucket: a second machine, with an empty home, goes on where the first one stopped."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

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


def test_a_second_home_computes_only_what_the_bucket_lacks(stored: Maft, brief: list[str], tmp_path: Path) -> None:
    first, second, third = tmp_path / "first", tmp_path / "second", tmp_path / "third"
    process = stored.start(*job(brief, "two-homes", first))
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("iteration 1 · finetune"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not list((first / "results").iterdir()), "results are in the bucket alone"

    resumed = stored.json(*job(brief, "two-homes", second))
    assert resumed["cached"] >= 8 and resumed["computed"] >= 4
    again = stored.json(*job(brief, "two-homes", third))
    assert again["computed"] == 0 and again["cached"] == resumed["cached"] + resumed["computed"]
    assert numbers(again) == numbers(resumed)
    assert again["mlflow"] == resumed["mlflow"]
    texts = [path for path in tmp_path.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert texts == []
