"""A society whose agents are finetuned by the files and jobs of a service, from `maft run` to the registered versions.

`make test-jobs` sets MAFT_TEST_JOBS: then the society is of the embedded model, and killed at ten moments.
"""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from prefect.client.schemas.objects import FlowRun

from agents.hosted.adapter import read_hosted
from infra.lineage.runs import newest_job
from tasks.lineage.cancel import tidy
from tests.command import Forked
from tests.conftest import Maft
from tests.jobs_server import BASE, JobsServer, jobs_server

FULL = bool(os.environ.get("MAFT_TEST_JOBS"))
UPLOAD, START, LOOK, CHAT = (
    "POST /v1/files",
    "POST /v1/fine_tuning/jobs",
    "GET /v1/fine_tuning/jobs/",
    "POST /v1/chat/completions",
)
MOMENTS = [
    (UPLOAD, "before", 1),
    (UPLOAD, "done", 1),
    (START, "before", 1),
    (START, "done", 1),
    (LOOK, "before", 1),
    (LOOK, "done", 2),
    (UPLOAD, "done", 2),
    (CHAT, "done", 5),
    (START, "done", 2),
    (LOOK, "done", 5),
]
"""A route, whether its request was done, and how many there were in this run. One job is given after another, so that
each run comes to its moment."""
SOON = [(START, "done", 6)]
"""In the second iteration of two agents, whose jobs are given at once."""


@pytest.fixture
def server(brief_folder: Path, tmp_path: Path) -> Iterator[JobsServer]:
    (tmp_path / "service").mkdir()
    with jobs_server("embedded" if FULL else str(brief_folder), tmp_path / "service") as server:
        yield server


@pytest.fixture
def command(server: JobsServer, brief_folder: Path, brief_problems: Path, tmp_path: Path) -> list[str]:
    brief = {"base_model": brief_folder, "problems.train": brief_problems}
    fields: dict[str, Any] = {
        **({} if FULL else brief),
        "society": "hosted",
        "agents": 3 if FULL else 2,
        "iterations": 2,
        "problems.train_size": 40 if FULL else 30,
        "problems.evaluation_size": 6,
        "finetune.method": "jobs",
        "finetune.service": "openai",
        "finetune.url": server.url,
        "finetune.model": BASE,
        "finetune.epochs": 1,
        "finetune.min_votes": 1,
        "finetune.critic_mix": 0.0,
        "finetune.poll_seconds": 0.1,
        "finetune.concurrency": 1 if FULL else 8,
        "engine.name": "openai",
        "engine.url": server.url,
        "engine.model": BASE,
        "engine.prices": "{prompt: 0, sampled: 0, trained: 1000000}",
        "sampling.max_new_tokens": 120,
        "sampling.max_summary_tokens": 40,
    }
    told = [part for name, value in fields.items() for part in ("--set", f"{name}={value}")]
    return ["run", *told, "--home", str(tmp_path / "home")]


def kill_at(maft: Maft, command: list[str], server: JobsServer, moment: tuple[str, str, int]) -> None:
    """Start a job and kill it at a moment."""
    route, phase, number = moment
    seen: Counter = Counter()
    process: list[subprocess.Popen[str] | Forked] = []

    def on(asked: str, now: str) -> None:
        with server.state:
            kind = LOOK if asked.startswith(LOOK) else asked
            seen[kind, now] += 1
            reached = (kind, now) == (route, phase) and seen[kind, now] >= number
        if reached and process and process[0].poll() is None:
            os.kill(process[0].pid, signal.SIGKILL)

    server.on = on
    process.append(maft.start(*command))
    _, said = process[0].communicate(timeout=600)
    assert process[0].returncode == -signal.SIGKILL, f"{moment}: {said}"


def test_out_of_budget_and_killed_at_many_moments_each_job_is_made_once(
    maft: Maft, server: JobsServer, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = maft(*command, "--set", "engine.budget=100", status=2).stderr.splitlines()[-1]
    assert "engine.budget is 100.00 USD: 0.00 USD are spent, and the training of" in said and not server.jobs
    asked = [each.body for each in server.seen if "/chat/" in each.path]
    server.seen.clear()

    command += ["--set", "engine.budget=10000000"]
    for moment in MOMENTS if FULL else SOON:
        kill_at(maft, command, server, moment)
    server.on = lambda route, phase: None
    report = maft.json(*command)
    again = [each.body for each in server.seen if "/chat/" in each.path and each.body in asked]
    assert len(again) <= 1 + len(MOMENTS), "but for the trial of the engine, what was said before is kept"
    keys = {job.about["metadata"]["maft"] for job in server.jobs.values()}
    assert server.made["jobs"] == server.made["files"] == server.made["models"] == len(keys) >= 6
    assert not server.made["cancelled"]
    assert {each.body["model"] for each in server.seen if "/chat/" in each.path} == set(server.names)
    trained = [generation["trained_tokens"] for generation in report["generations"]]
    assert trained[0] == 0 and min(trained[1:]) > 0 and sum(trained) == sum(j.tokens for j in server.jobs.values())

    server.seen.clear()
    assert maft.json(*command)["generations"] == report["generations"]
    assert not server.seen, "a finished job asks nothing"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    versions = MlflowClient().search_model_versions("name LIKE 'hosted-%'")
    own = {v.tags["made_by"]: v for v in versions if v.tags.get("unchanged") == "false"}
    assert own.keys() == server.jobs.keys()
    for id_, version in own.items():
        tags, job = version.tags, server.jobs[id_]
        assert (tags["speaks_as"], tags["service_base"]) == (job.model, BASE) and len(tags["dataset_sha256"]) == 64
        assert (tags["service"], tags["weights"]) == ("openai", "not here")
    folder = download_artifacts(f"models:/{version.name}/{version.version}", dst_path=str(tmp_path / "version"))
    hosted = read_hosted(Path(folder))
    assert hosted and hosted.learned == server.jobs[hosted.made_by].about["metadata"]["maft"]
    assert hosted.settings == {"n_epochs": 1, "batch_size": 4}


def test_cancelling_a_run_cancels_its_jobs(
    maft: Maft, server: JobsServer, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.hold.clear()
    kill_at(maft, [*command, "--set", "society=stopped"], server, (LOOK, "done", 4))
    begun = server.made["jobs"]
    assert begun and not server.made["cancelled"], "a run that is killed leaves its jobs at work"

    # Prefect calls this after a cancellation, in another process than the run's, which it has ended.
    monkeypatch.setenv("MAFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    run = newest_job("stopped")
    id_ = UUID(run.data.tags["prefect.flow_run_id"])
    tidy("stopped", FlowRun(id=uuid4(), flow_id=uuid4(), name="another run, which only waited"))
    assert not server.made["cancelled"]
    tidy("stopped", FlowRun(id=id_, flow_id=uuid4(), name="the run"))
    assert server.made["cancelled"] == begun and {job.state for job in server.jobs.values()} == {"cancelled"}
    assert MlflowClient().get_run(run.info.run_id).info.status == "KILLED"
