"""When a row counts: the counting rule turned into two times a row, instead of one test a date.

A row counts as of a date when it was known before that date ended, happened on or before it, and
``until`` lies after it. This holds the rule of :func:`models.records.countable.countable` wherever
a purpose ends with publicity and terms follow the document date, as the package's rule book has it.
Under other rules (terms by the date of view, purposes that look at hidden or voided records) no
such pair of times exists, and the rule itself is asked at every date.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import product
from typing import Final, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.features.arrays import Bytes, Days, Longs
from models.records.countable import DTYPES, countable, well_formed
from models.records.fact import LIST_COLUMNS, Fact
from models.records.publicity import (
    Purpose,
    Rules,
    Severity,
    Transition,
    Until,
    VoidReason,
    default_rules,
)
from models.time import AsOf

COLUMNS: Final = tuple(DTYPES)
"""What the counting rule reads of a table that has it; no such column may be left out."""

NEVER: Final = -(2**31)
ALWAYS: Final = 2**31 - 1

_EPOCH: Final = date(1970, 1, 1)
_SEVERITIES: Final = tuple(str(severity) for severity in Severity)


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of publicity by era, severity (null last) and kind of list (null last), in a row."""

    start: Days
    kinds: tuple[str, ...]
    months: Days
    hidden: Bytes
    keeps: Bytes


@dataclass(frozen=True, slots=True, eq=False)
class Counting:
    """The counting rule for one table's columns.

    ``terms`` is null where no row's publicity ends by itself. ``exact`` is false where the rule has
    to be asked at every date; ``expressions`` are to be selected from the table, in either case.
    """

    purpose: Purpose
    columns: frozenset[str]
    rules: Rules
    exact: bool
    terms: Terms | None
    expressions: tuple[pl.Expr, ...]

    @classmethod
    def of(
        cls, columns: Collection[str], *, purpose: Purpose, rules: Rules | None = None
    ) -> Counting:
        """Prepare the rule for a table with these columns; ``rules`` default to the package's."""
        if rules is None:
            return _by_default(frozenset(columns), purpose)
        return _prepared(frozenset(columns), purpose, rules)

    def times(self, selected: pl.DataFrame) -> tuple[Longs, Days]:
        """Return ``known`` (microseconds) and ``until`` of rows selected by ``expressions``."""
        known, stop = array(selected, "_known", np.int64), array(selected, "_stop", np.int32)
        if self.terms is None:
            return known, stop
        from models.features.ends import publicity_ends

        until = np.empty_like(stop)
        publicity_ends(
            array(selected, "_day", np.int32),
            stop,
            array(selected, "_restrict", np.int32),
            array(selected, "_months", np.int32),
            array(selected, "_severity", np.uint8),
            array(selected, "_kind", np.uint8),
            array(selected, "_published", np.uint8),
            array(selected, "_corrected", np.uint8),
            self.terms.start,
            self.terms.months,
            self.terms.hidden,
            self.terms.keeps,
            until,
        )
        return known, until

    def times_on(self, events: pl.DataFrame, as_of: AsOf) -> tuple[Longs, Days]:
        """Return such times that hold as of this one date, asking the rule itself."""
        rule = countable(as_of, purpose=self.purpose, columns=self.columns, rules=self.rules)
        counts = events.select(rule).to_series().to_numpy()
        known = np.where(counts, np.int64(0), np.iinfo(np.int64).max)
        return known, np.where(counts, np.int32(ALWAYS), np.int32(NEVER))


