"""Joint training gives each agent the same weights as training it alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.training.adapters import Trained
from agents.training.examples import Encoded, encode
from agents.training.learner import Learner
from agents.training.methods.sft import Sft
from agents.training.sft import train as joint
from agents.training.sft.packing import Block
from agents.training.sft.train import finetune, portions, rectangles
from tests.agents.one_by_one import mean_loss, off, off_but_flips, train

SETTINGS = Sft(rank=4, epochs=2, learning_rate=5e-3, batch_size=4)


@pytest.fixture(scope="module")
def loaded() -> Any:
    return base_model.load("embedded", "cpu")


def said(count: int, words: str) -> list:
    """Conversations of different lengths that end in the same words."""
    return [
        [DEFAULT.first(f"What is {'1+' * place}{place}?"), {"role": "assistant", "content": words * (1 + place % 3)}]
        for place in range(count)
    ]


def quiet(done: int, total: int) -> None:
    """Ignore the progress."""


@pytest.fixture(scope="module")
def trained(loaded: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Learner], list[Trained]]:
    """Three agents trained together, with 11, 3 and 7 examples; the last continues from an earlier generation."""
    folder = tmp_path_factory.mktemp("earlier")
    finetune(*loaded, [Learner(said(5, "Earlier. "), seed=9)], SETTINGS, quiet)[0].save(folder)
    learners = [
        Learner(said(11, "I would rather not. "), seed=1),
        Learner(said(3, "Why? "), seed=2),
        Learner(said(7, "Later. "), seed=3, start_from=folder),
    ]
    return learners, finetune(*loaded, learners, SETTINGS, quiet)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_agent_learns_in_company_what_it_learns_alone(loaded: Any, trained: Any, place: int) -> None:
    learners, together = trained
    assert together[place].config.base_model_name_or_path == "embedded"
    (by_itself,) = finetune(*loaded, [learners[place]], SETTINGS, quiet)
    assert off(together[place].weights, by_itself.weights) <= 1e-5
    assert (together[place].first_loss, together[place].last_loss) == pytest.approx(
        (by_itself.first_loss, by_itself.last_loss), rel=1e-5
    )
    assert together[place].tokens == by_itself.tokens


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_result_is_that_of_peft_and_torch_alone(loaded: Any, trained: Any, place: int) -> None:
    model, tokenizer = loaded
    learner, examples = trained[0][place], encode(trained[0][place].examples, tokenizer)
    expected = train(model, examples, SETTINGS, learner.seed, learner.start_from)
    assert off_but_flips(trained[1][place].weights, expected) <= 1e-3


def test_a_token_of_a_long_response_counts_as_much_as_one_of_a_brief_one(loaded: Any) -> None:
    """A batch has rows of similar length; with a mean per batch, tokens of short responses would count more."""
    model, tokenizer = loaded
    examples = [*said(8, "No."), *said(8, "Yes, and I will say at length why that is so. ")]
    still = SETTINGS.model_copy(update={"epochs": 1, "learning_rate": 1e-12})
    (learned,) = finetune(model, tokenizer, [Learner(examples, seed=1)], still, quiet)
    each = [(float(mean_loss(model, [example])), len(example.target)) for example in encode(examples, tokenizer)]
    assert learned.first_loss == pytest.approx(
        sum(loss * tokens for loss, tokens in each) / sum(tokens for _, tokens in each), rel=1e-4
    )


def test_portions_of_any_size_give_the_same(loaded: Any, trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    learners, together = trained
    for most in (1, 10**9):
        monkeypatch.setitem(joint.PORTION_TOKENS, "cpu", most)
        again = finetune(*loaded, learners, SETTINGS, quiet)
        assert max(off(a.weights, b.weights) for a, b in zip(again, together, strict=True)) <= 1e-5


def test_checkpointing_changes_nothing(loaded: Any, trained: Any) -> None:
    learners, together = trained
    settings = SETTINGS.model_copy(update={"gradient_checkpointing": True})
    again = finetune(*loaded, learners, settings, quiet)
    assert max(off(a.weights, b.weights) for a, b in zip(again, together, strict=True)) <= 1e-5
    assert not loaded[0].is_gradient_checkpointing


def test_those_that_are_through_drop_out(loaded: Any, trained: Any) -> None:
    learners, _ = trained
    told: list[tuple[int, int]] = []
    finetune(*loaded, learners, SETTINGS, lambda done, total: told.append((done, total)))
    # The agents have 3, 1 and 2 batches per epoch, so two epochs are 6, 2 and 4 steps.
    assert told == [(3, 12), (6, 12), (8, 12), (10, 12), (11, 12), (12, 12)]


def test_an_agent_whose_examples_all_exceed_the_context_learns_nothing(loaded: Any) -> None:
    long = [[DEFAULT.first("1+" * 5000 + "1?"), {"role": "assistant", "content": "5001"}]]
    nothing, something = finetune(*loaded, [Learner(long, 1), Learner(said(3, "Why? "), 2)], SETTINGS, quiet)
    assert (nothing.examples, nothing.skipped, nothing.tokens, nothing.first_loss) == (0, 1, 0, None)
    assert something.examples == 3


def test_cut_off_half_way_the_base_is_what_it_was(loaded: Any, tmp_path: Path) -> None:
    model, _ = loaded
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    attention = model.config._attn_implementation

    def stop(done: int, total: int) -> None:
        if done > 3:
            raise InterruptedError

    settings = SETTINGS.model_copy(update={"gradient_checkpointing": True})
    with pytest.raises(InterruptedError):
        finetune(*loaded, [Learner(said(9, "No. "), 1), Learner(said(9, "Yes. "), 2)], settings, stop)
    broken = tmp_path / "broken"
    broken.mkdir()
    finetune(*loaded, [Learner(said(2, "No. "), 1)], SETTINGS, quiet)[0].save(broken)
    (broken / "adapter_model.safetensors").write_bytes(b"no weights")
    for others in ([], [Learner(said(2, "No. "), 1)]):
        with pytest.raises(SafetensorError):
            finetune(*loaded, [*others, Learner(said(2, "Yes. "), 2, broken)], SETTINGS, quiet)
    save_file({"some.weight": torch.zeros(2)}, broken / "adapter_model.safetensors")
    with pytest.raises(ValueError, match=r"its weights are not those that its adapter_config\.json describes"):
        finetune(*loaded, [Learner(said(2, "Yes. "), 2, broken)], SETTINGS, quiet)
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert model.config._attn_implementation == attention
    assert not model.training and not model.is_gradient_checkpointing
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_batch_is_cut_where_it_would_be_padded_and_only_there() -> None:
    rows = [Encoded([1] * length, [2]) for length in (10, 10, 11, 30, 31, 90)]
    assert [[len(row) for row in group] for group in rectangles(rows, 0.06)] == [[11, 11, 12], [31, 32], [91]]
    assert list(rectangles(rows, 1.0)) == [rows] and len(list(rectangles(rows, 0.0))) == 5
    assert [row for group in rectangles(rows, 0.3) for row in group] == rows


def test_no_batch_is_divided_between_portions() -> None:
    batches = [[Block(name, [Encoded([1] * 9, [2])], 1.0)] * count for name, count in (("a", 2), ("b", 3), ("c", 1))]
    taken = [[block.adapter for block in portion] for portion in portions(batches, 45)]
    assert taken == [["a", "a"], ["b", "b", "b", "c"]]
    assert [len(portion) for portion in portions(batches, 1)] == [2, 3, 1]
