"""The scorecard: features in few bins that rise or fall, weighed by a logistic regression.

A bin's weight of evidence is the log of its share of the negatives over its share of the positives,
here turned around so that more means riskier. Bins of numbers are quantiles pooled until the
evidence only rises, or only falls; what is missing is a bin of its own, and so is each common
category. Source: N. Siddiqi, Credit Risk Scorecards, 2006.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from models.features.spec import FeatureSpec
from models.risk.encode import FloatArray
from training.risk.baseline.scorer import Scorer
from training.risk.baseline.sklearn import logistic_regression
from training.risk.sample import BoolArray, Sample

BINS: Final = 20
LEAST: Final = 0.03
"""Share of the rows that a bin has at least."""
VALUE: Final = 0.02
"""Information value below which a feature tells nothing."""
MOST: Final = 25
"""Features of a card, those of the highest information value."""
_ROWS: Final = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """One feature of the card: ``edges`` of numbers or ``levels`` of categories, and evidence.

    ``evidence`` has one entry a bin, then that of what is missing (or not a known category).
    """

    feature: str
    edges: FloatArray | None
    levels: dict[str, int]
    evidence: FloatArray
    value: float

    def of(self, frame: pl.DataFrame) -> FloatArray:
        """Return the evidence of each row."""
        return self.evidence[_places(frame[self.feature], self.edges, self.levels)]


def fit_woe(train: Sample, features: tuple[FeatureSpec, ...], *, seed: int) -> Scorer:
    """Return a scorecard of at most :data:`MOST` features, as log-odds."""
    sample = train.some(_ROWS, seed)
    made = [bins(sample, spec) for spec in features]
    useful = [one for one in made if one is not None and one.value >= VALUE]
    chosen = sorted(useful, key=lambda one: (-one.value, one.feature))[:MOST]
    if not chosen:
        base = sample.rate
        return lambda frame: np.full(frame.height, np.log(base / (1 - base)))
    model = logistic_regression(_card(chosen, sample.frame), sample, strength=1.0)
    return lambda frame: model(_card(chosen, frame))


def bins(sample: Sample, spec: FeatureSpec) -> Bins | None:
    """Return the bins of a feature; None where it has one value only."""
    column = sample.frame[spec.name]
    edges: FloatArray | None = None
    levels: dict[str, int] = {}
    if spec.dtype == "category":
        common = column.drop_nulls().value_counts(sort=True)
        common = common.filter(pl.col("count") >= LEAST * len(column))
        levels = {str(v): i for i, v in enumerate(sorted(common[spec.name].to_list()))}
    else:
        numbers = column.fill_nan(None).drop_nulls().to_numpy()
        if not len(numbers):
            return None
        cuts = np.quantile(numbers, np.arange(1, BINS) / BINS, method="inverted_cdf")
        edges = np.unique(cuts[cuts < numbers.max()])
        edges = _pooled(column, edges, sample)
    places = _places(column, edges, levels)
    evidence, value = _evidence(places, sample.positive, sample.weight, _many(edges, levels))
    return Bins(spec.name, edges, levels, evidence, value)


def _many(edges: FloatArray | None, levels: dict[str, int]) -> int:
    return 1 + (len(levels) if edges is None else len(edges) + 1)


def _places(
    column: pl.Series, edges: FloatArray | None, levels: dict[str, int]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the bin of each value: ``edges[i-1] < x <= edges[i]``; the last is for the missing."""
    if edges is None:
        codes = column.replace_strict(levels, default=len(levels), return_dtype=pl.Int64)
        return codes.fill_null(len(levels)).to_numpy()
    numbers = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(
        np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers, side="left")
    ).astype(np.int64)


def _pooled(column: pl.Series, edges: FloatArray, sample: Sample) -> FloatArray:
    """Return the edges left when bins are joined until the rate only rises or only falls."""
    places = _places(column, edges, {})
    inside = places <= len(edges)
    mass = np.bincount(places[inside], sample.weight[inside], minlength=len(edges) + 1)
    hits = np.bincount(
        places[inside], (sample.weight * sample.positive)[inside], minlength=len(edges) + 1
    )
    filled = mass > 0
    order = np.arange(len(mass))[filled]
    if len(order) < 2:
        return edges[:0]
    rates = hits[filled] / mass[filled]
    middle = np.average(order, weights=mass[filled])
    rising = float((mass[filled] * (order - middle) * rates).sum()) >= 0
    blocks: list[tuple[float, float, int]] = []
    total = mass.sum()
    for place in order:
        block = (float(mass[place]), float(hits[place]), int(place))
        while blocks and _joins(blocks[-1], block, rising=rising, least=LEAST * total):
            before = blocks.pop()
            block = (before[0] + block[0], before[1] + block[1], block[2])
        blocks.append(block)
    return np.array([edges[last] for _, _, last in blocks[:-1]])


def _joins(
    before: tuple[float, float, int], after: tuple[float, float, int], *, rising: bool, least: float
) -> bool:
    # the odds by which evidence is measured, half a row added to either side
    lower, higher = ((hits + 0.5) / (mass - hits + 0.5) for mass, hits, _ in (before, after))
    against = higher <= lower if rising else higher >= lower
    return against or before[0] < least or after[0] < least


def _evidence(
    places: np.ndarray[tuple[int], np.dtype[np.int64]],
    positive: BoolArray,
    weight: FloatArray,
    many: int,
) -> tuple[FloatArray, float]:
    bad = np.bincount(places, weight * positive, minlength=many) + 0.5
    good = np.bincount(places, weight * ~positive, minlength=many) + 0.5
    evidence = np.log((bad / bad.sum()) / (good / good.sum()))
    empty = np.bincount(places, minlength=many) == 0
    evidence[empty] = 0.0
    return evidence, float(((bad / bad.sum() - good / good.sum()) * evidence)[~empty].sum())


def _card(chosen: list[Bins], frame: pl.DataFrame) -> FloatArray:
    return np.column_stack([one.of(frame) for one in chosen])
