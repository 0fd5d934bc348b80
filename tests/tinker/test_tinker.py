"""Agents at a real server of Tinker's API speak, read and learn as they do in this process."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents import steps
from agents.engines.base_model import Bases, identify_bases
from agents.engines.protocol import EngineError, Request
from agents.engines.tinker import TinkerSettings
from agents.engines.tinker.engine import TinkerEngine
from agents.engines.transformers import TransformersSettings
from agents.hosted.adapter import read_hosted
from agents.hosted.journal import Journal
from agents.hosted.members import HostedAgents
from agents.hosted.spending import BudgetError, Prices
from agents.judging.likelihood import Text, likelihoods_under
from agents.run import Run
from agents.society import Agent
from agents.split import Example
from agents.store import Store
from agents.training import divergence
from agents.training.learner import Adapter, Learner, write_files
from agents.training.methods.sft import Sft
from agents.training.methods.tinker import Tinker
from agents.training.settings import FinetuneSettings, TrainingError
from agents.training.sft import train
from agents.training.tinker import weights
from agents.training.tinker.train import _training
from agents.training.tinker.training import ServiceTraining
from tests.agents.engine_samples import GREEDY, quiet, requests
from tests.tinker.server import SkyRL

LEARNS = Tinker(epochs=2, losses="mean", save_every=4)
BASES = identify_bases(["embedded"], False)


def said(count: int, words: str) -> list[Example]:
    return [
        [
            {"role": "user", "content": f"What is the result of {n}+{n}*3?"},
            {"role": "assistant", "content": f"{words}{n}*3={3 * n}, {n}+{3 * n}={4 * n}. \\boxed{{{4 * n}}}."},
        ]
        for n in range(1, count + 1)
    ]


@pytest.fixture
def run(service: TinkerSettings, tmp_path: Path) -> Run:
    return Run(
        steps=steps, bases=BASES, engine=service, store=Store(tmp_path / "store"), journal=Journal(tmp_path / "paid")
    )


@pytest.fixture(scope="module")
def learners() -> list[Learner]:
    return [
        Learner(said(13, "First "), seed=1, name="generator-0"),
        Learner(said(6, "Products. "), seed=2, name="critic-0"),
    ]


def learn(run: Run, learners: Sequence[Learner], method: FinetuneSettings = LEARNS) -> list[Adapter]:
    return method.adapters(run, learners, base=BASES.of(0), on_progress=quiet)


def losses(run: Run, learner: Learner, method: Tinker = LEARNS) -> list[float]:
    assert isinstance(run.engine, TinkerSettings)
    engine = TinkerEngine(run.engine, BASES.of(0), run.store.folders)
    return _training(run, engine, learner, method).progress.losses


def test_base_and_adapter_say_and_read_what_transformers_does(
    run: Run, learners: list[Learner], tmp_path: Path
) -> None:
    made = learn(run, learners[:1])[0]
    adapter = run.store.put_folder(partial(write_files, made.files), rows=13).sha256
    hosted = read_hosted(run.store.folder(adapter))
    assert hosted is not None and hosted.nats_apart is not None and hosted.nats_apart < 1e-4
    local = replace(run, engine=TransformersSettings(), journal=None)
    for speaker in (None, adapter):
        asked = [replace(request, adapter=speaker, max_new_tokens=40) for request in requests(6)]
        assert run.complete(asked, GREEDY, quiet) == local.complete(asked, GREEDY, quiet)
    agents = [Agent(role="generator", index=0, adapter=adapter), Agent(role="critic", index=1)]
    texts = [Text(example, 0, number % 2 == 0) for number, example in enumerate(learners[1].examples)]
    both = replace(
        local, bases=Bases(each=BASES.each * 2), hosted=HostedAgents(agents=(0,), engine=run.engine), journal=None
    )
    there, mixed, here = (likelihoods_under(each, agents, texts, quiet) for each in (run, both, local))
    for other in (there, mixed):
        assert other.kl is None and (other.tokens == here.tokens).all()
        np.testing.assert_allclose(other.nll, here.nll, rtol=1e-4)


def test_the_same_start_gives_the_losses_of_the_local_training(
    run: Run, learners: list[Learner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server does not clip gradients, and draws its own initial weights; with both alike, the losses are alike."""
    monkeypatch.setattr(train, "MOST_NORM", 1e9)
    # The server's weights before the first step, which are those of the same seed.
    start = _untrained(run, learners[0])
    learn(run, learners[:1])
    seen: list[float] = []
    monkeypatch.setattr(divergence.Losses, "_check", lambda self: seen.__init__(torch.stack(self.values).tolist()))
    learn(replace(run, engine=TransformersSettings()), [replace(learners[0], start_from=start)], Sft(epochs=2))
    there = losses(run, learners[0])
    assert len(there) == len(seen) == 8
    np.testing.assert_allclose(there, seen, rtol=1e-3)


