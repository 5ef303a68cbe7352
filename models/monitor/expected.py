"""Performance without labels: what calibrated probabilities alone say about their own ranking.

Each row is taken to be positive with its own probability, independently; a measure's expectation
follows (confidence-based performance estimation). It holds while the probabilities are calibrated:
where labels have arrived and the measured figure lies outside the expected interval, the relation
between features and outcome has changed, which no histogram of features can show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import ConfigError
from models.monitor.ranking import MEASURES, Measure, Order, interval, measures, share_found

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; NaN where it has no meaning."""

    value: float
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        """Tell whether a figure lies in the interval."""
        return self.low <= value <= self.high


Performance: TypeAlias = Mapping[Measure, Estimate]


def expected(
    probability: pl.Series,
    *,
    capacity: float,
    weight: pl.Series | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> Performance:
    """Estimate how well ``probability`` ranks, without a label.

    The value is the expectation (of AUC the ratio of expectations), the interval is that of
    labellings drawn from the probabilities, seeded. ``capacity`` is a share of the rows, (0, 1].

    Raises:
        ConfigError: A probability is null or not in [0, 1], or the capacity is not in (0, 1].
    """
    p, w = _checked(probability, weight, capacity)
    order = Order.of(p, w)
    generator = np.random.default_rng(seed)
    samples = [
        measures(order, (generator.random(len(p)) < p).astype(np.float64), capacity=capacity)
        for _ in range(resamples if len(p) else 0)
    ]
    values = _expectations(order, p, capacity)
    return {name: Estimate(values[name], *interval(samples, name)) for name in MEASURES}


def measured(
    probability: pl.Series,
    positive: pl.Series,
    *,
    capacity: float,
    weight: pl.Series | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> Performance:
    """Measure how well ``probability`` ranks on rows whose label has arrived.

    Rows of null label are left out. The interval is a seeded bootstrap of rows, by multiplicities
    on the order that was sorted once.

    Raises:
        ConfigError: As :func:`expected`.
    """
    known = positive.is_not_null()
    some = None if weight is None else weight.filter(known)
    p, w = _checked(probability.filter(known), some, capacity)
    y = positive.filter(known).cast(pl.Float64).to_numpy()
    values = measures(Order.of(p, w), y, capacity=capacity)
    generator = np.random.default_rng(seed)
    samples = [
        measures(_again(Order.of(p, w), generator), y, capacity=capacity)
        for _ in range(resamples if len(p) else 0)
    ]
    return {name: Estimate(values[name], *interval(samples, name)) for name in MEASURES}


def _again(order: Order, generator: np.random.Generator) -> Order:
    times = generator.multinomial(len(order.rows), np.full(len(order.rows), 1 / len(order.rows)))
    held = order.weights * times
    return Order(order.rows, order.ends, np.cumsum(held)[order.ends - 1], held)


def _expectations(order: Order, p: Floats, capacity: float) -> dict[Measure, float]:
    if not len(p) or not p.any():
        return dict.fromkeys(MEASURES, float("nan"))
    true = order.sums(p)
    found = share_found(order, true, capacity=capacity)
    return {
        "auc": _expected_auc(order, p, true),
        "average_precision": _expected_average_precision(order, p, true),
        "precision": float(found / (capacity * order.upto[-1])),
        "recall": float(found / true[-1]),
    }


def _expected_auc(order: Order, p: Floats, true: Floats) -> float:
    """Return Σ p_i(1 − p_j) over pairs ranked right, over all pairs of two different rows."""
    false = order.upto - true
    up = np.append(0.0, true)
    own = float(np.sum(np.square(order.weights) * (p * (1 - p))[order.rows]))
    right = float(np.sum(np.diff(false, prepend=0.0) * (up[1:] + up[:-1]) / 2))
    pairs = float(true[-1] * false[-1]) - own
    return (right - own / 2) / pairs if pairs > 0 else float("nan")


def _expected_average_precision(order: Order, p: Floats, true: Floats) -> float:
    """Return Σ p_i·E[precision down to i, given that i is positive] over Σ p_i."""
    runs = np.repeat(np.arange(len(order.ends)), np.diff(order.ends, prepend=0))
    ordered, w = p[order.rows], order.weights
    given = (true[runs] + w * (1 - ordered)) / np.where(order.upto > 0, order.upto, 1.0)[runs]
    return float(np.sum(w * ordered * given) / true[-1])


def _checked(
    probability: pl.Series, weight: pl.Series | None, capacity: float
) -> tuple[Floats, Floats | None]:
    if not 0 < capacity <= 1:
        raise ConfigError(f"capacity {capacity:g} is a share of the rows; give one in (0, 1]")
    p = probability.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if not ((p >= 0) & (p <= 1)).all():
        odd = p[~((p >= 0) & (p <= 1))][0]
        raise ConfigError(
            f"{odd:g} is not a probability; score the rows again, or leave out rows without one"
        )
    return p, None if weight is None else weight.cast(pl.Float64).fill_null(0.0).to_numpy()
