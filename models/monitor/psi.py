"""Histograms of what a model was fitted on, and how far today's values have moved from them.

The population stability index of two histograms over the same bins is Σ (q − p)·ln(q / p), 0 where
they agree (Siddiqi, *Credit Risk Scorecards*, 2006). By custom less than 0.10 is no change, and
more than 0.25 a change that the model must answer. Between two samples of one population it is not
0 but about (1/n + 1/m)·χ² with bins − 1 degrees of freedom (Yurdakul and Naranjo, 2020), so a small
sample needs :func:`chance` to be judged by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Final, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import BundleError

Floats: TypeAlias = NDArray[np.float64]
HistogramData: TypeAlias = dict[str, list[float] | list[str] | float | int]

BINS: Final = 10
CATEGORIES: Final = 20
"""Categories that get a bin of their own, the commonest first; the rest share one."""

WATCH: Final = 0.10
FREEZE: Final = 0.25

_HALF_ROW: Final = 0.5
"""What each bin is given on top, else one that is empty on one side made the index infinite."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares of rows by bin, with the bins, so that later values are counted in the same ones.

    Numbers: bin i holds ``edges[i-1] < x <= edges[i]``, the first and last are open, so there is
    one share more than edges; ±inf falls into these. Categories: one share for each and a last one
    for all others. ``null_share`` is of nulls and NaN; all shares with it sum to 1. ``rows`` is the
    (effective, where weighted) number of rows they were counted on.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    null_share: float
    rows: float
    categories: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check that bins and shares go together."""
        bins = len(self.edges if self.categories is None else self.categories) + 1
        if len(self.shares) != bins or list(self.edges) != sorted(set(self.edges)):
            raise BundleError(
                f"a histogram of {bins} bins has {len(self.shares)} shares, or its edges do not "
                "ascend; fit the model again, or restore its drift.json"
            )
        total = sum(self.shares) + self.null_share
        if self.rows > 0 and not abs(total - 1) < 1e-6:
            raise BundleError(
                f"a histogram's shares sum to {total:g} instead of 1; fit the model again, or "
                "restore its drift.json"
            )

    @classmethod
    def of(
        cls, values: pl.Series, *, bins: int = BINS, weight: pl.Series | None = None
    ) -> Histogram:
        """Choose bins by the quantiles, or the commonest categories, of ``values`` and count.

        Any numeric or boolean series is read as numbers, any string-like one as categories.
        Quantiles are values that occur; equal ones become one edge. A constant gets a bin of its
        own between two empty ones, so that a move to either side shows.
        """
        weights = _weights(values, weight)
        if values.dtype.is_numeric() or values.dtype == pl.Boolean:
            edges = _edges(_numbers(values), weights, bins)
            return cls(edges, (0.0,) * (len(edges) + 1), 0.0, 0.0).again(values, weight=weight)
        top = _commonest(values, weights)
        bare = cls((), (0.0,) * (len(top) + 1), 0.0, 0.0, categories=top)
        return bare.again(values, weight=weight)

    def again(self, values: pl.Series, *, weight: pl.Series | None = None) -> Histogram:
        """Count other values in the same bins; without rows every share is 0."""
        weights = _weights(values, weight)
        total = float(weights.sum())
        if total == 0:
            return Histogram(self.edges, (0.0,) * len(self.shares), 0.0, 0.0, self.categories)
        places = self._places(values)
        known = places >= 0
        counts = np.bincount(places[known], weights[known], minlength=len(self.shares))
        return Histogram(
            self.edges,
            tuple((counts / total).tolist()),
            float(weights[~known].sum() / total),
            total**2 / float(np.square(weights).sum()),
            self.categories,
        )

    def to_json(self) -> HistogramData:
        """Return what JSON keeps to the bit."""
        data: HistogramData = {
            "edges": list(self.edges),
            "shares": list(self.shares),
            "null_share": self.null_share,
            "rows": self.rows,
        }
        return data if self.categories is None else data | {"categories": list(self.categories)}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Histogram:
        """Read what :meth:`to_json` gave.

        Raises:
            BundleError: Something is missing, or does not go together.
        """
        try:
            categories = data.get("categories")
            return cls(
                tuple(float(edge) for edge in cast("list[float]", data["edges"])),
                tuple(float(share) for share in cast("list[float]", data["shares"])),
                float(cast("float", data["null_share"])),
                float(cast("float", data["rows"])),
                None if categories is None else tuple(map(str, cast("list[str]", categories))),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"a drift histogram cannot be read ({error!r}); it has edges, shares, null_share "
                "and rows: restore the bundle's drift.json, or fit the model again"
            ) from error

    def _places(self, values: pl.Series) -> NDArray[np.int64]:
        if self.categories is None:
            numbers = _numbers(values)
            places = np.searchsorted(np.asarray(self.edges), numbers, side="left")
            return np.where(np.isnan(numbers), -1, places)
        order = {name: place for place, name in enumerate(self.categories)}
        found = values.cast(pl.String).replace_strict(
            order, default=len(order), return_dtype=pl.Int64
        )
        return np.where(values.is_null().to_numpy(), -1, found.fill_null(-1).to_numpy())


def psi(reference: Histogram, current: Histogram) -> float:
    """Return the population stability index of two histograms over the same bins, nulls being one.

    NaN where either was counted on no row.

    Raises:
        BundleError: The bins differ.
    """
    p, q = _both(reference, current)
    if not reference.rows or not current.rows:
        return float("nan")
    p, q = _smooth(p, reference.rows), _smooth(q, current.rows)
    return float(((q - p) * np.log(q / p)).sum())


def chance(reference: Histogram, current: Histogram, *, confidence: float = 0.99) -> float:
    """Return the index that two samples of one population exceed with 1 − ``confidence``.

    The χ² quantile is Wilson and Hilferty's (1931). Bins that are empty on both sides do not count.
    """
    p, q = _both(reference, current)
    freedom = int(((p > 0) | (q > 0)).sum()) - 1
    if not reference.rows or not current.rows:
        return float("nan")
    if freedom < 1:
        return 0.0
    z = NormalDist().inv_cdf(confidence)
    quantile = freedom * (1 - 2 / (9 * freedom) + z * sqrt(2 / (9 * freedom))) ** 3
    return (1 / reference.rows + 1 / current.rows) * quantile


def _both(reference: Histogram, current: Histogram) -> tuple[Floats, Floats]:
    if (reference.edges, reference.categories) != (current.edges, current.categories):
        raise BundleError(
            "the two histograms have different bins; count the current values with again() of the "
            "reference"
        )
    p = np.asarray((*reference.shares, reference.null_share))
    q = np.asarray((*current.shares, current.null_share))
    return p, q


def _smooth(shares: Floats, rows: float) -> Floats:
    return (shares * rows + _HALF_ROW) / (rows + _HALF_ROW * len(shares))


def _weights(values: pl.Series, weight: pl.Series | None) -> Floats:
    if weight is None:
        return np.ones(len(values))
    return weight.cast(pl.Float64).fill_null(0.0).to_numpy()


def _numbers(values: pl.Series) -> Floats:
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _edges(numbers: Floats, weights: Floats, bins: int) -> tuple[float, ...]:
    use = np.isfinite(numbers) & (weights > 0)
    if not use.any():
        return ()
    low, high = float(numbers[use].min()), float(numbers[use].max())
    if low == high:
        return (float(np.nextafter(low, -np.inf)), low)
    at = np.arange(1, bins) / bins
    uneven = not bool((weights[use] == weights[use][0]).all())
    cuts = np.quantile(
        numbers[use], at, method="inverted_cdf", weights=weights[use] if uneven else None
    )
    below_top = np.minimum(cuts, np.nextafter(high, -np.inf))  # the top value may be a whole bin
    return tuple(np.unique(below_top).tolist())


def _commonest(values: pl.Series, weights: Floats) -> tuple[str, ...]:
    counted = (
        pl.DataFrame({"name": values.cast(pl.String), "weight": weights})
        .drop_nulls("name")
        .group_by("name")
        .agg(pl.col("weight").sum())
        .filter(pl.col("weight") > 0)
        .sort("weight", "name", descending=[True, False])
    )
    return tuple(sorted(counted["name"].head(CATEGORIES).to_list()))
