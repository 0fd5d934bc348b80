"""On a GPU, agents generate, judge and learn the same as on a CPU. Skipped without CUDA.

    make test-cuda

The base has single precision on both, so only the order of sums differs.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.engines.protocol import Request, Sampling
from agents.engines.transformers.engine import TransformersEngine, speaking_as
from agents.judging.likelihood import Reader, Text, likelihoods
from agents.training import dpo
from agents.training.adapters import Trained
from agents.training.learner import Learner
from agents.training.methods.sft import Sft
from agents.training.sft import train
from tests.agents.engine_samples import GREEDY, questions, quiet, requests, save_adapters
from tests.agents.one_by_one import off_but_flips
from tests.conftest import SMALL, Maft

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")

NAMES = ["one", "two", None]
SETTINGS = Sft(rank=4, epochs=2, learning_rate=5e-3, batch_size=4)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TransformersEngine]:
    folder = tmp_path_factory.mktemp("adapters")
    save_adapters(folder, ["one", "two"])
    return {
        device: TransformersEngine(*base_model.load("embedded", device), adapters=folder, batch_rows=16)
        for device in ("cpu", "cuda")
    }


def asked(count: int) -> list[Request]:
    """Questions to two adapters and to the base."""
    return [request for name in NAMES for request in requests(count, name)]


def test_auto_is_the_gpu_and_the_base_there_is_in_single_precision(engines: dict[str, TransformersEngine]) -> None:
    model, _ = base_model.load("embedded", "auto")
    assert model.device.type == "cuda" and model.dtype == torch.float32
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with speaking_as(model, engines["cuda"].adapters / "one"):
        assert any(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("sampling", [GREEDY, Sampling()], ids=["greedy", "sampled"])
def test_agents_say_what_they_say_on_a_cpu(engines: dict[str, TransformersEngine], sampling: Sampling) -> None:
    said = {device: engine.complete(asked(20), sampling, quiet) for device, engine in engines.items()}
    assert len({completion.text for completion in said["cpu"]}) > 30
    same = [a == b for a, b in zip(said["cpu"], said["cuda"], strict=True)]
    # A sampled text may differ if a random number lies between the CPU's and the GPU's rounding of a probability.
    assert sum(same) >= len(same) - 1


def test_a_sample_depends_on_its_seed_and_not_on_batch_or_order(engines: dict[str, TransformersEngine]) -> None:
    engine = engines["cuda"]
    wide = TransformersEngine(engine.model, engine.tokenizer, engine.adapters, batch_rows=64)
    texts = [completion.text for completion in engine.complete(asked(12), Sampling(), quiet)]
    assert [completion.text for completion in wide.complete(asked(12)[::-1], Sampling(), quiet)] == texts[::-1]


@pytest.fixture
def small_memory(engines: dict[str, TransformersEngine]) -> Iterator[None]:
    """Limit the memory on the GPU to the present use plus 200 MB."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2e8) / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_a_gpu_that_is_full_halves_the_batch_and_loses_nothing(
    engines: dict[str, TransformersEngine], small_memory: None, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engines["cuda"]
    few = TransformersEngine(engine.model, engine.tokenizer, engine.adapters, batch_rows=4)
    many = TransformersEngine(engine.model, engine.tokenizer, engine.adapters, batch_rows=256)
    long = [Request([DEFAULT.first(question)], None, seed, 400) for seed, question in enumerate(questions(256))]
    with caplog.at_level(logging.WARNING, "maft.engines"):
        said = many.complete(long, GREEDY, quiet)
    assert "out of memory with 256 prompts at once; going on with 128" in caplog.messages
    assert said[:12] == few.complete(long[:12], GREEDY, quiet)


def test_agents_judge_texts_as_on_a_cpu(engines: dict[str, TransformersEngine]) -> None:
    said = engines["cpu"].complete(asked(4), GREEDY, quiet)
    texts = [
        Text([*request.messages, {"role": "assistant", "content": completion.text}], NAMES.index(request.adapter), True)
        for request, completion in zip(asked(4), said, strict=True)
    ]
    cpu, gpu = (likelihoods([Reader(engine, name) for name in NAMES], texts, quiet) for engine in engines.values())
    np.testing.assert_array_equal(gpu.tokens, cpu.tokens)
    np.testing.assert_allclose(gpu.nll, cpu.nll, rtol=1e-4)
    np.testing.assert_allclose(gpu.kl, cpu.kl, rtol=1e-3, atol=1e-6)


