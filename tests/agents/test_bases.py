"""Agents of different base models give the same responses as each base model alone.

Run: pytest tests/agents/test_bases.py
"""

import gc
import itertools
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from agents.debate.settings import DebateSettings as Rules
from agents.engines import base_model
from agents.engines.base_model import BaseModelError, Bases, identify_bases
from agents.engines.protocol import Completion, OnProgress, Request, Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.engines.transformers.mixed import MixedEngine
from agents.engines.transformers.resident import resident
from agents.judging.likelihood import Reader, Text, UnlikeTokensError, likelihoods
from agents.records import Stream
from agents.runners.local import Local
from agents.society import Agent, Society
from evaluation.problems.arithmetic import arithmetic_problems
from tests.agents import other_bases
from tests.agents.engine_samples import GREEDY, quiet, requests, save_adapters
from tests.agents.rounds import confidence, debate, diversity, generate, rationalise

pytestmark = pytest.mark.slow

PROBLEMS = list(itertools.islice(arithmetic_problems(6), 4))
STREAM = Stream(seed=1, purpose="train", iteration=1)
SAMPLING = Sampling(max_new_tokens=150, max_summary_tokens=60)
ADAPTER = ["one", None, "two"]
SOCIETY = Society(
    generation=1,
    generators=[Agent(role="generator", index=i, adapter=ADAPTER[i]) for i in range(3)],
    critics=[Agent(role="critic", index=i, adapter=ADAPTER[2 - i]) for i in range(3)],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bases")


@pytest.fixture(scope="module")
def mixed(folder: Path) -> MixedEngine:
    """An engine where agents 0 and 2 have the embedded model, and agent 1 has another one."""
    save_adapters(folder / "adapters", ["one", "two"])
    return engine(folder, "embedded", str(other_bases.perturbed(folder / "perturbed", share=0.2)))


def engine(folder: Path, *names: str) -> MixedEngine:
    bases = identify_bases(names, False)
    return MixedEngine(
        bases,
        {
            base: TransformersEngine(*base_model.load(base.name, "cpu"), adapters=folder / "adapters")
            for base in bases.each
        },
    )


@pytest.fixture(scope="module")
def said(mixed: MixedEngine) -> tuple[pd.DataFrame, pd.DataFrame]:
    first = generate(mixed, SOCIETY.generators, PROBLEMS, SAMPLING, STREAM)
    return first, debate(mixed, SOCIETY.critics, PROBLEMS, first, Rules(), SAMPLING, STREAM)


def by(index: int, responses: pd.DataFrame) -> pd.DataFrame:
    return responses[responses["index"] == index].reset_index(drop=True)


def test_every_agent_and_who_summarises_for_it_is_of_its_own_base(
    mixed: MixedEngine, said: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    first, second = said
    retries = rationalise(mixed, SOCIETY.generators, PROBLEMS, first, SAMPLING, STREAM)
    for index in range(3):
        own, one = mixed.of(index), slice(index, index + 1)
        assert own is mixed.of(index + 2) and own is not mixed.of(index + 1)
        alone = generate(own, SOCIETY.generators[one], PROBLEMS, SAMPLING, STREAM)
        pd.testing.assert_frame_equal(by(index, first), alone)
        alone = debate(own, SOCIETY.critics[one], PROBLEMS, first, Rules(), SAMPLING, STREAM)
        pd.testing.assert_frame_equal(by(index, second), alone)
        alone = rationalise(own, SOCIETY.generators[one], PROBLEMS, first, SAMPLING, STREAM)
        assert (by(index, alone)["text"] != by(index, first)["text"]).any()
        pd.testing.assert_frame_equal(by(index, retries), by(index, alone))
    # The two bases give different responses; otherwise the comparisons above would show nothing.
    elsewhere = debate(mixed.of(0), SOCIETY.critics[1:2], PROBLEMS, first, Rules(), SAMPLING, STREAM)
    for column in ("summary", "text"):
        assert elsewhere[column].tolist() != by(1, second)[column].tolist()


class Counting(TransformersEngine):
    """An engine that notes the number of requests in each call."""

    def complete(self, requests: list[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:  # type: ignore[override]
        self.batches = [*getattr(self, "batches", []), len(requests)]
        return super().complete(requests, sampling, on_progress)


def test_a_base_gets_all_its_requests_at_once_and_one_that_has_none_is_not_asked(folder: Path) -> None:
    bases = identify_bases(["embedded", str(other_bases.copied(folder / "copied"))], False)
    engines = {base: Counting(*base_model.load(base.name, "cpu"), adapters=folder / "adapters") for base in bases.each}
    told: list[tuple[int, int]] = []
    mixed = MixedEngine(bases, engines)
    asked = [
        Request(r.messages, None, r.seed, r.max_new_tokens, agent=agent)
        for r, agent in zip(requests(5, tokens=20), [0, 1, 2, 3, 4], strict=True)
    ]
    found = mixed.complete(asked, SAMPLING, lambda *state: told.append(state))
    # Both bases have the same weights, so they give the same responses.
    assert found == engines[bases.of(0)].complete(asked, SAMPLING, quiet)
    assert [each.batches for each in engines.values()] == [[3, 5], [2]]
    assert told == sorted(told) and told[-1] == (5, 5)
    mixed.complete(asked[1:2], SAMPLING, quiet)
    assert [each.batches for each in engines.values()] == [[3, 5], [2, 1]]


def test_an_agent_is_as_sure_as_its_own_base(mixed: MixedEngine, said: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    both = pd.concat(said, ignore_index=True)
    found = confidence(mixed, SOCIETY, PROBLEMS, both).set_index(["problem_id", "index"])["weight"]
    for index in range(3):
        alone = confidence(mixed.of(index), SOCIETY, PROBLEMS, by(index, both))
        for row in alone.itertuples():
            assert found[row.problem_id, index] == pytest.approx(row.weight, rel=1e-5)
    elsewhere = confidence(mixed.of(0), SOCIETY, PROBLEMS, by(1, both))
    assert (elsewhere["weight"].to_numpy() != found.xs(1, level="index").to_numpy()).all()


@pytest.fixture(scope="module")
def texts(mixed: MixedEngine) -> list[Text]:
    answers = [(speaker, c) for speaker in (0, 1) for c in mixed.of(speaker).complete(requests(2), GREEDY, quiet)]
    return [
        Text([*r.messages, {"role": "assistant", "content": c.text}], speaker, c.finished)
        for (speaker, c), r in zip(answers, [*requests(2), *requests(2)], strict=True)
    ]


def distribution(name: str, text: Text) -> tuple[torch.Tensor, Categorical]:
    """The tokens (T,) of a response, and a fresh base's distribution over the next token at each of them."""
    model, tokenizer = base_model.load(name, "cpu")
    prompt = tokenizer.apply_chat_template(text.messages[:-1], tokenize=False, add_generation_prompt=True)
    start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    whole = prompt + text.messages[-1]["content"] + (tokenizer.eos_token if text.finished else "")
    ids = tokenizer(whole, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return ids[0, start:], Categorical(logits=model(input_ids=ids).logits[0, start - 1 : -1].double())


def test_bases_of_one_tokenizer_are_compared(mixed: MixedEngine, texts: list[Text]) -> None:
    readers = [Reader(mixed.of(0), None), Reader(mixed.of(1), None)]
    found = likelihoods(readers, texts, quiet)
    for place, text in enumerate(texts):
        read = [distribution(base.name, text) for base in mixed.bases.each]
        nll = [-float(expected.log_prob(tokens).sum()) for tokens, expected in read]
        kl = [float(kl_divergence(read[text.speaker][1], expected).sum()) for _, expected in read]
        assert found.nll[:, place] == pytest.approx(nll, rel=1e-4)
        assert found.kl[:, place] == pytest.approx(kl, rel=1e-3, abs=1e-6)
        assert kl[1 - text.speaker] > 0.01


def test_another_chat_template_is_no_hindrance(mixed: MixedEngine, texts: list[Text], folder: Path) -> None:
    other = other_bases.copied(folder / "template")
    template = other / "chat_template.jinja"
    template.write_text("<|system|>Be brief.\n" + template.read_text("utf-8"), "utf-8")
    read = engine(folder, str(other)).of(0)
    found = likelihoods([Reader(mixed.of(0), None), Reader(read, None)], texts, quiet)
    alone = likelihoods([Reader(read, None)], [Text(t.messages, 0, t.finished) for t in texts], quiet)
    np.testing.assert_allclose(found.nll[1], alone.nll[0], rtol=1e-5)
    assert (found.nll[0] != found.nll[1]).all()


@pytest.mark.parametrize("other", [other_bases.renumbered, other_bases.widened])
def test_bases_of_other_vocabularies_are_not_compared(
    folder: Path, texts: list[Text], other: Callable[[Path], Path]
) -> None:
    mixed = engine(folder, "embedded", str(other(folder / other.__name__)))
    # Despite other token ids, or room for more of them, both models give the same texts.
    assert [c.text for c in mixed.of(0).complete(requests(2), GREEDY, quiet)] == [
        c.text for c in mixed.of(1).complete(requests(2), GREEDY, quiet)
    ]
    with pytest.raises(UnlikeTokensError):
        likelihoods([Reader(mixed.of(0), None), Reader(mixed.of(1), None)], texts, quiet)
    agents = Society.untuned(2).generators
    said = generate(mixed, agents, PROBLEMS, SAMPLING, STREAM)
    found = diversity(mixed, agents, PROBLEMS, said)
    assert (found.nll, found.own_nll, found.kl) == (None, None, None)
    # Measures that need no tokens are still computed.
    answers = [set(own["answer"].dropna()) for _, own in said.groupby("problem_id")]
    given = said.groupby("problem_id")["answer"].count()
    agreed = [0.0 if not a else 1.0 if len(a) == 1 and n == 2 else 0.5 for a, n in zip(answers, given, strict=True)]
    assert found.consensus.value == sum(agreed) / len(agreed) and found.consensus.value > 0
    # For agents of the first base alone, the measures per token are computed.
    own = diversity(mixed, agents[:1], PROBLEMS, said)
    assert own.own_nll is not None


def test_the_bases_of_a_society_stay_resident_until_another_society_comes(folder: Path) -> None:
    name = str(other_bases.copied(folder / "second"))
    bases = identify_bases(["embedded", name, "embedded"], False)

    def ask(bases: Bases) -> TransformersEngine | MixedEngine:
        return resident(bases, Local(device="cpu", batch_rows=8), folder)

    first = ask(bases)
    assert isinstance(first, MixedEngine) and len(first.engines) == 2 and first.of(0) is first.of(2)
    assert ask(identify_bases(["embedded", name, "embedded"], False)) is first
    models = [weakref.ref(each.model) for each in first.engines.values()]
    alone = ask(identify_bases(["embedded", "embedded"], False))
    assert isinstance(alone, TransformersEngine) and alone.of(5) is alone
    del first
    gc.collect()
    assert [model() for model in models] == [None, None]


def test_a_base_that_is_not_there_is_named() -> None:
    with pytest.raises(BaseModelError, match=r"^base_models: '\./nowhere' is neither"):
        identify_bases(["embedded", "./nowhere"], False)
    with pytest.raises(BaseModelError, match=r"^base_model: '\./nowhere' is neither"):
        identify_bases(["./nowhere"], False)
