"""Stability over time: the judged model quarter by quarter, and how far its scores moved."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from models.monitor.psi import Histogram, chance, psi
from training.evaluate.bootstrap import draws, once
from training.evaluate.evaluation import Interval, Metric, Quarter
from training.evaluate.metrics import Ranked, measure, summarised
from training.evaluate.predictions import JUDGED, PREFIX, Sample, Weighting, folds

_METRICS: tuple[Metric, ...] = ("auc", "ap", "brier", "ece", "recall_10")
_QUARTER = pl.format("{}Q{}", pl.col("as_of").dt.year(), pl.col("as_of").dt.quarter())


def stability(
    frame: pl.DataFrame, model: str, *, weight: str | None, seed: int, resamples: int
) -> tuple[Quarter, ...]:
    """Return the quarters of each fold, in order.

    Scores are compared within a fold, where they are one model's: candidates of each quarter
    (seen or not) against those of the fold's first.
    """
    return tuple(
        quarter
        for fold, part in folds(frame).items()
        for quarter in _quarters(fold, part, model, weight, (seed, resamples))
    )


def _quarters(
    fold: int, part: pl.DataFrame, model: str, weight: str | None, drawn: tuple[int, int]
) -> Iterator[Quarter]:
    by_quarter = part.with_columns(_QUARTER.alias("_quarter")).partition_by(
        "_quarter", as_dict=True
    )
    first: Histogram | None = None
    for (name,), rows in sorted(by_quarter.items()):
        scores = rows[PREFIX + model]
        here = Histogram.of(scores) if first is None else first.again(scores)
        judged = rows.filter(JUDGED)
        rate = None if judged.is_empty() else _mean(judged, "positive", weight)
        yield Quarter(
            fold=fold,
            quarter=str(name),
            rows=rows.height,
            judged=judged.height,
            positives=int(judged["positive"].sum()),
            base_rate=rate,
            predicted=None if judged.is_empty() else _mean(judged, PREFIX + model, weight),
            metrics={} if rate in {None, 0.0, 1.0} else _measured(judged, model, weight, *drawn),
            psi=None if first is None else psi(first, here),
            psi_chance=None if first is None else chance(first, here),
        )
        first = first or here


def _mean(judged: pl.DataFrame, column: str, weight: str | None) -> float | None:
    """Return a weighted mean; None where nothing of the quarter weighs."""
    by = np.ones(judged.height) if weight is None else judged[weight].to_numpy()
    if not by.any():
        return None
    return float(np.average(judged[column].cast(pl.Float64).to_numpy(), weights=by))


def _measured(
    judged: pl.DataFrame, model: str, weight: str | None, seed: int, resamples: int
) -> dict[Metric, Interval]:
    sample = Sample.of(judged, (model,), weight=weight)
    weighting: Weighting = "plain" if weight is None else "ipw"
    ranked = Ranked.of(sample, model, weighting)
    point = measure(ranked, once(sample.groups), {"10": 0.1})
    resampled = [
        measure(ranked, counts, {"10": 0.1}) for counts in draws(sample.groups, resamples, seed)
    ]
    found = summarised(point, resampled)
    return {name: found[name] for name in _METRICS}
