"""Finetuning: what is learned, what is left alone, and that it repeats."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from agents import prompts
from agents.engines import base_model
from agents.training.sft import Encoded, Finetune, completion_loss, encode, finetune, ordered_batches
from evaluation.problems.arithmetic import arithmetic_problems

SETTINGS = Finetune(rank=4, epochs=2, learning_rate=5e-3, batch_size=4)


def examples(count: int) -> list:
    """Conversations that end in one fixed sentence, which the base never says."""
    problems = itertools.islice(arithmetic_problems(8), count)
    return [[prompts.solve(p.question), {"role": "assistant", "content": "I would rather not say."}] for p in problems]


def critic_example() -> list:
    question = "What is the result of 1+2*3+4-5*6?"
    return [
        prompts.solve(question),
        {"role": "assistant", "content": "wrong first words"},
        prompts.debate(question, "Agent 1: 7"),
        {"role": "assistant", "content": "right last words"},
    ]


@pytest.fixture(scope="module")
def loaded():
    return base_model.load("embedded", "cpu")


def run(loaded, folder: Path, seed: int = 1, start_from: Path | None = None, settings: Finetune = SETTINGS):
    return finetune(*loaded, examples(8), settings, start_from, folder, seed, lambda done, total: None)


def test_the_prompt_is_what_inference_sends_and_only_the_last_turn_is_learned(loaded) -> None:
    _, tokenizer = loaded
    (encoded,) = encode([critic_example()], tokenizer)
    text = tokenizer.apply_chat_template(critic_example()[:-1], tokenize=False, add_generation_prompt=True)
    assert encoded.prompt == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(encoded.target) == f"right last words{tokenizer.eos_token}"
    assert "wrong first words" in tokenizer.decode(encoded.prompt)


def test_the_loss_is_the_mean_over_target_tokens(loaded, tmp_path: Path) -> None:
    model, tokenizer = loaded
    run(loaded, tmp_path / "a")
    tuned = PeftModel.from_pretrained(model, tmp_path / "a")
    batch = encode([critic_example(), *examples(2)], tokenizer)
    expected, count = 0.0, 0
    for example in batch:  # one at a time, without padding
        ids = torch.tensor([example.prompt + example.target])
        log_probabilities = tuned(input_ids=ids).logits[0, :-1].log_softmax(-1)
        for place in range(len(example.prompt), len(example)):
            expected -= float(log_probabilities[place - 1, ids[0, place]])
            count += 1
    loss = float(completion_loss(tuned, batch))
    tuned.unload()
    assert loss == pytest.approx(expected / count, rel=1e-4)


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
    # In another process, too, where a set of strings has another order.
    modules = json.loads((tmp_path / "a" / "adapter_config.json").read_text())["target_modules"]
    assert modules == sorted(modules) and len(modules) == 7


def test_going_on_from_the_previous_generation(loaded, tmp_path: Path) -> None:
    first = run(loaded, tmp_path / "a")
    second = run(loaded, tmp_path / "b", start_from=tmp_path / "a")
    assert second.first_loss < first.first_loss


def test_what_exceeds_the_context_is_left_out_whole_and_counted(loaded, tmp_path: Path) -> None:
    model, tokenizer = loaded
    long = [[prompts.solve("1+" * 5000 + "1?"), {"role": "assistant", "content": "5001"}]]
    trained = finetune(model, tokenizer, examples(4) + long, SETTINGS, None, tmp_path / "a", 1, lambda d, t: None)
    assert (trained.examples, trained.skipped) == (4, 1)


def test_every_example_once_an_epoch_with_little_padding() -> None:
    encoded = [Encoded([1] * length, [2]) for length in (5, 50, 6, 49, 7, 51, 5)]
    batches = ordered_batches(encoded, 2, seed=0)
    assert sorted(len(e) for batch in batches for e in batch) == sorted(len(e) for e in encoded)
    assert all(max(map(len, batch)) - min(map(len, batch)) <= 43 for batch in batches)
    assert ordered_batches(encoded, 2, seed=0) == batches
    assert any(ordered_batches(encoded, 2, seed=s) != batches for s in range(1, 5))
