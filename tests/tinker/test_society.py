"""A society whose agents are at a real server of Tinker's API: killed at ten moments, budgeted, asked and promoted."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest

from agents.engines.base_model import EMBEDDED
from tests.conftest import SMALL, Maft, free_port, plain_environment
from tests.tinker.server import SkyRL

AGENTS, ITERATIONS, CONCURRENCY, SAVE_EVERY = 3, 2, 8, 2
KILLS, RANK = 10, 4


@pytest.fixture(scope="module")
def maft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maft]:
    with in_home(tmp_path_factory.mktemp("home")) as maft:
        yield maft


@contextmanager
def in_home(home: Path) -> Iterator[Maft]:
    """The command in a home of its own, which has no results of another."""
    ports = {"MAFT_PREFECT_PORT": str(free_port()), "MAFT_MLFLOW_PORT": str(free_port())}
    maft = Maft({**plain_environment(), **ports, "MAFT_HOME": str(home)})
    yield maft
    maft("down")


@pytest.fixture(scope="module")
def skyrl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SkyRL]:
    server = SkyRL(tmp_path_factory.mktemp("skyrl"), EMBEDDED, rank=RANK)
    yield server
    server.close()


@pytest.fixture(scope="module")
def options(skyrl: SkyRL) -> list[str]:
    return options_at(skyrl)


def options_at(skyrl: SkyRL) -> list[str]:
    """The settings of a small job at a server."""
    settings = {
        "society": "hosted",
        "agents": AGENTS,
        "iterations": ITERATIONS,
        "engine.name": "tinker",
        "engine.url": skyrl.url,
        "engine.model": EMBEDDED,
        "engine.concurrency": CONCURRENCY,
        "engine.prices": "{prompt: 1, sampled: 10, trained: 100}",
        "finetune.method": "tinker",
        "finetune.rank": RANK,
        "finetune.losses": "mean",
        "finetune.save_every": SAVE_EVERY,
        "finetune.min_votes": 1,
    }
    return [*SMALL, *(f"--set={name}={value}" for name, value in settings.items())]


@pytest.fixture(scope="module")
def whole(maft: Maft, options: list[str], skyrl: SkyRL) -> dict[str, Any]:
    """The report of a job that nothing disturbed, with what the server counted."""
    before = counts(skyrl)
    report = maft.json("run", *options)
    return {**report, "counts": {kind: number - before[kind] for kind, number in counts(skyrl).items()}}


def counts(skyrl: SkyRL) -> dict[str, int]:
    return {kind: skyrl.count(kind) for kind in ("sample", "optim_step", "save_weights_for_sampler")}


def test_a_job_that_is_killed_ten_times_is_paid_once(
    whole: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Only what was asked at the moment of a kill, and the steps since the last saved state, are asked for again."""
    total = whole["counts"]
    # Models of killed trainings stay in the server's memory, so this job has a server of its own.
    skyrl = SkyRL(tmp_path_factory.mktemp("skyrl"), EMBEDDED, rank=RANK)
    options = options_at(skyrl)
    with in_home(tmp_path) as maft, closing(skyrl):
        # Moments at which the server has done this share of the samples or of the steps.
        moments = [(kind, share) for kind in ("sample", "optim_step") for share in (0.1, 0.3, 0.5, 0.7, 0.9)]
        moments.sort(key=lambda moment: moment[1])
        for kind, share in moments:
            process = maft.start("run", *options)
            while process.poll() is None and skyrl.count(kind) < share * total[kind]:
                time.sleep(0.02)
            assert process.poll() is None, "the job ended before it was killed"
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        report = maft.json("run", *options)
        made = counts(skyrl)
        assert made["save_weights_for_sampler"] == total["save_weights_for_sampler"] == 2 * AGENTS * ITERATIONS
        assert 0 <= made["sample"] - total["sample"] <= KILLS * CONCURRENCY
        assert 0 <= made["optim_step"] - total["optim_step"] <= KILLS * CONCURRENCY * SAVE_EVERY
        assert [one["generation"] for one in report["generations"]] == [0, 1, 2]
        again = maft.json("run", *options)
        assert again["cached"] and counts(skyrl) == made


def test_lineage_says_where_the_agents_are_and_what_they_cost(maft: Maft, whole: dict[str, Any]) -> None:
    client = mlflow.MlflowClient(whole["mlflow"]["tracking_uri"])
    version = client.get_model_version("hosted-critic-0", "1")
    assert version.tags["service"] == "tinker" and version.tags["speaks_as"].startswith("tinker://")
    assert version.tags["made_by"] and float(version.tags["weights"].split()[1]) < 1e-4
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, "metrics.`cost/USD` > 0")
    costs = [{name: value for name, value in run.data.metrics.items() if "USD" in name} for run in runs]
    assert costs and all(
        cost["cost/USD"] == pytest.approx(sum(value for name, value in cost.items() if name != "cost/USD"))
        for cost in costs
    )
    spent = whole["spent"]
    assert spent["tokens"]["responses"] <= whole["counts"]["sample"]
    assert spent["cost"] == pytest.approx(
        (
            spent["tokens"]["prompt"]
            + spent["tokens"]["read"]
            + 10 * spent["tokens"]["sampled"]
            + 100 * spent["tokens"]["trained"]
        )
        / 1e6
    )


def test_half_of_the_budget_stops_the_job_and_a_higher_one_goes_on(
    options: list[str], whole: dict[str, Any], skyrl: SkyRL, tmp_path: Path
) -> None:
    needed, before = whole["spent"]["cost"], counts(skyrl)
    with in_home(tmp_path) as maft:
        stopped = maft("run", *options, f"--set=engine.budget={needed / 2}", status=2)
        assert "engine.budget is" in stopped.stderr and "all that was made is kept" in stopped.stderr
        half = {kind: number - before[kind] for kind, number in counts(skyrl).items()}
        assert 0 < half["sample"] < whole["counts"]["sample"]
        report = maft.json("run", *options, f"--set=engine.budget={2 * needed}")
    assert report["cached"] >= 2 and report["spent"]["cost"] == pytest.approx(needed)
    made = {kind: number - before[kind] for kind, number in counts(skyrl).items()}
    assert made == whole["counts"]


def test_a_hosted_society_is_asked_continued_and_previewed(
    maft: Maft, options: list[str], whole: dict[str, Any]
) -> None:
    question = "What is the result of 12+7*3+10-5*2?"
    asked = maft.json("ask", question, "--society", "hosted", "--version", "1")
    agents = {f"{role}-{number}" for role in ("generator", "critic") for number in range(AGENTS)}
    assert {turn["agent"] for turn in asked["transcript"]} == agents
    mine = [*options, "--set=iterations=1"]
    report = maft.json("run", *mine, "--set=start_from=candidate")
    assert [one["generation"] for one in report["generations"]] == [2, 3]
    maft("promote", "hosted", "--version", "1")
    assert "from version 1 to the untuned base" in maft("rollback", "hosted").stdout
    preview = maft.json("preview", *mine)
    assert preview["forecast"]["cost"].endswith("USD") and preview["forecast"]["trained_tokens"] > 0
