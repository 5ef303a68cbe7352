"""Rules of publicity: for how long, and for what, a record of dishonesty may be used.

The rules are dated data in ``publicity.yaml``; this module gives them types and picks the version
in force. Sources: 信用修复管理办法 (发展改革委令第36号, 2026-04-01), its predecessors, and the
rules of each list; every rule names its instrument and how well its text is known.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models import yaml as declarations
from models.errors import ConfigError
from models.time import AsOf

DEFAULT_RULES: Final = Path(__file__).with_name("publicity.yaml")

MAX_MONTHS: Final = 1200

Months = Annotated[int, Field(ge=0, le=MAX_MONTHS)]


class Purpose(StrEnum):
    """What a record is used for."""

    PUBLIC_REPORT = "public_report"
    CREDIT_SCORE = "credit_score"
    RISK_CLASS = "risk_class"
    JOINT_MEASURE = "joint_measure"
    THIRD_PARTY_SHARE = "third_party_share"
    MODEL_TRAINING = "model_training"
    INTERNAL_GUIDANCE = "internal_guidance"
    LAW_ENFORCEMENT_REPEAT = "law_enforcement_repeat"
    SPECIAL_REPORT = "special_report"
    STATISTICS = "statistics"


class Severity(StrEnum):
    """Classes of dishonesty: 轻微, 一般, 严重."""

    MINOR = "minor"
    GENERAL = "general"
    SERIOUS = "serious"


class VoidReason(StrEnum):
    """Why a record ended before or at its term: 修复, 到期, 撤销."""

    REPAIRED = "repaired"
    EXPIRED = "expired"
    ANNULLED = "annulled"


class Transition(StrEnum):
    """Which version of a rule holds for a record."""

    DOCUMENT_DATE = "document_date"
    AS_OF = "as_of"


class Until(StrEnum):
    """What ends the use of a record for a purpose."""

    PUBLICITY = "publicity"
    STATUTE = "statute"
    NEVER = "never"


class Certainty(StrEnum):
    """How well a rule's text is known."""

    TEXT = "text"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    PROPOSAL = "proposal"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Dated(_Frozen):
    """A rule with its instrument; a missing date leaves the period open on that side."""

    instrument: str
    certainty: Certainty
    effective_from: date | None = None
    effective_to: date | None = None

    @property
    def start(self) -> date:
        """Return the first day in force."""
        return self.effective_from or date.min

    def in_force(self, on: date) -> bool:
        """Tell whether the rule holds on that day; both ends belong to the period."""
        return self.start <= on <= (self.effective_to or date.max)


class Term(_Frozen):
    """Months from the document date.

    ``max_months`` null: no automatic end. ``repair_after_months`` null: no early end by repair.
    ``published`` false: not published unless the record says so. ``keeps_uncorrected``: the
    sector's rule goes on past the maximum while the fault is not corrected.
    """

    max_months: Months | None = None
    repair_after_months: Months | None = None
    published: bool = True
    keeps_uncorrected: bool = False

    @model_validator(mode="after")
    def _repair_before_end(self) -> Term:
        if (self.repair_after_months or 0) > _or_forever(self.max_months):
            raise ValueError("repair_after_months is later than max_months; repair comes first")
        return self


class SeverityTerm(Term):
    """The term of one class of severity; ``min_months`` is the shortest publicity."""

    min_months: Months

    @model_validator(mode="after")
    def _ordered(self) -> SeverityTerm:
        if self.min_months > _or_forever(self.max_months):
            raise ValueError("min_months is longer than max_months; correct one of them")
        return self


class SeverityRule(_Dated):
    """Terms by severity while one instrument is in force; ``unclassified`` stands for null."""

    unclassified: Severity
    terms: Mapping[Severity, SeverityTerm]

    @field_validator("terms")
    @classmethod
    def _complete(cls, terms: Mapping[Severity, SeverityTerm]) -> Mapping[Severity, SeverityTerm]:
        return _all_of(Severity, terms)


class ListingRule(_Dated, Term):
    """The term of one kind of list (``listing.kind``)."""

    kind: str


class StatuteRule(_Dated):
    """The window in which a statute counts repeats, and how many ``times`` make the repeat."""

    id: str
    times: Annotated[int, Field(ge=2)] | None = None
    months: Months | None = None
    days: Annotated[int, Field(ge=0, le=36_500)] | None = None

    @model_validator(mode="after")
    def _one_unit(self) -> StatuteRule:
        if (self.months is None) == (self.days is None):
            raise ValueError("a window needs either months or days; give exactly one of them")
        return self

    @property
    def offset(self) -> str:
        """Return the window as a Polars duration."""
        return f"{self.days}d" if self.days is not None else f"{self.months}mo"


class PurposeRule(_Frozen):
    """What counts for one purpose; see the comments in ``publicity.yaml``."""

    until: Until
    voided: bool = False
    hidden: bool = False
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """All terms in force from ``start`` on."""

    start: date
    unclassified: Severity
    by_severity: Mapping[str, Term]
    by_listing: Mapping[str, Term]


