"""Training that diverges ends with an error or is tried once more; it never gives an adapter."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.training.adapters import Trained
from agents.training.divergence import CHECK_EVERY, DivergenceError, Losses, train_again_if_diverged
from agents.training.learner import Learner
from agents.training.methods.dpo import Dpo
from agents.training.methods.sft import Sft
from agents.training.settings import FinetuneSettings, TrainingError
from agents.training.sft.train import train_once
from tests.agents.one_by_one import off

SETTINGS = Sft(rank=2, epochs=3, batch_size=1, target_modules=["q_proj", "v_proj"])
OVERFLOWS: dict[str, Any] = {"rank": 2, "epochs": 2, "batch_size": 2, "learning_rate": 1.0, "alpha": 1e15}
"""A new adapter adds nothing to the base, so the first loss is finite, and no other."""


def quiet(done: int, total: int) -> None:
    """Ignore the progress."""


@pytest.fixture(scope="module")
def loaded() -> Any:
    return base_model.load("embedded", "cpu")


def learner(name: str, count: int = 4, start_from: Path | None = None) -> Learner:
    questions = [f"What is {'1+' * place}{place}?" for place in range(count)]
    said = [[DEFAULT.first(question), {"role": "assistant", "content": "No. " * (1 + place % 3)}]
            for place, question in enumerate(questions)]  # fmt: skip
    return Learner(said, seed=1, start_from=start_from, beside={"rejected": ["Yes."] * count}, name=name)


def trained(loaded: Any, learners: Sequence[Learner], settings: FinetuneSettings = SETTINGS) -> list[Trained]:
    return settings.train(*loaded, learners, quiet)


@pytest.fixture(scope="module")
def spoilt(loaded: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter with a weight that is infinite."""
    folder = tmp_path_factory.mktemp("spoilt")
    trained(loaded, [learner("before")])[0].save(folder)
    weights = load_file(folder / "adapter_model.safetensors")
    next(iter(weights.values()))[0, 0] = math.inf
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("settings", [Sft(**OVERFLOWS), Dpo(**OVERFLOWS)])
def test_the_error_names_the_agent_the_step_and_the_last_finite_loss(loaded: Any, settings: FinetuneSettings) -> None:
    before = {name: tensor.clone() for name, tensor in loaded[0].state_dict().items()}
    message = (
        r"^critic-2: the training diverged at optimizer step [23] of 4: the loss is .*, after [\d.]+ at step [12]; "
        r"set finetune\.learning_rate below 1, or finetune\.on_divergence to halve$"
    )
    with pytest.raises(TrainingError, match=message):
        trained(loaded, [learner("critic-2")], settings)
    after = loaded[0].state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert not any(parameter.requires_grad for parameter in loaded[0].parameters())
    huge = settings.model_copy(update={"alpha": 1e30})
    with pytest.raises(DivergenceError, match=r"step 1 of 4: the loss is .* \(the norm of its gradient is inf\)"):
        trained(loaded, [learner("critic-2")], huge)
    assert trained(loaded, [learner("critic-2")])[0].finite


def test_an_agent_that_diverges_again_at_half_the_rate(
    loaded: Any, spoilt: Path, caplog: pytest.LogCaptureFixture
) -> None:
    halve = SETTINGS.model_copy(update={"on_divergence": "halve"})
    bad = [learner("generator-1", 9, spoilt), learner("critic-1", start_from=spoilt)]
    with caplog.at_level(logging.WARNING), pytest.raises(DivergenceError) as stopped:
        trained(loaded, [learner("generator-0"), *bad], halve)
    assert [line.partition(":")[0] for line in str(stopped.value).splitlines()] == ["generator-1", "critic-1"]
    assert "optimizer step 1 of 27: the loss is nan, and none was finite before" in str(stopped.value)
    assert str(stopped.value).endswith("; set finetune.learning_rate below 0.0005")
    assert "generator-1: the training diverged" in caplog.text and "half the learning rate, 0.0005" in caplog.text


