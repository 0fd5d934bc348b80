"""Scores of debates, worked out by hand. Run: pytest tests/evaluation/test_metrics.py"""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.answers.vote import majority, vote_seed
from evaluation.measures.debates import label_accuracy, response_shares, score_debate, society_right
from evaluation.problems.problem import Problem
from evaluation.scores import DebateScores
from evaluation.statistics.paired import difference, standard_error

# Four problems, three agents, two rounds. X is a response without an answer.
PROBLEMS = [Problem(question=f"Question {n}?", answer=answer) for n, answer in enumerate(["10", "1/2", "30", "40"])]
ROUND_1 = ["10 10 9", "0.5 2 2", "X X 30", "41 41 X"]
ROUND_2 = ["10 10 10", "1/2 0.50 2", "X X X", "41 40 40"]


def debate(*rounds: list[str], problems: list[Problem] = PROBLEMS) -> pd.DataFrame:
    rows = [
        (problem.id, "generator" if number == 1 else "critic", index, number, None if answer == "X" else answer)
        for number, answers in enumerate(rounds, start=1)
        for problem, line in zip(problems, answers, strict=True)
        for index, answer in enumerate(line.split())
    ]
    return pd.DataFrame(rows, columns=["problem_id", "role", "index", "round", "answer"])


def test_where_the_society_is_right() -> None:
    right = society_right(PROBLEMS, debate(ROUND_1, ROUND_2), seed=1)
    assert right == [True, True, False, True]
    assert society_right(PROBLEMS[::-1], debate(ROUND_1, ROUND_2), seed=1) == right[::-1]


def test_a_debate_worked_by_hand() -> None:
    scores = score_debate(PROBLEMS, debate(ROUND_1, ROUND_2), seed=1)
    first, last = scores.rounds
    assert scores.problems == 4
    assert [(agent.role, agent.index, agent.accuracy) for agent in first.agents] == [
        ("generator", 0, 0.5),
        ("generator", 1, 0.25),
        ("generator", 2, 0.25),
    ]
    assert [(agent.role, agent.accuracy) for agent in last.agents] == [
        ("critic", 0.5),
        ("critic", 0.75),
        ("critic", 0.5),
    ]
    # Shares of right answers per problem: 2/3 1/3 1/3 0 in round 1, and 1 2/3 0 2/3 in round 2.
    assert first.mean_accuracy == pytest.approx(1 / 3)
    assert first.mean_standard_error == pytest.approx(math.sqrt((1 / 9 + 1 / 9) / 3 / 4))
    assert last.mean_accuracy == pytest.approx(7 / 12)
    # Majorities in round 1: 10, 2 (wrong), 30 (the only answer), 41 (wrong). In round 2: 10, 1/2, none, 40.
    assert first.majority_accuracy == 0.5
    assert first.majority_standard_error == pytest.approx(math.sqrt(0.5 * 0.5 / 3))
    assert last.majority_accuracy == 0.75
    assert (scores.accuracy, scores.standard_error) == (last.majority_accuracy, last.majority_standard_error)
    assert scores.standard_error == pytest.approx(math.sqrt(0.75 * 0.25 / 3))
    assert first.consensus == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 2 / 3) / 4)
    assert scores.consensus == last.consensus == pytest.approx((1 + 2 / 3 + 0 + 2 / 3) / 4)


def test_the_order_of_rows_and_other_columns_change_nothing() -> None:
    frame = debate(ROUND_1, ROUND_2)
    shuffled = frame.sample(frac=1, random_state=1).assign(text="words")
    assert score_debate(PROBLEMS, shuffled, seed=1) == score_debate(PROBLEMS, frame, seed=1)


@pytest.mark.parametrize("blank", [None, float("nan"), pd.NA, "", "  "])
def test_blank_answers_are_wrong_and_no_votes(blank: object) -> None:
    frame = debate(["10 9 9"], problems=PROBLEMS[:1])
    frame["answer"] = pd.Series(["10", blank, blank], dtype=object)
    scores = score_debate(PROBLEMS[:1], frame, seed=1)
    assert scores.accuracy == 1
    assert scores.consensus == pytest.approx(1 / 3)
    assert scores.rounds[0].mean_accuracy == pytest.approx(1 / 3)


def test_responses_without_an_answer_and_cut_ones_are_counted() -> None:
    # Of 24 responses, X stands for 3 in round 1 and 3 in round 2; the first agent's are cut in round 2.
    frame = debate(ROUND_1, ROUND_2)
    frame["finished"] = ~((frame["round"] == 2) & (frame["index"] == 0))
    scores = score_debate(PROBLEMS, frame, seed=1)
    assert (scores.unanswered_share, scores.cut_share) == (6 / 24, 4 / 24)
    first, last = scores.rounds
    assert [agent.unanswered_share for agent in first.agents] == [0.25, 0.25, 0.25]
    assert [agent.cut_share for agent in first.agents] == [0.0, 0.0, 0.0]
    assert [agent.cut_share for agent in last.agents] == [1.0, 0.0, 0.0]
    assert response_shares(frame[frame["index"] == 0]).cut_share == 0.5


def test_carried_responses_are_not_counted_again() -> None:
    frame = debate(ROUND_1, ROUND_2).assign(finished=False)
    frame["carried"] = (frame["round"] == 2) & (frame["problem_id"] == PROBLEMS[2].id)
    scores = score_debate(PROBLEMS, frame, seed=1)
    assert (scores.unanswered_share, scores.cut_share) == (3 / 21, 1.0)
    carried = score_debate(PROBLEMS, frame.assign(carried=frame["round"] == 2), seed=1)
    assert {(agent.unanswered_share, agent.cut_share) for agent in carried.rounds[1].agents} == {(None, None)}


