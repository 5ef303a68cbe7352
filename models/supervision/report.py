"""Credit reports: what may be shown of a subject for a purpose as of a day, in the same bytes.

公共信用信息报告 shows all that is public; 专项信用报告 shows what counts against a subject within a
period, of all domains or of one, and says so where there is nothing. Only records that count for
the purpose are in it (:mod:`models.records.countable`): what was repaired, has expired or was
annulled is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models import yaml
from models.codes.masking import mask_text
from models.errors import ConfigError
from models.features.spec import SUBJECT
from models.features.text import LEAF
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.countable import countable
from models.records.publicity import Purpose, Rules
from models.records.reading import Records
from models.supervision.dated import Grounded
from models.text.taxonomy import taxonomy
from models.time import AsOf
from models.yaml import nearest

Kind: TypeAlias = Literal["public", "special"]

FILE: Final = Path(__file__).with_name("report.yaml")
"""The outlines that come with the package."""
_REGISTER: Final = "subject"
_ABOUT: Final = ("violation_type", "legal_basis", "reason", "cause", "matter", "product")
"""Columns that say what a record is about, as far as a table has them."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Outline(_Frozen):
    """What one kind of report shows."""

    title: str
    purpose: Purpose
    tables: Annotated[tuple[str, ...], Field(min_length=1)]


class Domain(_Frozen):
    """Which records a special report of one domain shows.

    ``leaves`` are leaves of the violation taxonomy, or letters of its groups. Of what no model has
    read, the authority's name or what the record is about must have one of the words, or its list
    be one of ``listings``.
    """

    title: str
    leaves: tuple[str, ...]
    authorities: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    listings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = taxonomy()
        told = {*(group.code for group in known.groups), *(leaf.code for leaf in known.leaves)}
        if odd := sorted({*self.leaves} - told):
            raise ValueError(f"there is no leaf or group '{odd[0]}'{nearest(odd[0], told)}")
        return self


class Outlines(Grounded):
    """All kinds of report, the domains of special ones, and the columns that none of them shows."""

    reports: Mapping[Kind, Outline]
    domains: Mapping[str, Domain]
    left_out: frozenset[str]

    def domain(self, name: str) -> Domain:
        """Return a domain; :class:`ConfigError` where there is none of that name."""
        if name not in self.domains:
            raise ConfigError(
                f"there is no domain '{name}'{nearest(name, self.domains)}; there are "
                f"{', '.join(self.domains)}"
            )
        return self.domains[name]


@cache
def outlines() -> Outlines:
    """Return the outlines that come with the package; read once."""
    return yaml.load(FILE, Outlines)


