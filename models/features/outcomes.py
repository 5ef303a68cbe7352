"""How often checks failed among subjects alike: the whole population's results, by group and day.

A group is everybody, or the subjects registered in one region, of one division of industry, of one
kind by name, or of a region and one of these. A result counts in a group as of a date when its row
counts (:mod:`models.records.countable`), it happened before the date, and the subject was known to
be of the group: the region stands in the code, the kind in the name that the very row gives, and
the industry in the register, from the day on which that was known.

Rows of one group, day and span are one line, so that the size goes with groups and days and not
with subjects. Groups are 64-bit digests; of subjects nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.codes import industries
from models.errors import ConfigError
from models.features.digest import Keys, keyed
from models.features.identity import region_expr
from models.features.interval import NEVER, Counting, array
from models.features.kinds import kind_expr
from models.features.spec import SUBJECT
from models.records.publicity import Purpose, VoidReason
from models.records.reading import Records

TABLES: Final = ("inspection", "sampling")
"""Tables whose rows are checks with a result."""
FAILED: Final = "fail"
RESULTS: Final = ("pass", FAILED)
"""Results that tell something; a visit that found nothing to check does not."""

LEVELS: Final = ("all", "region", "industry", "kind", "region_industry", "region_kind")
"""Groups, from the widest to the narrowest; a subject lacks those of which it is not known."""

Days: TypeAlias = NDArray[np.int64]
Counts: TypeAlias = NDArray[np.int64]

_SPANS: Final = pl.Schema(
    {
        "group": pl.UInt64(),
        "day": pl.Int32(),
        "since": pl.Int32(),
        "until": pl.Int32(),
        "checks": pl.Int64(),
        "failed": pl.Int64(),
    }
)
_SPAN: Final = ("group", "day", "since", "until")
_FILE: Final = "outcomes.parquet"
_BITS: Final = 20
"""A day, as a number, has so many bits beside a group's place."""
_LAST: Final = (1 << _BITS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Checks and failures of groups; ``spans`` is sorted by all but the counts."""

    spans: pl.DataFrame
    _lines: dict[int, _Lines] = field(default_factory=dict[int, "_Lines"], repr=False)

    @classmethod
    def of(cls, parts: Iterable[pl.DataFrame]) -> Outcomes:
        """Lay together what :func:`spans_of` made of the parts of a population."""
        whole = pl.concat([_SPANS.to_frame(), *parts])
        return cls(whole.group_by(_SPAN).agg(pl.col("checks", "failed").sum()).sort(_SPAN))

    @classmethod
    def load(cls, folder: Path) -> Outcomes:
        """Read what :meth:`save` wrote."""
        return cls(pl.read_parquet(folder / _FILE))

    def save(self, folder: Path) -> None:
        """Write the lines as ``outcomes.parquet``."""
        self.spans.write_parquet(folder / _FILE)

    def counts(self, groups: Keys, days: Days, window: int) -> tuple[Counts, Counts]:
        """Return the checks and failures of each group in ``window`` days before each day."""
        if window not in self._lines:
            self._lines[window] = _Lines.of(self.spans, window)
        return self._lines[window].counts(groups, days)


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """One window's spans as two sorted lists: where lines begin to count, and where they end.

    A place in a list is a group's number and a day in one integer. Every line stands in both, so
    lines of earlier groups cancel out, and a count is the difference of two running totals.
    """

    groups: Keys
    begins: Days
    begun: tuple[Counts, Counts]
    ends: Days
    ended: tuple[Counts, Counts]

    @classmethod
    def of(cls, spans: pl.DataFrame, window: int) -> _Lines:
        until = np.minimum(spans["until"].to_numpy().astype(np.int64), _LAST)
        end = np.minimum(spans["day"].to_numpy().astype(np.int64) + window + 1, until)
        since = spans["since"].to_numpy().astype(np.int64)
        there = spans.filter(pl.Series(end > since))
        groups, number = np.unique(there["group"].to_numpy(), return_inverse=True)
        begins = (number << _BITS) + since[end > since]
        ends = (number << _BITS) + end[end > since]
        totals = [there[name].to_numpy() for name in ("checks", "failed")]
        first, last = np.argsort(begins, kind="stable"), np.argsort(ends, kind="stable")
        return cls(
            groups,
            begins[first],
            (_running(totals[0][first]), _running(totals[1][first])),
            ends[last],
            (_running(totals[0][last]), _running(totals[1][last])),
        )

    def counts(self, groups: Keys, days: Days) -> tuple[Counts, Counts]:
        place = np.searchsorted(self.groups, groups)
        at = np.minimum(place, max(len(self.groups) - 1, 0))
        known = (self.groups[at] == groups) if len(self.groups) else np.zeros(len(at), np.bool_)
        wanted = (at << _BITS) + days
        begun = np.searchsorted(self.begins, wanted, side="right")
        ended = np.searchsorted(self.ends, wanted, side="right")
        checks, failed = (
            np.where(known, up[begun] - down[ended], 0)
            for up, down in zip(self.begun, self.ended, strict=True)
        )
        return checks, failed


def _running(values: Counts) -> Counts:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values)])


def group_exprs(table: str, *, industry: str) -> list[pl.Expr]:
    """Return the name of a row's group at each level, as :data:`LEVELS`; null where it has none.

    The frame has ``_region``, ``_kind`` and the column ``industry``, a division.
    """
    of = {"region": pl.col("_region"), "kind": pl.col("_kind"), "industry": pl.col(industry)}

    def name(level: str) -> pl.Expr:
        parts = [pl.lit(f"{table}|{level}"), *(of[p] for p in level.split("_") if p in of)]
        return pl.concat_str(parts, separator="|").alias(level)

    return [name(level) for level in LEVELS]


def spans_of(records: Records, *, own: pl.Series | None = None) -> pl.DataFrame:
    """Return what a part of the population adds to :class:`Outcomes`.

    With ``own`` only the rows of these subjects count, each subject's for itself: its groups are
    :func:`own_keys` of the two.
    """
    tables = [table for table in TABLES if table in records.tables()]
    return pl.concat([_SPANS.to_frame(), *(_spans(records, table, own=own) for table in tables)])


def own_keys(subjects: Keys, groups: Keys) -> Keys:
    """Return a key for each subject's part of a group, which any bits tell from the others'."""
    mixed = subjects * np.uint64(0x9E3779B97F4A7C15) ^ groups
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(29))


def _spans(records: Records, table: str, *, own: pl.Series | None) -> pl.DataFrame:
    rows = _rows(records, table, own)
    made: list[pl.DataFrame] = []
    for level in LEVELS:
        since = pl.max_horizontal("since", "_told") if "industry" in level else pl.col("since")
        some = rows.filter(pl.col(level).is_not_null())
        groups = keyed(some[level])
        if own is not None:
            mixed = own_keys(keyed(some[SUBJECT]).to_numpy(), groups.to_numpy())
            groups = pl.Series(mixed, dtype=pl.UInt64)
        spans = some.select(groups.alias("group"), "day", since.alias("since"), "until", "failed")
        lines = spans.filter(pl.col("until") > pl.col("since")).group_by(_SPAN)
        made.append(lines.agg(pl.len().cast(pl.Int64).alias("checks"), pl.col("failed").sum()))
    return pl.concat(made).match_to_schema(_SPANS)


def _rows(records: Records, table: str, own: pl.Series | None) -> pl.DataFrame:
    """Return the checks of a table with their groups and the span in which each counts."""
    columns = records.columns(table)
    counting = Counting.of(columns, purpose=Purpose.RISK_CLASS)
    if not counting.exact:
        raise ConfigError(
            "area features need a rule book by document date whose risk class ends with "
            "publicity; leave the family 'area' out of the scenario"
        )
    needed = {name for e in counting.expressions for name in e.meta.root_names()}
    asked = sorted({*needed, SUBJECT, "known_at", "result", "subject_name"}.intersection(columns))
    told = pl.col("result").is_in(RESULTS)
    mine = pl.lit(value=True) if own is None else pl.col(SUBJECT).is_in(own.implode())
    rows = records.frame(table, asked).filter(told, mine).collect()
    selected = rows.select(*counting.expressions)
    _, until = counting.times(selected)
    day = pl.Series("day", array(selected, "_day", np.int32))
    named = pl.col("subject_name") if "subject_name" in columns else pl.lit(None, pl.String)
    subjects = _subjects(records, rows[SUBJECT].unique())
    dated = rows.select(
        SUBJECT,
        named.alias("subject_name"),
        (pl.col("result") == FAILED).cast(pl.Int64).alias("failed"),
        day,
        pl.max_horizontal(day + 1, _known_on()).alias("since"),
        pl.Series("until", until),
    ).filter(day > NEVER, pl.col("since").is_not_null())
    placed = dated.join(subjects, on=SUBJECT, how="left", maintain_order="left")
    kinds = placed.with_columns(kind_expr("subject_name").alias("_kind"))
    return kinds.with_columns(*group_exprs(table, industry="_division"))


def _subjects(records: Records, subjects: pl.Series) -> pl.DataFrame:
    """Return each subject's region, and its industry with the day since when that is known."""
    codes = subjects.to_frame().with_columns(region_expr(SUBJECT).alias("_region"))
    if "subject" not in records.tables() or "industry" not in records.columns("subject"):
        lacking = (pl.lit(None, pl.String).alias("_division"), pl.lit(None, pl.Int32))
        return codes.with_columns(lacking[0], lacking[1].alias("_told"))
    register = (
        records.frame("subject", [SUBJECT, "known_at", "void_reason", "industry"])
        .filter(pl.col("void_reason").ne_missing(VoidReason.ANNULLED.value))
        .select(
            SUBJECT,
            industries.division_of_expr("industry").alias("_division"),
            _known_on().alias("_told"),
        )
        .collect()
        .unique(SUBJECT, keep="first", maintain_order=True)
    )
    return codes.join(register, on=SUBJECT, how="left", maintain_order="left")


def _known_on() -> pl.Expr:
    return pl.col("known_at").dt.convert_time_zone("Asia/Shanghai").dt.date().to_physical()
