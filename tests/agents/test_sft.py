"""Finetuning: it learns the examples, does not change the base, and gives the same result when repeated."""

import itertools
import json
from pathlib import Path

import pytest
import torch

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.training.adapters import Trained
from agents.training.examples import Encoded, encode, ordered_batches
from agents.training.learner import Learner
from agents.training.methods.sft import Sft
from agents.training.sft.train import finetune
from evaluation.problems.arithmetic import arithmetic_problems

SETTINGS = Sft(rank=4, epochs=2, learning_rate=5e-3, batch_size=4)


def examples(count: int) -> list:
    """Conversations that end in one fixed sentence, which the base never says."""
    problems = itertools.islice(arithmetic_problems(8), count)
    return [[DEFAULT.first(p.question), {"role": "assistant", "content": "I would rather not say."}] for p in problems]


def critic_example() -> list:
    question = "What is the result of 1+2*3+4-5*6?"
    return [
        DEFAULT.first(question),
        {"role": "assistant", "content": "wrong first words"},
        DEFAULT.again(question, "Agent 1: 7"),
        {"role": "assistant", "content": "right last words"},
    ]


@pytest.fixture(scope="module")
def loaded():
    return base_model.load("embedded", "cpu")


def run(loaded, folder: Path, seed: int = 1, start_from: Path | None = None) -> Trained:
    (trained,) = finetune(*loaded, [Learner(examples(8), seed, start_from)], SETTINGS, lambda done, total: None)
    folder.mkdir()
    trained.save(folder)
    return trained


def test_the_prompt_is_what_inference_sends_and_only_the_last_turn_is_learned(loaded) -> None:
    _, tokenizer = loaded
    (encoded,) = encode([critic_example()], tokenizer)
    text = tokenizer.apply_chat_template(critic_example()[:-1], tokenize=False, add_generation_prompt=True)
    assert encoded.prompt == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(encoded.target) == f"right last words{tokenizer.eos_token}"
    assert "wrong first words" in tokenizer.decode(encoded.prompt)


def test_training_teaches_and_leaves_the_base_alone(loaded, tmp_path: Path) -> None:
    model, _ = loaded
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = run(loaded, tmp_path / "a")
    assert trained.last_loss < trained.first_loss
    assert trained.examples == 8 and trained.skipped == 0
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert sorted(path.suffix for path in (tmp_path / "a").iterdir()) == [".json", ".safetensors"]


def test_the_same_seed_gives_the_same_adapter(loaded, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(loaded, tmp_path / name, seed)
    a, b, c = ((tmp_path / name / "adapter_model.safetensors").read_bytes() for name in "abc")
    assert a == b != c
    # Another process, in which a set of strings has another order, gives the same file.
    modules = json.loads((tmp_path / "a" / "adapter_config.json").read_text())["target_modules"]
    assert modules == sorted(modules) and len(modules) == 7


def test_going_on_from_the_previous_generation(loaded, tmp_path: Path) -> None:
    first = run(loaded, tmp_path / "a")
    second = run(loaded, tmp_path / "b", start_from=tmp_path / "a")
    assert second.first_loss < first.first_loss


def test_what_exceeds_the_context_is_left_out_whole_and_counted(loaded) -> None:
    long = [[DEFAULT.first("1+" * 5000 + "1?"), {"role": "assistant", "content": "5001"}]]
    (trained,) = finetune(*loaded, [Learner(examples(4) + long, 1)], SETTINGS, lambda done, total: None)
    assert (trained.examples, trained.skipped) == (4, 1)


def test_every_example_once_an_epoch_with_little_padding() -> None:
    encoded = [Encoded([1] * length, [2]) for length in (5, 50, 6, 49, 7, 51, 5)]
    batches = ordered_batches(encoded, 2, seed=0)
    assert sorted(len(e) for batch in batches for e in batch) == sorted(len(e) for e in encoded)
    assert all(max(map(len, batch)) - min(map(len, batch)) <= 43 for batch in batches)
    assert ordered_batches(encoded, 2, seed=0) == batches
    assert any(ordered_batches(encoded, 2, seed=s) != batches for s in range(1, 5))
