"""Preference training: it raises the preferred texts, uses the right reference, and does not change the base."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.training.adapters import Trained
from agents.training.dpo import finetune
from agents.training.examples import encode
from agents.training.learner import Learner
from agents.training.methods.dpo import Dpo
from evaluation.problems.arithmetic import arithmetic_problems
from tests.agents.one_by_one import mean_loss

pytestmark = pytest.mark.slow

SETTINGS = Dpo(rank=4, epochs=2, learning_rate=5e-3, batch_size=4)
GOOD, BAD = "The result is good.", "The result is bad."


@pytest.fixture(scope="module")
def loaded() -> Any:
    return base_model.load("embedded", "cpu")


def learner(seed: int, start_from: Path | None = None, count: int = 8) -> Learner:
    """A learner whose pairs of texts differ in one word."""
    questions = [p.question for p in itertools.islice(arithmetic_problems(8), count)]
    examples = [[DEFAULT.first(q), {"role": "assistant", "content": GOOD}] for q in questions]
    return Learner(examples, seed, start_from, {"rejected": [BAD] * count})


def quiet(done: int, total: int) -> None:
    """Ignore the progress."""


def saved(trained: Trained, folder: Path) -> Path:
    folder.mkdir()
    trained.save(folder)
    return folder


def test_the_chosen_words_gain_on_the_rejected_ones_and_the_base_is_left_alone(loaded: Any, tmp_path: Path) -> None:
    model, tokenizer = loaded
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config, own = model.config.to_dict(), set(vars(model))
    told: list[tuple[int, int]] = []
    first, second = finetune(*loaded, [learner(1), learner(2, count=3)], SETTINGS, lambda d, t: told.append((d, t)))
    assert told == [(n, 6) for n in range(1, 7)]
    assert first.last_loss < first.first_loss - 0.01
    assert (first.examples, second.examples, first.skipped) == (8, 3, 0)
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert model.config.to_dict() == config and set(vars(model)) == own
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())

    chosen = encode(learner(1).examples, tokenizer)
    rejected = encode([[e[0], {"role": "assistant", "content": BAD}] for e in learner(1).examples], tokenizer)
    tuned: Any = PeftModel.from_pretrained(model, saved(first, tmp_path / "a"))
    with torch.no_grad():
        margin = float(mean_loss(tuned, rejected) - mean_loss(tuned, chosen))
        with tuned.disable_adapter():
            base_margin = float(mean_loss(tuned, rejected) - mean_loss(tuned, chosen))
    tuned.unload()
    assert margin > base_margin


def test_the_same_seed_gives_the_same_adapter(loaded: Any, tmp_path: Path) -> None:
    bytes_ = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (trained,) = finetune(*loaded, [learner(seed)], SETTINGS, quiet)
        bytes_.append((saved(trained, tmp_path / name) / "adapter_model.safetensors").read_bytes())
    assert bytes_[0] == bytes_[1] != bytes_[2]


def test_the_reference_is_what_the_agent_was_before(loaded: Any, tmp_path: Path) -> None:
    still = SETTINGS.model_copy(update={"learning_rate": 1e-12})
    (trained,) = finetune(*loaded, [learner(1)], SETTINGS, quiet)
    earlier = saved(trained, tmp_path / "earlier")
    for start_from in (None, earlier):
        (unmoved,) = finetune(*loaded, [learner(1, start_from)], still, quiet)
        assert unmoved.first_loss == pytest.approx(math.log(2), abs=1e-4)
    (again,) = finetune(*loaded, [learner(1, earlier)], SETTINGS, quiet)
    moved = [not torch.equal(again.weights[name], trained.weights[name]) for name in trained.weights]
    assert again.weights.keys() == trained.weights.keys() and all(moved)


def test_a_pair_longer_than_the_context_is_left_out_whole_and_counted(loaded: Any) -> None:
    some = learner(1, count=2)
    long = Learner([*some.examples, some.examples[0]], 1, None, {"rejected": [*some.beside["rejected"], "1+" * 5000]})
    (trained,) = finetune(*loaded, [long], SETTINGS, quiet)
    assert (trained.examples, trained.skipped) == (2, 1)
