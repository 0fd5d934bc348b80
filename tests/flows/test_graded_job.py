"""A whole job with a grader of one's own, for which numbers with as many digits are equal: every part of maft uses it.

The base model answers 1 or 2. The references are 7, which every answer equals for this grader, and 10, which none does.
For the default grader, no answer would be right, and 1 and 2 would be two answers.
"""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from evaluation.answers.grader import Grader, grader_of
from evaluation.answers.kinds.math import MATH
from evaluation.benchmark.debates import Held, worth_reading
from evaluation.benchmark.results import changes, problem_values
from evaluation.problems.problem import Problem
from tests.command import ROOT
from tests.conftest import Maft, plain_environment

MODULE = "digits_grader"
SOURCE = '''
class Digits:
    """Numbers with as many digits are equal."""

    def extract(self, text):
        return "".join(character for character in text if character.isdigit()) or None

    def equivalent(self, a, b):
        return len(a) == len(b)

    def fault(self, reference):
        return None if reference.isdigit() else "it is no whole number"
'''
ANSWERS = {"kind": "custom", "grader": f"{MODULE}:Digits"}
QUESTIONS = [f"Is card {n} marked 1 or 2?" for n in range(8)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("grader")
    (made / f"{MODULE}.py").write_text(SOURCE, "utf-8")
    rows = [{"question": f"Is card {n} marked 1 or 2?", "answer": (7, 7, 10)[n % 3]} for n in range(24)]
    (made / "problems.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def options(folder: Path) -> list[str]:
    settings = [
        "society=digits",
        "iterations=1",
        f"problems.train={folder / 'problems.jsonl'}",
        f"answers.kind={ANSWERS['kind']}",
        f"answers.grader={ANSWERS['grader']}",
    ]
    return [part for setting in settings for part in ("--set", setting)]


@pytest.fixture(scope="module")
def report(maft: Maft, brief: list[str], folder: Path, home: Path) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))  # The command gets the path of this process.
        return maft.json("run", *brief, *options(folder), "--home", str(home))


@pytest.fixture(scope="module")
def own(folder: Path) -> Grader:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        made = grader_of(ANSWERS)
    assert isinstance(made, Grader)
    return made


def frames(home: Path) -> list[pd.DataFrame]:
    return [pd.read_parquet(path) for path in sorted((home / "artifacts" / "frames").iterdir())]


@pytest.fixture(scope="module")
def held_out(report: dict, home: Path) -> list[Problem]:
    (frame,) = (each for each in frames(home) if [*each] == ["id", "question", "answer"] and len(each) == 8)
    return [Problem(question=row.question, answer=row.answer) for row in frame.itertuples()]


@pytest.fixture(scope="module")
def debate(home: Path, held_out: list[Problem]) -> pd.DataFrame:
    """The debate of one generation on the held-out problems, in which two agents give different answers."""
    rounds = [each for each in frames(home) if "prompt_tokens" in each and len(each) == 16]
    first, last = ([each for each in rounds if set(each["round"]) == {number}] for number in (1, 2))
    debates = [pd.concat([one, two]) for one, two in zip(first, last, strict=True)]
    return next(each for each in debates if (each.groupby(["problem_id", "round"])["answer"].nunique() > 1).any())


def test_votes_datasets_scores_and_the_gate_use_it(report: dict, held_out: list[Problem]) -> None:
    base, first = report["generations"]
    share = sum(problem.answer == "7" for problem in held_out) / 8
    assert 0 < share < 1
    for generation in (base, first):
        assert generation["accuracy"] == share and generation["consensus"] == 1.0
        assert all(agent["accuracy"] == share for one in generation["rounds"] for agent in one["agents"])
    assert (first["kept_labels"], first["dropped_labels"]) == (10, 0), "no vote was split"
    assert set(first["dataset_sizes"].values()) == {10}, "all responses agree with the consensus"
    assert first["pseudo_label_accuracy"] is not None and 0 < first["pseudo_label_accuracy"] < 1
    comparison = report["verdict"]["comparison"]
    assert (comparison["candidate_accuracy"], comparison["champion_accuracy"]) == (share, share)
    assert (comparison["wins"], comparison["losses"]) == (0, 0)


