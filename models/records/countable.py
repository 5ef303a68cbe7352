"""Counting: whether a record may be used for a purpose as of a date.

One rule for features, portraits, reports and grades alike, as one Polars expression and its scalar
twin. A record that ends (repaired, expired, removed, annulled, past its publicity) stops being
shown, shared and used; see :mod:`.publicity` for the dated terms. A fraudulent repair is undone by
clearing ``void_from`` and ``void_reason`` again, or, where a null says nothing (a merge, a post,
the inbox), by a ``void_from`` that never comes: 9999-12-31, under which a record always counts.

Columns read, those a table lacks being null: ``happened_on``, ``known_at``, ``void_from``,
``void_reason``, ``severity``, ``published``, ``max_months``, ``restrict_until``, ``corrected``; and
of lists, which are the tables that have both, ``kind`` and ``removed_on``. Only tables with a
``severity`` column, lists and rows with ``max_months`` have a publicity period that can end: a
licence or an inspection counts until it is voided. Apply the rule to whole records, before any
column is dropped.

Months are calendar months: a day that the target month lacks becomes its last day.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from typing import Final, TypeAlias, TypeVar

import polars as pl

from models.errors import ConfigError, RecordError
from models.records.fact import LIST_COLUMNS, Fact, add_months
from models.records.publicity import (
    MAX_MONTHS,
    Purpose,
    Rules,
    Severity,
    Term,
    Terms,
    Until,
    VoidReason,
    default_rules,
)
from models.time import AsOf

DTYPES: Final[Mapping[str, pl.DataType]] = {
    "happened_on": pl.Date(),
    "known_at": pl.Datetime("us", "UTC"),
    "void_from": pl.Date(),
    "void_reason": pl.String(),
    "severity": pl.String(),
    "published": pl.Boolean(),
    "max_months": pl.Int32(),
    "restrict_until": pl.Date(),
    "corrected": pl.Boolean(),
    "kind": pl.String(),
    "removed_on": pl.Date(),
}
"""What the counting rule reads of a table that has it; no such column may be left out."""


def countable(
    as_of: AsOf,
    *,
    purpose: Purpose,
    columns: Collection[str],
    rules: Rules | None = None,
    statute: str | None = None,
) -> pl.Expr:
    """Return the Boolean expression, never null, that is true where a record counts.

    ``columns`` are those of the table. ``rules`` defaults to the package's rule book. ``statute``
    names the window of a repeat test (purpose law_enforcement_repeat only; null: its default).
    Records that :func:`well_formed` rejects never count. Raises :class:`RecordError` if the table
    has no ``happened_on`` or ``known_at``, :class:`ConfigError` for a statute that is unknown or
    has no place here.
    """
    view = _View.of(as_of, columns, rules)
    use = view.rules.purposes[purpose]
    _check_statute(purpose, use.until, statute)
    conditions = [
        view.column("happened_on") <= as_of.on,
        view.column("known_at") < as_of.known_before,
        well_formed(columns),
        view.column("void_reason").ne_missing(VoidReason.ANNULLED.value),
    ]
    if use.since is not None:
        conditions.append(view.column("happened_on") >= use.since)
    if not use.voided:
        conditions.append(~view.reached("void_from") & ~view.reached("removed_on"))
    if not use.hidden:
        conditions.append(~view.hidden())
    if use.until is Until.STATUTE:
        window = view.rules.statute(statute, as_of).offset
        conditions.append(view.column("happened_on").dt.offset_by(window) >= as_of.on)
    elif use.until is Until.PUBLICITY:
        conditions.append(
            pl.when(view.hidden()).then(view.retained()).otherwise(view.in_publicity())
            if use.hidden
            else view.in_publicity()
        )
    first, *others = conditions
    for other in others:
        first = first & other  # a chain of &, which a scan can split and push down
    return first


def publicity_end(as_of: AsOf, *, columns: Collection[str], rules: Rules | None = None) -> pl.Expr:
    """Return the first day (Date) on which a record's publicity has ended by itself.

    The later of the maximum publicity and ``restrict_until``; null where the record stays until it
    is voided. Voiding and sector rules for uncorrected faults are not looked at.
    """
    return _View.of(as_of, columns, rules).end()


def repairable_from(
    as_of: AsOf, *, columns: Collection[str], rules: Rules | None = None
) -> pl.Expr:
    """Return the first day (Date) on which repair may be applied for.

    Null where there is no term, or the term knows no early end. The other conditions (obligations
    performed, pledge given) are not looked at.
    """
    view = _View.of(as_of, columns, rules)
    return view.after(view.term(lambda term: term.repair_after_months, pl.Int32()))


def well_formed(columns: Collection[str], *, reasons: Iterable[VoidReason] = VoidReason) -> pl.Expr:
    """Return the Boolean expression, never null, that is true where the rule can be applied.

    Both times are known, a void date and its reason come together, and severity, void reason and
    ``max_months`` (0–1200) have allowed values. Fewer ``reasons`` leave out what is void by others.
    """
    table = _Table(frozenset(columns))
    reason, severity = table.column("void_reason"), table.column("severity")
    return (
        table.column("happened_on").is_not_null()
        & table.column("known_at").is_not_null()
        & (table.column("void_from").is_null() == reason.is_null())
        & _one_of(reason, reasons).fill_null(value=True)
        & _one_of(severity, Severity).fill_null(value=True)
        & table.column("max_months").is_between(0, MAX_MONTHS).fill_null(value=True)
    )


def _one_of(column: pl.Expr, values: Iterable[str]) -> pl.Expr:
    """Return whether a text is one of a few, null for null: faster than ``is_in``."""
    return reduce(lambda one, other: one | other, (column == str(value) for value in values))


def countable_record(
    record: Mapping[str, object],
    as_of: AsOf,
    *,
    purpose: Purpose,
    rules: Rules | None = None,
    statute: str | None = None,
) -> bool:
    """Return whether one record counts: the scalar twin of :func:`countable`.

    The keys of ``record`` are the columns of its table. Raises :class:`RecordError` where
    :func:`well_formed` is false or a value has another type.
    """
    rules = rules or default_rules()
    use = rules.purposes[purpose]
    _check_statute(purpose, use.until, statute)
    fact = Fact.of(record)
    return (
        fact.known(as_of)
        and fact.void_reason != VoidReason.ANNULLED
        and (use.since is None or fact.happened_on >= use.since)
        and (use.voided or not fact.ended(as_of))
        and (use.hidden or not fact.hidden(as_of, rules))
        and _in_use(fact, as_of, use.until, rules, statute)
    )


def publicity_end_record(
    record: Mapping[str, object], as_of: AsOf, *, rules: Rules | None = None
) -> date | None:
    """Return the end of publicity of one record: the scalar twin of :func:`publicity_end`."""
    return Fact.of(record).end(as_of, rules or default_rules())


def repairable_from_record(
    record: Mapping[str, object], as_of: AsOf, *, rules: Rules | None = None
) -> date | None:
    """Return the first day of repair of one record: the scalar twin of :func:`repairable_from`."""
    fact = Fact.of(record)
    term = fact.term(as_of, rules or default_rules())
    if term is None or term.repair_after_months is None:
        return None
    return add_months(fact.happened_on, term.repair_after_months)


def _in_use(fact: Fact, as_of: AsOf, until: Until, rules: Rules, statute: str | None) -> bool:
    """Tell whether the fact is still within what ends its use; its voiding is not looked at."""
    if until is Until.NEVER:
        return True
    if until is Until.STATUTE:
        window = rules.statute(statute, as_of)
        days = timedelta(days=window.days or 0)
        return as_of.on - days <= add_months(fact.happened_on, window.months or 0)
    if fact.hidden(as_of, rules):
        return as_of.on < add_months(fact.happened_on, rules.retention_months)
    return fact.in_publicity(as_of, rules)


def _check_statute(purpose: Purpose, until: Until, statute: str | None) -> None:
    if statute is not None and until is not Until.STATUTE:
        raise ConfigError(
            f"statute '{statute}' given for the purpose '{purpose}', which looks at no statute; "
            f"leave it out or use '{Purpose.LAW_ENFORCEMENT_REPEAT}'"
        )


_Value = TypeVar("_Value", int, bool)
_Pick: TypeAlias = Callable[[Term], _Value | None]
_Picks: TypeAlias = tuple[dict[str | None, _Value | None], dict[str, _Value | None]]


@dataclass(frozen=True, slots=True)
class _Table:
    """The columns of a table; one it lacks reads as null."""

    columns: frozenset[str]

    def column(self, name: str) -> pl.Expr:
        if name in self.columns:
            return pl.col(name)
        return pl.lit(None, dtype=DTYPES[name])


@dataclass(frozen=True, slots=True)
class _View(_Table):
    """A table as of a date, under a rule book."""

    as_of: AsOf
    rules: Rules

    @classmethod
    def of(cls, as_of: AsOf, columns: Collection[str], rules: Rules | None) -> _View:
        for name in ("happened_on", "known_at"):
            if name not in columns:
                raise RecordError(f"the table has no column '{name}'; every record needs its times")
        return cls(frozenset(columns), as_of, rules or default_rules())

    def reached(self, name: str) -> pl.Expr:
        return (self.column(name) <= self.as_of.on).fill_null(value=False)

    def after(self, months: pl.Expr) -> pl.Expr:
        """Return the document date plus months; null where months is null."""
        # malformed months must not overflow the calendar: well_formed has already ruled them out
        offset = pl.format("{}mo", months.clip(0, MAX_MONTHS))
        return self.column("happened_on").dt.offset_by(offset)

    def hidden(self) -> pl.Expr:
        """Return whether its class is not published and it was not published all the same."""
        published = self.term(lambda term: term.published, pl.Boolean()).fill_null(value=True)
        return ~published & ~self.column("published").fill_null(value=False)

    def retained(self) -> pl.Expr:
        return self.after(pl.lit(self.rules.retention_months, dtype=pl.Int32)) > self.as_of.on

    def end(self) -> pl.Expr:
        months = pl.coalesce(
            self.column("max_months"), self.term(lambda term: term.max_months, pl.Int32())
        )
        end = self.after(months)
        later = pl.max_horizontal(end, self.column("restrict_until"))
        return pl.when(end.is_not_null()).then(later)

    def in_publicity(self) -> pl.Expr:
        ended = (self.end() <= self.as_of.on).fill_null(value=False)
        sector = self.term(lambda term: term.keeps_uncorrected, pl.Boolean()).fill_null(value=False)
        return ~ended | (sector & ~self.column("corrected").fill_null(value=False))

    def term(self, pick: _Pick[_Value], dtype: pl.DataType) -> pl.Expr:
        """Return one value of each record's term; null where it has none."""
        newest, *older = reversed(self.rules.eras(self.as_of))
        picks, start = self._picks(newest, pick), newest.start
        result = self._chosen(picks, dtype)
        for terms in older:
            if (earlier := self._picks(terms, pick)) != picks:
                before = self.column("happened_on") < start
                result = pl.when(before).then(self._chosen(earlier, dtype)).otherwise(result)
            picks, start = earlier, terms.start
        return result

    def _picks(self, terms: Terms, pick: _Pick[_Value]) -> _Picks[_Value]:
        """Return the values by severity (null: unclassified) and by kind of list."""
        severities: dict[str | None, _Value | None] = {}
        if "severity" in self.columns:
            severities = {name: pick(term) for name, term in terms.by_severity.items()}
            severities[None] = severities[terms.unclassified]
        kinds: dict[str, _Value | None] = {}
        if self.columns >= LIST_COLUMNS:
            kinds = {name: pick(term) for name, term in terms.by_listing.items()}
        return severities, kinds

    def _chosen(self, picks: _Picks[_Value], dtype: pl.DataType) -> pl.Expr:
        severities, kinds = picks
        default = severities.get(None)
        result = pl.lit(default, dtype=dtype)
        for column, values in (("severity", severities), ("kind", kinds)):
            for value in dict.fromkeys(values.values()):
                names = [name for name, own in values.items() if own == value and name is not None]
                # what differs from no answer; kinds of list also go before the severity's answer
                if column == "kind" or value != default:
                    here = pl.col(column).is_in(names)
                    result = pl.when(here).then(pl.lit(value, dtype=dtype)).otherwise(result)
        return result
