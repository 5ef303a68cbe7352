"""The quality of a lake, measured: counts by cell, and the rates that follow from them."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Final

import polars as pl

from training.quality.samples import Sample
from training.quality.scope import Scope

NO_AUTHORITY: Final = "（未注明机关）"
NO_MONTH: Final = "（月份不明）"

TARGET: Final = 0.99
"""Share of reported rows that should pass the gate: 归集合规率, the national line."""
NAMED_ABOVE: Final = 0.5
"""An authority whose share of late reports is above this is named in the monthly circular."""

DIMENSIONS: Final = ("table", "month", "authority", "region")
COUNTS: Final = (
    "accepted",
    "rejected",
    "corrected",
    "duplicates",
    "timed",
    "late",
    "assumed",
    "uncalendared",
    "exempt",
    "filled",
    "fields",
)
MATCHES: Final = ("by_code", "by_organisation", "by_name", "unmatched")
_Z95: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted in one cell, or in all of them. A rate is None where nothing was counted.

    accepted      records in the lake
    rejected      distinct source rows in quarantine
    corrected     of these, rows whose record has come into the lake since (duplicates apart); a row
                  without a subject (S01, V02) has no record to wait for, so it counts only once the
                  very row is imported again and accepted, not when another row is reported instead
    duplicates    rejected rows that repeat a reported decision (V10)
    timed         accepted decisions whose reporting time can be judged
    late          of these, reported after the end (24:00) of the seventh working day after it
    assumed       decisions without a report time of the source: not judged
    uncalendared  decisions in years without a working-day calendar, or of unknown day: not judged
    exempt        decisions by simple procedure (V12), which 双公示 does not ask for: not judged
    filled        values present in the reported columns of accepted records
    fields        values there could be
    """

    accepted: int = 0
    rejected: int = 0
    corrected: int = 0
    duplicates: int = 0
    timed: int = 0
    late: int = 0
    assumed: int = 0
    uncalendared: int = 0
    exempt: int = 0
    filled: int = 0
    fields: int = 0

    @property
    def reported(self) -> int:
        """Return the rows reported: accepted and rejected."""
        return self.accepted + self.rejected

    @property
    def outstanding(self) -> int:
        """Return the rejected rows that still wait for a correction; duplicates need none."""
        return self.rejected - self.corrected - self.duplicates

    @property
    def compliance_rate(self) -> float | None:
        """Return 合规率: accepted ÷ reported."""
        return _share(self.accepted, self.reported)

    @property
    def compliance_after_correction(self) -> float | None:
        """Return accepted ÷ reported, rows that were mended later left out of the reported."""
        return _share(self.accepted, self.reported - self.corrected)

    @property
    def late_rate(self) -> float | None:
        """Return 迟报率: late ÷ timed."""
        return _share(self.late, self.timed)

    @property
    def timely_rate(self) -> float | None:
        """Return 及时率: 1 − 迟报率."""
        return _share(self.timed - self.late, self.timed)

    @property
    def duplicate_rate(self) -> float | None:
        """Return 重复率: duplicates ÷ reported."""
        return _share(self.duplicates, self.reported)

    @property
    def completeness(self) -> float | None:
        """Return the share of reported columns that are filled, over all accepted records."""
        return _share(self.filled, self.fields)

    def missing_to(self, target: float) -> int:
        """Return how few rejected rows would, accepted when first reported, have met ``target``.

        A row that still waits would be one more accepted; one that was mended since, or repeats
        a decision, stands for a record that is accepted already: it would be one less reported.
        """

        def reached(rows: int) -> bool:
            waiting = min(rows, self.outstanding)
            whole = self.reported - (rows - waiting)
            return not whole or (self.accepted + waiting) / whole >= target

        return bisect_left(range(self.rejected), True, key=reached)  # noqa: FBT003

    def as_json(self) -> dict[str, float | int | None]:
        """Return counts and rates under their names."""
        return asdict(self) | {
            "reported": self.reported,
            "outstanding": self.outstanding,
            **{name: _rounded(getattr(self, name)) for name in RATES},
        }


