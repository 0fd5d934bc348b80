"""A whole job, run by the command with real servers: its output, its records in MLflow, and its cache."""

import runpy
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from peft import PeftModel

from agents.engines import base_model
from infra.config.job import Config
from tests.command import ROOT
from tests.conftest import SMALL, Maft

AGENTS = ["generator-0", "generator-1", "critic-0", "critic-1"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def job(home: Path, brief: list[str]) -> list[str]:
    return [
        *brief,
        "--set",
        "society=whole",
        "--set",
        "iterations=2",
        "--set",
        "finetune.min_votes=1",
        "--home",
        str(home),
    ]


@pytest.fixture(scope="module")
def report(maft: Maft, job: list[str]) -> dict:
    return maft.cold.json("run", *job)


@pytest.fixture
def client(maft: Maft, report: dict, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    # `mlflow.set_tracking_uri` would also change the server for all later tests.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    return MlflowClient()


def test_the_report_has_everything(report: dict, home: Path, maft: Maft) -> None:
    assert (report["society"], report["seed"], report["home"]) == ("whole", 1, str(home))
    assert report["config"]["agents"] == 2
    assert report["mlflow"]["tracking_uri"] == maft.environment["MLFLOW_TRACKING_URI"]
    assert report["prefect"]["flow_run_id"]
    assert [g["generation"] for g in report["generations"]] == [0, 1, 2]
    for generation in report["generations"]:
        assert [r["round"] for r in generation["rounds"]] == [1, 2]
        assert [a["role"] for r in generation["rounds"] for a in r["agents"]] == ["generator"] * 2 + ["critic"] * 2
        assert 0 <= generation["accuracy"] <= 1 and generation["problems"] == 8
        assert generation["accuracy"] == generation["rounds"][-1]["majority_accuracy"]
        assert generation["sampled_tokens"] > 0
    base, first, _ = report["generations"]
    assert base["trained_tokens"] == 0 and base["pseudo_label_accuracy"] is None
    assert first["trained_tokens"] > 0 and set(first["dataset_sizes"]) == set(AGENTS)
    assert first["kept_labels"] + first["dropped_labels"] == 10


def test_algorithm_1_without_a_server_has_the_same_numbers(report: dict, tmp_path: Path) -> None:
    """Runs `docs/examples/algorithm1.py` with the settings of the job."""
    example = runpy.run_path(str(ROOT / "docs" / "examples" / "algorithm1.py"))
    config = Config.model_validate({**report["config"], "runner": {"device": "cpu"}})
    generations = [scores.model_dump(mode="json") for scores in example["main"](config, tmp_path)]
    for made, printed in zip(generations, report["generations"][:2], strict=True):
        assert {**made, "seconds": None} == {**printed, "seconds": None}


def test_a_finished_job_samples_and_trains_nothing(maft: Maft, job: list[str], report: dict, home: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (home / "artifacts").rglob("*") if path.is_file()}
    again = maft.json("run", *job)
    assert again["generations"] == report["generations"]
    assert again["mlflow"] == report["mlflow"]
    assert again["cached"] > 25 and report["cached"] == 0
    after = {path: path.stat().st_mtime_ns for path in (home / "artifacts").rglob("*") if path.is_file()}
    assert after == before


def test_compare_reads_from_mlflow_what_run_printed(maft: Maft, report: dict, home: Path) -> None:
    compared = maft.json("compare", "whole", "--home", str(home))
    assert compared["generations"] == report["generations"]
    table = maft.cold("compare", "whole", "--home", str(home)).stdout
    assert f"{100 * report['generations'][2]['accuracy']:.1f}" in table
    assert max(map(len, table.splitlines())) <= 80


def test_the_registry_holds_every_agent_of_every_generation(client: MlflowClient, report: dict) -> None:
    names = sorted(m.name for m in client.search_registered_models("name LIKE 'whole-%'"))
    assert names == sorted(f"whole-{agent}" for agent in AGENTS)
    for name in names:
        versions = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda v: int(v.version))
        assert [v.tags["generation"] for v in versions] == ["1", "2"]
        assert [v.tags["parent_version"] for v in versions] == ["base", versions[0].version]
        for version in versions:
            agent = name.removeprefix("whole-")
            generation = report["generations"][int(version.tags["generation"])]
            logged = client.get_logged_model(str(version.source).removeprefix("models:/"))
            accuracies = {m.value for m in logged.metrics or [] if m.key.endswith("accuracy")}
            printed = next(
                a["accuracy"] for r in generation["rounds"] for a in r["agents"] if f"{a['role']}-{a['index']}" == agent
            )
            assert printed in accuracies


def test_an_adapter_of_the_registry_loads_with_plain_peft(
    client: MlflowClient, brief_folder: Path, tmp_path: Path
) -> None:
    folder = mlflow.artifacts.download_artifacts("models:/whole-generator-0/2", dst_path=str(tmp_path))
    model, _ = base_model.load(str(brief_folder), "cpu")
    tuned = PeftModel.from_pretrained(model, folder)
    assert tuned.peft_config["default"].r == 16
    assert not [path for path in Path(folder).rglob("*") if path.suffix in {".bin", ".pt", ".pkl", ".pth"}]


def test_training_and_evaluation_problems_never_overlap(report: dict, home: Path) -> None:
    frames = [pd.read_parquet(path) for path in (home / "artifacts" / "frames").iterdir()]
    problems = [set(frame["question"]) for frame in frames if list(frame.columns) == ["id", "question", "answer"]]
    assert sorted(map(len, problems)) == [8, 10]
    assert not problems[0] & problems[1]


def test_the_pictures_are_drawn_and_logged(client: MlflowClient, report: dict, home: Path) -> None:
    pictures = sorted((home / "pictures").glob("whole-*.png"))
    assert [path.stem.endswith("-agents") for path in pictures] == [True, False]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    logged = client.list_artifacts(report["mlflow"]["run_id"], "pictures")
    assert sorted(Path(file.path).name for file in logged) == sorted(path.name for path in pictures)


@pytest.mark.parametrize(
    "shape",
    [
        ["debate.rounds=1"],
        ["debate.rounds=3", "debate.summarize=false", "finetune.method=dpo"],
        ["agents=1", "finetune.min_votes=1"],
    ],
)
def test_other_shapes_of_society(maft: Maft, brief: list[str], tmp_path: Path, shape: list[str]) -> None:
    settings = [part for value in shape for part in ("--set", value)]
    report = maft.json(
        "run", *brief, "--set", "society=shape", "--set", "iterations=1", *settings, "--home", str(tmp_path)
    )
    config, last = report["config"], report["generations"][-1]
    assert len(last["rounds"]) == config["debate"]["rounds"]
    assert all(len(r["agents"]) == config["agents"] for r in last["rounds"])
    if config["debate"]["rounds"] == 1:
        assert set(last["unchanged"]) >= {"critic-0", "critic-1"}


def test_a_society_without_consensus_ends_cleanly_and_says_so(maft: Maft, brief: list[str], tmp_path: Path) -> None:
    """Responses have only two tokens and so no answer, and no agent votes."""
    settings = ["--set", "society=silent", "--set", "iterations=1", "--set", "sampling.max_new_tokens=2"]
    report = maft.json("run", *brief, *settings, "--home", str(tmp_path))
    last = report["generations"][-1]
    assert last["unchanged"] == AGENTS
    assert last["accuracy"] == 0.0 and last["kept_labels"] == 0 and last["trained_tokens"] == 0
    assert last["pseudo_label_accuracy"] is None


def test_real_gsm8k(maft: Maft, tmp_path: Path, shared_data: Path) -> None:
    settings = [
        "society=gsm",
        f"problems.train={shared_data / 'gsm8k_train_1000.jsonl'}",
        f"problems.evaluation={shared_data / 'gsm8k_test.jsonl'}",
        "sampling.max_new_tokens=40",
        "iterations=1",
    ]
    options = [part for value in settings for part in ("--set", value)]
    report = maft.json("run", *SMALL, *options, "--home", str(tmp_path))
    assert [g["problems"] for g in report["generations"]] == [8, 8]
    assert all(g["accuracy"] < 0.5 for g in report["generations"]), "the embedded model cannot do word problems"
