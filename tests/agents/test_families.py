"""Agents of models that cannot be trained together are trained as by PEFT alone, and speak with what they learned."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.engines.transformers.engine import speaking_as
from agents.training.adapters import Trained
from agents.training.examples import encode
from agents.training.learner import Learner
from agents.training.methods.dpo import Dpo
from agents.training.methods.sft import Sft
from tests.agents.families import EXPERTS, tiny
from tests.agents.one_by_one import off_but_flips, train

SETTINGS = Sft(rank=4, epochs=2, learning_rate=5e-3, batch_size=3)
IDS = torch.arange(40).view(2, 20) * 7 % 512


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return base_model.load("embedded", "cpu")[1]


def learner(seed: int, count: int, words: str, start_from: Path | None = None) -> Learner:
    said = [
        [DEFAULT.first(f"What is {'1+' * place}{place}?"), {"role": "assistant", "content": words * (1 + place % 3)}]
        for place in range(count)
    ]
    return Learner(said, seed, start_from, beside={"rejected": ["Never."] * count})


def quiet(done: int, total: int) -> None:
    """Ignore the progress."""


def saved(trained: Trained, folder: Path) -> Path:
    folder.mkdir()
    trained.save(folder)
    return folder


@pytest.mark.parametrize("family", [*EXPERTS, "stablelm", "nemotron", "falcon"])
def test_each_agent_learns_what_peft_alone_teaches_it(
    family: str, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny(family)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    learners = [learner(1, 7, "No. "), learner(2, 3, "Why? ")]
    with caplog.at_level(logging.WARNING, "agents"):
        first, second = SETTINGS.train(model, tokenizer, learners, quiet)
    (warning,) = [each.message for each in caplog.records if each.name.startswith("agents")]
    assert warning.startswith(f"{type(model).__name__} is trained on the rows of one agent at a time: ")
    for found, own in zip((first, second), learners, strict=True):
        expected = train(tiny(family), encode(own.examples, tokenizer), SETTINGS, own.seed)
        assert off_but_flips(found.weights, expected) <= 1e-3
    (again,) = SETTINGS.train(model, tokenizer, [learner(3, 5, "No. ", saved(first, tmp_path / "first"))], quiet)
    assert again.first_loss is not None and first.first_loss is not None and again.first_loss < first.first_loss
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("family", [*EXPERTS, "gpt2", "phi3"])
def test_an_agent_speaks_with_its_adapter_and_then_the_base_is_whole_again(
    family: str, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    model = tiny(family)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers = {name: type(module) for name, module in model.named_modules()}
    (trained,) = SETTINGS.train(model, tokenizer, [learner(1, 7, "No. ")], quiet)
    folder = saved(trained, tmp_path / "adapter")
    with torch.no_grad():
        base = model(IDS).logits
        unmerged = PeftModel.from_pretrained(tiny(family), folder)(IDS).logits
        with speaking_as(model, folder):
            merged = model(IDS).logits
        assert float((merged - unmerged).norm() / unmerged.norm()) <= 1e-4
        assert float((merged - base).norm() / base.norm()) >= 1e-2
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert layers == {name: type(module) for name, module in model.named_modules()}


def test_dropout_does_not_depend_on_the_other_agents(tokenizer: PreTrainedTokenizerBase) -> None:
    learners = [learner(1, 7, "No. "), learner(2, 3, "Why? ")]
    together = SETTINGS.train(tiny("dropout"), tokenizer, learners, quiet)
    for found, own in zip(together, learners, strict=True):
        (alone,) = SETTINGS.train(tiny("dropout"), tokenizer, [own], quiet)
        assert all(torch.equal(found.weights[name], alone.weights[name]) for name in alone.weights)


def test_preferences_of_a_model_with_experts(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    model: Any = tiny("qwen3-moe")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = Dpo(rank=4, epochs=2, learning_rate=5e-3, batch_size=3)
    (trained,) = settings.train(model, tokenizer, [learner(1, 6, "No. ")], quiet)
    assert trained.last_loss is not None and trained.first_loss is not None and trained.last_loss < trained.first_loss
    assert any(".experts." in name for name in trained.weights)
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
