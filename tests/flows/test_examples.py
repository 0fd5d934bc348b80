"""The examples for tasks other than mathematics, as whole small jobs on a base model that is trained here."""

import json
import runpy
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from evaluation.problems.files import read_problems
from evaluation.problems.problem import check_references
from infra.config.file import load
from infra.config.job import Config
from tests.command import ROOT
from tests.conftest import Maft

EXAMPLES = ROOT / "docs" / "examples"
ASKED = {
    "tickets": "Hello, my parcel is late. Thanks.",
    "orders": "Please send 3 mugs to Lyon by Friday.",
}


@pytest.fixture(scope="module")
def sentences() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / "sentences.py"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One base model for both examples."""
    folder = tmp_path_factory.mktemp("examples") / "base"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        runpy.run_path(str(EXAMPLES / "make_base.py"))["make"](folder)
        del sys.modules["sentences"]
    return folder


@pytest.mark.parametrize("name", ["tickets", "orders"])
def test_the_file_is_what_the_script_writes_and_fits_the_config(
    sentences: dict[str, Any], tmp_path: Path, name: str
) -> None:
    file = EXAMPLES / name / f"{name}.jsonl"
    sentences["write"](tmp_path / "again.jsonl", sentences["problems"](sentences[name.removesuffix("s")]))
    assert (tmp_path / "again.jsonl").read_bytes() == file.read_bytes()
    problems = read_problems(str(file))
    assert len(problems) == 120
    config = load(Config, EXAMPLES / name / f"{name}.yaml", [])
    assert ROOT / config.problems.train == file
    check_references(problems, config.answers)


def test_what_the_pages_of_the_examples_say_is_one_answer() -> None:
    tickets = load(Config, EXAMPLES / "tickets" / "tickets.yaml", []).answers
    for text in ("Answer: Billing", "**billing**.", "It is about billing."):
        assert tickets.extract(text) == "billing"
    assert tickets.extract("Answer: billing or delivery") is None
    orders = load(Config, EXAMPLES / "orders" / "orders.yaml", []).answers
    found = orders.extract('The order:\n{"city": "Lyon", "quantity": 3, "item": "mug"}\nAs JSON.')
    assert orders.equivalent(found, '{"item":"mug","quantity":3,"city":"Lyon"}')
    assert orders.extract('{"item": "mug", "quantity": "three", "city": "Lyon"}') is None


def test_the_base_reads_no_problem(sentences: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        script = runpy.run_path(str(EXAMPLES / "make_base.py"))
        del sys.modules["sentences"]
    read = "\n".join(turn.content for turns in islice(script["conversations"](1), 500) for turn in turns)
    problems = [*sentences["problems"](sentences["ticket"]), *sentences["problems"](sentences["order"])]
    assert len(problems) == 240 and not [each.question for each in problems if each.question in read]


@pytest.mark.parametrize("name", ["tickets", "orders"])
def test_an_example_as_a_whole_job(
    maft: Maft, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home, config = ["--home", str(tmp_path / "home")], str(EXAMPLES / name / f"{name}.yaml")
    sizes = ["problems.train_size=20", "problems.evaluation_size=24", "agents=2", f"base_model={base}"]
    job = [config, *(part for size in sizes for part in ("--set", size)), *home]
    report = maft.json("run", *job)
    untuned, tuned = report["generations"]
    assert untuned["accuracy"] > 0 and untuned["unanswered_share"] < 0.5
    assert tuned["trained_tokens"] > 0 and tuned["kept_labels"] + tuned["dropped_labels"] == 20
    shown = [f"{100 * each['accuracy']:.1f}" for each in (untuned, tuned)]
    table = maft("compare", name, *home).stdout
    assert all(accuracy in table for accuracy in shown)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    client = MlflowClient()
    job_run = client.get_run(report["mlflow"]["run_id"])
    kind = load(Config, Path(config), []).answers.kind
    assert job_run.data.params["answers.kind"] == kind != "math"
    runs = client.search_runs([job_run.info.experiment_id], "tags.`maft.kind` = 'generation'")
    pages = {run.data.params["generation"]: run.data.tags["mlflow.note.content"] for run in runs}
    assert all(accuracy in pages[str(number)] for number, accuracy in enumerate(shown))
    assert client.get_model_version(f"{name}-critic-0", "1").tags["generation"] == "1"

    asked = maft.json("ask", ASKED[name], "--society", name, "--version", "1", *home)
    with pytest.MonkeyPatch.context() as patch:
        # Loading a model puts its copy of the code on the path and leaves it there.
        patch.setattr(sys, "path", [*sys.path])
        served = mlflow.pyfunc.load_model(f"models:/{name}/1")
        (row,) = served.predict([ASKED[name]]).to_dict("records")
    assert row == {field: asked[field] for field in row}
    assert row["answer"] is not None and fits(name, row["answer"])


def fits(name: str, answer: str) -> bool:
    """Whether an answer has the form that the example asks for."""
    if name == "tickets":
        return answer in ("billing", "delivery", "account", "other")
    return set(json.loads(answer)) == {"item", "quantity", "city"}
