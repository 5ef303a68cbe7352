"""Days earlier and found later: the inspections that were made, made again in a model's order.

Nothing is invented: in each window the same subjects are visited on the same days, and only who
comes first changes. What one finding gains another visit loses, so both are told. A model that
knows nothing moves findings to the middle of their window, as likely later as earlier.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.evaluate.bootstrap import draws, interval, once
from training.evaluate.evaluation import Replay
from training.evaluate.predictions import JUDGED, PREFIX, at_visits, folds

Floats: TypeAlias = NDArray[np.float64]

WINDOWS: Final = (30, 90)
"""Days within which the order may change: a month's plan, a quarter's plan."""

_DAY: Final = pl.col("observed_on").cast(pl.Int32).cast(pl.Float64)


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """Visits by window; ``window`` ascends without gaps, ``group`` numbers the clusters."""

    frame: pl.DataFrame
    windows: int
    groups: int


def visits(frame: pl.DataFrame, window: int) -> Visits:
    """Return the visits that can be put in another order within windows of so many days.

    Rows that are visits are foretold as of their own day. Of dates of view those are used that lie
    at least ``window`` days apart, each for the visits of the days after it: nothing that became
    known within the window is used to order it. There a row stands for the first visit of its
    horizon, and is positive where that visit is the finding. Windows of one visit cannot change
    and are left out.
    """
    seen = frame.filter(JUDGED)
    if "observed_on" in frame.columns:
        seen = seen.filter(pl.col("observed_on").is_not_null())
    else:
        seen = seen.clear().with_columns(observed_on=pl.lit(None, pl.Date()))
    found_then = (
        (pl.col("event_on") == pl.col("observed_on")).fill_null(value=True)
        if "event_on" in seen.columns
        else pl.lit(value=True)
    )
    split = _by_day if at_visits(frame) else _by_view
    parts = [split(part, window) for part in folds(seen).values()]
    empty = seen.clear().with_columns(_start=pl.lit(None, pl.Date()))
    placed = pl.concat([empty, *parts], how="vertical_relaxed")
    kept = placed.filter(pl.len().over("fold", "_start") > 1).with_columns(
        (pl.col("positive") & found_then).alias("positive"),
        pl.struct("fold", "_start").rank("dense").alias("window"),
        (pl.col("group").cast(pl.String).rank("dense") - 1).cast(pl.Int32).alias("_group"),
        _DAY.alias("_day"),
    )
    return Visits(kept, kept["window"].n_unique(), kept["_group"].n_unique())


def _by_day(seen: pl.DataFrame, window: int) -> pl.DataFrame:
    first = pl.col("observed_on").min()
    whole = (pl.col("observed_on") - first).dt.total_days() // window
    return seen.with_columns((first + pl.duration(days=whole * window)).alias("_start"))


def _by_view(seen: pl.DataFrame, window: int) -> pl.DataFrame:
    starts: list[date] = []
    for on in seen["as_of"].unique().sort().to_list():
        if not starts or on >= starts[-1] + timedelta(days=window):
            starts.append(on)
    after = (pl.col("observed_on") - pl.col("as_of")).dt.total_days()
    return seen.filter(
        pl.col("as_of").is_in(starts), after.is_between(0, window, closed="right")
    ).with_columns(pl.col("as_of").alias("_start"))


def replays(
    frame: pl.DataFrame,
    models: tuple[str, ...],
    *,
    seed: int,
    resamples: int,
    windows: tuple[int, ...] = WINDOWS,
) -> tuple[Replay, ...]:
    """Replay the real order of inspections by each model; nothing where nobody was inspected."""
    found: list[Replay] = []
    for window in windows:
        seen = visits(frame, window)
        if seen.frame["positive"].any():
            found += [_replay(seen, name, window, seed, resamples) for name in models]
    return tuple(found)


def _replay(seen: Visits, model: str, window: int, seed: int, resamples: int) -> Replay:
    order = _Order.of(seen.frame, PREFIX + model)
    point = order.moved(once(seen.groups))[:, 0]
    blocks = [order.moved(counts) for counts in draws(seen.groups, resamples, seed)]
    moved = np.concatenate([point[:, None][:, :0], *blocks], axis=1)
    gain, earlier, earlier_days, later, later_days = map(interval, point.tolist(), moved)
    return Replay(
        model=model,
        window=window,
        windows=seen.windows,
        visits=seen.frame.height,
        findings=int(seen.frame["positive"].sum()),
        gain=gain,
        earlier=earlier,
        earlier_days=earlier_days,
        later=later,
        later_days=later_days,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """The same visits twice: as they were made, and by falling score within each window."""

    stops: NDArray[np.int64]
    slot_day: Floats
    slot_group: NDArray[np.int32]
    day: Floats
    group: NDArray[np.int32]
    positive: NDArray[np.uint8]
    tie_ends: NDArray[np.uint8]

    @classmethod
    def of(cls, frame: pl.DataFrame, score: str) -> _Order:
        made = frame.sort("window", "_day")
        ranked = frame.sort("window", score, descending=[False, True])
        tied = pl.struct("window", score) == pl.struct("window", score).shift(-1)
        sizes = made.group_by("window", maintain_order=True).len()["len"]
        return cls(
            sizes.cum_sum().cast(pl.Int64).to_numpy(),
            made["_day"].to_numpy(),
            made["_group"].to_numpy(),
            ranked["_day"].to_numpy(),
            ranked["_group"].to_numpy(),
            ranked["positive"].cast(pl.UInt8).to_numpy(),
            ranked.select((~tied.fill_null(value=False)).cast(pl.UInt8)).to_series().to_numpy(),
        )

    def moved(self, counts: NDArray[np.uint8]) -> Floats:
        """Return gain, share and days earlier, share and days later, one column a resample."""
        from training.evaluate.kernel import VISITS, replay

        answer = np.zeros((VISITS, counts.shape[1]))
        replay(
            self.stops,
            self.slot_day,
            self.slot_group,
            self.day,
            self.group,
            self.positive,
            self.tie_ends,
            np.ascontiguousarray(counts.T),
            answer,
        )
        findings, gain, earlier, earlier_days, later, later_days = answer
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack(
                [
                    gain / findings,
                    earlier / findings,
                    earlier_days / earlier,
                    later / findings,
                    later_days / later,
                ]
            )
