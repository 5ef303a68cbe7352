"""Rows of a matrix in memory: what a model learns from, stops by, or is asked about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import FitError
from models.features.spec import AS_OF, FeatureSpec
from models.risk.encode import FloatArray, shown
from training.risk.folds import Span
from training.risk.matrix import Matrix
from training.risk.past import FOUND, SEEN

BATCH: Final = 100_000
"""Rows that are foretold at once."""

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Observed rows: features and what the baselines read, and of each outcome, weight, group."""

    frame: pl.DataFrame
    positive: BoolArray
    weight: FloatArray
    group: pl.Series

    @property
    def rate(self) -> float:
        """Return the weighted share of positives."""
        return float(np.average(self.positive, weights=self.weight))

    def some(self, most: int, seed: int) -> Sample:
        """Return at most ``most`` of the rows, drawn by ``seed``."""
        if self.frame.height <= most:
            return self
        chosen = np.random.default_rng(seed).choice(self.frame.height, most, replace=False)
        return self.at(np.sort(chosen))

    def at(self, places: npt.NDArray[np.int64]) -> Sample:
        """Return the rows at ``places``."""
        return Sample(
            self.frame[places], self.positive[places], self.weight[places], self.group[places]
        )


def read_sample(matrix: Matrix, rows: pl.DataFrame, span: Span) -> Sample:
    """Read the observed rows of a slice; ``rows`` are the matrix's own, weighed.

    Raises :class:`FitError` for infinite features, naming them.
    """
    wanted = pl.col("observed") & span.rows
    mine = rows.filter(wanted)
    also = [c for c in (SEEN, FOUND, *_audited(matrix)) if c not in matrix.names]
    frame = matrix.scan().filter(wanted).select(*also, *matrix.names).collect()
    check_finite(frame, matrix.features)
    return Sample(frame, mine["positive"].to_numpy(), mine["weight"].to_numpy(), mine["group"])


def batches(matrix: Matrix, span: Span) -> Iterator[pl.DataFrame]:
    """Yield all rows of a slice, observed or not, some dates at a time and in no other order."""
    days = matrix.scan().filter(span.rows).group_by(AS_OF).len().sort(AS_OF).collect()
    part = (days["len"].cum_sum() - days["len"]) // BATCH
    for chunk in days.with_columns(part.alias("_part")).partition_by("_part", maintain_order=True):
        frame = matrix.scan().filter(pl.col(AS_OF).is_in(chunk[AS_OF].implode())).collect()
        check_finite(frame, matrix.features)
        yield frame


def check_finite(frame: pl.DataFrame, features: tuple[FeatureSpec, ...]) -> None:
    """Raise :class:`FitError` naming features with infinite values; NaN is taken for missing."""
    numbers = [spec.name for spec in features if spec.dtype == "number"]
    infinite = frame.select(pl.col(numbers).is_infinite().any()).row(0) if numbers else ()
    bad = [name for name, one in zip(numbers, infinite, strict=True) if one]
    if bad:
        raise FitError(
            f"infinite values in {shown(bad)}; a feature is a finite number, or null where it is "
            "not known: correct the records, or exclude the column in the scenario"
        )


def _audited(matrix: Matrix) -> list[str]:
    return [f"audit_{by}" for by in matrix.scenario.audit.by]
