"""A society of which one agent is at a service, and the others are on this machine."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.conftest import Maft
from tests.jobs_server import BASE, JobsServer, jobs_server

HOSTED = 2


@pytest.fixture
def server(brief_folder: Path, tmp_path: Path) -> Iterator[JobsServer]:
    (tmp_path / "service").mkdir()
    with jobs_server(str(brief_folder), tmp_path / "service") as server:
        yield server


@pytest.fixture
def options(server: JobsServer, brief_folder: Path, brief_problems: Path, tmp_path: Path) -> list[str]:
    # The service's base has other weights than this machine has: only its tokenizer is here.
    there = tmp_path / "tokenizer"
    there.mkdir()
    for file in brief_folder.iterdir():
        if file.suffix != ".safetensors":
            (there / file.name).write_bytes(file.read_bytes())
    fields: dict[str, Any] = {
        "base_model": brief_folder,
        "problems.train": brief_problems,
        "society": "partly",
        "agents": 3,
        "iterations": 1,
        "problems.train_size": 30,
        "problems.evaluation_size": 6,
        "finetune.epochs": 1,
        "finetune.min_votes": 1,
        "finetune.critic_mix": 0.0,
        "sampling.max_new_tokens": 120,
        "sampling.max_summary_tokens": 40,
        "hosted.agents": f"[{HOSTED}]",
        "hosted.base_model": there,
        "hosted.engine": f"{{name: openai, url: '{server.url}', model: {BASE}, prices: {{prompt: 1, sampled: 10, "
        "trained: 100}}",
        "hosted.finetune": f"{{method: jobs, service: openai, url: '{server.url}', model: {BASE}, epochs: 2, "
        "critic_mix: 0.0, poll_seconds: 0.1}",
    }
    told = [part for name, value in fields.items() for part in ("--set", f"{name}={value}")]
    return [*told, "--home", str(tmp_path / "home")]


def chats(server: JobsServer) -> list[Any]:
    return [each.body for each in server.seen if "/chat/" in each.path]


def test_a_society_of_agents_here_and_at_a_service(
    maft: Maft, server: JobsServer, options: list[str], brief_problems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = maft.json("preview", *options)
    assert preview["forecast"]["cost"].endswith("USD") and not server.jobs
    sampled = preview["sample"]["service"]
    assert 0 < sampled["sampled"] < preview["sample"]["sampled_tokens"] and sampled["trained"] > 0
    assert preview["forecast"]["trained_tokens"] > preview["forecast"]["service"]["trained"] > 0
    server.seen.clear()

    poor = [*options, "--set", "hosted.engine.budget=0.00001"]
    assert "1e-05 USD; raise the engine's budget" in " ".join(maft.json("preview", *poor)["warnings"])
    assert "hosted.engine.budget is 1e-05 USD" in maft("run", *poor, status=2).stderr.splitlines()[-1]
    server.seen.clear()

    report = maft.json("run", *options)
    assert [each["generation"] for each in report["generations"]] == [0, 1]
    assert server.made["jobs"] == 2, "a generator and a critic"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    client = MlflowClient()
    for role in ("generator", "critic"):
        for index in range(3):
            tags = client.get_model_version(f"partly-{role}-{index}", "1").tags
            assert (tags.get("service") == "openai") == (index == HOSTED)
    society = client.get_model_version("partly", "1")
    assert "agents 2 are at a service (jobs)" in society.description and society.tags["base_model"].count("\n") == 2
    run = client.get_run(society.run_id)
    costs = {name for name in run.data.metrics if name.startswith("cost/USD ")}
    assert costs == {f"cost/USD generator-{HOSTED}", f"cost/USD critic-{HOSTED}"}
    job = client.get_run(run.data.tags["mlflow.parentRunId"])
    each = client.get_metric_history(job.info.run_id, "cost/USD")
    assert [metric.step for metric in each] == [0, 1]
    assert sum(metric.value for metric in each) == pytest.approx(report["spent"]["cost"])
    spent = report["spent"]["tokens"]
    assert spent["trained"] == sum(job.tokens for job in server.jobs.values())
    assert spent["responses"] == len(chats(server)), "the engine was tried by the run that had no budget"

    server.seen.clear()
    answer = maft.json("ask", "What is the result of 1+2?", "--society", "partly", "--version", "1")
    assert len(answer["transcript"]) == 6
    # The base summarises what the critic reads.
    assert {body["model"] for body in chats(server)} == {BASE, *(job.model for job in server.jobs.values())}

    scored = maft.json("evaluate", "partly", "--generation", "1", "--problems", str(brief_problems), *options[-2:])
    assert scored["scores"]["generation"] == 1

    more = maft.json("run", *options, "--set", "start_from=candidate")
    assert [each["generation"] for each in more["generations"]] == [1, 2]
    assert server.made["jobs"] == 4
    # Each goes on from its own model.
    assert all(job.start.split(":")[3] == job.model.split(":")[3] for job in list(server.jobs.values())[2:])


def test_an_interrupt_ends_the_machine_and_leaves_the_jobs_at_work(
    maft: Maft, server: JobsServer, options: list[str]
) -> None:
    server.hold.clear()
    process = maft.start("run", *options)
    while process.poll() is None and server.made["jobs"] < 2:
        time.sleep(0.05)
    started = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and time.monotonic() - started < 60, said
    assert not server.made["cancelled"]
    server.hold.set()
    report = maft.json("run", *options)
    assert server.made["jobs"] == 2 and report["spent"]["tokens"]["trained"] > 0
    # Another job finds the training, and does not count it as paid.
    again = maft.json("run", *options, "--set", "society=other")
    assert server.made["jobs"] == 2 and again["spent"]["tokens"]["trained"] == 0


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("hosted.agents=[3]", "hosted.agents has 3, but the numbers of agents=3 go from 0 to 2"),
        ("hosted.agents=[0, 0]", "name each agent once"),
        ("hosted.agents=[0, 1, 2]", "hosted.agents names all agents"),
        ("hosted.engine={name: transformers}", "hosted.engine.name is transformers, which is no service; set it to"),
        ("hosted.finetune={method: sft}", "hosted.finetune.method is sft, which trains on this machine; set it to"),
        ("hosted.finetune={method: tinker}", "hosted.finetune.method is tinker, but hosted.engine.name is openai"),
        ("hosted.finetune.min_votes=3", "set finetune.min_votes instead"),
        ("debate.vote=confidence", "which needs likelihoods of texts, but hosted.engine.name is openai"),
    ],
)
def test_what_does_not_fit_is_refused(maft: Maft, options: list[str], setting: str, said: str) -> None:
    stderr = maft("run", *options, "--set", setting, status=2).stderr
    assert said in stderr and "Traceback" not in stderr