class Rules(_Frozen):
    """The whole rule book. Every group of versions covers all time, without gap or overlap.

    ``effective_from`` is the day from which the book as a whole is used, ``basis`` what it rests
    on; each rule in it has its own instrument and days.
    """

    effective_from: date
    basis: Annotated[tuple[str, ...], Field(min_length=1)]
    certainty: Certainty
    transition: Transition
    retention_months: Months
    severities: tuple[SeverityRule, ...]
    listings: tuple[ListingRule, ...]
    statutes: tuple[StatuteRule, ...]
    purposes: Mapping[Purpose, PurposeRule]

    @field_validator("severities")
    @classmethod
    def _severities_cover(cls, rules: tuple[SeverityRule, ...]) -> tuple[SeverityRule, ...]:
        return _covering(rules, lambda _: "severities")

    @field_validator("listings")
    @classmethod
    def _listings_cover(cls, rules: tuple[ListingRule, ...]) -> tuple[ListingRule, ...]:
        return _covering(rules, lambda rule: rule.kind)

    @field_validator("statutes")
    @classmethod
    def _statutes_cover(cls, rules: tuple[StatuteRule, ...]) -> tuple[StatuteRule, ...]:
        if "default" not in {rule.id for rule in rules}:
            raise ValueError("no statute has the id 'default'; add the window used without one")
        return _covering(rules, lambda rule: rule.id)

    @field_validator("purposes")
    @classmethod
    def _purposes_complete(
        cls, purposes: Mapping[Purpose, PurposeRule]
    ) -> Mapping[Purpose, PurposeRule]:
        return _all_of(Purpose, purposes)

    def terms_on(self, on: date) -> Terms:
        """Return the terms in force on a day."""
        severity = _in_force(self.severities, on)
        return Terms(
            start=max(severity.start, *(r.start for r in self.listings if r.in_force(on))),
            unclassified=severity.unclassified,
            by_severity={str(name): term for name, term in severity.terms.items()},
            by_listing={rule.kind: rule for rule in self.listings if rule.in_force(on)},
        )

    def terms_for(self, happened_on: date, as_of: AsOf) -> Terms:
        """Return the terms for a document of that date, seen as of a date."""
        by_document = self.transition is Transition.DOCUMENT_DATE
        return self.terms_on(happened_on if by_document else as_of.on)

    def eras(self, as_of: AsOf) -> tuple[Terms, ...]:
        """Return the terms that records seen as of a date may fall under, oldest first."""
        if self.transition is Transition.AS_OF:
            return (self.terms_on(as_of.on),)
        starts = {rule.start for rule in (*self.severities, *self.listings)}
        return tuple(self.terms_on(start) for start in sorted(starts))

    def statute(self, name: str | None, as_of: AsOf) -> StatuteRule:
        """Return the statute in force as of a date; null gives the default window.

        Raises :class:`ConfigError` for a name that the rules do not hold.
        """
        wanted = name or "default"
        found = [rule for rule in self.statutes if rule.id == wanted]
        if not found:
            hint = declarations.nearest(wanted, {rule.id for rule in self.statutes})
            raise ConfigError(f"unknown statute '{wanted}'{hint}")
        return _in_force(found, as_of.on)


def load_rules(path: Path | str) -> Rules:
    """Read a rule book from YAML; raise :class:`ConfigError` with ``file:line`` if it is wrong."""
    return declarations.load(path, Rules)


@cache
def default_rules() -> Rules:
    """Return the rule book that comes with the package; read once."""
    return load_rules(DEFAULT_RULES)


_Rule = TypeVar("_Rule", bound=_Dated)
_Name = TypeVar("_Name", bound=StrEnum)
_Value = TypeVar("_Value")


def _or_forever(months: int | None) -> float:
    return float("inf") if months is None else months


def _in_force(rules: Iterable[_Rule], on: date) -> _Rule:
    """Return the one version in force; validation has made sure that there is one."""
    return next(rule for rule in rules if rule.in_force(on))


def _all_of(names: type[_Name], given: Mapping[_Name, _Value]) -> Mapping[_Name, _Value]:
    missing = [str(name) for name in names if name not in given]
    if missing:
        raise ValueError(f"missing {', '.join(missing)}; every one needs a rule")
    return given


def _covering(rules: Sequence[_Rule], group: Callable[[_Rule], Hashable]) -> tuple[_Rule, ...]:
    """Return the rules ordered by start; raise ValueError unless each group covers all time."""
    ordered = tuple(sorted(rules, key=lambda rule: rule.start))
    if not ordered:
        raise ValueError("no rule is given; give at least one")
    for name in dict.fromkeys(group(rule) for rule in ordered):
        _check_cover(str(name), [rule for rule in ordered if group(rule) == name])
    return ordered


def _check_cover(name: str, versions: Sequence[_Dated]) -> None:
    if versions[0].effective_from is not None:
        raise ValueError(f"{name}: nothing holds before {versions[0].start}; leave the first open")
    if versions[-1].effective_to is not None:
        raise ValueError(f"{name}: nothing holds after {versions[-1].effective_to}; leave it open")
    for before, after in pairwise(versions):
        if before.effective_to is None or before.effective_to >= after.start:
            raise ValueError(f"{name}: two versions hold on {after.start}; end the earlier before")
        if before.effective_to + timedelta(days=1) != after.start:
            raise ValueError(
                f"{name}: nothing holds between {before.effective_to} and {after.start}; close it"
            )
