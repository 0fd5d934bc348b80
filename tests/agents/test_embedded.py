"""The embedded base model is as its README says: a weak solver in three styles, whose critics can become better."""

import itertools
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from agents.debate.settings import DebateSettings
from agents.engines import base_model
from agents.engines.base_model import EMBEDDED
from agents.engines.protocol import Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.records import Stream
from agents.society import Society
from evaluation.measures.debates import score_debate
from evaluation.problems.arithmetic import arithmetic_problems
from tests.agents.rounds import debate, generate

pytestmark = pytest.mark.slow
PROBLEMS = list(itertools.islice(arithmetic_problems(20_000), 150))


@pytest.fixture(scope="module")
def responses() -> pd.DataFrame:
    engine = TransformersEngine(*base_model.load("embedded", "cpu"), adapters=Path("none"))
    society, stream = Society.untuned(3), Stream(seed=20_000, purpose="evaluate", iteration=0)
    first = generate(engine, society.generators, PROBLEMS, Sampling(), stream)
    second = debate(engine, society.critics, PROBLEMS, first, DebateSettings(), Sampling(), stream)
    return pd.concat([first, second], ignore_index=True)


def test_one_sample_is_right_between_40_and_65_percent(responses: pd.DataFrame) -> None:
    first, _ = score_debate(PROBLEMS, responses, 1).rounds
    assert 0.40 <= first.mean_accuracy <= 0.65


def test_debate_is_no_worse_than_the_majority_vote(responses: pd.DataFrame) -> None:
    first, second = score_debate(PROBLEMS, responses, 1).rounds
    assert second.majority_accuracy >= first.majority_accuracy - 0.02


def test_twelve_votes_are_hardly_worth_more_than_three(responses: pd.DataFrame) -> None:
    """More votes help little, since all samples make the same errors."""
    first = responses[responses["round"] == 1]
    engine = TransformersEngine(*base_model.load("embedded", "cpu"), adapters=Path("none"))
    stream = Stream(seed=20_001, purpose="evaluate", iteration=0)
    more = generate(engine, Society.untuned(9, first=3).generators, PROBLEMS, Sampling(), stream)
    (three,) = score_debate(PROBLEMS, first, 1).rounds
    (twelve,) = score_debate(PROBLEMS, pd.concat([first, more], ignore_index=True), 1).rounds
    assert twelve.majority_accuracy <= three.majority_accuracy + 0.08


def test_a_critic_checks_now_and_then_and_is_then_right(responses: pd.DataFrame) -> None:
    answers = {problem.id: problem.answer for problem in PROBLEMS}
    second = responses[responses["round"] == 2]
    checked = second[second["text"].str.startswith("Checking.")]
    assert 0.15 <= len(checked) / len(second) <= 0.40
    assert (checked["answer"] == checked["problem_id"].map(answers)).mean() >= 0.85


def test_three_styles_are_spoken(responses: pd.DataFrame) -> None:
    round_one = responses[responses["round"] == 1]
    styles = Counter(text.split()[0] for text in round_one["text"])
    assert [style for style, count in styles.items() if count > 0.2 * len(round_one)] and len(styles) >= 3
    assert min(styles[word] for word in ("Products", "Left", "Gains")) > 0.2 * len(round_one)


def test_responses_end_by_themselves(responses: pd.DataFrame) -> None:
    assert responses["finished"].mean() > 0.99


def test_what_ships_is_small_safe_and_described() -> None:
    files = list(EMBEDDED.iterdir())
    assert sum(file.stat().st_size for file in files) <= 8_000_000
    assert {file.suffix for file in files} <= {".safetensors", ".json", ".jinja", ".md"}
    assert "weak" in (EMBEDDED / "README.md").read_text()
