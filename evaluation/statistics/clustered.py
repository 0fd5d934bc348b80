"""Means over seeds and problems, and their paired differences, with standard errors and confidence intervals.

A value x[s, p] belongs to the held-out problem p under the seed s. A generator or a large file gives every seed its own
problems, so problems are nested in seeds; a small file gives all seeds the same problems. In both cases the variance of
the mean of n values has two sources, and is estimated as

    V = V_p + max(0, V_s - V_x)

where V_g = G / (G-1) * sum over groups of (sum of residuals in the group)^2 / n^2, and the groups are the problems (p),
the seeds (s), or single values (x): Cameron, Gelbach & Miller, "Robust Inference With Multiway Clustering", J. Business
& Economic Statistics 29 (2011), 238-249, eq. 2.11. For problems nested in seeds this is the nested analysis of
variance, max(MS_seeds, MS_total) / n. With one seed V_s is unknown, and V is s^2 / n. The degrees of freedom of a
confidence interval are Satterthwaite's: V^2 / (V_p^2 / (P-1) + (V - V_p)^2 / (S-1)) for P problems and S seeds. A few
seeds show little of how much seeds differ: with three, simulated 95 % intervals contain the true value in 92 to 96 % of
cases if seeds differ no more than their random problems explain, and in 86 % if they differ twice as much
(`tests/evaluation/test_clustered.py`).
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from pydantic import Field

from evaluation.record import Record
from evaluation.statistics.paired import Estimate

LEVEL = 0.95
"""Level of the confidence intervals."""

Values = Mapping[int, Mapping[str, float]]
"""A value in 0..1 by seed and problem id."""


class Difference(Record):
    """A difference of means on the same problems, such as multiagent finetuning minus another method."""

    value: float
    standard_error: float
    low: float = Field(description=f"Lower end of the {100 * LEVEL:.0f} % confidence interval.")
    high: float
    seeds: dict[int, Estimate] = Field(description="The difference for each seed alone.")


def estimate(values: Values) -> tuple[Estimate, float]:
    """Mean over seeds and problems with its standard error, and the error's degrees of freedom (see above).

    Raises:
        ValueError: no values.
    """
    cells = [(seed, id_, value) for seed, by_id in values.items() for id_, value in by_id.items()]
    if not cells:
        raise ValueError("no values to take a mean of")
    mean = math.fsum(value for _, _, value in cells) / len(cells)
    if len(cells) == 1:
        return Estimate(value=mean, standard_error=0.0), math.inf
    residuals = [value - mean for _, _, value in cells]
    seeds, problems = len(values), len({id_ for _, id_, _ in cells})
    by_problem = _grouped((id_ for _, id_, _ in cells), residuals)
    between = max(0.0, _grouped((seed for seed, _, _ in cells), residuals) - _grouped(range(len(cells)), residuals))
    variance = by_problem + between
    if variance == 0.0:
        return Estimate(value=mean, standard_error=0.0), math.inf
    spread = (by_problem**2 / (problems - 1) if problems > 1 else 0.0) + (between**2 / (seeds - 1) if between else 0.0)
    return Estimate(value=mean, standard_error=math.sqrt(variance)), variance**2 / spread


def half_interval(standard_error: float, freedom: float = math.inf) -> float:
    """Half the width of the confidence interval: Student's t with these degrees of freedom, normal for inf."""
    from scipy.special import ndtri, stdtrit

    above = 0.5 + LEVEL / 2
    return float(ndtri(above) if math.isinf(freedom) else stdtrit(freedom, above)) * standard_error


def _grouped(groups: Iterable[Hashable], residuals: Sequence[float]) -> float:
    """V_g of the formula above; 0 for a single group, where it cannot be estimated."""
    sums: dict[Hashable, float] = defaultdict(float)
    for group, residual in zip(groups, residuals, strict=True):
        sums[group] += residual
    if len(sums) < 2:
        return 0.0
    return len(sums) / (len(sums) - 1) * math.fsum(each**2 for each in sums.values()) / len(residuals) ** 2


def difference(a: Values, b: Values) -> Difference:
    """The mean of a - b, taken problem by problem, with its error and confidence interval.

    Raises:
        ValueError: a and b have different seeds or problems, or are empty.
    """
    if {seed: set(by_id) for seed, by_id in a.items()} != {seed: set(by_id) for seed, by_id in b.items()}:
        raise ValueError("a paired difference needs the same problems under the same seeds")
    gains = {seed: {id_: by_id[id_] - b[seed][id_] for id_ in by_id} for seed, by_id in a.items()}
    found, freedom = estimate(gains)
    half = half_interval(found.standard_error, freedom)
    return Difference(
        value=found.value,
        standard_error=found.standard_error,
        low=found.value - half,
        high=found.value + half,
        seeds={seed: estimate({seed: by_id})[0] for seed, by_id in gains.items()},
    )
