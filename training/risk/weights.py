"""Weights against the bias of who was looked at: one over the chance of having been observed.

Outcomes are seen only of those that somebody inspected, and inspectors go where they expect to find
something. A row that a draw took in with a recorded probability weighs one over it. A row that was
observed otherwise weighs one over its propensity: the probability, foretold from what was known at
the date by a model of earlier dates only, that somebody would look. Both kinds stand for the whole
cohort, so each is scaled to a mean of 1; weights are clipped, for one row must not decide. Bounds
and scale come from rows that were known in full before the test, which may tell nothing of itself.
Source: P. Rosenbaum, D. Rubin, The central role of the propensity score, Biometrika 70 (1983);
stabilised weights: J. Robins et al., Marginal structural models, Epidemiology 11 (2000).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features.spec import AS_OF
from models.risk.encode import Encoder, FloatArray
from training.risk.boosting import grow
from training.risk.matrix import COMPLETE, Matrix

CLIP: Final = 20.0
"""How many times more, or less, than the median a row may weigh."""
BLOCKS: Final = 5
"""Periods, each of which is foretold by the ones before it."""
SAMPLE: Final = 200_000
"""Rows of those not looked at that a propensity is learnt from."""
_ROUNDS: Final = 150
_ROW: Final = "_row"

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Weighing:
    """How observed rows came by their weights.

    ``effective``: Kish's effective number of the observed rows. ``clipped``: share of them whose
    weight was cut.
    """

    recorded: int
    fitted: int
    unweighted: int
    least: float
    most: float
    effective: float
    clipped: float

    def to_json(self) -> dict[str, float]:
        """Return the figures."""
        return asdict(self)


def weigh(
    matrix: Matrix, *, before: date | None = None, threads: int = 1
) -> tuple[pl.DataFrame, Weighing]:
    """Return the rows of a matrix without features, ``weight`` filled in, and how.

    Rows that nobody observed weigh 1. Without ``weight: ipw`` in the scenario every row does; so
    do rows whose propensity cannot be learnt, there being nobody who was not looked at. Bounds and
    scale are told by the rows known in full ``before`` a day, the first of the earliest test; by
    all of a kind where none of it was known then, and without a day.
    """
    rows = matrix.rows
    if matrix.scenario.label.weight == "none":
        return rows, _report(rows, np.ones(rows.height), recorded=None, fitted=None, cut=0.0)
    observed = rows["observed"].to_numpy()
    chance = rows["inclusion_probability"].to_numpy()
    recorded = observed & ~np.isnan(chance)
    otherwise = observed & ~recorded
    weights = np.ones(rows.height)
    weights[recorded] = 1.0 / chance[recorded]
    fitted = np.zeros(rows.height, np.bool_)
    if otherwise.any() and not observed.all():
        weights[otherwise] = _stabilised(matrix, rows, otherwise, threads=threads)
        fitted = otherwise
    early = np.ones(rows.height, np.bool_)
    if before is not None:
        early = (rows[COMPLETE] < before).fill_null(value=False).to_numpy()
    cuts = sum(_scale(weights, kind, kind & early) for kind in (recorded, fitted))
    cut = cuts / max(int(observed.sum()), 1)
    weighed = rows.with_columns(pl.Series("weight", weights))
    return weighed, _report(rows, weights, recorded=recorded, fitted=fitted, cut=cut)


def _scale(weights: FloatArray, kind: BoolArray, by: BoolArray) -> int:
    """Clip and scale the weights of a kind in place; return how many were cut.

    The rows ``by`` which that goes have a mean of 1 then.
    """
    if not kind.any():
        return 0
    own = weights[kind]
    told = weights[by] if by.any() else own
    middle = float(np.median(told))
    least, most = middle / CLIP, middle * CLIP
    clipped = np.clip(own, least, most)
    weights[kind] = clipped / np.clip(told, least, most).mean()
    return int((clipped != own).sum())


def _report(
    rows: pl.DataFrame,
    weights: FloatArray,
    *,
    recorded: BoolArray | None,
    fitted: BoolArray | None,
    cut: float,
) -> Weighing:
    observed = rows["observed"].to_numpy()
    own = weights[observed] if observed.any() else np.ones(1)
    drawn, told = (0 if kind is None else int(kind.sum()) for kind in (recorded, fitted))
    return Weighing(
        recorded=drawn,
        fitted=told,
        unweighted=int(observed.sum()) - drawn - told,
        least=float(own.min()),
        most=float(own.max()),
        effective=float(own.sum() ** 2 / np.square(own).sum()),
        clipped=float(cut),
    )


def _stabilised(
    matrix: Matrix, rows: pl.DataFrame, looked: BoolArray, *, threads: int
) -> FloatArray:
    """Return, for the rows ``looked`` at, the mean propensity of their period over their own."""
    told = rows.select(AS_OF, COMPLETE, "group").with_columns(
        pl.Series("_looked", looked), pl.int_range(pl.len()).alias(_ROW)
    )
    sampled = _sampled(told)
    frame = (
        matrix.scan()
        .select(matrix.names)
        .with_row_index(_ROW)
        .filter(pl.col(_ROW).is_in(sampled[_ROW].cast(pl.UInt32).implode()))
        .collect()
    )
    encoder = Encoder.of(frame, matrix.features)
    numbers = np.nan_to_num(encoder.matrix(frame), nan=np.nan, posinf=np.nan, neginf=np.nan)
    mine = sampled["_looked"].to_numpy()
    share = sampled["_share"].to_numpy()
    found = np.full(rows.height, np.nan)
    for learn, use in _periods(sampled):
        target = use & mine
        if not target.any():
            continue
        chance = _propensity(
            numbers, mine, share, encoder, learn=learn, use=target, threads=threads
        )
        rate = float(np.average(mine[use], weights=share[use]))
        found[sampled[_ROW].to_numpy()[target]] = rate / chance
    return found[looked]


def _sampled(told: pl.DataFrame) -> pl.DataFrame:
    """Return all rows looked at and some of the others, each with how many rows it stands for."""
    others = told.filter(~pl.col("_looked"))
    few = others.sample(min(SAMPLE, others.height), seed=0)
    share = others.height / max(few.height, 1)
    return pl.concat(
        [
            told.filter("_looked").with_columns(pl.lit(1.0).alias("_share")),
            few.with_columns(pl.lit(share).alias("_share")),
        ]
    ).sort(_ROW)


def _periods(sampled: pl.DataFrame) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Yield rows to learn from and rows to foretell: a period by those before it.

    The first, before which there is nothing, is cut in two by subject; each half foretells the
    other.
    """
    days = sampled[AS_OF].to_numpy()
    looked = days[sampled["_looked"].to_numpy()]
    edges = np.unique(np.quantile(looked.astype("i8"), np.arange(BLOCKS) / BLOCKS, method="lower"))
    begins = edges.astype(looked.dtype)
    complete = sampled[COMPLETE].to_numpy()
    half = (sampled["group"].rank("dense") % 2 == 0).to_numpy()
    for place, begin in enumerate(begins):
        end = begins[place + 1] if place + 1 < len(begins) else None
        inside = (days >= begin) if place else np.ones(len(days), np.bool_)
        inside &= (days < end) if end is not None else True
        before = complete < begin
        if place and (before & sampled["_looked"].to_numpy()).sum() >= 2 * BLOCKS:
            yield before, inside
        else:
            yield inside & half, inside & ~half
            yield inside & ~half, inside & half


def _propensity(
    numbers: FloatArray,
    looked: BoolArray,
    share: FloatArray,
    encoder: Encoder,
    *,
    learn: BoolArray,
    use: BoolArray,
    threads: int,
) -> FloatArray:
    """Foretell who is looked at; where all or none were, the chance is that share."""
    base = float(np.average(looked[learn], weights=share[learn])) if learn.any() else 1.0
    if not 0 < base < 1:
        return np.full(int(use.sum()), max(base, 1 / CLIP))
    params = {
        "objective": "binary",
        "num_leaves": 8,
        "learning_rate": 0.05,
        "min_data_in_leaf": 100,
        "lambda_l2": 5.0,
        "feature_fraction": 0.7,
        "seed": 0,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": threads,
        "verbose": -1,
    }
    grown, _ = grow(params, encoder, (numbers[learn], looked[learn], share[learn]), rounds=_ROUNDS)
    foretold = grown.predict(numbers[use], num_threads=threads)
    return np.maximum(foretold, base / CLIP**2)
