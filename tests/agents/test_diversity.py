"""The diversity of real agents after a debate. Run: pytest tests/agents/test_diversity.py"""

import itertools

import numpy as np
import pandas as pd
import pytest

from agents.debate.prompts import DEFAULT
from agents.debate.responses import Said
from agents.debate.settings import DebateSettings as Rules
from agents.engines import base_model
from agents.engines.protocol import Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.judging.likelihood import Reader, Text, likelihoods
from agents.records import Stream
from agents.society import Agent, Society
from evaluation.answers.kinds.math import MATH
from evaluation.measures.diversity import Array, Diversity
from evaluation.problems.arithmetic import arithmetic_problems
from tests.agents.engine_samples import quiet, save_adapters
from tests.agents.rounds import debate, diversity, generate

pytestmark = pytest.mark.slow

PROBLEMS = list(itertools.islice(arithmetic_problems(8), 6))
STREAM = Stream(seed=1, purpose="evaluate", iteration=0)
SAMPLING = Sampling(max_new_tokens=120)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = tmp_path_factory.mktemp("adapters")
    save_adapters(folder, ["one", "two"])
    return TransformersEngine(*base_model.load("embedded", "cpu"), adapters=folder)


def letters(texts: list[str]) -> Array:
    """The number of times that each digit occurs in each text: a simple embedding in which texts differ."""
    return np.array([[1.0 + text.count(digit) for digit in "0123456789"] for text in texts])


def debated(engine: TransformersEngine, society: Society) -> pd.DataFrame:
    said = generate(engine, society.generators, PROBLEMS, SAMPLING, STREAM)
    new = debate(engine, society.critics, PROBLEMS, said, Rules(), SAMPLING, STREAM)
    # The rows are shuffled, since a frame from a file may have another order.
    return pd.concat([said, new], ignore_index=True).sample(frac=1.0, random_state=1)


def measure(engine: TransformersEngine, agents: list[Agent], responses: pd.DataFrame, round_: int) -> Diversity:
    return diversity(engine, agents, PROBLEMS, responses[responses["round"] <= round_], letters)


@pytest.fixture(scope="module")
def untuned(engine: TransformersEngine) -> tuple[Society, pd.DataFrame]:
    society = Society.untuned(3)
    return society, debated(engine, society)


def test_untuned_agents_are_one_model(engine: TransformersEngine, untuned: tuple[Society, pd.DataFrame]) -> None:
    society, responses = untuned
    found = measure(engine, society.generators, responses, 1)
    assert (found.agents, found.round) == (3, 1)
    assert found.kl is not None and found.kl.value == 0.0
    assert found.nll is not None and found.own_nll is not None and found.dissimilarity is not None
    # All agents are the same model, so the others' responses are as likely as an agent's own.
    assert found.nll.value == pytest.approx(found.own_nll.value, rel=0.1)
    assert found.nll.value > 0.0 and 0.0 < found.dissimilarity.value < 1.0
    assert 1 / 3 <= found.consensus.value <= 1.0
    assert found.styles is not None and 1.0 <= found.styles.effective <= 3.0


def test_agents_with_adapters_of_their_own_differ(engine: TransformersEngine) -> None:
    society = Society(
        generation=1,
        generators=[Agent(role="generator", index=0, adapter="one"), Agent(role="generator", index=1, adapter="two")],
        critics=[Agent(role="critic", index=0, adapter="two"), Agent(role="critic", index=1)],
    )
    responses = debated(engine, society)
    for round_, agents in ((1, society.generators), (2, society.critics)):
        found = measure(engine, agents, responses, round_)
        # Critics that only repeat their answers differ little, so their limit is lower. For equal models, kl is 0.0.
        assert found.kl is not None and found.kl.value > (0.01 if round_ == 1 else 0.001)
        assert found.nll is not None and found.own_nll is not None
        assert found.nll.value > found.own_nll.value


def test_a_critics_words_are_judged_in_its_own_conversation(
    engine: TransformersEngine, untuned: tuple[Society, pd.DataFrame]
) -> None:
    society, responses = untuned
    critics = [society.critics[0], society.critics[1].model_copy(update={"adapter": "one"}), society.critics[2]]
    found = measure(engine, critics, responses, 2)
    said = Said(responses, DEFAULT, MATH)
    sums, far, tokens = np.zeros((3, 3)), np.zeros((3, 3)), np.zeros(3)
    for speaker, problem in itertools.product(range(3), PROBLEMS):
        row = responses.query("role == 'critic' and problem_id == @problem.id and index == @speaker").iloc[0]
        conversation = said.conversation(problem, speaker, 2)
        assert [m["role"] for m in conversation] == ["user", "assistant", "user", "assistant"]
        assert conversation[-1]["content"] == row["text"]
        text = Text(conversation, speaker, bool(row["finished"]))
        alone = likelihoods([Reader(engine, critic.adapter) for critic in critics], [text], quiet)
        sums[:, speaker] += alone.nll[:, 0]
        far[:, speaker] += alone.kl[:, 0]
        tokens[speaker] += alone.tokens[0]
    others = [(sums[i].sum() - sums[i, i]) / (tokens.sum() - tokens[i]) for i in range(3)]
    assert found.nll is not None
    assert found.nll.value == pytest.approx(np.mean(others), rel=1e-5)
    pairs = [far[j, i] / tokens[i] for i, j in itertools.permutations(range(3), 2)]
    assert found.kl is not None
    assert found.kl.value == pytest.approx(np.mean(pairs), rel=1e-4)


def test_one_agent_alone(engine: TransformersEngine, untuned: tuple[Society, pd.DataFrame]) -> None:
    society, responses = untuned
    found = measure(engine, society.generators[:1], responses.query("index == 0"), 1)
    assert (found.nll, found.kl, found.dissimilarity) == (None, None, None)
    assert found.own_nll is not None and found.consensus.value <= 1.0
