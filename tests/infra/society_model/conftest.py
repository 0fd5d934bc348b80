"""A society of the embedded model whose agents differ, and its folder as an MLflow model."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from peft import LoraConfig, get_peft_model

from agents.ask import Card
from agents.debate.settings import DebateSettings
from agents.engines import base_model
from agents.engines.base_model import Base, Bases
from agents.engines.protocol import Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.society import Agent, Society
from agents.store import Store
from infra.lineage.model.save import save
from tests.agents.rounds import answer

SAMPLING = Sampling(max_new_tokens=160, max_summary_tokens=60)
QUESTIONS = ["What is the result of 25+13*19+27-17*26?", "What is the result of 18+8*14+16-4*1?"]
EMBEDDED = Base(name="embedded", sha256=base_model.digest("embedded"))
COLUMNS = ["question", "answer", "votes", "consensus", "transcript"]


# Two threads do not make so few rows faster, and wait long for each other on a busy machine.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="package")
def society(store: Store) -> Society:
    """Two generators, one without an adapter, and two critics, one with the same adapter as the other generator."""
    made = []
    for seed in range(2):
        model, _ = base_model.load("embedded", "cpu")
        torch.manual_seed(seed)
        tuned = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "down_proj"]))
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)

        def write(folder: Path, tuned: Any = tuned) -> None:
            tuned.save_pretrained(str(folder), save_embedding_layers=False)
            (folder / "README.md").unlink(missing_ok=True)

        made.append(store.put_folder(write, 0).sha256)
    one, two = made
    return Society(
        generation=3,
        generators=[Agent(role="generator", index=0, adapter=one), Agent(role="generator", index=1)],
        critics=[Agent(role="critic", index=0, adapter=two), Agent(role="critic", index=1, adapter=one)],
    )


@pytest.fixture(scope="package")
def saved(store: Store, society: Society, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that saves the society with a given base."""

    def make(base: Base = EMBEDDED) -> Path:
        folder = tmp_path_factory.mktemp("saved") / "model"
        card = Card(society=society, bases=Bases(each=(base,)), debate=DebateSettings(), sampling=SAMPLING)
        save(folder, "arith", card, adapters=store.folders)
        return folder

    return make


@pytest.fixture(scope="package")
def folder(saved: Callable[..., Path]) -> Path:
    return saved()


@pytest.fixture(scope="package")
def expected(store: Store, society: Society) -> list[dict[str, Any]]:
    """The answers of the society without MLflow, seed 4."""
    engine = TransformersEngine(*base_model.load("embedded", "cpu"), adapters=store.folders)
    return [a.model_dump(mode="json") for a in answer(engine, society, QUESTIONS, DebateSettings(), SAMPLING, 4)]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
    # Loading a model puts its copy of the code on the path and leaves it there.
    monkeypatch.setattr(sys, "path", [*sys.path])
    return mlflow.pyfunc.load_model(str(folder))
