"""The votes of a society. Run: pytest tests/evaluation/test_vote.py"""

import os
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.answers.equality import equivalent
from evaluation.answers.vote import majority, tally, unanimous


def test_majority_counts_equivalent_answers_together() -> None:
    vote = tally(["2", "1/2", None, "0.5", "3"], seed=1)
    assert vote.answer == "1/2"
    assert (vote.votes, vote.voters, vote.tied) == (2, 4, False)
    assert vote.agrees == [False, True, False, True, False]


def test_nobody_answered() -> None:
    assert majority([None, None], seed=1) is None
    assert majority([], seed=1) is None
    vote = tally([None, None], seed=1)
    assert (vote.votes, vote.voters, vote.tied, vote.agrees) == (0, 0, False, [False, False])


def test_no_answer_is_no_vote() -> None:
    assert majority([None, None, "7"], seed=1) == "7"


def test_a_percent_sign_is_a_unit_in_a_vote() -> None:
    vote = tally(["50", "0.5", "50%"], seed=1)
    assert (vote.answer, vote.votes, vote.agrees) == ("50", 2, [True, False, True])


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["1/2", "0.5", "\\frac{1}{2}"], True),
        (["50", "50%", "$50"], True),
        (["50", "50%", "0.5"], False),
        (["1", "1", "2"], False),
        (["1", "1", None], False),
        (["1"], True),
        ([None, None], False),
        ([], False),
    ],
)
def test_who_is_unanimous(answers: list[str | None], expected: bool) -> None:
    assert unanimous(answers) == expected


@pytest.mark.parametrize(
    ("answers", "weights", "winner", "votes", "tied"),
    [
        (["1", "1", "2"], [0.2, 0.3, 0.6], "2", 1, False),  # The weights are 0.5 against 0.6.
        (["1", "1", "2"], [0.4, 0.3, 0.6], "1", 2, False),  # The weights are 0.7 against 0.6.
        (["1/2", "3", "0.5"], [0.3, 0.6, 0.4], "1/2", 2, False),  # Weights of equal answers add up to 0.7.
        (["50%", "50", "0.5", "7"], [0.1, 0.6, 0.3, 0.6], "50%", 2, False),  # 50% and 50 have 0.7 together.
        (["1", None, "2"], [0.5, 0.9, 0.4], "1", 1, False),  # An agent without an answer has no weight.
        (["1", "2"], [0.0, 0.1], "2", 1, False),
        (["1", "2", "2"], [0.5, 0.25, 0.25], None, None, True),
        # Ten times 0.1 must be exactly 1, in any order of the answers.
        (["1", *["2"] * 10], [1.0, *[0.1] * 10], None, None, True),
    ],
)
def test_weighted_votes_worked_by_hand(
    answers: list[str | None], weights: list[float], winner: str | None, votes: int | None, tied: bool
) -> None:
    vote = tally(answers, seed=1, weights=weights)
    assert vote.tied == tied and vote.voters == sum(answer is not None for answer in answers)
    if winner:
        assert (vote.answer, vote.votes, sum(vote.agrees)) == (winner, votes, votes)
    else:
        assert {tally(answers, seed, weights).answer for seed in range(20)} == {"1", "2"}


@pytest.mark.parametrize("weights", [[1.0, -0.1], [1.0, float("nan")], [1.0, float("inf")], [1.0]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"weights|zip"):
        tally(["1", "2"], seed=1, weights=weights)


@given(st.lists(st.sampled_from(["1", "1.0", "2", "50%", "0.5", "50", None]), max_size=7), st.integers(0, 5))
def test_equal_weights_are_a_majority(answers: list[str | None], seed: int) -> None:
    assert tally(answers, seed, [0.25] * len(answers)) == tally(answers, seed)


def test_ties_are_drawn_evenly_whatever_the_answers_say() -> None:
    wins = [majority(["1", "2", "3"], seed=seed) for seed in range(600)]
    assert all(150 < wins.count(answer) < 250 for answer in "123")
    assert tally(["1", "2", "3"], seed=1).tied
    # The draw selects a place, so other texts in the same places change nothing.
    places = [["7", "20", "x"].index(str(majority(["7", "20", "x"], seed=seed))) for seed in range(50)]
    assert places == [["1", "2", "3"].index(str(answer)) for answer in wins[:50]]


def test_ties_do_not_hang_on_the_hash_seed() -> None:
    script = "from evaluation.answers.vote import majority; print([majority(['a', 'b', 'c'], s) for s in range(40)])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1


@given(st.lists(st.sampled_from(["1", "1.0", "2", "2/1", "3", None]), max_size=9), st.integers(0, 5))
def test_what_every_tally_keeps_to(answers: list[str | None], seed: int) -> None:
    vote = tally(answers, seed)
    assert sum(vote.agrees) == vote.votes
    assert vote.voters == sum(answer is not None for answer in answers)
    assert all(answer is not None for answer, agrees in zip(answers, vote.agrees, strict=True) if agrees)
    values = [Fraction(answer) for answer in answers if answer is not None]
    assert vote.votes == max((values.count(value) for value in values), default=0)
    if not vote.tied and vote.answer is not None:
        assert equivalent(majority(answers[::-1], seed + 1), vote.answer)
