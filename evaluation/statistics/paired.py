"""Means over problems and paired differences, each with its standard error."""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from evaluation.record import Record


def standard_error(values: Sequence[float]) -> float:
    """Standard error s / sqrt(n) of the mean of n values, with the n-1 estimate of s; 0 for one value.

    Raises:
        ValueError: no values.
    """
    if not len(values):
        raise ValueError("no values to take a mean of")
    if len(values) == 1:
        return 0.0
    return float(np.std(np.asarray(values, dtype=float), ddof=1)) / math.sqrt(len(values))


def difference(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Mean of a - b and its standard error, paired: a[i] and b[i] are scores of the same problem (bool or 0..1).

    Raises:
        ValueError: the two differ in length, or are empty.
    """
    if len(a) != len(b):
        raise ValueError(f"a has {len(a)} values and b {len(b)}; paired values are scores of the same problems")
    gains = [float(x) - float(y) for x, y in zip(a, b, strict=True)]
    error = standard_error(gains)
    return mean(gains), error


def mean(values: Sequence[float]) -> float:
    """Mean of the values, summed exactly, so that their order does not matter."""
    return math.fsum(values) / len(values)


class Estimate(Record):
    """A mean over problems and its standard error, in the unit of the measure."""

    value: float
    standard_error: float = Field(ge=0.0)
