"""Times that a report can show: a source's 0001-01-01 or 9999-12-31 means that it is not known."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

import polars as pl

from models.time import SHANGHAI

YEARS: Final = (1900, 2199)
"""First and last year in which a platform can have known something; outside, it is unknown when."""

_KNOWN: Final = tuple(
    datetime(year, 1, 1, tzinfo=SHANGHAI).astimezone(UTC) for year in (YEARS[0], YEARS[1] + 1)
)
_RUN_STAMP: Final = "%Y%m%dT%H%M%S%.6f"
_BEGUN: Final = "_begun"
# a day inside what Python's datetime holds, so that no time zone leads out of it
_MILLISECONDS: Final = (-62_135_510_400_000, 253_402_214_400_000)


def readable(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Null what cannot be read as a time: ``known_at`` outside YEARS, others outside 0001 to 9999.

    Polars stores such times, but neither the working-day calendar nor Python can tell their day.
    """
    bounds = {name: _in_range(name, dtype) for name, dtype in frame.collect_schema().items()}
    bounds["known_at"] = pl.col("known_at").is_between(*_KNOWN, closed="left")
    return frame.with_columns(
        pl.when(bound).then(name).alias(name) for name, bound in bounds.items() if bound is not None
    )


def without_run_times(quarantine: pl.LazyFrame, runs: pl.LazyFrame) -> pl.LazyFrame:
    """Null ``known_at`` where it is only the time of the run that met the row: none was readable.

    That time is the beginning of the whole run, which its id begins with, or of its source.
    """
    begun = runs.select("run_id", known_at="started_at").unique()
    stamp = pl.col("known_at").dt.strftime(_RUN_STAMP)
    own = pl.col("run_id").str.starts_with(stamp) | pl.col(_BEGUN).fill_null(value=False)
    joined = quarantine.join(
        begun.with_columns(pl.lit(value=True).alias(_BEGUN)),
        on=["run_id", "known_at"],
        how="left",
        maintain_order="left",
    )
    return joined.with_columns(known_at=pl.when(~own).then("known_at")).drop(_BEGUN)


def _in_range(name: str, dtype: pl.DataType) -> pl.Expr | None:
    if dtype == pl.Date():
        return pl.col(name).is_between(date.min, date.max)
    if isinstance(dtype, pl.Datetime):
        return pl.col(name).dt.timestamp("ms").is_between(*_MILLISECONDS)
    return None
