"""Fairness by the scenario's audit groups: who is selected, found, bothered for nothing, misjudged.

Figures are fairlearn's ``MetricFrame``; intervals resample subjects. The threshold of selection is
the sample's own and stays. Groups too small to tell are named as such and compared with nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.evaluate.bootstrap import draws, interval
from training.evaluate.evaluation import Fairness, Group, Interval
from training.evaluate.predictions import AUDIT, JUDGED, PREFIX, folds

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]

SHARE: Final = 0.1
"""The share selected where the scenario declares no capacity, or one that reaches everybody."""
SMALLEST: Final = 100
FEWEST_POSITIVES: Final = 10
"""A group is judged from so many subjects seen, and so many positives, on."""
UNKNOWN: Final = "unknown"
FIGURES: Final = ("selected", "tpr", "fpr", "gap")

_SUMS: Final = ("_row", "_taken", "_weight", "_hit", "_caught", "_bothered", "_foretold")


class _Table(Protocol):
    """What is taken of the pandas frame that fairlearn answers with."""

    def to_dict(self) -> dict[str, dict[str, float]]: ...


class _MetricFrame(Protocol):
    """What is taken of fairlearn's ``MetricFrame``."""

    @property
    def by_group(self) -> _Table: ...

    def difference(self, method: str) -> Mapping[str, float]: ...


def fairness(
    frame: pl.DataFrame,
    model: str,
    *,
    share: float | None,
    weight: str | None,
    seed: int,
    resamples: int,
) -> tuple[Fairness, ...]:
    """Compare the groups of every ``audit_`` column, selecting ``share`` of each fold's rows.

    Selection is of all candidates; rates among positives and negatives, and the gap between mean
    probability and observed rate, are of those seen, weighted by the column ``weight``.
    """
    used = SHARE if share is None or share >= 1 else share
    columns = [name for name in frame.columns if name.startswith(AUDIT)]
    if not columns:
        return ()
    rows = _rows(frame, model, used, weight)
    blocks = list(draws(rows["_group"].n_unique(), resamples, seed))
    return tuple(_compared(rows, column, used, blocks) for column in columns)


def _rows(frame: pl.DataFrame, model: str, share: float, weight: str | None) -> pl.DataFrame:
    """Add what is summed over a group, row by row; a row nobody saw weighs nothing."""
    score, seen = pl.col(PREFIX + model), JUDGED.cast(pl.Float64)
    weighed = seen * (pl.lit(1.0) if weight is None else pl.col(weight).fill_null(0.0))
    positive = (JUDGED & pl.col("positive")).fill_null(value=False).cast(pl.Float64)
    taken = pl.concat([_taken(part, PREFIX + model, share) for part in folds(frame).values()])
    return taken.with_columns(
        (pl.col("group").cast(pl.String).rank("dense") - 1).cast(pl.Int32).alias("_group"),
        pl.lit(1.0).alias("_row"),
        weighed.alias("_weight"),
        (weighed * positive).alias("_hit"),
        (weighed * positive * pl.col("_taken")).alias("_caught"),
        (weighed * (1 - positive) * pl.col("_taken")).alias("_bothered"),
        (weighed * score).alias("_foretold"),
    )


def _taken(part: pl.DataFrame, score: str, share: float) -> pl.DataFrame:
    """Add how much of each row is selected: all, nothing, or its part of the tie at the edge."""
    above = part.height - pl.col(score).rank("max")
    tied = pl.len().over(score)
    room = share * part.height - above.cast(pl.Float64)
    return part.with_columns((room / tied).clip(0.0, 1.0).alias("_taken"))


def _compared(rows: pl.DataFrame, column: str, share: float, blocks: list[Bytes]) -> Fairness:
    named = rows.with_columns(pl.col(column).cast(pl.String).fill_null(UNKNOWN).alias("_name"))
    parts = {str(name): part for (name,), part in named.partition_by("_name", as_dict=True).items()}
    points = _metric_frame(named).by_group.to_dict()
    sides = {name: _counted(part) for name, part in parts.items()}
    resampled = {
        name: _resampled(part, blocks) for name, part in parts.items() if sides[name].large
    }
    groups = [
        _group(side, {f: points[f][name] for f in FIGURES}, resampled.get(name, {}))
        for name, side in sides.items()
    ]
    return Fairness(
        by=column.removeprefix(AUDIT),
        share=share,
        groups=tuple(sorted(groups, key=lambda one: (-one.rows, one.name))),
        differences=_differences(named, resampled) if len(resampled) > 1 else {},
    )