@dataclass(frozen=True, slots=True)
class Section:
    """The records of one table: titles of its columns, and a row of texts for each record.

    ``disputed`` are the places of rows to which an objection waits for its answer.
    """

    table: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    disputed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A report; ``since`` and ``until`` bound the day on which a fact happened, both included.

    ``authorities`` are those whose records alone are shown, none is all. ``data_from`` is the day
    of the oldest fact that is known of anybody, null where nobody said. ``unsorted`` counts the
    records of which nobody can tell the domain, in a report of one; they are in none.
    """

    kind: Kind
    title: str
    subject_id: str
    name: str | None
    as_of: date
    since: date | None
    until: date
    sections: tuple[Section, ...]
    domain: str | None = None
    authorities: tuple[str, ...] = ()
    data_from: date | None = None
    unsorted: int | None = None

    @property
    def records(self) -> int:
        """Return how many records of conduct it shows, the register apart."""
        return sum(len(one.rows) for one in self.sections if one.table != _REGISTER)

    def canonical(self) -> bytes:
        """Return the report's bytes: JSON with sorted keys, no blanks, UTF-8."""
        return json.dumps(
            asdict(self), ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str
        ).encode()

    @property
    def digest(self) -> str:
        """Return the SHA-256 of :meth:`canonical`, by which a copy is checked."""
        return hashlib.sha256(self.canonical()).hexdigest()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a report is limited to, both days included; nothing by default.

    ``domain`` is that of a special report, ``until`` the day of view where null, ``authorities``
    those whose records alone are shown. ``data_from`` is the day of the oldest fact known of
    anybody, and ``disputed`` are records, by table and id, that are objected to: the report tells
    both.
    """

    domain: str | None = None
    since: date | None = None
    until: date | None = None
    authorities: tuple[str, ...] = ()
    data_from: date | None = None
    disputed: frozenset[tuple[str, str]] = frozenset()


WHOLE: Final = Limits()


def report(
    records: Records,
    subject: str,
    as_of: date,
    *,
    kind: Kind = "public",
    within: Limits = WHOLE,
    contracts: Mapping[str, Contract] = CONTRACTS,
    rules: Rules | None = None,
) -> Report:
    """Return the report of a subject as of a day.

    Args:
        records: At least those of the subject; a table that is not there is an empty section.
        subject: Its id.
        as_of: The day of view.
        kind: ``public`` or ``special``.
        within: What it is limited to.
        contracts: The tables there are.
        rules: The terms of publicity; the package's by default.

    Raises:
        ConfigError: The period is empty or goes beyond the day of view, or there is no such domain,
            or a public report would be of one.
    """
    outline, last = outlines().reports[kind], within.until or as_of
    title, one = _limited(outline, kind, within.domain)
    _check_period(within.since, last, as_of)
    view = AsOf(as_of)
    sections, unsorted = list[Section](), 0
    for contract in (contracts[table] for table in outline.tables if table in contracts):
        period = (within.since, last)
        rows = _rows(records, contract, subject, view, outline.purpose, period, rules)
        if within.authorities and contract.name != _REGISTER:
            rows = rows.filter(pl.col("authority").is_in(within.authorities))
        if one is not None:
            unsorted += rows.filter(~_sorted(rows.columns)).height
            rows = rows.filter(_belongs(one, rows.columns))
        sections.append(_section(contract, rows, within.disputed))
    return Report(
        kind,
        title,
        subject,
        _name(records, subject, view),
        as_of,
        within.since,
        last,
        tuple(sections),
        within.domain,
        within.authorities,
        within.data_from,
        None if one is None else unsorted,
    )


def _limited(outline: Outline, kind: Kind, domain: str | None) -> tuple[str, Domain | None]:
    if domain is None:
        return outline.title, None
    if kind != "special":
        raise ConfigError(
            f"a {kind} report is of all domains; ask for kind special, or leave domain out"
        )
    found = outlines().domain(domain)
    return f"{outline.title}（{found.title}）", found


def _belongs(domain: Domain, columns: list[str]) -> pl.Expr:
    """Return whether a record is of a domain: by its leaf, else by the words in it."""
    unread = pl.lit(value=True)
    by_leaf = pl.lit(value=False)
    if LEAF in columns:
        unread = pl.col(LEAF).is_null()
        by_leaf = pl.col(LEAF).str.head(1).is_in(domain.leaves) | pl.col(LEAF).is_in(domain.leaves)
    told = _has("authority", domain.authorities, columns)
    for name in _ABOUT:
        told = told | _has(name, domain.words, columns)
    if domain.listings and {"removed_on", "kind"} <= {*columns}:
        told = told | pl.col("kind").is_in(domain.listings).fill_null(value=False)
    return by_leaf.fill_null(value=False) | (unread & told)


def _sorted(columns: list[str]) -> pl.Expr:
    """Return whether a record was read by a model, or is of any domain."""
    read = pl.col(LEAF).is_not_null() if LEAF in columns else pl.lit(value=False)
    return pl.any_horizontal(read, *(_belongs(one, columns) for one in outlines().domains.values()))


def _has(column: str, words: tuple[str, ...], columns: list[str]) -> pl.Expr:
    if not words or column not in columns:
        return pl.lit(value=False)
    return pl.col(column).cast(pl.String).str.contains_any([*words]).fill_null(value=False)


def _check_period(since: date | None, until: date, as_of: date) -> None:
    if until > as_of:
        raise ConfigError(
            f"the period ends on {until}, after the day of view {as_of}; end it there or before"
        )
    if since is not None and since > until:
        raise ConfigError(f"the period begins on {since}, after its end {until}; turn them round")


def _rows(
    records: Records,
    contract: Contract,
    subject: str,
    view: AsOf,
    purpose: Purpose,
    period: tuple[date | None, date],
    rules: Rules | None,
) -> pl.DataFrame:
    """Return the records of a table that count, the newest first."""
    if contract.name not in records.tables():
        return pl.DataFrame(schema=contract.dtypes)
    there = records.columns(contract.name)
    own = records.frame(contract.name).filter(pl.col(SUBJECT) == subject)
    if contract.name == _REGISTER:
        kept = own.filter(pl.col("known_at") < view.known_before)
    else:
        since, until = period
        begun = pl.lit(value=True) if since is None else pl.col("happened_on") >= since
        counts = countable(view, purpose=purpose, columns=there, rules=rules)
        kept = own.filter(counts & begun & (pl.col("happened_on") <= until))
    order = [name for name in ("happened_on", "record_id") if name in there]
    return kept.sort(order, descending=[name == "happened_on" for name in order]).collect()


def _section(
    contract: Contract, rows: pl.DataFrame, disputed: frozenset[tuple[str, str]]
) -> Section:
    names = _shown(contract)
    ids = enumerate(rows["record_id"])
    held = [_column(rows, name) for name in names]
    return Section(
        contract.name,
        contract.title,
        tuple(contract.title_of(name) for name in names),
        tuple(tuple(map(_text, row)) for row in zip(*held, strict=True)),
        tuple(place for place, one in ids if (contract.name, one) in disputed),
    )


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    if name in frame.columns:
        return frame[name]
    return pl.Series(name, [None], dtype=pl.String).new_from_index(0, frame.height)


def _shown(contract: Contract) -> tuple[str, ...]:
    hidden = outlines().left_out | contract.personal
    return tuple(name for name in contract.columns if name not in hidden)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, pl.Series):
        return "、".join(map(_text, value))
    return mask_text(str(value)) or ""


def _name(records: Records, subject: str, view: AsOf) -> str | None:
    if _REGISTER not in records.tables():
        return None
    known = records.frame(_REGISTER, [SUBJECT, "name", "known_at"]).filter(
        (pl.col(SUBJECT) == subject) & (pl.col("known_at") < view.known_before)
    )
    names = known.sort("known_at").select("name").collect()["name"]
    return None if names.is_empty() else str(names[-1])
