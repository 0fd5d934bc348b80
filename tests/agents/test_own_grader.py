"""The example of a grader of one's own: its class in votes, datasets and scores, without a server."""

import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.debate.prompts import DEFAULT
from agents.debate.responses import COLUMNS, Said
from agents.society import Agent
from agents.split import own_words
from evaluation.answers.grader import Grader, grader_of
from evaluation.answers.vote import tally
from evaluation.measures.debates import score_debate
from evaluation.problems.files import read_problems
from evaluation.problems.problem import Located, Problem, ProblemFileError, check_references
from infra.config.file import load
from infra.config.job import Config
from tests.command import ROOT

FOLDER = ROOT / "docs" / "examples" / "own_grader"
PROBLEM = Problem(question="Make 24 of 1, 3, 4 and 6.", answer="6/(1-3/4)")


@pytest.fixture(scope="module", autouse=True)
def on_path() -> Iterator[None]:
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))
    del sys.modules["twenty_four"]


@pytest.fixture(scope="module")
def grader() -> Grader:
    made = grader_of({"kind": "custom", "grader": "twenty_four:TwentyFour"})
    assert isinstance(made, Grader)
    return made


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3/4 is 0.75.\nAnswer: 6/(1-3/4)", "6/(1-3/4)"),
        ("The answer is 6 / (1 - 3/4) = 24.", "6 / (1 - 3/4)"),
        ("6/(1-3/4)", "6/(1-3/4)"),
        ("<think>Answer: 6*4</think> \\boxed{8*3}", "8*3"),
        ("Answer: 9**9**9", None),
        ("Answer: 6/(3-3)", None),
        ("Answer: -(6)", None),
        ("Answer: __import__('os')", None),
        ("Answer: 24.", "24"),
        ("Answer: " + "(" * 100_000, None),
        ("Answer: " + "1+" * 29 + "1", "1+" * 29 + "1"),
        ("I give up.", None),
    ],
)
def test_what_is_found(grader: Grader, text: str, answer: str | None) -> None:
    assert grader.extract(text) == answer


def test_what_is_the_same(grader: Grader) -> None:
    assert grader.equivalent("6/(1-3/4)", " 6 / ( 1-(3/4) )")
    assert not grader.equivalent("6/(1-3/4)", "6*4"), "the same value of other numbers"
    assert not grader.equivalent("6+4", "6-4") and grader.equivalent("?", "?") and not grader.equivalent("?", "!")


_FORMULAS = st.recursive(
    st.sampled_from("0123"),
    lambda inner: st.builds(lambda a, sign, b: f"({a}{sign}{b})", inner, st.sampled_from("+-*/"), inner),
    max_leaves=3,
)


@given(_FORMULAS, _FORMULAS, _FORMULAS)
def test_equality_is_an_equivalence_relation(grader: Grader, a: str, b: str, c: str) -> None:
    assert grader.equivalent(a, a) and grader.equivalent(a, b) == grader.equivalent(b, a)
    assert grader.equivalent(a, c) or not (grader.equivalent(a, b) and grader.equivalent(b, c))


@pytest.mark.parametrize(
    ("reference", "fault"),
    [("6*3", "its value is 18, not 24"), ("24 dollars", "it is no formula"), ("6/0", "no formula")],
)
def test_references_that_are_not_24_are_refused(grader: Grader, reference: str, fault: str) -> None:
    with pytest.raises(ProblemFileError, match=f"Make 24 of 3 and 6.*answers.kind custom: .*{fault}"):
        check_references([Located(Problem(question="Make 24 of 3 and 6.", answer=reference), "a:1")], grader)


def responses(answers: dict[tuple[int, int], str]) -> pd.DataFrame:
    rows = [
        {
            "problem_id": PROBLEM.id,
            "role": "generator" if round_ == 1 else "critic",
            "index": index,
            "round": round_,
            "text": f"Answer: {answer}",
            "answer": answer,
            "summary": None if round_ == 1 else "a summary",
        }
        for (index, round_), answer in answers.items()
    ]
    rest = {"prompt_tokens": 1, "sampled_tokens": 1, "finished": True, "heard": "1", "persona": None}
    return pd.DataFrame(rows).assign(**rest, carried=False, fallback=None, weight=1.0)[COLUMNS]


def test_votes_datasets_and_scores_use_it(grader: Grader) -> None:
    said = {
        (0, 1): "6/(1-3/4)",
        (1, 1): "6*4*(3-1)",
        (2, 1): "6*4",
        (0, 2): "6*4",
        (1, 2): "6/(1-(3/4))",
        (2, 2): "(6)/(1-3/4)",
    }
    frame = responses(said)
    last = [said[index, 2] for index in range(3)]
    vote = tally(last, seed=1, grader=grader)
    assert (vote.votes, vote.agrees, vote.tied) == (2, [False, True, True], False)
    assert tally(["6*4", "4*6", "6+4"], seed=1, grader=grader).agrees == [True, True, False]

    def words(role: str, index: int) -> int:
        agent = Agent.model_validate({"role": role, "index": index})
        agreed = {PROBLEM.id: str(vote.answer)}
        return len(own_words(agent, [PROBLEM], Said(frame, DEFAULT, grader), consensus=agreed, critic_mix=0.5, seed=1))

    assert [words("generator", index) for index in range(3)] == [1, 0, 0]
    assert [words("critic", index) for index in range(3)] == [0, 1, 1]
    scores = score_debate([PROBLEM], frame, 1, grader=grader)
    assert scores.accuracy == 1.0
    assert [agent.accuracy for agent in scores.rounds[-1].agents] == [0.0, 1.0, 1.0]
    assert score_debate([PROBLEM], frame.assign(answer="6*4"), 1, grader=grader).accuracy == 0.0


def test_the_config_and_the_puzzles_fit_each_other() -> None:
    config = load(Config, FOLDER / "own_grader.yaml", [])
    puzzles = read_problems(str(FOLDER / "puzzles.jsonl"))
    assert len(puzzles) == 60
    check_references(puzzles, config.answers)
    from twenty_four import read

    for puzzle, _ in puzzles:
        value, numbers = read(puzzle.answer)
        asked = [int(word) for word in puzzle.question.replace(",", "").rstrip(".").split()[3:] if word.isdecimal()]
        assert value == Fraction(24) and numbers == sorted(asked)


def test_its_code_is_the_file_of_the_module(grader: Grader) -> None:
    assert grader.code() == [Path(FOLDER / "twenty_four.py")]
    assert json.loads(grader.model_dump_json())["grader"] == "twenty_four:TwentyFour"
