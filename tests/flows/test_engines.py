"""A job that samples through a server and trains here; the cache key has the model, not the server's address."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from agents.engines import base_model
from agents.engines.transformers.engine import TransformersEngine
from tests.agents.openai_server import CHAT, LOAD, serving, status
from tests.conftest import Maft

SIZES = ["--set", "problems.train_size=6", "--set", "problems.evaluation_size=4"]
JOB = [*SIZES, "--set", "society=served", "--set", "iterations=1", "--set", "finetune.min_votes=1"]


def through(url: str, small: list[str]) -> list[str]:
    return [*small, *JOB, "--set", "engine.name=openai", "--set", f"engine.url={url}"]


@pytest.fixture
def speaker(tmp_path: Path, brief_folder: Path) -> TransformersEngine:
    """The engine behind the server; it reads the adapters in the job's home, as a vLLM server on this machine would."""
    return TransformersEngine(*base_model.load(str(brief_folder), "cpu"), adapters=tmp_path / "artifacts" / "folders")


def test_a_job_through_a_server(
    maft: Maft, brief: list[str], tmp_path: Path, speaker: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(speaker) as server:
        server.faults.extend([status(429, retry_after="0"), status(500)])
        first = maft.json("run", *through(server.url, brief), "--home", str(tmp_path))
        assert len(server.asked(CHAT)) > 60
        assert len(server.asked(LOAD)) == 1 + 4, "an untrained adapter before all else, and each agent's once"
    tuned = first["generations"][1]
    assert tuned["trained_tokens"] > 0 and tuned["sampled_tokens"] > 0

    with serving(speaker) as moved:
        again = maft.json("run", *through(moved.url, brief), "--home", str(tmp_path))
        assert moved.seen == [] and again["generations"] == first["generations"] and again["mlflow"] == first["mlflow"]

    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    parameters = MlflowClient().get_run(first["mlflow"]["run_id"]).data.params
    assert parameters["engine.name"] == "openai" and "engine.url" not in parameters


def test_a_server_that_is_gone_ends_the_job_with_one_line(maft: Maft, brief: list[str], tmp_path: Path) -> None:
    gone = ["--set", "engine.attempts=1", "--home", str(tmp_path)]
    said = maft("run", *through("http://127.0.0.1:9/v1", brief), *gone, status=2)
    assert "maft: engine.url http://127.0.0.1:9/v1: gave up after 1 attempts" in said.stderr.splitlines()[-1]
    assert "Traceback" not in said.stderr
    in_full = maft("run", *through("http://127.0.0.1:9/v1", brief), *gone, "--verbose", status=2)
    assert "Traceback" in in_full.stderr, "the verbose output has the traceback"