@pytest.mark.parametrize("packs", [True, False])
def test_the_other_agents_learn_what_they_learn_without_it(loaded: Any, spoilt: Path, packs: bool) -> None:
    halve = SETTINGS.model_copy(update={"on_divergence": "halve"})
    good, bad = [learner("generator-0"), learner("critic-0", 7)], learner("generator-1", 9, spoilt)

    def once(learners: list[Learner]) -> list[Any]:
        return train_once(*loaded, learners, halve, packs=packs, on_progress=quiet)

    first, error, last = once([good[0], bad, good[1]])
    assert isinstance(error, DivergenceError)
    for found, expected in zip([first, last], once(good), strict=True):
        assert off(found.weights, expected.weights) <= 1e-5


def diverging_above(rate: float, made: Trained) -> tuple[Callable[..., list[Any]], list[list[str]]]:
    """A training in which the agents whose name begins with critic diverge above a learning rate; what it was asked."""
    asked: list[list[str]] = []

    def train(learners: Sequence[Learner], settings: FinetuneSettings) -> list[Trained | DivergenceError]:
        asked.append([each.name for each in learners])
        bad = settings.learning_rate > rate
        return [DivergenceError(each.name) if bad and "critic" in each.name else made for each in learners]

    return train, asked


def test_an_agent_is_trained_again_from_its_start_at_half_the_rate(loaded: Any) -> None:
    (made,) = trained(loaded, [learner("any")])
    learners = [learner(name) for name in ("generator-0", "critic-0", "critic-1")]
    halve = SETTINGS.model_copy(update={"on_divergence": "halve"})
    train, asked = diverging_above(5e-4, made)
    assert train_again_if_diverged(train, learners, halve) == [made] * 3
    assert asked == [["generator-0", "critic-0", "critic-1"], ["critic-0", "critic-1"]]
    train, asked = diverging_above(1e-4, made)
    with pytest.raises(DivergenceError, match=r"critic-0; set finetune\.learning_rate below 0\.0005\ncritic-1; "):
        train_again_if_diverged(train, learners, halve)
    train, asked = diverging_above(5e-4, made)
    with pytest.raises(DivergenceError, match=r"below 0\.001, or finetune\.on_divergence to halve"):
        train_again_if_diverged(train, learners, SETTINGS)
    assert len(asked) == 1


def test_weights_that_the_last_step_spoilt_are_an_error_and_are_never_saved(loaded: Any, tmp_path: Path) -> None:
    (made,) = trained(loaded, [learner("any")])
    weights = {name: torch.full_like(weight, math.nan) for name, weight in made.weights.items()}
    bad = replace(made, weights=weights)
    with pytest.raises(DivergenceError, match=r"^critic-0: .* last optimizer step: the weights are not finite, after"):
        train_again_if_diverged(lambda learners, settings: [bad], [learner("critic-0")], SETTINGS)
    with pytest.raises(TrainingError, match="not saved"):
        bad.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_first_bad_step_is_reported_though_the_check_comes_later() -> None:
    losses = Losses("critic-0", 40)
    for step in range(CHECK_EVERY - 1):
        losses.add(torch.tensor(3.0 - 0.1 * step if step < 4 else math.nan), torch.tensor(1.0))
    with pytest.raises(DivergenceError, match=r"step 5 of 40: the loss is nan, after 2\.7 at step 4$"):
        losses.add(torch.tensor(math.nan), torch.tensor(1.0))
    losses = Losses("critic-0", 40)
    for step in range(2 * CHECK_EVERY - 1):
        losses.add(torch.tensor(3.0 if step < CHECK_EVERY else math.inf), torch.tensor(1.0))
    with pytest.raises(DivergenceError, match=r"step 17 of 40: the loss is inf, after 3 at step 16$"):
        losses.add(torch.tensor(math.nan), torch.tensor(1.0))
    losses = Losses("critic-0", 2)
    losses.add(torch.tensor(3.0), torch.tensor(1.0))
    with pytest.raises(
        DivergenceError, match=r"step 2 of 2: the loss is 2 \(the norm of its gradient is inf\), after 3"
    ):
        losses.add(torch.tensor(2.0), torch.tensor(math.inf))