def test_the_report_of_a_benchmark_uses_it(own: Grader, held_out: list[Problem], debate: pd.DataFrame) -> None:
    expected = {problem.id: float(problem.answer == "7") for problem in held_out}
    assert problem_values(held_out, debate, 1, "debate", grader=own) == (expected, expected)
    counted = changes(held_out, debate, grader=own)
    right = 2 * sum(expected.values())
    assert counted is not None and (counted.right, counted.wrong) == (right, 16 - right)
    assert (counted.corrected, counted.spoiled) == (0, 0)
    shown = worth_reading([Held("debate", 1, 1, held_out, debate, own)])
    assert {each.kind for each in shown} == {"deceived"} and {each.reference for each in shown} == {"10"}
    assert {each.kind for each in worth_reading([Held("debate", 1, 1, held_out, debate, MATH)])} == {
        "deceived",
        "split",
    }


def test_traces_in_mlflow_use_it(maft: Maft, report: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    experiment = MlflowClient().get_experiment_by_name("maft/digits")
    assert experiment is not None
    traces = mlflow.search_traces(locations=[experiment.experiment_id], return_type="list")
    assert traces and {trace.info.tags["maft.kind"] for trace in traces} == {"agreed"}


def one_answer_of_both(answer: dict[str, Any]) -> bool:
    """Whether two agents gave different answers in the last round, which were counted as one."""
    last = [turn["answer"] for turn in answer["transcript"] if turn["round"] == 2]
    assert answer["votes"] == {answer["answer"]: 2} and answer["consensus"] == 1.0
    return len(set(last)) == 2


ELSEWHERE = f"""
import importlib.util, json, sys
assert importlib.util.find_spec({MODULE!r}) is None, sys.path
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1], model_config={{"device": "cpu"}})
rows = model.predict(json.loads(sys.argv[2]), params={{"seed": 1}}).to_dict("records")
print(json.dumps({{"code": sys.modules[{MODULE!r}].__file__, "rows": rows}}))
"""


def test_the_served_model_uses_it_without_its_folder_on_the_path(maft: Maft, report: dict, tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-S", "-c", ELSEWHERE, "models:/digits/1", json.dumps(QUESTIONS)],
        env={**maft.environment, "PYTHONPATH": sysconfig.get_paths()["purelib"], "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout.splitlines()[-1])
    assert Path(found["code"]).parent.name == "code"
    differ = [one_answer_of_both(row) for row in found["rows"]]
    assert any(differ), "some agents must differ for this to show"


def test_asking_uses_it(maft: Maft, report: dict, home: Path) -> None:
    asked = maft.json("ask", QUESTIONS[0], "--society", "digits", "--version", "1", "--home", str(home))
    one_answer_of_both(asked)


KEY = f"""
from agents import steps
from agents.engines.base_model import Base, Bases
from agents.engines.transformers import TransformersSettings
from agents.run import Run
from evaluation.answers.grader import grader_of
from infra.home.cache import cache_key
bases = Bases(each=(Base(name="a-base", sha256="0" * 64),))
run = Run(steps=steps, bases=bases, engine=TransformersSettings(), store=None, answers=grader_of({ANSWERS}))
print(cache_key("generate", {{"run": run}}, modules={{"agents.debate.generate"}}))
"""


def test_an_edit_of_its_code_makes_tasks_run_again(tmp_path: Path) -> None:
    file = tmp_path / f"{MODULE}.py"

    def key(source: str) -> str:
        file.write_text(source, "utf-8")
        environment = {**plain_environment(), "PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", KEY]
        process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stderr
        return process.stdout

    before = key(SOURCE)
    assert key(f"{SOURCE}\n# A remark.\n") == before
    assert key(SOURCE.replace("len(a) == len(b)", "len(a) >= len(b)")) != before