def test_nothing_is_said_of_cut_responses_where_that_is_not_known() -> None:
    scores = score_debate(PROBLEMS, debate(ROUND_1, ROUND_2), seed=1)
    assert (scores.unanswered_share, scores.cut_share) == (6 / 24, None)


def test_ties_fall_as_they_do_in_the_vote() -> None:
    problems = [Problem(question=f"Tie {n}?", answer="1") for n in range(60)]
    scores = score_debate(problems, debate(["1 2"] * 60, problems=problems), seed=7)
    wins = [majority(["1", "2"], vote_seed(7, 1, problem.id)) == "1" for problem in problems]
    assert scores.accuracy == pytest.approx(np.mean(wins))
    assert 15 < sum(wins) < 45


def test_the_vote_seed_tells_all_its_parts_apart() -> None:
    seeds = {vote_seed(seed, round, name) for seed in (1, 11) for round in (1, 2, 12) for name in ("1", "a")}
    assert len(seeds) == 12


def test_votes_of_the_society_are_weighted_where_the_responses_have_weights() -> None:
    # Problem 0: once 10 (0.9) against twice 9 (0.4 each). Problem 1: twice 2 (0.4 each) against once 1/2 (0.5).
    frame = debate(["10 9 9", "1/2 2 2"], problems=PROBLEMS[:2]).assign(weight=[0.9, 0.4, 0.4, 0.5, 0.4, 0.4])
    assert society_right(PROBLEMS[:2], frame, seed=1) == [True, False]
    assert society_right(PROBLEMS[:2], frame.drop(columns="weight"), seed=1) == [False, False]
    scores = score_debate(PROBLEMS[:2], frame, seed=1)
    assert scores.accuracy == scores.rounds[0].majority_accuracy == 0.5
    assert scores.consensus == pytest.approx((1 / 3 + 2 / 3) / 2), "the consensus counts agents, not their weights"


def test_scores_survive_json() -> None:
    scores = score_debate(PROBLEMS[:1], debate(["10 9"], problems=PROBLEMS[:1]), seed=1)
    assert DebateScores.model_validate_json(scores.model_dump_json()) == scores


def without(frame: pd.DataFrame, round: int, index: int, place: int) -> pd.DataFrame:
    gone = (frame["round"] == round) & (frame["index"] == index) & (frame["problem_id"] == PROBLEMS[place].id)
    return frame[~gone]


def test_faulty_frames_are_refused() -> None:
    frame = debate(ROUND_1, ROUND_2)

    def refused(responses: pd.DataFrame, match: str, problems: list[Problem] = PROBLEMS) -> None:
        with pytest.raises(ValueError, match=match):
            score_debate(problems, responses, seed=1)

    missing = without(frame, 2, 1, 3)
    refused(missing, f"1 responses are missing, the first by critic 1 to problem {PROBLEMS[3].id} in round 2")
    refused(frame[(frame["round"] == 1) | (frame["index"] < 2)], "4 responses are missing, the first by critic 2")
    refused(frame[(frame["round"] == 2) | (frame["index"] < 2)], "4 responses are missing, the first by generator 2")
    refused(frame[frame["problem_id"] != PROBLEMS[0].id], "6 responses are missing")
    three = debate(ROUND_1, ROUND_2, ROUND_2)
    refused(three[three["round"] != 2], "12 responses are missing")
    refused(frame[frame["round"] == 2], "missing")
    refused(pd.concat([frame, frame[:1]]), "two responses by generator 0")
    refused(frame.assign(role="generator"), "critics afterwards")
    refused(frame.drop(columns="answer"), "no column 'answer'; they have problem_id, role")
    refused(frame[:0], "nothing to score")
    refused(frame, "nothing to score: 0 problems", [])
    refused(frame, "1 problems with responses are not in the problem set", PROBLEMS[:3])
    refused(frame, "the problem set has a problem twice", [*PROBLEMS, PROBLEMS[0]])
    refused(frame.assign(round=frame["round"] - 1), "below 1")


def test_standard_error() -> None:
    assert standard_error([1, 2, 3, 4]) == pytest.approx(math.sqrt(5 / 3) / 2)
    assert standard_error([True, False]) == pytest.approx(0.5)
    assert standard_error([0.3]) == 0
    with pytest.raises(ValueError, match="no values"):
        standard_error([])


@given(st.lists(st.booleans(), min_size=2, max_size=50))
def test_standard_error_of_a_share(values: list[bool]) -> None:
    share = sum(values) / len(values)
    assert standard_error(values) == pytest.approx(math.sqrt(share * (1 - share) / (len(values) - 1)))


def test_difference_is_paired() -> None:
    mean, error = difference([True, True, False, True], [True, False, False, False])
    assert mean == 0.5
    assert error == pytest.approx(math.sqrt(1 / 3) / 2)
    assert difference([1.0, 0.0, 1.0], [0.5, -0.5, 0.5]) == (0.5, 0.0)
    with pytest.raises(ValueError, match="a has 2 values and b 1"):
        difference([1, 2], [1])
    with pytest.raises(ValueError, match="no values"):
        difference([], [])


def test_label_accuracy() -> None:
    ids = [problem.id for problem in PROBLEMS]
    assert label_accuracy(PROBLEMS, {ids[0]: "10.0", ids[1]: "0.50", ids[2]: None, ids[3]: "41"}) == 0.5
    assert label_accuracy(PROBLEMS, {ids[0]: "10"}) == 1
    assert label_accuracy(PROBLEMS, {}) is None
    with pytest.raises(ValueError, match="1 labels belong to problems not in the problem set; the first is nowhere"):
        label_accuracy(PROBLEMS, {"nowhere": "1"})
