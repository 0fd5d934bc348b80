"""Findings that hold or not, on results made by hand. Run: pytest tests/evaluation/test_findings.py"""

import pytest

from evaluation.benchmark.findings import BASELINES, Finding, findings, signed
from evaluation.benchmark.methods import METHODS, MethodName
from evaluation.benchmark.results import Cost, Outcome, Scored, summarise
from evaluation.measures.diversity import Diversity
from evaluation.statistics.paired import Estimate

PROBLEMS = 40
BEATS, LASTS, DIVERSE, CRITICS, SUMMARIES, POOLED, TRANSFER = range(7)


def one(method: MethodName, iteration: int, seed: int, right: int, nll: float | None = None) -> Scored:
    """A result in which the first `right` of PROBLEMS are answered right, so that paired differences are simple."""
    estimate = Estimate(value=nll or 0.0, standard_error=0.01) if nll is not None else None
    spread = Diversity(
        agents=3,
        round=1,
        nll=estimate,
        own_nll=estimate and Estimate(value=estimate.value * 0.75, standard_error=0.01),
        kl=estimate and Estimate(value=estimate.value * 0.25, standard_error=0.01),
        dissimilarity=None,
        consensus=Estimate(value=0.5, standard_error=0.1),
        styles=None,
    )
    outcome = Outcome(
        method=method,
        iteration=iteration,
        seed=seed,
        problems=PROBLEMS,
        accuracy=right / PROBLEMS,
        alone=0.5,
        answering=Cost(sampled_tokens=1000 if method == "without-critics" else 2500),
        diversity=spread,
    )
    values = {f"{seed}-{place}": float(place < right) for place in range(PROBLEMS)}
    return Scored(outcome, values, values)


def made(curves: dict[MethodName, list[int]], seeds: tuple[int, ...] = (1, 2), **nll: list[float]) -> list[Scored]:
    """Results from numbers of right answers after each iteration, and values of nll from iteration 0 on."""
    scored = []
    for name, curve in curves.items():
        for place, right in enumerate(curve):
            iteration = place + 1 if METHODS[name].matched else place
            levels = nll.get(name.replace("-", "_"))
            scored += [one(name, iteration, seed, right, levels[place] if levels else None) for seed in seeds]
    return scored


def found(scored: list[Scored], transfer: list[Scored] | None = None) -> list[Finding]:
    return findings(summarise(scored), scored, summarise(transfer or []))


def curve(name: MethodName, level: int, length: int = 3) -> list[int]:
    method = METHODS[name]
    return [level] * (length if method.finetuned else length - 1 if method.matched else 1)


ALL = {name: curve(name, 10) for name in BASELINES} | {
    "multiagent-ft": [10, 20, 30],
    "without-summary": [10, 12, 14],
    "without-critics": [10, 12, 14],
    "pooled": [10, 12, 14],
}
RISING = {"multiagent_ft": [0.5, 0.5, 0.6], "single_ft": [0.5, 0.5, 0.4]}


def test_what_holds() -> None:
    told = found(made(ALL, **RISING), made({"base": [10], "multiagent-ft": [20, 20, 30]}))
    assert [each.verdict for each in told] == ["holds"] * 7
    assert all(not each.missing and each.rule and each.comparisons for each in told)
    assert "Its accuracy is 75.0 % after 2 iterations" in told[BEATS].said and "+50.0 ± 5.6 points" in told[BEATS].said
    assert (
        told[LASTS].said
        == "From iteration 1 to 2: multiagent FT +25.0 ± 4.9 points, single-agent FT +0.0 ± 0.0 points."
    )
    assert told[DIVERSE].said == (
        "NLL, nats per token, iteration 1 → 2: multiagent FT 0.5000 → 0.6000, single-agent FT 0.5000 → 0.4000. "
        "For multiagent FT, NLL of an agent's own responses went 0.3750 → 0.4500, and the KL divergence between "
        "agents 0.1250 → 0.1500."
    )
    assert "multiagent FT − without critics: +40.0 ± 5.5 points, for 2.5 times the sampled tokens" in told[CRITICS].said
    assert "for 1.0 times the sampled tokens" in told[SUMMARIES].said


