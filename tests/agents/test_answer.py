"""A society answers a question by the same debate and vote by which it is measured."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch

from agents.ask import Answer, QuestionError
from agents.debate.prompts import DEFAULT
from agents.debate.settings import DebateSettings as Rules
from agents.engines import base_model
from agents.engines.protocol import Completion, Engine, OnProgress, Request, Sampling
from agents.engines.transformers.engine import TransformersEngine
from agents.records import Stream
from agents.society import Society
from evaluation.measures.debates import score_debate
from evaluation.problems.arithmetic import arithmetic_problems
from evaluation.problems.problem import MAX_QUESTION_CHARS
from tests.agents.rounds import answer, debate, generate

SAMPLING = Sampling(max_new_tokens=160, max_summary_tokens=160)
PROBLEMS = list(itertools.islice(arithmetic_problems(3), 4))
QUESTIONS = [problem.question for problem in PROBLEMS]
SOCIETY = Society.untuned(3)
VERY_WORDS = Rules(summarize=False)


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    # Two threads are not faster for so few rows, and on a busy machine they wait for each other.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield TransformersEngine(*base_model.load("embedded", "cpu"), adapters=Path("none"))
    torch.set_num_threads(threads)


def asked(engine: Engine, questions: Sequence[str], seed: int = 5, rounds: int = 2) -> list[Answer]:
    return answer(engine, SOCIETY, questions, Rules(rounds=rounds), SAMPLING, seed)


@pytest.fixture(scope="module")
def measured(engine: TransformersEngine) -> list[Answer]:
    """The answers to all questions, asked in one call."""
    return asked(engine, QUESTIONS)


class Scripted:
    """An engine whose n-th agent gives the n-th text in every round."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.society = Society.untuned(len(texts))
        self.calls = 0

    def complete(self, requests: Sequence[Request], sampling: Sampling, on_progress: OnProgress) -> list[Completion]:
        assert len(requests) == len(self.texts)
        self.calls += 1
        return [Completion(text, 1, 1, True) for text in self.texts]

    def answer(self, rules: Rules = VERY_WORDS) -> Answer:
        (only,) = answer(self, self.society, ["What is half of 1?"], rules, SAMPLING, 0)
        return only


@pytest.mark.slow
def test_the_answers_are_those_that_the_generation_was_measured_on(
    engine: TransformersEngine, measured: list[Answer]
) -> None:
    stream = Stream(seed=5, purpose="evaluate", iteration=0)
    first = generate(engine, SOCIETY.generators, PROBLEMS, SAMPLING, stream)
    second = debate(engine, SOCIETY.critics, PROBLEMS, first, Rules(), SAMPLING, stream)
    scores = score_debate(PROBLEMS, pd.concat([first, second], ignore_index=True), 5)
    assert sum(a.consensus for a in measured) / len(measured) == pytest.approx(scores.consensus)
    right = [a.answer == p.answer for a, p in zip(measured, PROBLEMS, strict=True)]
    assert sum(right) / len(right) == scores.accuracy > 0, "an untuned society gets some of four right"
    for each in measured:
        assert [(t.round, t.agent) for t in each.transcript] == [
            *[(1, a.name) for a in SOCIETY.generators],
            *[(2, a.name) for a in SOCIETY.critics],
        ]
        assert [t.read is None for t in each.transcript] == [True] * 3 + [False] * 3


def test_a_question_asked_twice_and_one_that_differs_in_case_only(
    engine: TransformersEngine, measured: list[Answer]
) -> None:
    first, namesake = QUESTIONS[0], QUESTIONS[0].upper()
    together = asked(engine, [first, namesake, f"  {first}\n", first])
    assert [each.question for each in together] == [first, namesake, first, first]
    assert together[0] == together[2] == together[3] == measured[0], "other questions in the same call change nothing"
    assert together[1] == asked(engine, [namesake])[0]
    assert together[1].transcript != together[0].transcript


def test_the_seed_decides(engine: TransformersEngine, measured: list[Answer]) -> None:
    assert asked(engine, QUESTIONS[1:2]) == measured[1:2]
    assert asked(engine, QUESTIONS[1:2], seed=6) != measured[1:2]


def test_without_a_debate_the_generators_vote(engine: TransformersEngine) -> None:
    (only,) = asked(engine, QUESTIONS[:1], rounds=1)
    assert [turn.agent for turn in only.transcript] == ["generator-0", "generator-1", "generator-2"]
    assert sum(only.votes.values()) == sum(turn.answer is not None for turn in only.transcript)


def test_nothing_asked_is_nothing_answered(engine: TransformersEngine) -> None:
    assert asked(engine, []) == []


def test_critics_read_the_very_words_where_there_is_no_summary() -> None:
    only = Scripted(r"\boxed{1}", r"\boxed{2}").answer()
    assert only.transcript[2].read == DEFAULT.listed([r"\boxed{2}"])


def test_equivalent_answers_are_counted_together_and_silence_is_no_vote() -> None:
    only = Scripted(r"\boxed{2}", r"\boxed{1/2}", "I do not know.", r"\boxed{0.5}").answer()
    assert (only.answer, only.votes, only.consensus) == ("1/2", {"1/2": 2, "2": 1}, 0.5)
    assert [turn.answer for turn in only.transcript[4:]] == ["2", "1/2", None, "0.5"]


def test_the_winner_has_the_votes_of_all_that_equal_it() -> None:
    only = Scripted(r"\boxed{50}", r"\boxed{50\%}", r"\boxed{\$50.00}").answer()
    assert only.answer in (r"50", r"50\%", r"\$50.00")
    assert (only.votes, only.consensus) == ({only.answer: 3}, 1.0)


def test_a_debate_that_has_ended_is_told_as_far_as_it_went() -> None:
    agree = Scripted(r"\boxed{1/2}", r"\boxed{0.5}")
    only = agree.answer(Rules(rounds=4, stop_on_consensus=True))
    assert agree.calls == 1 and [turn.round for turn in only.transcript] == [1, 1]
    assert (only.answer, only.votes, only.consensus) == ("1/2", {"1/2": 2}, 1.0)
    differ = Scripted(r"\boxed{1}", r"\boxed{0.5}")
    only = differ.answer(Rules(rounds=4, stop_on_consensus=True, summarize=False))
    assert differ.calls == 4 and [turn.round for turn in only.transcript] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_if_nobody_answers_there_is_no_answer() -> None:
    only = Scripted("I do not know.", "Nor do I.").answer()
    assert (only.answer, only.votes, only.consensus) == (None, {}, 0.0)


@pytest.mark.parametrize(
    ("bad", "why"),
    [("", "at least 1"), (" \n", "blank"), ("x" * (MAX_QUESTION_CHARS + 1), "20000"), (3, "string"), (None, "string")],
)
def test_what_cannot_be_asked_is_named_before_anything_is_sampled(bad: str, why: str) -> None:
    engine = Scripted(r"\boxed{1}")
    with pytest.raises(QuestionError, match=f"question 2: .*{why}"):
        answer(engine, engine.society, ["What is 1+1?", bad], Rules(), SAMPLING, 0)
    assert engine.calls == 0
