"""Likelihoods and divergences equal plain PEFT's on single texts. Run: pytest tests/agents/test_likelihood.py"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch.distributions import Categorical, kl_divergence

from agents import steps
from agents.debate.prompts import DEFAULT
from agents.engines import base_model
from agents.engines.base_model import identify_bases
from agents.engines.chat import Message
from agents.engines.tinker import TinkerSettings
from agents.engines.transformers import TransformersSettings
from agents.engines.transformers.engine import TransformersEngine
from agents.hosted.members import HostedAgents
from agents.judging import likelihood
from agents.judging.likelihood import (
    Likelihoods,
    Reader,
    Text,
    UnlikeTokensError,
    compare,
    likelihoods,
    likelihoods_under,
)
from agents.run import Run
from agents.society import Agent
from agents.store import Store
from tests.agents.engine_samples import GREEDY, questions, quiet, requests, save_adapters
from tests.agents.other_bases import renumbered

ADAPTERS = ["one", None, "two"]


def agents(engine: TransformersEngine) -> list[Reader]:
    return [Reader(engine, adapter) for adapter in ADAPTERS]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = tmp_path_factory.mktemp("adapters")
    save_adapters(folder, ["one", "two"])
    return TransformersEngine(*base_model.load("embedded", "cpu"), adapters=folder)


@pytest.fixture(scope="module")
def texts(engine: TransformersEngine) -> list[Text]:
    """Responses of each agent to questions of different lengths; every second response was cut off."""
    said = []
    for speaker, adapter in enumerate(ADAPTERS):
        completions = engine.complete(requests(4, adapter, tokens=30), GREEDY, quiet)
        for number, (question, completion) in enumerate(zip(questions(4), completions, strict=True)):
            turn: Message = {"role": "assistant", "content": completion.text}
            said.append(Text([DEFAULT.first(question), turn], speaker, finished=number % 2 == 0))
    return said


@pytest.fixture(scope="module")
def found(engine: TransformersEngine, texts: list[Text]) -> Likelihoods:
    return likelihoods(agents(engine), texts, quiet)


def reference(engine: TransformersEngine, adapter: str | None, text: Text) -> tuple[torch.Tensor, torch.Tensor]:
    """The target tokens (T,) and the logits (T, V) that predict them, from a fresh model with the adapter unmerged."""
    model, tokenizer = base_model.load("embedded", "cpu")
    speaker = PeftModel.from_pretrained(model, engine.adapters / adapter) if adapter else model
    prompt = tokenizer.apply_chat_template(text.messages[:-1], tokenize=False, add_generation_prompt=True)
    whole = prompt + text.messages[-1]["content"] + (tokenizer.eos_token if text.finished else "")
    start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    ids = tokenizer(whole, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return ids[0, start:], speaker(input_ids=ids).logits[0, start - 1 : -1].double()


@pytest.mark.slow
def test_nll_and_kl_are_those_of_one_text_at_a_time(
    engine: TransformersEngine, texts: list[Text], found: Likelihoods
) -> None:
    assert found.nll.shape == found.kl.shape == (3, len(texts))
    for place, text in enumerate(texts):
        read = [reference(engine, adapter, text) for adapter in ADAPTERS]
        distributions = [Categorical(logits=logits) for _, logits in read]
        target = read[0][0]
        assert found.tokens[place] == len(target) > 0
        nll = [-float(each.log_prob(target).sum()) for each in distributions]
        kl = [float(kl_divergence(distributions[text.speaker], each).sum()) for each in distributions]
        assert found.nll[:, place] == pytest.approx(nll, rel=1e-4)
        assert found.kl[:, place] == pytest.approx(kl, rel=1e-3, abs=1e-6)
        assert found.kl[text.speaker, place] == 0.0
    assert (found.kl >= 0.0).all()


def test_what_an_agent_says_greedily_is_likelier_under_itself(texts: list[Text], found: Likelihoods) -> None:
    own = np.array([found.nll[text.speaker, place] for place, text in enumerate(texts)])
    assert (found.nll.sum(axis=1) > own.sum()).all()
    assert (found.kl.sum(axis=1) > 0.0).all()


def test_portions_change_nothing(
    engine: TransformersEngine, texts: list[Text], found: Likelihoods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likelihood, "KEPT_BYTES", {"cpu": 100 * 3 * 512 * 4})
    monkeypatch.setattr(likelihood, "PORTION_TOKENS", {"cpu": 200})
    monkeypatch.setattr(likelihood, "DOUBLE_VALUES", 512 * 7)
    heard: list[int] = []
    small = likelihoods(agents(engine), texts, lambda done, total: heard.append(done))
    assert len(heard) > 2 and heard == sorted(heard) and heard[-1] == len(texts)
    np.testing.assert_array_equal(small.tokens, found.tokens)
    np.testing.assert_allclose(small.nll, found.nll, rtol=1e-5)
    np.testing.assert_allclose(small.kl, found.kl, rtol=1e-4, atol=1e-7)


def test_agents_of_one_adapter_are_one(engine: TransformersEngine, texts: list[Text]) -> None:
    twins = [Text(text.messages, min(text.speaker, 1), text.finished) for text in texts]
    found = likelihoods([Reader(engine, None)] * 2, twins, quiet)
    assert (found.kl == 0.0).all()
    np.testing.assert_array_equal(found.nll[0], found.nll[1])


def test_the_base_is_as_it_was(engine: TransformersEngine, texts: list[Text], found: Likelihoods) -> None:
    fresh, _ = base_model.load("embedded", "cpu")
    expected = fresh.state_dict()
    likelihoods(agents(engine), texts[:2], quiet)
    after = engine.model.state_dict()
    assert after.keys() == expected.keys()
    assert all(torch.equal(after[name], expected[name]) for name in expected)


def test_a_silent_text_counts_nothing(engine: TransformersEngine, texts: list[Text], found: Likelihoods) -> None:
    silent = Text([DEFAULT.first("?"), {"role": "assistant", "content": ""}], 0, finished=False)
    more = likelihoods(agents(engine), [silent, *texts], quiet)
    assert more.tokens[0] == 0.0 and (more.nll[:, 0] == 0.0).all() and (more.kl[:, 0] == 0.0).all()
    np.testing.assert_allclose(more.nll[:, 1:], found.nll, rtol=1e-5)
    assert likelihoods(agents(engine), [], quiet).nll.shape == (3, 0)
    assert (likelihoods(agents(engine), [silent], quiet).tokens == 0.0).all()


def test_compare_by_hand() -> None:
    # Probabilities of the speaker: 1/2, 1/4, 1/4, then 1/4, 1/4, 1/2. Of the other: 1/4, 1/2, 1/4, then uniform.
    own = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]).log()
    other = torch.tensor([[0.25, 0.5, 0.25], [1 / 3, 1 / 3, 1 / 3]]).log() + 5.0
    nll, kl = compare([other, own], torch.tensor([1, 2]), speaker=1)
    two = math.log(2)
    assert nll == pytest.approx([two + math.log(3), 2 * two + two], rel=1e-6)
    # 1/2 ln 2 - 1/4 ln 2, then ln 3 - 3/2 ln 2.
    assert kl == pytest.approx([two / 4 + math.log(3) - 1.5 * two, 0.0], rel=1e-6)


def test_compare_with_tokens_of_no_probability() -> None:
    barred = torch.tensor([[0.0, 0.0, -math.inf]])
    free = torch.tensor([[0.0, 0.0, 0.0]])
    assert compare([barred, free], torch.tensor([0]), speaker=0)[1] == pytest.approx([0.0, math.log(1.5)])
    assert compare([barred, free], torch.tensor([2]), speaker=1) == (
        [math.inf, pytest.approx(math.log(3))],
        [math.inf, 0.0],
    )
    assert compare([barred, barred.clone()], torch.tensor([0]), speaker=0)[1] == [0.0, 0.0]


def test_differences_far_below_single_precision_are_seen() -> None:
    torch.manual_seed(0)
    own = torch.randn(1, 5_000, dtype=torch.float64)
    other = own.clone()
    other[0, 0] += 1e-4
    p = float(own.softmax(1)[0, 0])
    # To second order, KL = p (1-p) d^2 / 2, here 1e-13; a sum in single precision would have errors of 1e-7.
    assert compare([own, other], torch.tensor([0]), speaker=0)[1][1] == pytest.approx(p * (1 - p) * 0.5e-8, rel=1e-2)


def test_two_sides_with_different_tokens_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    bases = identify_bases(["embedded", str(renumbered(tmp_path / "base"))], False)
    service = HostedAgents(agents=(1,), engine=TinkerSettings(url="http://127.0.0.1:9"))
    run = Run(steps, bases, TransformersSettings(), Store(tmp_path / "store"), hosted=service)
    said = Text(
        [{"role": "user", "content": "What is 1+2?"}, {"role": "assistant", "content": "1+2=3."}], 0, finished=True
    )
    with pytest.raises(UnlikeTokensError, match="different tokenizers"):
        likelihoods_under(run, [Agent(role="critic", index=0), Agent(role="critic", index=1)], [said], quiet)
