"""`maft nightly`: a society of a job file improves every night, at another time, with another config, no longer."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from operating import ENDED, TIMEZONE, Operated, wait_for

from infra.lineage.societies import find_society
from infra.operation import deployments
from infra.operation.deployments import SHARED
from infra.operation.nightly import due_nights
from tests.conftest import ROOT, Maft

SOCIETY = "owls"
NAME = f"nightly-{SOCIETY}"


@pytest.fixture(scope="module")
def command(operated: Operated) -> Maft:
    return Maft({**operated.environment, "MAFT_HOME": str(operated.home.path)}, forked=True)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, brief_folder: Path, brief_problems: Path) -> str:
    """A job file whose paths are relative to the folder in which the command is called."""
    file = tmp_path_factory.mktemp("jobs") / "night.yaml"
    file.write_text(f"""
society: {SOCIETY}
base_model: {os.path.relpath(brief_folder, ROOT)}
agents: 2
problems:
  train: {os.path.relpath(brief_problems, ROOT)}
  train_size: 10
  evaluation_size: 8
finetune: {{epochs: 1, min_votes: 1}}
engine:
""")
    return str(file)


@pytest.fixture(scope="module")
def wanted(brief_folder: Path, brief_problems: Path) -> dict[str, Any]:
    """The config of the nights: that of the file with absolute paths, and one iteration from the champion."""
    return {
        "society": SOCIETY,
        "start_from": "champion",
        "iterations": 1,
        "base_model": str(brief_folder),
        "agents": 2,
        "problems": {"train": str(brief_problems), "train_size": 10, "evaluation_size": 8},
        "finetune": {"epochs": 1, "min_votes": 1},
        "engine": {},
    }


def deployed(operated: Operated) -> dict[str, dict[str, Any]]:
    """The deployments of the flow `nightly`, by name."""
    with operated.api as api:
        query = {"flows": {"name": {"any_": ["nightly"]}}}
        return {each["name"]: each for each in api.post("/deployments/filter", json=query).json()}


def cron(deployment: dict[str, Any]) -> tuple[str, str]:
    (schedule,) = deployment["schedules"]
    assert schedule["active"]
    return schedule["schedule"]["cron"], schedule["schedule"]["timezone"]


@pytest.fixture(scope="module")
def scheduled(command: Maft, job: str) -> dict[str, Any]:
    return command.json("nightly", job)


def test_the_society_has_a_deployment_like_nightly(
    operated: Operated, scheduled: dict[str, Any], wanted: dict[str, Any]
) -> None:
    found = deployed(operated)
    own, theirs = found[NAME], found["nightly"]
    assert own["parameters"] == {"config": wanted} == {"config": scheduled["config"]}
    assert cron(own) == ("0 2 * * *", TIMEZONE)
    assert {field: own[field] for field in SHARED} == {field: theirs[field] for field in SHARED}
    assert own["enforce_parameter_schema"] and own["tags"] == ["maft", f"society:{SOCIETY}"]
    assert str(ROOT) not in str({**own, "parameters": None})
    assert (scheduled["deployment"], scheduled["deployment_id"]) == (NAME, own["id"])
    assert scheduled["start"] == "base" and scheduled["url"].endswith(own["id"])


def test_a_night_makes_a_generation_and_the_page(
    operated: Operated, scheduled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with operated.api as api:
        run = api.post(f"/deployments/{scheduled['deployment_id']}/create_flow_run", json={}).json()["id"]
        ended = operated.until(run, *ENDED)
        assert ended["state"]["type"] == "COMPLETED", ended["state"]
        page = {"artifacts": {"key": {"any_": [f"{SOCIETY}-nights"]}}}
        (artifact,) = api.post("/artifacts/filter", json=page).json()
    assert ended["name"] == f"{SOCIETY} · nightly · generation 1"
    assert artifact["data"].count("\n| [") == 1 and artifact["flow_run_id"] == run
    monkeypatch.setenv("MLFLOW_TRACKING_URI", operated.tracking_uri)
    made = find_society(SOCIETY, "candidate")
    assert made is not None and made.generation == 1


def test_status_and_up_name_the_next_night_of_each_society(
    operated: Operated, command: Maft, scheduled: dict[str, Any]
) -> None:
    with operated.api as api:
        url = str(api.base_url)
    wait_for(lambda: {"arith", SOCIETY} <= {night.society for night in due_nights(url)}, "nights of both")
    nights = {night["society"]: night["at"] for night in reversed(command.json("status")["nightly"])}
    assert nights[SOCIETY][:16] == scheduled["next"][:16] == nights["arith"][:16]
    for name in ("status", "up"):
        assert f"{SOCIETY} {nights[SOCIETY][:16].replace('T', ' ')} UTC" in command(name).stdout


def test_the_same_command_changes_the_nights(
    operated: Operated, command: Maft, job: str, scheduled: dict[str, Any], wanted: dict[str, Any]
) -> None:
    command("nightly", job, "--at", "30 4 * * 1-5")
    assert cron(deployed(operated)[NAME]) == ("30 4 * * 1-5", TIMEZONE)
    said = command("nightly", job, "--set", "iterations=2").stdout
    assert f"Society  {SOCIETY}, now from" in said and scheduled["deployment_id"] in said
    changed = deployed(operated)[NAME]
    assert cron(changed) == ("30 4 * * 1-5", TIMEZONE), "a time that is not given stays"
    assert changed["parameters"]["config"] == {**wanted, "iterations": 2}
    assert changed["id"] == scheduled["deployment_id"]


def test_a_new_registration_keeps_it(operated: Operated, scheduled: dict[str, Any]) -> None:
    before = deployed(operated)[NAME]
    with operated.api as api:
        old = {"parameter_openapi_schema": {"type": "object", "properties": {"config": {}}}}
        api.patch(f"/deployments/{before['id']}", json=old)
    (operated.home.prefect / "deployed").unlink()
    assert "deploying" in operated.operate()
    after = deployed(operated)[NAME]
    assert {field: after[field] for field in SHARED} == {field: before[field] for field in SHARED}
    for field in ("id", "parameters", "schedules", "tags", "description"):
        assert str(after[field]) == str(before[field])


def test_a_config_of_another_version_is_told_of(operated: Operated, scheduled: dict[str, Any]) -> None:
    said: list[str] = []
    with operated.api as api:
        path = f"/deployments/{scheduled['deployment_id']}"
        kept = api.get(path).json()["parameters"]
        api.patch(path, json={"enforce_parameter_schema": False, "parameters": {"config": {"agent": 3}}})
        deployments._renew(api, said.append)
        api.patch(path, json={"enforce_parameter_schema": True, "parameters": kept})
    (line,) = said
    assert line.startswith(f"run `maft nightly` again for {NAME}; its config is not right any more") and "agent" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--at", "4:30"], "--at is '4:30', which is not a cron line"),
        (["--at", "0 0 31 2 *"], "--at is '0 0 31 2 *', which is not a cron line of a time that comes"),
        (["--at", "0 4 * * *", "--remove"], "--at is '0 4 * * *', but --remove ends the nights"),
        (["--set", "start_from=base"], "start_from is base, from which every night would start again"),
        (["--set", "problems.train=none.jsonl"], "none.jsonl"),
        (["--set", "base_model=./none"], "base_model: './none' is neither"),
        (["--set", "society=arith"], "society is arith, which the deployment nightly improves every night already"),
        (
            ["--set", "society=unknown", "--remove"],
            f"society is unknown, which has no nights; `maft nightly` has scheduled {SOCIETY}",
        ),
    ],
)
def test_what_is_wrong_is_told_and_changes_nothing(
    operated: Operated, command: Maft, job: str, scheduled: dict[str, Any], options: list[str], said: str
) -> None:
    before = deployed(operated)
    told = command("nightly", job, *options, status=2).stderr
    assert told.count("\n") == 1 and told.startswith("maft: ") and said in told
    assert {name: each["updated"] for name, each in deployed(operated).items()} == {
        name: each["updated"] for name, each in before.items()
    }


def test_a_night_that_would_have_no_key_is_refused(
    operated: Operated, command: Maft, job: str, scheduled: dict[str, Any]
) -> None:
    before, keyed = deployed(operated), replace(command, environment=command.environment | {"OPENAI_API_KEY": "x"})
    server = ["--set", "engine={name: openai, url: http://127.0.0.1:9/v1}"]
    told = keyed("nightly", job, *server, status=2).stderr
    assert "the worker was started without OPENAI_API_KEY, which this shell has" in told
    assert deployed(operated)[NAME]["updated"] == before[NAME]["updated"]


def test_removed_it_leaves_its_records(operated: Operated, command: Maft, job: str, scheduled: dict[str, Any]) -> None:
    assert command.json("nightly", job, "--remove") == {"society": SOCIETY, "removed": NAME}
    assert NAME not in deployed(operated)
    assert SOCIETY not in {night["society"] for night in command.json("status")["nightly"]}
    assert command.json("status", "--society", SOCIETY)["compare"]