def cut(as_of: AsOf) -> int:
    """Return the first instant (microseconds since 1970) whose facts are not known as of a date."""
    return int((as_of.known_before - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000


def day_number(on: date) -> int:
    """Return days since 1970-01-01."""
    return (on - _EPOCH).days


_Number = TypeVar("_Number", bound=np.generic)


def array(selected: pl.DataFrame, name: str, dtype: type[_Number]) -> NDArray[_Number]:
    """Return a column as a contiguous array, a view where it can be."""
    return np.ascontiguousarray(selected[name].to_numpy(), dtype)


@lru_cache(maxsize=256)
def _by_default(columns: frozenset[str], purpose: Purpose) -> Counting:
    return _prepared(columns, purpose, default_rules())


def _prepared(columns: frozenset[str], purpose: Purpose, rules: Rules) -> Counting:
    use = rules.purposes[purpose]
    exact = (
        rules.transition is Transition.DOCUMENT_DATE
        and use.until is Until.PUBLICITY
        and not (use.voided or use.hidden)
        and use.since is None
    )
    ends = "severity" in columns or "max_months" in columns or columns >= LIST_COLUMNS
    terms = _terms(columns, rules) if exact and ends else None
    expressions = {"_day": _day("happened_on", NEVER)}
    if exact:
        expressions |= _times(columns)
    if terms is not None:
        expressions |= _classes(columns, terms)
    named = tuple(expression.alias(name) for name, expression in expressions.items())
    return Counting(purpose, columns, rules, exact, terms, named)


def _terms(columns: frozenset[str], rules: Rules) -> Terms:
    """Tabulate the terms by asking the rule's scalar twin about one record of each class."""
    eras = rules.eras(AsOf(date.max.replace(year=9998)))
    kinds = tuple(sorted({rule.kind for rule in rules.listings}))
    months: list[int] = []
    hidden: list[bool] = []
    keeps: list[bool] = []
    for era, severity, kind in product(eras, (*_SEVERITIES, None), (*kinds, None)):
        known = datetime.combine(era.start, datetime.min.time(), UTC)
        record: dict[str, object] = {"happened_on": era.start, "known_at": known}
        values = {"severity": severity, "kind": kind, "removed_on": None}
        record |= {name: value for name, value in values.items() if name in columns}
        term = Fact.of(record).term(AsOf(era.start), rules)
        limit = None if term is None else term.max_months
        months.append(-1 if limit is None else limit)
        hidden.append(term is not None and not term.published)
        keeps.append(term is not None and term.keeps_uncorrected)
    return Terms(
        start=np.array([day_number(era.start) for era in eras], np.int32),
        kinds=kinds,
        months=np.array(months, np.int32),
        hidden=np.array(hidden, np.uint8),
        keeps=np.array(keeps, np.uint8),
    )


def _times(columns: frozenset[str]) -> dict[str, pl.Expr]:
    """Return when a row became known, and the day on which its voiding or removal stops it."""
    stops = [_day(name, ALWAYS) for name in ("void_from", "removed_on") if name in columns]
    stop = pl.min_horizontal(stops) if stops else pl.lit(ALWAYS, pl.Int32)
    reasons = [reason for reason in VoidReason if reason is not VoidReason.ANNULLED]
    counts = well_formed(columns, reasons=reasons)
    known = pl.col("known_at").to_physical().fill_null(np.iinfo(np.int64).max)
    return {
        "_known": known,
        "_stop": pl.when(counts).then(stop).otherwise(pl.lit(NEVER, pl.Int32)),
    }


def _classes(columns: frozenset[str], terms: Terms) -> dict[str, pl.Expr]:
    """Return what of a row chooses its term and what the row says against its term."""

    def given(name: str, expression: pl.Expr, missing: int, dtype: pl.DataType) -> pl.Expr:
        some = expression.cast(dtype).fill_null(missing)
        return some if name in columns else pl.repeat(missing, pl.len(), dtype=dtype)

    def code(name: str, values: Sequence[str]) -> pl.Expr:
        found = pl.col(name).cast(pl.Enum(values), strict=False).to_physical()
        return given(name, found, len(values), pl.UInt8())

    def flag(name: str) -> pl.Expr:
        return given(name, pl.col(name), 0, pl.UInt8())

    return {
        "_restrict": given(
            "restrict_until", pl.col("restrict_until").to_physical(), NEVER, pl.Int32()
        ),
        "_months": given(
            "max_months", pl.col("max_months").cast(pl.Int32, strict=False), -1, pl.Int32()
        ),
        "_severity": code("severity", _SEVERITIES),
        "_kind": code("kind", terms.kinds),
        "_published": flag("published"),
        "_corrected": flag("corrected"),
    }


def _day(name: str, missing: int) -> pl.Expr:
    return pl.col(name).to_physical().fill_null(missing)
