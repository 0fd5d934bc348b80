"""A real model that nobody here made speaks, learns, resumes and is served (`make test-real`)."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch

from agents.engines import base_model
from agents.engines.chat import prompt_ids
from agents.engines.protocol import Request
from agents.engines.transformers.engine import TransformersEngine
from agents.training.learner import Learner
from agents.training.methods.sft import Sft
from agents.training.sft.train import finetune
from tests.agents.engine_samples import GREEDY, quiet
from tests.conftest import Maft, free_port, plain_environment
from tests.real import MODEL, VARIABLE
from tests.real.questions import write_questions

pytestmark = pytest.mark.skipif(VARIABLE not in os.environ, reason="it takes long; see `make test-real`")

QUESTION = "What is 3 * 4?"
JOB = (
    "society=real", "iterations=1", "agents=2", "problems.train_size=24", "problems.evaluation_size=12",
    "sampling.max_new_tokens=48", "sampling.max_summary_tokens=48", "sampling.temperature=0.7",
    "finetune.learning_rate=0.0005", "finetune.epochs=1", "finetune.min_votes=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    return TransformersEngine(*base_model.load(str(MODEL), "cpu"), tmp_path_factory.mktemp("adapters"), batch_rows=16)


def test_it_speaks_as_generate_does(engine: TransformersEngine) -> None:
    model: Any = engine.model
    asked: list[Any] = [
        [{"role": "user", "content": text}] for text in ("Hello!", "What is 7 * 12?", "Name three rivers, please.")
    ]
    said = engine.complete([Request(messages, None, 1, 40) for messages in asked], GREEDY, quiet)
    for ids, own in zip(prompt_ids(engine.tokenizer, asked), said, strict=True):
        expected = model.generate(input_ids=torch.tensor([ids]), do_sample=False, max_new_tokens=40)
        assert own.text == engine.tokenizer.decode(expected[0, len(ids) :], skip_special_tokens=True).strip()
    assert engine.decoding.name == "loop"


def test_two_agents_learn_together_and_the_base_stays(engine: TransformersEngine) -> None:
    before = {name: tensor.clone() for name, tensor in engine.model.state_dict().items()}
    said = [
        [{"role": "user", "content": f"What is {n} * 3?"}, {"role": "assistant", "content": f"It is {3 * n}."}]
        for n in range(2, 10)
    ]
    settings = Sft(epochs=3, learning_rate=5e-4)
    trained = finetune(engine.model, engine.tokenizer, [Learner(said, 1), Learner(said[:5], 2)], settings, quiet)
    assert all(each.last_loss < each.first_loss / 2 for each in trained if each.first_loss and each.last_loss)
    assert all(torch.equal(before[name], tensor) for name, tensor in engine.model.state_dict().items())


@pytest.fixture(scope="module")
def maft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maft]:
    home = tmp_path_factory.mktemp("home")
    ports = {"MAFT_PREFECT_PORT": str(free_port()), "MAFT_MLFLOW_PORT": str(free_port())}
    maft = Maft({**plain_environment(), **ports, "MAFT_HOME": str(home)})
    yield maft
    maft("down")


def test_a_job_is_killed_resumed_asked_and_served(maft: Maft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = write_questions(tmp_path / "products.jsonl")
    options = [f"--set={each}" for each in (*JOB, f"base_model={MODEL}", f"problems.train={questions}")]
    process = maft.start("run", *options)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("iteration 1 · generate"):
            break
    else:
        pytest.fail("the job ended too early")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    report = maft.json("run", *options)
    assert report["cached"] >= 4, "what was done before the kill is not done again"
    before, after = report["generations"]
    assert before["sampled_tokens"] > 0 and sum(after["dataset_sizes"].values()) > 0
    asked = maft.json("ask", QUESTION, "--society", "real", "--version", "1")
    assert {turn["agent"] for turn in asked["transcript"]} >= {"generator-0", "critic-1"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", report["mlflow"]["tracking_uri"])
    # Loading a model puts its copy of the code on the path and leaves it there.
    monkeypatch.setattr(sys, "path", [*sys.path])
    (row,) = mlflow.pyfunc.load_model("models:/real/1").predict([QUESTION]).to_dict("records")
    assert row == {field: asked[field] for field in row}