RATES: Final = (
    "compliance_rate",
    "compliance_after_correction",
    "late_rate",
    "timely_rate",
    "duplicate_rate",
    "completeness",
)


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """The quality of the records in ``scope``.

    cells    one row per table, month, authority, region; DIMENSIONS and COUNTS
    rules    one row per rule and cell: ``rejected`` source rows that break it, records it is
             ``noted`` on (findings), and ``rows``, their sum
    places   one row per rule, table and column: ``rows``; column is null where the rule names none
    columns  one row per table and reported column: ``records``, ``filled``, ``required``
    delays   one row per cell and ``bucket`` (see :mod:`.timeliness`): ``rows`` timed
    runs     the import runs, newest first
    matching rows matched by code, organisation code and name, and not at all, in each
             source's newest run
    """

    target: float
    scope: Scope
    cells: pl.DataFrame
    rules: pl.DataFrame
    places: pl.DataFrame
    columns: pl.DataFrame
    delays: pl.DataFrame
    samples: tuple[Sample, ...]
    runs: pl.DataFrame
    matching: pl.DataFrame

    @property
    def totals(self) -> Counts:
        """Return the counts over all cells."""
        row = self.cells.select(pl.col(c).sum() for c in COUNTS).row(0)
        return Counts(*(int(count) for count in row))

    def by(self, *dimensions: str) -> pl.DataFrame:
        """Return counts and rates per value of ``dimensions`` (of DIMENSIONS), sorted by them."""
        grouped = self.cells.group_by(*dimensions).agg(pl.col(c).sum() for c in COUNTS)
        return grouped.with_columns(*_rate_columns()).sort(*dimensions, nulls_last=True)

    def worst(self, limit: int = 20) -> pl.DataFrame:
        """Return the authorities that surely fall shortest, worst first.

        The order is by the lower end of the 95 % Wilson interval of the rejected share, so that an
        authority with one bad row of two does not stand before one with 300 of 1,000. Only
        authorities with a rejected row are listed; ``named`` marks those above NAMED_ABOVE.
        """
        found = self.by("authority").filter(pl.col("rejected") > 0)
        late = pl.col("late_rate").fill_null(0.0)
        return (
            found.with_columns(surely_rejected=_wilson_low(), named=late > NAMED_ABOVE)
            .sort("surely_rejected", "reported", "authority", descending=[True, True, False])
            .head(limit)
        )

    def to_json(self) -> str:
        """Return everything as JSON: sorted keys, sorted rows, the same text for the same lake."""
        totals = self.totals
        document = {
            "format": 1,
            "target": self.target,
            "met": met(self),
            "missing_to_target": totals.missing_to(self.target),
            "scope": {
                "tables": list(self.scope.tables),
                "authorities": list(self.scope.authorities),
                "regions": list(self.scope.regions),
                "since": self.scope.since,
                "until": self.scope.until,
            },
            "totals": totals.as_json(),
            "by_table": _rows(self.by("table")),
            "by_month": _rows(self.by("month")),
            "worst_authorities": _rows(self.worst()),
            "cells": _rows(self.cells),
            "rules": _rows(self.rules),
            "places": _rows(self.places),
            "columns": _rows(self.columns),
            "delays": _rows(self.delays),
            "samples": [sample.as_json() for sample in self.samples],
            "runs": _rows(self.runs),
            "matching": _rows(self.matching),
        }
        return json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n"


def met(quality: Quality) -> bool:
    """Say whether the compliance rate reaches the target; nothing reported does not reach it."""
    rate = quality.totals.compliance_rate
    return rate is not None and rate >= quality.target


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _rate_columns() -> Sequence[pl.Expr]:
    """Return the rates of :class:`Counts` over columns; null where nothing was counted."""
    accepted, rejected, timed = pl.col("accepted"), pl.col("rejected"), pl.col("timed")
    reported = accepted + rejected

    def share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
        return pl.when(whole > 0).then(part / whole)

    return (
        reported.alias("reported"),
        (rejected - pl.col("corrected") - pl.col("duplicates")).alias("outstanding"),
        share(accepted, reported).alias("compliance_rate"),
        share(accepted, reported - pl.col("corrected")).alias("compliance_after_correction"),
        share(pl.col("late"), timed).alias("late_rate"),
        share(timed - pl.col("late"), timed).alias("timely_rate"),
        share(pl.col("duplicates"), reported).alias("duplicate_rate"),
        share(pl.col("filled"), pl.col("fields")).alias("completeness"),
    )


def _wilson_low() -> pl.Expr:
    """Return the lower end of Wilson's 95 % interval of rejected ÷ reported (Wilson 1927)."""
    n = pl.col("reported").cast(pl.Float64)
    p, z2 = pl.col("rejected") / n, _Z95**2
    spread = _Z95 * (p * (1 - p) / n + z2 / (4 * n * n)).sqrt()
    return (p + z2 / (2 * n) - spread) / (1 + z2 / n)


def _rows(frame: pl.DataFrame) -> list[dict[str, object]]:
    return [{key: _plain(value) for key, value in row.items()} for row in frame.to_dicts()]


def _plain(value: object) -> object:
    if isinstance(value, float):
        return round(value, 6)
    return value.isoformat() if isinstance(value, datetime | date) else value