def said(count: int, words: str) -> list:
    """Conversations of different lengths that end in the same words."""
    return [
        [DEFAULT.first(f"What is {'1+' * place}{place}?"), {"role": "assistant", "content": words * (1 + place % 3)}]
        for place in range(count)
    ]


@pytest.fixture(scope="module")
def learners(tmp_path_factory: pytest.TempPathFactory) -> list[Learner]:
    """Three agents with 11, 3 and 7 examples; the last continues from an earlier generation."""
    folder = tmp_path_factory.mktemp("earlier")
    earlier = [Learner(said(5, "Earlier. "), seed=9)]
    train.finetune(*base_model.load("embedded", "cpu"), earlier, SETTINGS, quiet)[0].save(folder)
    return [
        Learner(said(11, "I would rather not. "), seed=1),
        Learner(said(3, "Why? "), seed=2),
        Learner(said(7, "Later. "), seed=3, start_from=folder),
    ]


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu() for name, tensor in trained.weights.items()}


@pytest.mark.parametrize("checkpointing", [False, True])
def test_an_agent_learns_in_company_what_it_learns_alone_and_on_a_cpu(
    learners: list[Learner], checkpointing: bool
) -> None:
    settings = SETTINGS.model_copy(update={"gradient_checkpointing": checkpointing})
    loaded: Any = base_model.load("embedded", "cuda")
    together = train.finetune(*loaded, learners, settings, quiet)
    on_cpu = train.finetune(*base_model.load("embedded", "cpu"), learners, SETTINGS, quiet)
    for learner, found, expected in zip(learners, together, on_cpu, strict=True):
        (alone,) = train.finetune(*loaded, [learner], settings, quiet)
        assert off_but_flips(weights(found), weights(alone)) <= 1e-3
        assert off_but_flips(weights(found), weights(expected)) <= 1e-3
        assert (found.first_loss, found.last_loss) == pytest.approx((expected.first_loss, expected.last_loss), rel=1e-4)


def test_a_base_in_bfloat16_learns_and_speaks(tmp_path: Path) -> None:
    model, tokenizer = base_model.load("embedded", "cpu")
    model.to(torch.bfloat16).save_pretrained(str(tmp_path / "half"))
    tokenizer.save_pretrained(str(tmp_path / "half"))
    loaded = base_model.load(str(tmp_path / "half"), "cuda")
    assert loaded[0].dtype == torch.bfloat16
    (trained,) = train.finetune(*loaded, [Learner(said(40, "I would rather not. "), seed=1)], SETTINGS, quiet)
    assert trained.last_loss < 0.7 * trained.first_loss
    assert {tensor.dtype for tensor in trained.weights.values()} == {torch.float32}
    (tmp_path / "adapter").mkdir()
    trained.save(tmp_path / "adapter")
    base, tuned = (
        [
            completion.text
            for completion in TransformersEngine(*loaded, adapters=tmp_path).complete(asked, GREEDY, quiet)
        ]
        for asked in (requests(20), requests(20, "adapter"))
    )
    assert all(base) and sum(a != b for a, b in zip(base, tuned, strict=True)) > 10


def test_preferences_are_learned(engines: dict[str, TransformersEngine]) -> None:
    settings = SETTINGS.model_copy(update={"method": "dpo"})
    pairs = Learner(said(8, "Good. "), seed=1, beside={"rejected": ["Bad."] * 8})
    (trained,) = dpo.finetune(*base_model.load("embedded", "cuda"), [pairs], settings, quiet)
    assert trained.last_loss < trained.first_loss - 0.01


def test_a_job_runs_and_its_society_answers(maft: Maft, tmp_path: Path) -> None:
    at = ["--home", str(tmp_path)]
    job = maft.json("run", *SMALL, "--set", "iterations=1", "--set", "runner.device=cuda", "--set", "society=gpu", *at)
    assert [generation["generation"] for generation in job["generations"]] == [0, 1]
    assert maft.json("ask", "What is 3+4*5?", "--society", "gpu", "--version", "candidate", *at)["votes"]
