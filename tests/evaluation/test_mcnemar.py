"""McNemar's exact test, compared with sums of whole numbers and with cases worked out by hand."""

import time
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.statistics.mcnemar import compare, p_value
from evaluation.statistics.paired import difference


def outcomes(both: int, wins: int, losses: int, neither: int) -> tuple[list[bool], list[bool]]:
    """The results of the candidate and of the champion on each problem."""
    candidate = [True] * (both + wins) + [False] * (losses + neither)
    champion = [True] * both + [False] * wins + [True] * losses + [False] * neither
    return candidate, champion


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),  # 2 * 1/2
        (3, 3, 1.0),  # 2 * 42/64, capped
        (5, 0, 2 / 32),
        (6, 0, 2 / 64),
        (9, 1, 2 * (1 + 10) / 1024),
        (2, 10, 2 * (1 + 12 + 66) / 4096),
    ],
)
def test_p_values_worked_by_hand(wins: int, losses: int, p: float) -> None:
    assert p_value(wins, losses) == p_value(losses, wins) == p


def in_whole_numbers(wins: int, losses: int) -> float:
    """The p-value, computed exactly and rounded once at the end."""
    n = wins + losses
    return float(min(Fraction(1), Fraction(2 * sum(comb(n, k) for k in range(min(wins, losses) + 1)), 2**n)))


def test_p_values_are_those_of_whole_numbers() -> None:
    counts = [*range(31), 40, 41, 333, 1000]
    for wins in counts:
        for losses in counts:
            assert p_value(wins, losses) == pytest.approx(in_whole_numbers(wins, losses), rel=1e-12, abs=0)


def test_without_a_loss_p_is_a_power_of_two_to_the_last_bit() -> None:
    """So a p-value can be exactly equal to a level of 1/2, 1/4, ..."""
    assert [p_value(wins, 0) for wins in range(1, 60)] == [2.0**-wins * 2 for wins in range(1, 60)]


def test_a_hundred_thousand_problems_take_no_time_and_do_not_overflow() -> None:
    began = time.process_time()
    assert p_value(49_700, 50_300) == pytest.approx(0.05819735311019374, rel=1e-12, abs=0)  # from whole numbers
    assert p_value(100_000, 0) == 0.0  # The exact value is below the smallest float.
    assert 0 < p_value(1000, 0) < 1e-300
    assert time.process_time() - began < 10
    with pytest.raises(ValueError, match="-1 losses"):
        p_value(3, -1)


def test_a_gain_a_loss_and_a_tie() -> None:
    candidate, champion = outcomes(both=282, wins=9, losses=1, neither=8)
    gain = compare(candidate, champion, 0.05)
    assert (gain.problems, gain.wins, gain.losses, gain.verdict) == (300, 9, 1, "gain")
    assert (gain.candidate_accuracy, gain.champion_accuracy) == (0.97, 283 / 300)
    assert (gain.difference, gain.standard_error) == difference(candidate, champion)
    assert gain.difference == pytest.approx(8 / 300)
    assert gain.describe("generation 3", "generation 2") == (
        "generation 3 beats generation 2: 97.0 % against 94.3 %, 9 problems won, 1 lost, "
        "p = 0.0215 (exact McNemar, level 0.05)"
    )
    loss = compare(champion, candidate, 0.05)
    assert (loss.verdict, loss.p) == ("loss", gain.p)
    assert loss.describe("b", "a").startswith("b loses to a: 94.3 % against 97.0 %, 1 problem won, 9 lost, ")
    tie = compare(candidate, champion, 0.02)
    assert tie.verdict == "tie"
    assert "b does not differ from a" in tie.describe("b", "a")


def test_a_p_value_at_the_level_is_a_tie() -> None:
    assert compare(*outcomes(0, 6, 0, 0), level=2 / 64).verdict == "tie"
    assert compare(*outcomes(0, 6, 0, 0), level=2 / 63).verdict == "gain"


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60), st.floats(0.001, 0.999))
def test_swapping_the_two_swaps_the_verdict(pairs: list[tuple[bool, bool]], level: float) -> None:
    one, other = map(list, zip(*pairs, strict=True))
    there, back = compare(one, other, level), compare(other, one, level)
    assert (there.wins, there.losses, there.p) == (back.losses, back.wins, back.p)
    assert there.verdict == {"gain": "loss", "loss": "gain", "tie": "tie"}[back.verdict]
    assert there.wins - there.losses == round(there.difference * there.problems)
    assert compare(one, one, level).verdict == "tie"


def test_what_is_no_comparison_is_refused() -> None:
    with pytest.raises(ValueError, match="a has 1 values and b 2"):
        compare([True], [True, False], 0.05)
    with pytest.raises(ValueError, match="no values"):
        compare([], [], 0.05)
    for level in (0.0, 1.0, 5.0, float("nan")):
        with pytest.raises(ValueError, match="above 0 and below 1"):
            compare([True], [True], level)