def _untrained(run: Run, learner: Learner) -> Path:
    """The weights that the server gives a new adapter of this seed, as a PEFT folder."""
    assert isinstance(run.engine, TinkerSettings)
    engine = TinkerEngine(run.engine, BASES.of(0), run.store.folders)
    training = _training(run, engine, learner, LEARNS)
    client = training._client(training.progress)
    path = client.save_weights_for_sampler("untrained").result().path
    archive = weights._archive(training, path)
    assert archive is not None
    folder = run.store.root / "untrained"
    folder.mkdir(parents=True)
    write_files(weights.peft_files(archive, "embedded"), folder)
    return folder


def test_a_training_goes_on_from_its_saved_state_and_is_not_repeated(
    run: Run, learners: list[Learner], skyrl: SkyRL, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, whole = skyrl.count("optim_step"), losses_of_a_whole_training(run, learners[0])
    steps_made = skyrl.count("optim_step") - before
    assert steps_made == len(whole) == 8
    shutil.rmtree(run.store.root / "notes")
    step = ServiceTraining._step

    def lost(self: ServiceTraining, client: Any, number: int) -> float:
        if number == 5:
            raise EngineError("the connection was lost")
        return step(self, client, number)

    with monkeypatch.context() as patch, pytest.raises(EngineError, match="connection was lost"):
        patch.setattr(ServiceTraining, "_step", lost)
        learn(run, learners[:1])
    assert len(losses(run, learners[0])) == 4, "the state after four steps is saved"
    before = skyrl.count("optim_step")
    learn(run, learners[:1])
    assert skyrl.count("optim_step") - before == 4
    np.testing.assert_allclose(losses(run, learners[0]), whole, rtol=1e-5)
    before = skyrl.count("optim_step")
    learn(run, learners[:1])
    assert skyrl.count("optim_step") == before, "a finished training is not repeated"


def test_an_interrupt_ends_a_training_before_its_next_step(run: Run, learners: list[Learner], skyrl: SkyRL) -> None:
    before = skyrl.count("optim_step")

    def interrupt(done: int, total: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LEARNS.model_copy(update={"epochs": 20}).adapters(run, learners[:1], base=BASES.of(0), on_progress=interrupt)
    assert 2 <= skyrl.count("optim_step") - before < 40


def losses_of_a_whole_training(run: Run, learner: Learner) -> list[float]:
    learn(run, [learner])
    return losses(run, learner)


def test_the_next_generation_starts_from_the_last(run: Run, learners: list[Learner]) -> None:
    first = learn(run, learners[:1])[0]
    folder = run.store.folder(run.store.put_folder(partial(write_files, first.files), rows=13).sha256)
    again = replace(learners[0], start_from=folder)
    second = learn(run, [again])[0]
    assert first.last_loss is not None and second.first_loss is not None and second.last_loss is not None
    assert second.last_loss < first.last_loss < 2 * second.first_loss
    with pytest.raises(TrainingError, match=r"not kept by the service.* set finetune\.start to base"):
        local = run.store.root / "local"
        local.mkdir()
        learn(run, [replace(again, start_from=local)])


def test_a_budget_stops_before_the_training_and_responses_are_paid_once(
    run: Run, learners: list[Learner], skyrl: SkyRL
) -> None:
    assert isinstance(run.engine, TinkerSettings)
    priced = run.engine.model_copy(update={"prices": Prices(prompt=0.0, sampled=1e6, trained=1e6), "budget": 2000.0})
    poor = replace(run, engine=priced)
    before = skyrl.count("optim_step")
    with pytest.raises(BudgetError, match=r"2000\.00 USD: 0\.00 USD are spent, and the training would"):
        learn(poor, [replace(learners[0], examples=said(40, "Many "))])
    assert skyrl.count("optim_step") == before
    asked = [replace(request, max_new_tokens=20) for request in requests(4)]
    sampled = skyrl.count("sample")
    answers = poor.complete(asked, GREEDY, quiet)
    assert skyrl.count("sample") - sampled == 4
    assert poor.complete(asked, GREEDY, quiet) == answers and skyrl.count("sample") - sampled == 4
    assert run.journal is not None and run.journal.spent().sampled == sum(each.sampled_tokens for each in answers)
    with pytest.raises(BudgetError, match="responses would take about"):
        longer = [Request(each.messages, None, each.seed + 1, 20) for each in requests(200)]
        poor.complete(longer, GREEDY, quiet)


def test_weights_that_are_not_the_served_ones_are_not_kept(
    run: Run, learners: list[Learner], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = weights.peft_files

    def fewer(archive: bytes, base: str) -> dict[str, bytes]:
        made = files(archive, base)
        # What PEFT would load by default, if the archive's own config were used.
        config = made["adapter_config.json"].replace(b'"down_proj",', b"")
        return {**made, "adapter_config.json": config}

    monkeypatch.setattr(weights, "peft_files", fewer)
    (made,) = learn(run, learners[:1])
    assert sorted(made.files) == ["hosted.json"]
    assert "nats per token from those that it serves" in caplog.text


def test_a_server_that_is_not_there_is_told_in_one_line(run: Run, service: TinkerSettings) -> None:
    away = service.model_copy(update={"url": "http://127.0.0.1:9", "patience_seconds": 5.0})
    with pytest.raises(EngineError, match=r"engine\.url http://127\.0\.0\.1:9"):
        replace(run, engine=away).complete(list(requests(1)), GREEDY, quiet)
