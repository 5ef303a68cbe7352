"""How well scores rank, in numpy alone: what a running service can afford to compute.

Every measure takes weights and breaks no tie: rows of equal score stand or fall together, so that
the order of rows never changes a figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]
Measure: TypeAlias = Literal["auc", "average_precision", "precision", "recall"]

MEASURES: Final[tuple[Measure, ...]] = ("auc", "average_precision", "precision", "recall")


@dataclass(frozen=True, slots=True)
class Order:
    """Rows from the highest score to the lowest, and where each run of equal scores ends.

    ``rows`` are row numbers in that order, ``ends`` one place past each run, ``upto`` the weight of
    all rows up to each end.
    """

    rows: Places
    ends: Places
    upto: Floats
    weights: Floats

    @classmethod
    def of(cls, scores: Floats, weights: Floats | None = None) -> Order:
        """Sort once; a measure of many labellings of the same rows is then linear."""
        rows = np.argsort(-scores, kind="stable").astype(np.int64)
        ordered = scores[rows]
        ends = np.append(np.flatnonzero(np.diff(ordered)) + 1, len(rows)).astype(np.int64)
        held = np.ones(len(rows)) if weights is None else weights[rows]
        return cls(rows, ends[ends > 0], np.cumsum(held)[ends[ends > 0] - 1], held)

    def sums(self, values: Floats) -> Floats:
        """Return the weighted sum of ``values`` up to each end."""
        return np.cumsum(values[self.rows] * self.weights)[self.ends - 1]


def measures(order: Order, positive: Floats, *, capacity: float) -> dict[Measure, float]:
    """Return each measure of rows labelled ``positive`` (1.0 or 0.0); NaN where it has no meaning.

    ``capacity`` is the share of all weight that can be looked at; a run of equal scores that
    straddles it counts in proportion, as drawing from it at random would.
    """
    true = order.sums(positive)
    false = order.upto - true
    found = share_found(order, true, capacity=capacity)
    positives = true[-1] if true.size else 0.0
    return {
        "auc": _auc(true, false),
        "average_precision": _average_precision(true, order.upto),
        "precision": _ratio(found, capacity * order.upto[-1] if order.upto.size else 0.0),
        "recall": _ratio(found, positives),
    }


def share_found(order: Order, true: Floats, *, capacity: float) -> float:
    """Return the positive weight among the highest ``capacity`` share of weight."""
    if not order.upto.size:
        return 0.0
    place = capacity * float(order.upto[-1])
    return float(np.interp(place, np.append(0.0, order.upto), np.append(0.0, true)))


def _auc(true: Floats, false: Floats) -> float:
    """Return the area by trapezes, which gives half of a tie (Hanley and McNeil, 1982)."""
    if not true.size or true[-1] <= 0 or false[-1] <= 0:
        return float("nan")
    up, across = np.append(0.0, true), np.append(0.0, false)
    steps: Floats = np.diff(across) * (up[1:] + up[:-1]) / 2
    return float(steps.sum() / (true[-1] * false[-1]))


def _average_precision(true: Floats, upto: Floats) -> float:
    if not true.size or true[-1] <= 0:
        return float("nan")
    precision = np.divide(true, upto, out=np.zeros_like(true), where=upto > 0)
    return float(np.sum(np.diff(true, prepend=0.0) * precision) / true[-1])


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def interval(samples: list[dict[Measure, float]], measure: Measure) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % points of a measure over ``samples``, NaN left out."""
    values = np.asarray([sample[measure] for sample in samples])
    values = values[~np.isnan(values)]
    if not values.size:
        return (float("nan"), float("nan"))
    low, high = cast("list[float]", np.quantile(values, [0.025, 0.975]).tolist())
    return (low, high)
