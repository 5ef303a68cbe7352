"""Metrics of rankings and probabilities, weighted, for the sample and all its resamples at once.

AUC (ties half), average precision (ties together), Brier and shares agree with scikit-learn's. ECE
is the weighted mean over bins of equal mass of |mean probability − observed rate| (Naeini et al.
2015, with the adaptive bins of Nixon et al. 2019); equal scores are never parted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, cast, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import ModelError
from training.evaluate.bootstrap import RESAMPLES, draws, interval, once
from training.evaluate.evaluation import Bin, Curve, Interval, Metric, Share
from training.evaluate.predictions import (
    JUDGED,
    PREFIX,
    Sample,
    Weighting,
    check_probability,
    weight_column,
)

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]

BINS: Final = 10
SHARES: Final[dict[Share, float]] = {"1": 0.01, "5": 0.05, "10": 0.1, "25": 0.25}
METRICS: Final = cast("tuple[Metric, ...]", get_args(Metric))
LESS_IS_BETTER: Final[frozenset[Metric]] = frozenset({"brier", "ece"})
_POINTS: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """A sample in the order of one model's scores, the highest first, under one weighting."""

    group: NDArray[np.int32]
    positive: Bytes
    weight: Floats
    score: Floats
    tie_ends: Bytes
    bin_ends: Bytes

    @classmethod
    def of(cls, sample: Sample, model: str, weighting: Weighting, *, bins: int = BINS) -> Ranked:
        """Sort ``sample`` by a model, mark ties and bins, and drop what weighs nothing."""
        order = np.argsort(-sample.scores[model], kind="stable")
        order = order[sample.weights[weighting][order] > 0]
        score, weight = sample.scores[model][order], sample.weights[weighting][order]
        tie_ends = np.append(score[1:] != score[:-1], [True] * bool(len(score)))
        return cls(
            sample.group[order],
            sample.positive[order],
            weight,
            score,
            tie_ends.astype(np.uint8),
            _bin_ends(weight, tie_ends, bins).astype(np.uint8),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Metrics by name, one value a resample, and observed rates, bins by resamples."""

    metrics: dict[Metric, Floats]
    observed: Floats


def shares_with(capacity: float | None) -> dict[Share, float]:
    """Return the shares that are looked at, with the capacity's where there is one."""
    return SHARES if capacity is None else {**SHARES, "capacity": capacity}


def measure(ranked: Ranked, counts: Bytes, shares: dict[Share, float]) -> Measured:
    """Measure a ranking for each column of ``counts``."""
    from training.evaluate.kernel import HITS, sweep

    names = sorted(shares, key=lambda name: shares[name])
    wanted = np.array([shares[name] for name in names], np.float64)
    first = HITS + len(names)
    answer = np.zeros((first + 3 * int(ranked.bin_ends.sum()), counts.shape[1]))
    sweep(
        ranked.group,
        ranked.positive,
        ranked.weight,
        ranked.score,
        ranked.tie_ends,
        ranked.bin_ends,
        counts,
        wanted,
        answer,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return _measured(answer, names, wanted)


def _measured(answer: Floats, names: list[Share], wanted: Floats) -> Measured:
    from training.evaluate.kernel import HITS, PAIRS, POSITIVES, PRECISION_STEPS, SQUARES, TOTAL

    total, positives = answer[TOTAL], answer[POSITIVES]
    bins = answer[HITS + len(names) :].reshape(-1, 3, answer.shape[1])
    found: dict[Metric, Floats] = {
        "auc": answer[PAIRS] / (positives * (total - positives)),
        "ap": np.where(positives > 0, answer[PRECISION_STEPS] / positives, np.nan),
        "brier": answer[SQUARES] / total,
        "ece": np.abs(bins[:, 2] - bins[:, 1]).sum(axis=0) / total,
    }
    for name, share, hits in zip(names, wanted, answer[HITS:], strict=False):
        precision, recall = hits / (share * total), hits / positives
        found |= {
            _metric("precision", name): precision,
            _metric("recall", name): recall,
            _metric("lift", name): precision / (positives / total),
        }
    return Measured(found, bins[:, 1] / bins[:, 0])


def _metric(kind: str, share: Share) -> Metric:
    return cast("Metric", f"{kind}_{share}")


def summarised(point: Measured, resampled: list[Measured]) -> dict[Metric, Interval]:
    """Return each metric with its interval, in the order of :data:`METRICS`."""
    return {
        name: interval(
            float(point.metrics[name][0]), _joined(resampled, name), centred=name == "ece"
        )
        for name in METRICS
        if name in point.metrics
    }


def compared(
    points: tuple[Measured, Measured], resampled: tuple[list[Measured], list[Measured]]
) -> dict[Metric, Interval]:
    """Return the first minus the second of two models that were measured on the same draws."""
    return {
        name: interval(
            float(points[0].metrics[name][0] - points[1].metrics[name][0]),
            _joined(resampled[0], name) - _joined(resampled[1], name),
        )
        for name in METRICS
        if name in points[0].metrics
    }


def _joined(resampled: list[Measured], name: Metric) -> Floats:
    return np.concatenate([np.empty(0), *(one.metrics[name] for one in resampled)])


def reliability(ranked: Ranked, point: Measured, resampled: list[Measured]) -> tuple[Bin, ...]:
    """Return the bins of a ranking, from the lowest probability up."""
    ends = np.flatnonzero(ranked.bin_ends) + 1
    rates = np.concatenate([point.observed[:, :0], *(one.observed for one in resampled)], axis=1)
    bins: list[Bin] = []
    for place, (start, stop) in enumerate(zip(np.append(0, ends)[:-1], ends, strict=True)):
        weight = ranked.weight[start:stop]
        mass = float(weight.sum())
        bins.append(
            Bin(
                rows=int(stop - start),
                mass=mass / float(ranked.weight.sum()),
                predicted=float((weight * ranked.score[start:stop]).sum() / mass),
                observed=interval(float(point.observed[place, 0]), rates[place]),
            )
        )
    return tuple(reversed(bins))


def curve(ranked: Ranked) -> Curve | None:
    """Return what a ranking finds at 201 even shares of the weight; None for a single outcome."""
    if not 0 < np.average(ranked.positive, weights=ranked.weight) < 1:
        return None
    ends = np.flatnonzero(ranked.tie_ends)
    hits = ranked.weight * ranked.positive
    taken = np.append(0.0, np.cumsum(ranked.weight)[ends])
    found = np.append(0.0, np.cumsum(hits)[ends])
    share = np.linspace(0.0, 1.0, _POINTS + 1)
    at = cast("Floats", np.interp(share * taken[-1], taken, found))
    alarms = share * taken[-1] - at
    precision = at[1:] / (share[1:] * taken[-1])
    return Curve(
        share=_tuple(share),
        recall=_tuple(at / found[-1]),
        alarms=_tuple(alarms / (taken[-1] - found[-1])),
        precision=_tuple(np.append(precision[0], precision)),
    )


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(np.round(values, 6).tolist())


def paired(
    frame: pl.DataFrame,
    one: str,
    other: str,
    metric: Metric,
    *,
    weight: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 7,
    capacity: float | None = None,
) -> Interval:
    """Return ``one`` minus ``other`` in a metric on the same rows, with its 95 % interval.

    ``frame``: predictions with columns ``p_<one>`` and ``p_<other>``; only rows whose outcome was
    seen are used, and subjects (``group``) are resampled. ``weight`` names the column to weigh by.
    ``capacity`` is the share that the ``_capacity`` metrics look at. Less is better in brier and
    ece, so there a difference below 0 speaks for ``one``.

    Raises:
        ModelError: The models, weights or the metric cannot be had of this frame.
    """
    shares = shares_with(capacity)
    if metric not in METRICS or (metric.endswith("_capacity") and capacity is None):
        raise ModelError(
            f"metric {metric!r}: there is {', '.join(METRICS)}, and those at capacity need "
            "capacity=, a share above 0 and up to 1"
        )
    if weight is not None and weight not in frame.columns:
        raise ModelError(f"there is no column {weight!r} to weigh by; give weight=None or add it")
    for name in (one, other):
        check_probability(frame.filter(JUDGED), PREFIX + name)
    column = weight_column(frame, weight)
    sample = Sample.of(frame, (one, other), weight=column)
    weighting: Weighting = "plain" if column is None else "ipw"
    ranks = [Ranked.of(sample, name, weighting) for name in (one, other)]
    first, second = (measure(rank, once(sample.groups), shares).metrics[metric] for rank in ranks)
    differences = [
        measure(ranks[0], counts, shares).metrics[metric]
        - measure(ranks[1], counts, shares).metrics[metric]
        for counts in draws(sample.groups, resamples, seed)
    ]
    resampled = np.concatenate(differences) if differences else np.empty(0)
    return interval(float(first[0] - second[0]), resampled)


def _bin_ends(weight: Floats, tie_ends: NDArray[np.bool_], bins: int) -> NDArray[np.bool_]:
    """Mark where bins end: at the tie that reaches the next even part of the weight."""
    ends = np.zeros(len(weight), np.bool_)
    if not len(weight):
        return ends
    at = np.flatnonzero(tie_ends)
    reached = np.cumsum(weight)[at]
    part = np.floor(reached / reached[-1] * bins * (1 + 1e-12))
    ends[at] = part > np.append(0.0, part[:-1])
    return ends
