"""Standard errors over seeds and problems, compared with cases worked out by hand, scipy, numpy and simulation.

Run: pytest tests/evaluation/test_clustered.py
"""

import math
import random

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics.clustered import difference, estimate, half_interval


def nested(seeds: int, problems: int, rng: np.random.Generator, between: float) -> dict[int, dict[str, float]]:
    """Random results, 1.0 or 0.0; the seeds' true accuracies vary around 0.6 with standard deviation `between`."""
    shares = np.clip(0.6 + between * rng.standard_normal(seeds), 0, 1)
    return {s: {f"{s}-{p}": float(rng.random() < shares[s]) for p in range(problems)} for s in range(seeds)}


def test_two_seeds_that_differ_by_hand() -> None:
    found, freedom = estimate({1: {"a": 1, "b": 1}, 2: {"c": 0, "d": 0}})
    # Residuals are +-1/2: V_p = V_x = 4/3 * 4 * (1/4) / 16 = 1/12, V_s = 2 * (1 + 1) / 16 = 1/4.
    assert found.value == 0.5 and found.standard_error == pytest.approx(math.sqrt(1 / 4))
    assert freedom == pytest.approx((1 / 4) ** 2 / ((1 / 12) ** 2 / 3 + (1 / 4 - 1 / 12) ** 2 / 1))


def test_seeds_that_do_not_differ_leave_the_error_of_the_problems() -> None:
    found, freedom = estimate({1: {"a": 1, "b": 0}, 2: {"c": 1, "d": 0}})
    assert found.standard_error == pytest.approx(np.std([1, 0, 1, 0], ddof=1) / 2) and freedom == pytest.approx(3)


def test_of_nested_problems_it_is_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(1)
    above = 0
    for between in (0.0, 0.02, 0.2):
        values = nested(4, 50, rng, between)
        table = np.array([list(by_id.values()) for by_id in values.values()])
        ms_seeds = 50 * table.mean(axis=1).var(ddof=1)
        above += ms_seeds > table.var(ddof=1)
        expected = math.sqrt(max(ms_seeds, table.var(ddof=1)) / table.size)
        assert estimate(values)[0].standard_error == pytest.approx(expected)
    assert 0 < above < 3, "both cases were tried"


def test_of_the_same_problems_for_all_seeds_it_is_two_way_clustering() -> None:
    rng = np.random.default_rng(2)
    table = (rng.random((3, 40)) < rng.random(40)).astype(float)
    table[0] = np.maximum(table[0], rng.random(40) < 0.8)
    residuals = table - table.mean()
    v_p = 40 / 39 * (residuals.sum(axis=0) ** 2).sum() / table.size**2
    v_s = 3 / 2 * (residuals.sum(axis=1) ** 2).sum() / table.size**2
    v_x = table.size / (table.size - 1) * (residuals**2).sum() / table.size**2
    assert v_p > v_x and v_s > v_x
    values = {s: {str(p): float(table[s, p]) for p in range(40)} for s in range(3)}
    assert estimate(values)[0].standard_error == pytest.approx(math.sqrt(v_p + v_s - v_x))


def test_one_seed_is_the_paired_t_test_of_scipy() -> None:
    rng = random.Random(3)
    a, b = ([float(rng.random() < share) for _ in range(60)] for share in (0.8, 0.6))
    ids = [str(p) for p in range(60)]
    found = difference({7: dict(zip(ids, a, strict=True))}, {7: dict(zip(ids, b, strict=True))})
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.value == pytest.approx(np.mean(a) - np.mean(b))
    assert found.standard_error == pytest.approx(stats.sem(np.subtract(a, b)))
    assert found.seeds[7].value == found.value and found.seeds[7].standard_error == found.standard_error


def test_without_spread_the_interval_is_a_point() -> None:
    found = difference({1: {"a": 1.0, "b": 1.0}}, {1: {"a": 0.0, "b": 0.0}})
    assert (found.value, found.standard_error, found.low, found.high) == (1.0, 0.0, 1.0, 1.0)
    assert estimate({1: {"a": 0.25}})[0].value == 0.25


@pytest.mark.parametrize(("between", "least"), [(0.0, 0.93), (0.02, 0.92), (0.1, 0.84)])
def test_how_often_intervals_hold_the_truth(between: float, least: float) -> None:
    rng, trials, held = np.random.default_rng(4), 300, 0
    for _ in range(trials):
        a, b = (nested(3, 100, rng, between) for _ in range(2))
        found = difference(a, b)
        held += found.low <= 0.0 <= found.high
    # The spread over problems is 0.05. Three seeds estimate a much larger spread between seeds poorly.
    assert least < held / trials < 0.98


def test_values_of_other_problems_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="same problems"):
        difference({1: {"a": 1.0}}, {1: {"b": 1.0}})
    with pytest.raises(ValueError, match="no values"):
        estimate({})


def test_an_interval_is_normal_or_student_s() -> None:
    assert half_interval(0.5) == 0.5 * 1.959963984540054
    assert half_interval(2.0, freedom=3.0) == pytest.approx(2 * stats.t.ppf(0.975, 3), rel=1e-14)
