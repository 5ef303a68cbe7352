"""Resampling whole subjects: rows of one subject tell of one another and are drawn together.

Efron and Tibshirani, *An Introduction to the Bootstrap* (1993): as many clusters as there are,
drawn with replacement; intervals are percentiles of the resampled figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.evaluate.evaluation import Interval

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]

RESAMPLES: Final = 1000
BLOCK: Final = 64
"""Resamples that are measured together; one cache line of counts for a cluster."""
_LEVEL: Final = 0.95
_FEWEST: Final = 0.5
"""An interval is given where at least this part of the resamples has the figure at all."""


def draws(groups: int, resamples: int, seed: int) -> Iterator[Bytes]:
    """Yield blocks of counts, clusters by resamples: how often each resample drew each cluster.

    The same arguments give the same counts; without clusters there is nothing to draw.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, resamples if groups else 0, BLOCK):
        width = min(BLOCK, resamples - start)
        counts = np.empty((groups, width), np.uint8)
        for b in range(width):
            drawn = rng.integers(0, groups, groups, dtype=np.int32)
            counts[:, b] = np.bincount(drawn, minlength=groups)
        yield counts


def once(groups: int) -> Bytes:
    """Return the counts of the sample itself: every cluster once."""
    return np.ones((groups, 1), np.uint8)


def interval(value: float, resampled: Floats, *, centred: bool = False) -> Interval:
    """Return a figure with the middle 95 % of its resamples; NaN is a figure that is not there.

    ``centred`` is for sums of absolute values and for largest differences, which resampling
    enlarges by its own noise: the interval is moved back by the bias, and stays at or above 0.
    """
    known = resampled[~np.isnan(resampled)]
    if np.isnan(value):
        return Interval(value=None)
    if not len(known) or len(known) < _FEWEST * len(resampled):
        return Interval(value=float(value))
    if centred:
        known = np.maximum(known - (known.mean() - value), 0.0)
    low, high = np.quantile(known, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(value=float(value), low=float(low), high=float(high))
