"""Credit reports: what may be shown of a subject for a purpose as of a day, in the same bytes.

公共信用信息报告 shows all that is public; 专项信用报告 shows what counts against a subject within a
period, and says so where there is nothing. Only records that count for the purpose are in it
(:mod:`models.records.countable`): what was repaired, has expired or was annulled is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from models import yaml
from models.codes.masking import mask_text
from models.errors import ConfigError
from models.features.spec import SUBJECT
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.countable import countable
from models.records.publicity import Purpose, Rules
from models.records.reading import Records
from models.time import AsOf

Kind: TypeAlias = Literal["public", "special"]

_FILE: Final = Path(__file__).with_name("report.yaml")
_REGISTER: Final = "subject"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Outline(_Frozen):
    """What one kind of report shows."""

    title: str
    purpose: Purpose
    tables: Annotated[tuple[str, ...], Field(min_length=1)]


class Outlines(_Frozen):
    """All kinds of report, and the columns that none of them shows."""

    reports: Mapping[Kind, Outline]
    left_out: frozenset[str]


@cache
def outlines() -> Outlines:
    """Return the outlines that come with the package; read once."""
    return yaml.load(_FILE, Outlines)


@dataclass(frozen=True, slots=True)
class Section:
    """The records of one table: titles of its columns, and a row of texts for each record."""

    table: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A report; ``since`` and ``until`` bound the day on which a fact happened, both included."""

    kind: Kind
    title: str
    subject_id: str
    name: str | None
    as_of: date
    since: date | None
    until: date
    sections: tuple[Section, ...]

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


def report(
    records: Records,
    subject: str,
    as_of: date,
    *,
    kind: Kind = "public",
    since: date | None = None,
    until: date | None = None,
    contracts: Mapping[str, Contract] = CONTRACTS,
    rules: Rules | None = None,
) -> Report:
    """Return the report of a subject as of a day.

    Args:
        records: At least those of the subject; a table that is not there is an empty section.
        subject: Its id.
        as_of: The day of view.
        kind: ``public`` or ``special``.
        since: First day of the period; open where null.
        until: Last day of the period; ``as_of`` where null.
        contracts: The tables there are.
        rules: The terms of publicity; the package's by default.

    Raises:
        ConfigError: The period is empty or goes beyond the day of view.
    """
    outline = outlines().reports[kind]
    last = until or as_of
    _check_period(since, last, as_of)
    view = AsOf(as_of)
    sections = tuple(
        _section(records, contracts[table], subject, view, outline.purpose, (since, last), rules)
        for table in outline.tables
        if table in contracts
    )
    return Report(
        kind,
        outline.title,
        subject,
        _name(records, subject, view),
        as_of,
        since,
        last,
        sections,
    )


def _check_period(since: date | None, until: date, as_of: date) -> None:
    if until > as_of:
        raise ConfigError(
            f"the period ends on {until}, after the day of view {as_of}; end it there or before"
        )
    if since is not None and since > until:
        raise ConfigError(f"the period begins on {since}, after its end {until}; turn them round")


def _section(
    records: Records,
    contract: Contract,
    subject: str,
    view: AsOf,
    purpose: Purpose,
    period: tuple[date | None, date],
    rules: Rules | None,
) -> Section:
    names = _shown(contract)
    titles = tuple(contract.title_of(name) for name in names)
    if contract.name not in records.tables():
        return Section(contract.name, contract.title, titles, ())
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
    frame = kept.sort(order, descending=[name == "happened_on" for name in order]).collect()
    held = [_column(frame, name) for name in names]
    return Section(
        contract.name,
        contract.title,
        titles,
        tuple(tuple(map(_text, row)) for row in zip(*held, strict=True)),
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
