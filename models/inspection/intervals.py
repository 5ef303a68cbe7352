"""Intervals of rates from few results: Wilson's, by the effective sample size and Student's t.

Sources: Wilson 1927; Korn and Graubard 1998 for proportions of surveys; Kish 1965 for effective
sizes; Satterthwaite 1946 for degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.errors import InspectionError

Floats: TypeAlias = NDArray[np.float64]

_NOTHING: Final = 1e-9
"""An effective sample size below which nothing is known."""


def check_level(level: float) -> None:
    """Raise :class:`InspectionError` for the level of an interval that is not between 0 and 1."""
    if not 0 < level < 1:
        raise InspectionError(f"the level {level:g} is not between 0 and 1; give 0.95, say")


def satterthwaite(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Return the degrees of freedom of a sum of independent variances."""
    spread = sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    return sum(variances) ** 2 / spread if spread > 0 else sum(freedoms)


def quantile(level: float, freedom: float) -> float:
    """Return how many standard errors a two-sided interval of Student's t reaches.

    By the expansion of Abramowitz and Stegun 26.7.5, off by less than 1 % from 3 degrees on; exact
    for 1 and 2.
    """
    tail = (1 + level) / 2
    if freedom <= 1:
        return float(np.tan(np.pi * (tail - 0.5)))
    if freedom <= 2:
        return float((2 * tail - 1) * np.sqrt(2 / (4 * tail * (1 - tail))))
    z = NormalDist().inv_cdf(tail)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def interval(rate: float, error: float, *, reach: float, fallback: float) -> tuple[float, float]:
    """Return Wilson's interval for the sample size that would have this standard error.

    ``reach`` is in standard errors. ``fallback`` is the effective sample size where all outcomes
    were alike and the standard error therefore is 0; infinite where everybody was looked at. A
    rate outside (0, 1) that has an error, as an unbiased one may, gets a normal interval, cut.
    """
    if error**2 > 0 and not 0 < rate < 1:
        low, high = rate - reach * error, rate + reach * error
        return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)
    rate = min(max(rate, 0.0), 1.0)
    size = rate * (1 - rate) / error**2 if error**2 > 0 else fallback
    if not np.isfinite(size):
        return rate, rate
    if size < _NOTHING:
        return 0.0, 1.0
    square = reach**2 / size
    middle = (rate + square / 2) / (1 + square)
    half = reach * np.sqrt(rate * (1 - rate) / size + square / (4 * size)) / (1 + square)
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)


def effective_size(pi: Floats, *, whole: bool = True) -> float:
    """Return Kish's effective size of those drawn by chance, ``pi``.

    Where nobody was, it is infinite if those drawn for certain are the ``whole``, else 0.
    """
    weight = 1 / pi[pi < 1]
    if not weight.size:
        return float("inf") if whole else 0.0
    # The weights' own excess over 1 is what of the population is not seen.
    return float(weight.sum() ** 2 / (np.square(weight) - weight).sum())
