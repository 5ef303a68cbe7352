"""Findings at the same effort: the first visits of each month as they were made, and by a model.

In each cell (the visits of a window, of one district where that is asked) as many visits are taken
from the head of the real order as from the head of the model's order; which visits there are, and
on which days, stays as it was. Intervals resample whole clusters, a month or a district, since
visits of one campaign resemble each other more than those of one subject do.

Where the effort ends within a day, or among equal scores, its part of these visits counts: what a
random order among equals finds on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import FitError
from training.evaluate.bootstrap import RESAMPLES, draws, interval
from training.evaluate.evaluation import Interval
from training.evaluate.predictions import PREFIX
from training.evaluate.replay import visits

Floats: TypeAlias = NDArray[np.float64]

WINDOW: Final = "window"
"""The cluster of all visits of a window; any other is a column of the predictions."""

_MOVED: Final = 0.5
"""Days below which a finding has not moved."""
_SUMS: Final = (
    "findings",
    "real",
    "model",
    "gain",
    "earlier",
    "earlier_days",
    "later",
    "later_days",
)


@dataclass(frozen=True, slots=True)
class Effort:
    """What a model's order would have brought at ``share`` of the visits of each cell.

    ``real`` and ``ordered``: the part of all findings that the head of the real and of the model's
    order holds; ``more``: the model's findings over the real ones, less 1, none where these are
    none. ``earlier`` and ``later``: shares of all findings that move by half a day or more when the
    whole cell is visited in the model's order, ``earlier_days`` and ``later_days`` by how much,
    ``gain`` the mean over all findings, later ones counted negative.
    """

    model: str
    window: int
    share: float
    cells: int
    visits: int
    findings: int
    clusters: int
    real: Interval
    ordered: Interval
    more: Interval
    earlier: Interval
    earlier_days: Interval
    later: Interval
    later_days: Interval
    gain: Interval


def at_effort(
    frame: pl.DataFrame,
    model: str,
    *,
    window: int,
    share: float,
    within: Sequence[str] = (),
    cluster: str = WINDOW,
    seed: int = 7,
    resamples: int = RESAMPLES,
) -> Effort:
    """Compare the real order of visits with the model's at the same effort.

    Args:
        frame: Predictions; see :mod:`.predictions` and :func:`.replay.visits`.
        model: Whose probabilities give the order.
        window: Days within which the order may change.
        share: The part of a cell's visits that is made, above 0 and at most 1.
        within: Columns that visits never leave, such as the district.
        cluster: What is resampled whole: :data:`WINDOW`, or one of ``within``.
        seed: Of the resamples.
        resamples: How many.

    Raises:
        FitError: The share is not in (0, 1], a cluster would be cut apart, or nothing was found.
    """
    if not 0 < share <= 1:
        raise FitError(f"an effort of {share:g} is not in (0, 1]; give 0.25 for a quarter, say")
    if cluster != WINDOW and cluster not in within:
        raise FitError(f"visits move between values of '{cluster}'; name it in within to resample")
    seen = visits(frame, window).frame
    cell = [WINDOW, *within]
    lone = pl.len().over(cell) > 1
    rows = _moved(seen.filter(lone), cell, PREFIX + model, share)
    if not rows["positive"].any():
        raise FitError("nothing was found in any window with two visits; take a longer period")
    sums = rows.group_by(cluster).agg(_cells(cell), pl.len().alias("visits"), *_totals())
    sums = sums.sort(cluster)
    table = sums.select(_SUMS).to_numpy().astype(np.float64)
    point = _figures(table.sum(axis=0)[:, None])
    blocks = [_figures(table.T @ counts) for counts in draws(sums.height, resamples, seed)]
    drawn: Floats = np.concatenate([point[:, :0], *blocks], axis=1)
    found = map(interval, point[:, 0].tolist(), drawn)
    return Effort(
        model,
        window,
        share,
        int(sums["cells"].sum()),
        rows.height,
        int(sums["findings"].sum()),
        sums.height,
        *found,
    )


def _moved(seen: pl.DataFrame, cell: list[str], score: str, share: float) -> pl.DataFrame:
    """Return the visits with their part in both heads, and the days by which they move."""
    made = seen.sort(*cell, "_day", maintain_order=True).with_columns(_places(cell))
    real = made.with_columns(_part(cell, "_day", share).alias("_real"))
    ranked = real.sort(*cell, score, descending=[*(False for _ in cell), True], maintain_order=True)
    # Both orders run through the cells alike: the first of a cell gets its first day.
    return ranked.with_columns(made["_day"].alias("_slot"), _places(cell)).with_columns(
        _part(cell, score, share).alias("_model"),
        (pl.col("_day") - pl.col("_slot").mean().over(*cell, score)).alias("_gain"),
    )


def _places(cell: list[str]) -> pl.Expr:
    """Return the places of rows within their cell, from 0."""
    return pl.int_range(pl.len()).over(cell).alias("_place")


def _part(cell: list[str], order: str, share: float) -> pl.Expr:
    """Return which part of a visit lies in the head of its cell; those of equal order share."""
    equal = pl.col("_place").min().over(*cell, order), pl.len().over(*cell, order)
    return ((share * pl.len().over(cell) - equal[0]) / equal[1]).clip(0.0, 1.0)


def _cells(cell: list[str]) -> pl.Expr:
    return pl.struct(cell).n_unique().alias("cells")


def _totals() -> list[pl.Expr]:
    found, gain = pl.col("positive"), pl.col("_gain")
    earlier, later = found & (gain >= _MOVED), found & (gain <= -_MOVED)
    return [
        found.sum().alias("findings"),
        pl.col("_real").filter(found).sum().alias("real"),
        pl.col("_model").filter(found).sum().alias("model"),
        gain.filter(found).sum().alias("gain"),
        earlier.sum().alias("earlier"),
        gain.filter(earlier).sum().alias("earlier_days"),
        later.sum().alias("later"),
        (-gain.filter(later).sum()).alias("later_days"),
    ]


def _figures(sums: Floats) -> Floats:
    """Return the figures of :class:`Effort` in its order, one column a resample."""
    findings, real, model, gain, earlier, earlier_days, later, later_days = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack(
            [
                real / findings,
                model / findings,
                np.where(real > 0, model / real - 1, np.nan),
                earlier / findings,
                earlier_days / earlier,
                later / findings,
                later_days / later,
                gain / findings,
            ]
        )
