"""The type of a base's numbers and the variables of its chat template follow a society through all commands.

Run: pytest tests/flows/test_base_settings.py
"""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from agents.engines.base_model import Base
from infra.cli.asking import ask_society
from infra.lineage.societies import find_society
from tests.agents import other_bases
from tests.conftest import SMALL, Maft

SOCIETY = "typed"
SETTINGS = ["runner.dtype=bfloat16", "chat_template.mood=cheerful"]
QUESTION = "What is the result of 12+7*3+10-5*2?"


def assignments(*settings: str) -> list[str]:
    return [part for each in settings for part in ("--set", each)]


@pytest.fixture(scope="module")
def base(brief_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The brief base with a chat template that reads a variable."""
    folder = other_bases.copied(tmp_path_factory.mktemp("base") / "base", brief_folder)
    template = folder / "chat_template.jinja"
    template.write_text("{% if mood is defined %}{{ mood }}{% endif %}" + template.read_text("utf-8"), "utf-8")
    return folder


@pytest.fixture(scope="module")
def job(base: Path, brief_problems: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    given = [f"society={SOCIETY}", "iterations=1", f"base_model={base}", f"problems.train={brief_problems}"]
    return [*SMALL, *assignments(*given), "--home", str(tmp_path_factory.mktemp("home"))]


@pytest.fixture(scope="module")
def report(maft: Maft, job: list[str]) -> dict:
    return maft.json("run", *job, *assignments(*SETTINGS))


@pytest.fixture
def registered(maft: Maft, report: dict, monkeypatch: pytest.MonkeyPatch) -> Base:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    found = find_society(SOCIETY, "1")
    assert found is not None
    return found.bases.of(0)


def test_they_are_registered(report: dict, registered: Base, base: Path) -> None:
    assert (registered.name, registered.dtype, registered.chat_template) == (
        str(base),
        "bfloat16",
        (("mood", "cheerful"),),
    )
    run = MlflowClient().get_run(report["mlflow"]["run_id"])
    assert (run.data.params["runner.dtype"], run.data.params["chat_template.mood"]) == ("bfloat16", "cheerful")
    config = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/config.json"))
    assert (config["runner"], config["chat_template"]) == ({"dtype": "bfloat16"}, {"mood": "cheerful"})


def test_the_registered_society_is_asked_with_them(
    registered: Base, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    said = ask_society(SOCIETY, "1", QUESTION, 7)
    assert said["transcript"]
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{SOCIETY}/1", dst_path=str(tmp_path)))
    card = json.loads((folder / "artifacts" / "society" / "society.json").read_text("utf-8"))
    (own,) = card["bases"]["each"]
    assert (own["dtype"], own["chat_template"]) == ("bfloat16", [["mood", "cheerful"]])
    monkeypatch.setattr(sys, "path", [*sys.path])
    loaded: Any = mlflow.pyfunc.load_model(str(folder)).unwrap_python_model().loaded
    assert str(loaded.model.dtype) == "torch.bfloat16"
    assert loaded.tokenizer.chat_template.startswith('{% set mood = "cheerful" %}')


@pytest.mark.parametrize("generation", ["base", "1"])
def test_an_evaluation_uses_them(maft: Maft, report: dict, job: list[str], generation: str) -> None:
    given = ["--generation", generation, "--set", "size=4", *job[-2:]]
    assert maft.json("evaluate", SOCIETY, *given)["scores"]["problems"] == 4
    refused = maft("evaluate", SOCIETY, *given, "--set", "runner.dtype=float32", status=2)
    assert "runner.dtype is float32, but society 'typed' was made with bfloat16; leave it out" in refused.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (SETTINGS[1:], "runner.dtype is auto, but version 1 of society 'typed' (generation 1) was tuned with bfloat16"),
        (SETTINGS[:1], "chat_template is {}, but version 1 of society 'typed' (generation 1) was tuned with {\"mood\""),
    ],
)
def test_a_job_that_starts_from_it_needs_the_same(
    maft: Maft, report: dict, job: list[str], settings: list[str], told: str
) -> None:
    refused = maft("run", *job, *assignments("start_from=1", *settings), status=2)
    assert told in refused.stderr and "Traceback" not in refused.stderr


def test_a_finished_job_computes_nothing(maft: Maft, report: dict, job: list[str]) -> None:
    again = maft.json("run", *job, *assignments(*SETTINGS))
    assert again["generations"] == report["generations"] and again["mlflow"] == report["mlflow"]
    assert report["cached"] == 0 and again["cached"] > 10