def _metric_frame(rows: pl.DataFrame) -> _MetricFrame:
    """Return fairlearn's metrics by ``_name``.

    They are fed with the sums of each group, since every figure is a ratio of sums: fairlearn walks
    through what it is given one number at a time.
    """
    from fairlearn.metrics import MetricFrame

    names, sums = _sums(rows, "_name")
    # fairlearn takes a single row for a scalar: with a row of nothing there are always two
    names, sums = names.append(names[:1]), np.vstack([sums, np.zeros((1, len(_SUMS)))])
    row, taken, weight, hit, caught, bothered, foretold = sums.T
    ratios = {
        "selected": (taken, row),
        "tpr": (caught, hit),
        "fpr": (bothered, weight - hit),
        "gap": (foretold - hit, weight),
    }
    made = MetricFrame(
        metrics=dict.fromkeys(ratios, _ratio),
        y_true=hit,
        y_pred=foretold,
        sensitive_features=names.to_numpy(),
        sample_params={
            name: {"part": part, "whole": whole} for name, (part, whole) in ratios.items()
        },
    )
    return cast("_MetricFrame", made)


def _sums(rows: pl.DataFrame, by: str) -> tuple[pl.Series, Floats]:
    """Return the sorted values of a column and the sums over their rows, added in row order.

    Polars adds on several threads, in an order that changes the last bits.
    """
    keys = rows[by].unique().sort()
    code = (rows[by].rank("dense").cast(pl.Int64) - 1).to_numpy()
    columns = [np.bincount(code, rows[name].to_numpy(), len(keys)) for name in _SUMS]
    return keys, np.column_stack(columns).astype(np.float64)


def _ratio(true: Floats, foretold: Floats, *, part: Floats, whole: Floats) -> float:
    """Return a ratio of sums, NaN over nothing; fairlearn hands the first two to every metric."""
    del true, foretold
    below = float(np.sum(whole))
    return float(np.sum(part)) / below if below > 0 else float("nan")


@dataclass(frozen=True, slots=True)
class _Side:
    name: str
    rows: int
    judged: int
    subjects: int
    positives: int

    @property
    def large(self) -> bool:
        return self.subjects >= SMALLEST and self.positives >= FEWEST_POSITIVES


def _counted(part: pl.DataFrame) -> _Side:
    judged = part.filter(JUDGED)
    return _Side(
        str(part["_name"][0]),
        part.height,
        judged.height,
        judged["group"].n_unique(),
        int(judged["positive"].sum()),
    )


def _resampled(part: pl.DataFrame, blocks: list[Bytes]) -> dict[str, Floats]:
    """Return each figure of a group by resample: ratios of sums over the clusters drawn."""
    clusters, matrix = _sums(part, "_group")
    place = clusters.to_numpy()
    drawn = [block[place].T.astype(np.float64) @ matrix for block in blocks]
    row, taken, weight, hit, caught, bothered, foretold = np.concatenate(
        [np.empty((0, len(_SUMS))), *drawn]
    ).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "selected": taken / row,
            "tpr": caught / hit,
            "fpr": bothered / (weight - hit),
            "gap": (foretold - hit) / weight,
        }


def _group(side: _Side, point: dict[str, float], resampled: dict[str, Floats]) -> Group:
    nothing = np.empty(0)
    return Group(
        name=side.name,
        rows=side.rows,
        judged=side.judged,
        subjects=side.subjects,
        positives=side.positives,
        large=side.large,
        selected=interval(point["selected"], resampled.get("selected", nothing)),
        tpr=interval(point["tpr"], resampled.get("tpr", nothing)),
        fpr=interval(point["fpr"], resampled.get("fpr", nothing)),
        gap=interval(point["gap"], resampled.get("gap", nothing)),
    )


def _differences(
    rows: pl.DataFrame, resampled: dict[str, dict[str, Floats]]
) -> dict[str, Interval]:
    """Return the largest difference between any two of the large groups, by figure."""
    large = _metric_frame(rows.filter(pl.col("_name").is_in(list(resampled))))
    points = large.difference(method="between_groups")
    spread = {name: np.stack([one[name] for one in resampled.values()]) for name in FIGURES}
    return {
        name: interval(
            points[name], spread[name].max(axis=0) - spread[name].min(axis=0), centred=True
        )
        for name in FIGURES
    }
