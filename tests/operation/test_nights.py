"""Nightly runs on a real job, started by Prefect's scheduler: their start, generation and promotion; one is killed."""

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient
from operating import ENDED, Operated, wait_for

from infra.lineage import champion
from infra.lineage.societies import SocietyVersion, find_society, list_societies
from infra.operation import processes
from infra.operation.servers import WORKER

SOCIETY = "nights"


@pytest.fixture(scope="module")
def small(brief_folder: Path, brief_problems: Path) -> dict[str, Any]:
    return {
        "society": SOCIETY,
        "start_from": "champion",
        "iterations": 1,
        "agents": 2,
        "base_model": str(brief_folder),
        "problems": {"train": str(brief_problems), "train_size": 10, "evaluation_size": 24},
        "finetune": {"epochs": 1, "min_votes": 1},
        "promotion": {"keep": 2},
    }


@pytest.fixture(autouse=True)
def tracking(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", operated.tracking_uri)


def due(operated: Operated, config: dict[str, Any]) -> str:
    """Give `nightly` a schedule with one time a few seconds ahead; return the id of the run that starts then."""
    with operated.api as api:
        deployment = api.get("/deployments/name/nightly/nightly").json()["id"]
        for ahead in (8, 30, 120):  # A busy scheduler may miss a time that is too near.
            at = datetime.now(UTC) + timedelta(seconds=ahead)
            slot = {
                "schedule": {"interval": 10 * 24 * 3600, "anchor_date": at.isoformat(), "timezone": "UTC"},
                "active": True,
                "parameters": {"config": config},
                "slug": f"night-{at.timestamp():.0f}",
            }
            made = api.post(f"/deployments/{deployment}/schedules", json=[slot]).json()[0]["id"]
            run = scheduled(api, deployment, made, at)
            if run:
                wait_for(lambda found=run: operated.run(found)["start_time"], "start of the night")
            api.delete(f"/deployments/{deployment}/schedules/{made}")
            if run:
                return run
    raise AssertionError("no run of the schedule")


def scheduled(api: httpx.Client, deployment: str, schedule: str, at: datetime) -> str | None:
    """The id of the run that this schedule has at this time; None if there is none when the time comes."""
    wanted = {
        "deployments": {"id": {"any_": [deployment]}},
        "flow_runs": {"expected_start_time": {"before_": (at + timedelta(minutes=1)).isoformat()}},
        "sort": "EXPECTED_START_TIME_DESC",
    }
    late = False
    while True:
        runs = api.post("/flow_runs/filter", json=wanted).json()
        # A run that a person started has no `created_by`.
        run = next((str(r["id"]) for r in runs if (r["created_by"] or {}).get("id") == schedule), None)
        if run or late:
            return run
        late = datetime.now(UTC) > at + timedelta(seconds=5)
        time.sleep(0.2)


def by_hand(operated: Operated, config: dict[str, Any]) -> str:
    """Start `nightly` from its form; return the id of the run."""
    with operated.api as api:
        deployment = api.get("/deployments/name/nightly/nightly").json()["id"]
        wanted = {"parameters": {"config": config}}
        return str(api.post(f"/deployments/{deployment}/create_flow_run", json=wanted).json()["id"])


def night(operated: Operated, run: str) -> SocietyVersion:
    """Wait until a night ends; return the generation that it made."""
    state = operated.until(run, *ENDED)["state"]
    assert state["type"] == "COMPLETED", state
    found = find_society(SOCIETY, "candidate")
    assert found is not None
    return found


def tags(version: SocietyVersion) -> dict[str, str]:
    return MlflowClient().get_model_version(SOCIETY, version.version).tags


@pytest.fixture(scope="module")
def nights(operated: Operated, small: dict[str, Any]) -> list[tuple[SocietyVersion, SocietyVersion | None]]:
    """The generations of three nights in a row, each with the champion before that night."""
    operated.operate()  # Other tests may have removed the webhook.
    # What V2 of Prefect's interface writes into a schedule that somebody moves; the rest is the deployment's.
    moved: dict[str, Any] = {"debate": None, "finetune": None, "promotion": None, "base_models": None}
    with operated.api as api:
        deployment = api.get("/deployments/name/nightly/nightly").json()
        api.patch(f"/deployments/{deployment['id']}", json={"parameters": {"config": small}}).raise_for_status()
    made: list[tuple[SocietyVersion, SocietyVersion | None]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", operated.tracking_uri)
        for config in (small, moved, small):
            before = champion.champion(SOCIETY)
            run = due(operated, config)
            made.append((night(operated, run), before))
            assert {key: operated.run(run)["parameters"]["config"][key] for key in small} == small
            if champion.champion(SOCIETY) is None:
                champion.promote(SOCIETY, "1", who="a test", why="so that there is a champion")
    with operated.api as api:
        before_this = {"parameters": deployment["parameters"]}
        api.patch(f"/deployments/{deployment['id']}", json=before_this).raise_for_status()
    return made


def test_three_nights_in_a_row(nights: list[tuple[SocietyVersion, SocietyVersion | None]]) -> None:
    assert [version.generation for version, _ in nights] == [1, 2, 3]
    assert nights[1][1] is not None
    for version, best in nights:
        assert tags(version)["parent_version"] == (best.version if best else "base")
        assert tags(version)["gate.champion"] == tags(version)["parent_version"]


def test_a_bad_night_is_not_promoted_nor_joined_by_another(
    operated: Operated, small: dict[str, Any], nights: list[Any]
) -> None:
    before = champion.champion(SOCIETY)
    run = due(operated, {**small, "finetune": {**small["finetune"], "learning_rate": 1.0, "epochs": 4}})
    second = operated.until(by_hand(operated, small), *ENDED)["state"]
    assert second["type"] == "CANCELLED"
    at_work = f"another run of society {SOCIETY!r} is at work: {SOCIETY} · nightly"
    assert second["message"].startswith(at_work) and second["message"].endswith(operated.page(run))
    bad = night(operated, run)
    assert before is not None and champion.champion(SOCIETY) == before
    assert bad.generation == 4
    assert (tags(bad)["verdict"], tags(bad)["gate.champion"]) == ("loss", before.version)
    wait_for(lambda: [told for told in operated.heard if "regress" in str(told)], "notice of the regression")


def test_a_killed_night_ends_completed_and_registers_nothing_twice(
    operated: Operated, small: dict[str, Any], nights: list[Any]
) -> None:
    # If a run is scheduled and started within minutes, Prefect misses its first event, and then holds the other events
    # back for 15 minutes, in case they came too early. So the schedule does not start this run.
    run = by_hand(operated, small)
    wait_for(lambda: [t for t in operated.inside(run) if "finetune" in t["name"]], "finetuning at night")
    record = processes.read_records(operated.home)[WORKER]
    for process in processes.members(operated.home, WORKER, record):
        if process.pid != record.pid:
            os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: operated.run(run)["run_count"] == 2, "second start")
    assert operated.until(run, *ENDED)["state"]["type"] == "COMPLETED"
    generations = [version.generation for version in list_societies(SOCIETY)]
    assert generations == list(range(1, len(generations) + 1))
    for agent in nights[0][0].agent_versions:
        versions = MlflowClient().search_model_versions(f"name = '{SOCIETY}-{agent}'")
        assert sorted(int(version.tags["generation"]) for version in versions) == generations


def test_the_problems_of_every_night_are_fresh(nights: list[Any]) -> None:
    seen = [
        {data.dataset.digest for data in MlflowClient().get_run(v.run_id).inputs.dataset_inputs}
        for v in list_societies(SOCIETY)
    ]
    assert len(set().union(*seen)) == sum(map(len, seen))


def test_old_generations_keep_their_records_only(operated: Operated, nights: list[Any]) -> None:
    versions = list_societies(SOCIETY)
    best = champion.champion(SOCIETY)
    kept = {version.version for version in versions[-2:]} | {best.version if best else ""}
    for version in versions:
        assert version.pruned == (version.version not in kept)
        assert bool(MlflowClient().list_logged_model_artifacts(version.model_id)) == (not version.pruned)
    with operated.api as api:
        wanted = {"artifacts": {"key": {"any_": [f"{SOCIETY}-nights"]}}, "sort": "CREATED_DESC"}
        page = api.post("/artifacts/filter", json=wanted).json()[0]["data"]
    assert page.count("\n| [") == len(versions) + 1, "the generations and the night that was skipped"
    assert "started 2 times" in page and "skipped: another run of society" in page


def test_a_tag_finds_the_nights_of_a_society(operated: Operated, nights: list[Any]) -> None:
    with operated.api as api:
        wanted = {"flow_runs": {"tags": {"all_": [f"society:{SOCIETY}", "generation:2"]}}}
        runs = api.post("/flow_runs/filter", json=wanted).json()
    assert [run["name"] for run in runs] == [f"{SOCIETY} · nightly · generation 2"]
