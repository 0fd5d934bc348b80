"""What users do in MLflow's pages: the next job makes again what they deleted, or says in one line what to do."""

from collections.abc import Callable

import pytest
from mlflow import MlflowClient

from tests.conftest import Maft

SOCIETY = "deleted"


@pytest.fixture(scope="module")
def job(brief: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    home = tmp_path_factory.mktemp("home")
    settings = [f"society={SOCIETY}", "iterations=1", "finetune.min_votes=1"]
    return [*brief, *(part for each in settings for part in ("--set", each)), "--home", str(home)]


@pytest.fixture(scope="module")
def report(maft: Maft, job: list[str]) -> dict:
    return maft.json("run", *job)


@pytest.fixture
def client(maft: Maft, report: dict, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    return MlflowClient()


def newest(client: MlflowClient, name: str) -> str:
    return str(client.search_model_versions(f"name = '{name}'", order_by=["version_number DESC"])[0].version)


def rename_and_delete_runs(client: MlflowClient, experiment: str) -> str:
    for run in client.search_runs([experiment]):
        client.update_run(run.info.run_id, name="mine")
        if run.data.tags["maft.kind"] != "job":
            client.delete_run(run.info.run_id)
    return "its run in MLflow was deleted; computing it again"


def delete_job(client: MlflowClient, experiment: str) -> str:
    for run in client.search_runs([experiment], "tags.`maft.kind` = 'job'"):
        client.delete_run(run.info.run_id)
    return ""


def delete_versions(client: MlflowClient, experiment: str) -> str:
    for name in (SOCIETY, f"{SOCIETY}-critic-1"):
        client.delete_model_version(name, newest(client, name))
    return f"the version of {SOCIETY} in MLflow was deleted; computing it again"


def delete_models(client: MlflowClient, experiment: str) -> str:
    for name in (SOCIETY, f"{SOCIETY}-generator-0"):
        client.delete_registered_model(name)
    return f"the version of {SOCIETY} in MLflow was deleted; computing it again"


@pytest.mark.parametrize("change", [rename_and_delete_runs, delete_job, delete_versions, delete_models])
def test_the_same_job_goes_on(
    maft: Maft, client: MlflowClient, job: list[str], report: dict, change: Callable[[MlflowClient, str], str]
) -> None:
    experiment = report["mlflow"]["experiment_id"]
    says = change(client, experiment)
    again = maft("run", *job)
    assert says in again.stderr and "Traceback" not in again.stderr
    compared = maft.json("compare", SOCIETY, *job[-2:])
    assert compared["generations"] == report["generations"]
    for name in (SOCIETY, *(f"{SOCIETY}-{role}-{n}" for role in ("generator", "critic") for n in (0, 1))):
        version = client.get_model_version(name, newest(client, name))
        assert version.tags["generation"] == "1"
        assert client.get_model_version_by_alias(name, "candidate").version == version.version
    made = client.search_runs([experiment], "tags.`maft.kind` = 'generation'", order_by=["metrics.generation"])
    own = [run for run in made if run.data.tags["mlflow.parentRunId"] == compared["mlflow"]["run_id"]]
    assert [run.data.tags["maft.generation"] for run in own] == ["0", "1"]
    assert own[1].data.metrics["accuracy/society"] == report["generations"][1]["accuracy"]
    assert own[1].data.tags["verdict"] == report["verdict"]["comparison"]["verdict"]
    assert own[1].data.tags["alias"] == "candidate"
    (of_job,) = client.search_runs([experiment], "tags.`maft.kind` = 'job'")
    assert (of_job.info.run_name == "mine") == (change == rename_and_delete_runs), "a name that a user gave stays"


def test_a_deleted_champion_is_named(maft: Maft, client: MlflowClient, job: list[str], report: dict) -> None:
    maft("run", *job, "--set", "seed=2")
    first, last = (found := client.search_model_versions(f"name = '{SOCIETY}'"))[1].version, found[0].version
    maft("promote", SOCIETY, "--version", last, *job[-2:])
    client.delete_model_version(SOCIETY, last)
    refused = maft("run", *job, "--set", "start_from=champion", status=2)
    (line,) = (line for line in refused.stderr.splitlines() if line.startswith("maft: "))
    assert line.startswith(f"maft: version {last}, the champion of society '{SOCIETY}', was deleted from the registry")
    assert f"maft promote {SOCIETY} --version N" in line
    maft("promote", SOCIETY, "--version", str(first), *job[-2:])
    assert maft.json("status", "--society", SOCIETY, *job[-2:])["champion"]["version"] == str(first)
    agent = client.get_model_version_by_alias(f"{SOCIETY}-critic-0", "champion")
    client.delete_model_version(agent.name, agent.version)
    refused = maft("run", *job, "--set", "start_from=champion", status=2)
    assert f"needs version {agent.version} of {agent.name}, which was deleted" in refused.stderr


def test_a_deleted_experiment_is_named(maft: Maft, client: MlflowClient, job: list[str], report: dict) -> None:
    experiment = report["mlflow"]["experiment_id"]
    client.delete_experiment(experiment)
    refused = maft("run", *job, status=2)
    assert f"`mlflow experiments restore --experiment-id {experiment}`" in refused.stderr.splitlines()[-1]
    assert maft.json("status", "--society", SOCIETY, *job[-2:])["compare"] is None
    client.restore_experiment(experiment)
    assert maft.json("run", *job)["mlflow"]["experiment_id"] == experiment
