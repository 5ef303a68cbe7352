"""One record as the counting rule reads it: typed values, and what its term says of them."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final, TypeVar

from models.errors import RecordError
from models.records.publicity import MAX_MONTHS, Rules, Severity, Term, VoidReason
from models.time import AsOf

LIST_COLUMNS: Final = frozenset({"kind", "removed_on"})
"""The columns that, together, make a table a list of listings (名录名单)."""

_Needed = TypeVar("_Needed", date, datetime)


@dataclass(frozen=True, slots=True)
class Fact:
    """What the counting rule reads of one record; ``listing`` is the kind of list, if any.

    ``classified`` tells whether its table has severities at all.
    """

    happened_on: date
    known_at: datetime
    void_from: date | None
    void_reason: str | None
    severity: str | None
    published: bool | None
    max_months: int | None
    restrict_until: date | None
    corrected: bool | None
    listing: str | None
    removed_on: date | None
    classified: bool

    @classmethod
    def of(cls, record: Mapping[str, object]) -> Fact:
        """Read a record; raise :class:`RecordError` for a value that the rule cannot use."""
        read = _Reader(record)
        fact = cls(
            happened_on=read.needed("happened_on", read.date("happened_on")),
            known_at=read.needed("known_at", read.instant("known_at")),
            void_from=read.date("void_from"),
            void_reason=read.choice("void_reason", VoidReason),
            severity=read.choice("severity", Severity),
            published=read.flag("published"),
            max_months=read.months("max_months"),
            restrict_until=read.date("restrict_until"),
            corrected=read.flag("corrected"),
            listing=read.text("kind") if record.keys() >= LIST_COLUMNS else None,
            removed_on=read.date("removed_on"),
            classified="severity" in record,
        )
        if (fact.void_from is None) != (fact.void_reason is None):
            raise read.error(
                "void_from", "void_from and void_reason come together; give both or none"
            )
        return fact

    def term(self, as_of: AsOf, rules: Rules) -> Term | None:
        """Return the term that holds: the list's, else the severity's; null if it has neither."""
        terms = rules.terms_for(self.happened_on, as_of)
        if self.listing is not None and self.listing in terms.by_listing:
            return terms.by_listing[self.listing]
        if not self.classified:
            return None
        return terms.by_severity[self.severity or terms.unclassified]

    def known(self, as_of: AsOf) -> bool:
        """Tell whether it had happened and was known."""
        return self.happened_on <= as_of.on and self.known_at < as_of.known_before

    def ended(self, as_of: AsOf) -> bool:
        """Tell whether it was voided or removed from its list."""
        return any(day is not None and day <= as_of.on for day in (self.void_from, self.removed_on))

    def hidden(self, as_of: AsOf, rules: Rules) -> bool:
        """Tell whether its class is not published and it was not published all the same."""
        term = self.term(as_of, rules)
        return term is not None and not term.published and not self.published

    def end(self, as_of: AsOf, rules: Rules) -> date | None:
        """Return the first day after its publicity; null where nothing ends it by itself."""
        term = self.term(as_of, rules)
        months = self.max_months
        if months is None and term is not None:
            months = term.max_months
        if months is None:
            return None
        end = add_months(self.happened_on, months)
        return max(end, self.restrict_until) if self.restrict_until else end

    def in_publicity(self, as_of: AsOf, rules: Rules) -> bool:
        """Tell whether it is before that end, or kept by a sector's rule while uncorrected."""
        end, term = self.end(as_of, rules), self.term(as_of, rules)
        keeps = term is not None and term.keeps_uncorrected and not self.corrected
        return end is None or as_of.on < end or keeps


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed values of a record; a missing key reads as null."""

    record: Mapping[str, object]

    def error(self, name: str, rule: str) -> RecordError:
        which = self.record.get("record_id", "without record_id")
        return RecordError(f"record {which}: {name} is {self.record.get(name)!r}; {rule}")

    def needed(self, name: str, value: _Needed | None) -> _Needed:
        if value is None:
            raise self.error(name, "every record needs its times")
        return value

    def date(self, name: str) -> date | None:
        value = self.record.get(name)
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        raise self.error(name, "give a date")

    def instant(self, name: str) -> datetime | None:
        value = self.record.get(name)
        if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
            return value
        raise self.error(name, "give a datetime with a time zone")

    def text(self, name: str) -> str | None:
        value = self.record.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self.error(name, "give text")

    def choice(self, name: str, choices: type[StrEnum]) -> str | None:
        value = self.text(name)
        if value is None or value in set(choices):
            return value
        raise self.error(name, f"give one of {', '.join(choices)}")

    def flag(self, name: str) -> bool | None:
        value = self.record.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise self.error(name, "give true or false")

    def months(self, name: str) -> int | None:
        value = self.record.get(name)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_MONTHS:
            return value
        raise self.error(name, f"give months from 0 to {MAX_MONTHS}")


def add_months(day: date, months: int) -> date:
    """Return the day some calendar months later, the last of the month where it has no such day."""
    index = day.year * 12 + day.month - 1 + months
    year, month = index // 12, index % 12 + 1
    if year > date.max.year:
        return date.max
    return date(year, month, min(day.day, monthrange(year, month)[1]))
