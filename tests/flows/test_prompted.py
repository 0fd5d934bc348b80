"""A job with the prompts of the manual: agents read them, MLflow has them, and later uses of the society keep them."""

import json
import re
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from transformers import AutoTokenizer

from agents.debate.prompts import Prompts
from agents.engines.chat import Message, prompt_ids
from infra.config.job import Config
from tests.command import ROOT
from tests.conftest import Maft

MANUAL = (ROOT / "docs" / "manual.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"```yaml\n(prompts:\n.*?)```", MANUAL, re.DOTALL)
PROMPTS = Config.model_validate(yaml.safe_load(EXAMPLE)).prompts.texts


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def report(maft: Maft, home: Path, brief: list[str]) -> dict:
    file = home.with_suffix(".yaml")
    file.write_text(EXAMPLE, "utf-8")
    settings = ["society=prompted", "iterations=1", "finetune.min_votes=1"]
    return maft.json("run", str(file), *brief, *(p for s in settings for p in ("--set", s)), "--home", str(home))


@pytest.fixture
def client(maft: Maft, report: dict, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", maft.environment["MLFLOW_TRACKING_URI"])
    return MlflowClient()


def frames(home: Path) -> dict[str, pd.DataFrame]:
    return {path.name: pd.read_parquet(path) for path in (home / "artifacts" / "frames").iterdir()}


def first_prompts(found: dict[str, pd.DataFrame]) -> dict[str, int]:
    """The number of tokens of the prompt of round 1, by problem."""
    rounds = [frame for frame in found.values() if "prompt_tokens" in frame]
    first = pd.concat([frame[frame["round"] == 1] for frame in rounds])
    return dict(zip(first["problem_id"], first["prompt_tokens"], strict=True))


def expected_prompts(home: Path, folder: Path) -> dict[str, int]:
    """The same for all problems of the home, if the prompts are those of the manual."""
    problems = [frame for frame in frames(home).values() if list(frame.columns) == ["id", "question", "answer"]]
    asked = pd.concat(problems)
    ids = prompt_ids(AutoTokenizer.from_pretrained(folder), [PROMPTS.opening(text) for text in asked["question"]])
    return dict(zip(asked["id"], map(len, ids), strict=True))


def test_the_example_of_the_manual_uses_every_kind_of_setting() -> None:
    message: Message = {"role": "user", "content": r"Solve this and end with \boxed{answer}: 1?"}
    assert [m["role"] for m in PROMPTS.opening("1?")] == ["system", "user", "assistant", "user"]
    assert PROMPTS.opening("1?")[-1] == message
    assert PROMPTS.response == "\n One agent solution: ```{response}```", "the rest is that of the set"


def test_agents_are_asked_and_learn_with_these_prompts(report: dict, home: Path, brief_folder: Path) -> None:
    expected = expected_prompts(home, brief_folder)
    found = first_prompts(frames(home))
    assert len(found) == 18 and found == {id_: expected[id_] for id_ in found}
    learned = [json.loads(text) for frame in frames(home).values() if "messages" in frame for text in frame["messages"]]
    assert learned and all(example[:3] == PROMPTS.opening("?")[:3] for example in learned)


def test_mlflow_has_the_texts_that_were_given_and_no_others(client: MlflowClient, report: dict) -> None:
    params = client.get_run(report["mlflow"]["run_id"]).data.params
    given = yaml.safe_load(EXAMPLE)["prompts"]
    own = {key.removeprefix("prompts."): value for key, value in params.items() if key.startswith("prompts.")}
    stored = Config.model_validate_json(mlflow.artifacts.load_text(f"runs:/{report['mlflow']['run_id']}/config.json"))
    assert stored.prompts.texts == PROMPTS and stored.prompts.response == PROMPTS.response, "also those of the set"
    assert own == {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}


def test_the_society_is_measured_and_asked_with_its_prompts(
    client: MlflowClient, maft: Maft, report: dict, home: Path, brief_folder: Path, brief_problems: Path
) -> None:
    before = frames(home)
    evaluate = ["--problems", str(brief_problems), "--set", "size=30", "--set", "seed=7", "--home", str(home)]
    maft.json("evaluate", "prompted", "--generation", "1", *evaluate)
    new = first_prompts({name: frame for name, frame in frames(home).items() if name not in before})
    expected = expected_prompts(home, brief_folder)
    assert len(new) == 30 and new == {id_: expected[id_] for id_ in new}

    card = mlflow.artifacts.load_text("models:/prompted/1/artifacts/society/society.json")
    assert Prompts.model_validate(json.loads(card)["prompts"]) == PROMPTS
    asked = maft.json("ask", "Is card 5 marked 1 or 2?", "--society", "prompted", "--version", "1", "--home", str(home))
    assert [turn["round"] for turn in asked["transcript"]] == [1, 1, 2, 2]
