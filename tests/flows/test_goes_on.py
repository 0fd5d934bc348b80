"""Uses of registered generations: start from them, measure them, ask them, promote them."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.conftest import Maft


@pytest.fixture(scope="module")
def settings(brief: list[str]) -> list[str]:
    return [*brief, "--set", "society=goes-on", "--set", "iterations=1", "--set", "finetune.min_votes=1"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def first(maft: Maft, home: Path, settings: list[str]) -> dict:
    return maft.json("run", *settings, "--home", str(home))


@pytest.fixture(scope="module")
def second(maft: Maft, home: Path, settings: list[str], first: dict) -> dict:
    """A job that makes one more generation from version 1, whose adapters are no longer in the store."""
    shutil.rmtree(home / "artifacts" / "folders")
    return maft.json("run", *settings, "--set", "start_from=1", "--home", str(home))


@pytest.fixture
def client(maft: Maft, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    return MlflowClient()


def test_a_job_goes_on_from_a_generation(client: MlflowClient, first: dict, second: dict) -> None:
    assert [g["generation"] for g in second["generations"]] == [1, 2]
    assert second["mlflow"]["run_id"] != first["mlflow"]["run_id"]
    versions = {v.version: v for v in client.search_model_versions("name = 'goes-on'")}
    assert [versions[v].tags["parent_version"] for v in ("1", "2")] == ["base", "1"]
    for agent in ("generator-0", "critic-1"):
        own = {v.version: v for v in client.search_model_versions(f"name = 'goes-on-{agent}'")}
        assert (own["2"].tags["generation"], own["2"].tags["parent_version"]) == ("2", "1")
    assert client.get_model_version_by_alias("goes-on", "candidate").version == "2"


def test_its_problems_are_fresh(client: MlflowClient, first: dict, second: dict) -> None:
    one, two = (
        {d.dataset.digest for d in client.get_run(job["mlflow"]["run_id"]).inputs.dataset_inputs}
        for job in (first, second)
    )
    assert len(one) == len(two) == 2 and not one & two


def test_the_same_again_is_served_from_cache(maft: Maft, settings: list[str], second: dict, home: Path) -> None:
    again = maft.json("run", *settings, "--set", "start_from=1", "--home", str(home))
    assert again["generations"] == second["generations"]
    assert again["mlflow"] == second["mlflow"] and again["verdict"] == second["verdict"]
    assert again["cached"] > 15


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("start_from=99", "maft: there is no version 99, but society 'goes-on' has version"),
        ("agents=3", "agents is 3, but version 1 of society 'goes-on' (generation 1) has 2 generation agents"),
    ],
)
def test_what_does_not_fit_is_refused(
    maft: Maft, settings: list[str], second: dict, home: Path, setting: str, says: str
) -> None:
    refused = maft("run", *settings, "--set", "start_from=1", "--set", setting, "--home", str(home), status=2)
    assert says in refused.stderr


def test_any_generation_is_measured_on_any_problems(
    maft: Maft, client: MlflowClient, second: dict, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "sums.jsonl"
    rows = [{"question": f"What is the result of 3+4*5+{n}-6*7?", "answer": str(3 + 20 + n - 42)} for n in range(1, 7)]
    file.write_text("\n".join(map(json.dumps, rows)))
    command = ["evaluate", "goes-on", "--generation", "1", "--problems", str(file), "--home", str(home)]
    measured = maft.cold.json(*command)
    scores = measured["scores"]
    assert (scores["generation"], scores["problems"], len(scores["rounds"])) == (1, 6, 2)
    assert maft.json(*command) == measured, "a second measurement uses the same run and computes nothing"
    run = client.get_run(measured["mlflow"]["run_id"])
    assert run.data.metrics["accuracy/society"] == scores["accuracy"]
    assert run.data.tags["maft.kind"] == "evaluation" and run.info.status == "FINISHED"
    assert len(client.search_model_versions("name = 'goes-on'")) == 2
    assert maft.json("compare", "goes-on", "--home", str(home))["mlflow"]["run_id"] == second["mlflow"]["run_id"]
    missing = maft("evaluate", "goes-on", "--generation", "7", "--home", str(home), status=2)
    assert missing.stderr.splitlines()[-1].startswith("maft: there is no version 7, but society 'goes-on' has version")
    assert "Traceback" not in missing.stderr, "the command refuses before it starts a flow run"
    unknown = maft("evaluate", "goes-on", "--problems", "none.jsonl", "--home", str(home), status=2)
    assert "none.jsonl" in unknown.stderr


def test_promote_rollback_ask_and_status(maft: Maft, client: MlflowClient, second: dict, home: Path) -> None:
    at = ["--home", str(home)]
    before = maft.json("status", "--society", "goes-on", *at)["champion"]
    refused = maft("promote", "goes-on", "--version", "9", *at, status=2)
    assert "9" in refused.stderr
    moved = maft.cold.json("promote", "goes-on", "--version", "2", "--why", "a test", *at)
    assert (moved["target"], moved["why"]) == ("2", "a test")
    assert client.get_model_version_by_alias("goes-on-critic-0", "champion").version == "2"
    assert maft.json("status", "--society", "goes-on", *at)["champion"]["version"] == "2"
    assert "version 2" in maft("status", "--society", "goes-on", *at).stdout
    answer = maft.cold.json("ask", "What is the result of 3+4*5+6-7*8?", "--society", "goes-on", *at)
    assert answer["version"] == "2" and sum(answer["votes"].values()) <= 2 and len(answer["transcript"]) == 4
    shown = maft("ask", "What is the result of 3+4*5+6-7*8?", "--society", "goes-on", *at).stdout
    assert "critic-1" in shown and max(map(len, shown.splitlines())) <= 80
    maft("rollback", "goes-on", *at)
    assert maft.json("status", "--society", "goes-on", *at)["champion"] == before


def test_generations_of_the_same_number_are_told_apart_by_their_versions(
    maft: Maft, settings: list[str], second: dict, home: Path
) -> None:
    maft("promote", "goes-on", "--version", "1", "--home", str(home))
    another = maft.json("run", *settings, "--set", "seed=2", "--home", str(home))
    assert "generation 1 (version 3) " in another["verdict"]["text"]
    assert " generation 1 (version 1): " in another["verdict"]["text"]