def test_what_does_not_hold() -> None:
    curves = {
        **ALL,
        "multiagent-ft": [10, 20, 20],
        "debate-matched": [18, 18],
        "single-ft": [5, 10, 19],
        "without-critics": [10, 12, 20],
        "without-summary": [10, 12, 30],
        "pooled": [10, 12, 21],
    }
    falling = {"multiagent_ft": [0.5, 0.5, 0.4], "single_ft": [0.5, 0.5, 0.5]}
    told = found(made(curves, **falling), made({"star": [1, 1, 30], "multiagent-ft": [20, 20, 30]}))
    assert [each.verdict for each in told] == ["does not hold"] * 7
    assert "It is not clearly above: debate, matched; single-agent FT." in told[BEATS].said
    # With both seeds, 2 of 40 problems more are right, which is 5.0 points. That is more than twice the standard error
    # for both seeds together, but not for each seed.
    (matched,) = (c for c in told[BEATS].comparisons if c.of == "multiagent FT − debate, matched")
    assert matched.found.value == pytest.approx(0.05) and not matched.met
    assert matched.met_together
    met = {c.of: c.met for c in told[LASTS].comparisons}
    assert met == {
        "multiagent FT: iteration 2 − iteration 1": False,
        "single-agent FT: iteration 2 − iteration 1": False,
    }
    assert [c.met for c in told[DIVERSE].comparisons] == [False, False]
    # 20 against 12 of 40 problems: the standard error is sqrt(0.2 * 0.8 / 39) / sqrt(2), for two seeds.
    assert told[CRITICS].said.endswith("After one iteration it was +20.0 ± 4.5 points.")


def test_what_was_not_measured_is_said() -> None:
    told = found(made({"base": [10], "majority": [12], "multiagent-ft": [10, 30]}))
    assert [each.verdict for each in told] == ["not measured"] * 7
    assert [c.met for c in told[BEATS].comparisons] == [True, True]
    assert told[BEATS].missing == [METHODS[name].title for name in BASELINES if name not in ("base", "majority")]
    assert "After one iteration" not in told[CRITICS].said
    assert told[CRITICS].missing == ["without critics"] and told[SUMMARIES].missing == ["without summary"]
    assert told[LASTS].said == "Deciding this takes two iterations or more."
    without = found(made({"base": [10]}))
    assert {each.verdict for each in without} == {"not measured"}
    assert "not part of this benchmark" in without[BEATS].said


def test_a_clear_loss_is_a_failure_though_something_is_missing() -> None:
    assert found(made({"base": [20], "multiagent-ft": [10, 10]}))[BEATS].verdict == "does not hold"


def test_it_has_to_hold_on_every_seed() -> None:
    """Seed 1 gains 20 of 40 problems and seed 2 gains 2: clear for both together and for seed 1, but not for seed 2."""
    scored = [
        one("base", 0, 1, 10), one("base", 0, 2, 10),
        one("multiagent-ft", 0, 1, 10), one("multiagent-ft", 0, 2, 10),
        one("multiagent-ft", 1, 1, 30), one("multiagent-ft", 1, 2, 12),
    ]  # fmt: skip
    (comparison,) = found(scored)[BEATS].comparisons
    assert comparison.found.seeds[1].value == pytest.approx(0.5)
    assert comparison.found.seeds[2].value == pytest.approx(0.05)
    assert comparison.found.seeds[2].value < 2 * comparison.found.seeds[2].standard_error
    assert not comparison.met and found(scored)[BEATS].verdict == "does not hold"


def test_a_fall_between_iterations_is_seen() -> None:
    curves = {"multiagent-ft": [10, 20, 36, 28], "single-ft": [10, 10, 10, 10]}
    lasts = found(made(curves))[LASTS]
    met = {c.of: c.met for c in lasts.comparisons}
    assert met["multiagent FT: iteration 3 − iteration 1"] and not met["multiagent FT: iteration 3 − iteration 2"]
    assert lasts.verdict == "does not hold"


def test_diversity_by_hand() -> None:
    scored = made({"multiagent-ft": [10, 20, 30], "single-ft": [10, 10, 10]}, **RISING)
    change, lead = found(scored)[DIVERSE].comparisons
    assert change.found.value == pytest.approx(0.1) and lead.found.value == pytest.approx(0.2)
    # The standard error of a seed is sqrt(0.01² + 0.01²); that of the mean of two seeds is this divided by sqrt(2).
    assert change.found.seeds[1].standard_error == pytest.approx(0.01 * 2**0.5)
    assert change.found.standard_error == pytest.approx(0.01)
    assert change.found.high == pytest.approx(0.1 + 1.96 * 0.01, abs=1e-4)


def test_numbers_have_their_sign_and_unit() -> None:
    assert signed(0.0312, 0.009, "points") == "+3.1 ± 0.9 points"
    assert signed(-0.0312, 0.009, "points") == "−3.1 ± 0.9 points"
    assert signed(-0.16, 0.02, "nats") == "−0.1600 ± 0.0200 nats"
