"""Decisions as they were made: appended, never changed.

A decision's id follows from what it was made of (:func:`identified`), so that making it again
stores nothing. The *standing* decision of a day is the one that saw the most (the highest number of
the inbox, then the last that was stored); a later one supersedes it, and both stay. What many
decisions have in common (model, declaration, versions of the lake) is said once, in a *basis*.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Final, Literal, TypeAlias, cast
from uuid import UUID

import polars as pl
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Identity,
    Index,
    Select,
    Uuid,
    bindparam,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Mapped, aliased, mapped_column
from sqlalchemy.sql.dml import ReturningInsert

from serving.ledger.base import Base
from serving.ledger.copying import copy_rows
from serving.ledger.rows import add_once

Role: TypeAlias = Literal["champion", "challenger"]


class _Decided:
    """The columns of a decision.

    ``probability``, ``risk_score`` (0 to 1000) and what follows are those of
    :func:`models.decide.decide`. ``inputs_digest`` is the SHA-256 of the row of features,
    ``inbox_mark`` the number of the newest live record that could be seen, ``previous`` the
    decision of an earlier day whose grade was in force, ``replaces`` the one of the same day that
    stood before.
    """

    id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    scenario: Mapped[str]
    subject_id: Mapped[str]
    as_of: Mapped[date]
    inbox_mark: Mapped[int] = mapped_column(BigInteger)
    region: Mapped[str | None]
    probability: Mapped[float]
    risk_score: Mapped[float]
    grade: Mapped[str]
    previous_grade: Mapped[str | None]
    vetoes: Mapped[list[str]] = mapped_column(JSONB)
    valid_until: Mapped[date]
    warn: Mapped[bool]
    draw: Mapped[float]
    action: Mapped[str | None]
    inputs_digest: Mapped[bytes]
    basis: Mapped[UUID]
    previous: Mapped[UUID | None]
    replaces: Mapped[UUID | None]
    made_at: Mapped[datetime]


class DecisionRow(_Decided, Base):
    """A decision of the model that decides."""

    __tablename__ = "decision"
    __table_args__ = (
        Index("ix_decision_subject", "scenario", "subject_id", "as_of", "inbox_mark", "seq"),
        Index("ix_decision_warned", "scenario", "as_of", postgresql_where=text("warn")),
    )


class ShadowRow(_Decided, Base):
    """What a challenger would have decided; nothing follows from it."""

    __tablename__ = "shadow_decision"
    __table_args__ = (
        Index("ix_shadow_decision_subject", "scenario", "subject_id", "as_of", "inbox_mark", "seq"),
    )


class BasisRow(Base):
    """What decisions were made with; ``reference`` names the kept reference, null for none."""

    __tablename__ = "basis"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    scenario: Mapped[str]
    scenario_digest: Mapped[str]
    bundle_digest: Mapped[str]
    data_versions: Mapped[dict[str, Any]] = mapped_column(JSONB)
    reference: Mapped[str | None]
    made_at: Mapped[datetime]


class DeclarationRow(Base):
    """A scenario's declaration as it was in force, as canonical JSON; its digest is the key."""

    __tablename__ = "declaration"

    digest: Mapped[str] = mapped_column(primary_key=True)
    scenario: Mapped[str]
    content: Mapped[str]
    made_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Basis:
    """What decisions are made with: digests, and the lake's versions by table."""

    scenario: str
    scenario_digest: str
    bundle_digest: str
    data_versions: Mapping[str, int]
    reference: str | None

    @property
    def id(self) -> UUID:
        """Return the id, which follows from the content."""
        content = [
            *(self.scenario, self.scenario_digest, self.bundle_digest, self.reference),
            sorted(self.data_versions.items()),
        ]
        return _uuid(json.dumps(content))


@dataclass(frozen=True, slots=True)
class Decision:
    """A stored decision and its basis; ``superseded_by`` is the next of the subject, if any."""

    id: UUID
    scenario: str
    subject_id: str
    as_of: date
    inbox_mark: int
    region: str | None
    probability: float
    risk_score: float
    grade: str
    previous_grade: str | None
    vetoes: tuple[str, ...]
    valid_until: date
    warn: bool
    draw: float
    action: str | None
    inputs_digest: bytes
    previous: UUID | None
    replaces: UUID | None
    made_at: datetime
    scenario_digest: str
    bundle_digest: str
    data_versions: Mapping[str, int]
    reference: str | None
    superseded_by: UUID | None


def identified(rows: pl.DataFrame, *, scenario: str, basis: Basis) -> pl.Series:
    """Return the ids of decisions, as text: they follow from what each was made of.

    ``rows`` has ``subject_id``, ``as_of``, ``inputs_digest`` (Binary), ``previous`` and
    ``replaces`` (String). The lake's versions and the inbox's number do not count: the same
    features are the same decision, whatever else arrived.
    """
    common = f"{scenario}\x1f{basis.scenario_digest}\x1f{basis.bundle_digest}"
    keys = rows.select("subject_id", "as_of", "inputs_digest", "previous", "replaces").iter_rows()
    made = [
        _uuid(f"{common}\x1f{who}\x1f{on}\x1f{digest.hex()}\x1f{before}\x1f{instead}")
        for who, on, digest, before, instead in keys
    ]
    return pl.Series("id", [str(one) for one in made], dtype=pl.String)


def keep_basis(connection: Connection, basis: Basis, *, at: datetime) -> UUID:
    """Store a basis unless it is there, and return its id."""
    values = {
        "id": basis.id,
        "scenario": basis.scenario,
        "scenario_digest": basis.scenario_digest,
        "bundle_digest": basis.bundle_digest,
        "data_versions": dict(basis.data_versions),
        "reference": basis.reference,
        "made_at": at,
    }
    add_once(connection, BasisRow, values)
    return basis.id


def keep_declaration(
    connection: Connection, digest: str, content: str, *, scenario: str, at: datetime
) -> None:
    """Store a scenario's declaration unless it is there."""
    values = {"digest": digest, "scenario": scenario, "content": content, "made_at": at}
    add_once(connection, DeclarationRow, values)


def declaration(connection: Connection, digest: str) -> str | None:
    """Return a declaration as canonical JSON; ``None`` where it is not known."""
    asked = select(DeclarationRow.content).where(DeclarationRow.digest == digest)
    return connection.execute(asked).scalar()


def store(connection: Connection, rows: pl.DataFrame, *, role: Role = "champion") -> set[UUID]:
    """Store a few decisions; those that are there already are left alone. Return the new ones.

    ``rows`` has the columns of :class:`DecisionRow` but ``seq``.
    """
    if rows.is_empty():
        return set()
    return set(connection.execute(_stored(_table(role)), rows.to_dicts()).scalars())


def store_many(connection: Connection, rows: pl.DataFrame, *, role: Role = "champion") -> int:
    """Store many decisions as :func:`store` does, and return how many are new."""
    # In the order of the key, so that its index grows at one place after the other.
    return copy_rows(connection, _table(role), rows.sort("id"), on_conflict="ignore")


EARLIER: Final = pl.Schema(
    {
        "subject_id": pl.String(),
        "id": pl.String(),
        "as_of": pl.Date(),
        "grade": pl.String(),
        "warn": pl.Boolean(),
        "valid_until": pl.Date(),
        "vetoes": pl.List(pl.String()),
        "inputs_digest": pl.Binary(),
        "scenario_digest": pl.String(),
        "bundle_digest": pl.String(),
        "previous": pl.String(),
        "mark": pl.Int64(),
        "today": pl.Boolean(),
    }
)
"""The columns of :func:`earlier`."""


def earlier(
    connection: Connection,
    scenario: str,
    subjects: Sequence[str],
    on: date,
    *,
    role: Role = "champion",
) -> pl.DataFrame:
    """Return the decision that each subject had before a day, and the one that stands of that day.

    Columns: :data:`EARLIER`; ``today`` tells the two apart. A subject without either has no row.
    The grade is the one that a review changed it to, where one did. What a review annulled is
    passed over; of the day itself it is there, to be replaced, without the digest by which it could
    stand again.
    """
    found = connection.execute(
        text(EARLIER_OF.format(table=_table(role).__tablename__)),
        {"scenario": scenario, "subjects": list(subjects), "day": on},
    )
    return pl.DataFrame([tuple(row) for row in found], schema=EARLIER, orient="row")


EARLIER_OF: Final = """
select s.id as subject_id, d.id::text as id, d.as_of, coalesce(w.grade, d.grade) as grade, d.warn,
       d.valid_until, array(select jsonb_array_elements_text(d.vetoes)) as vetoes,
       case when w.outcome = 'annulled' then null else d.inputs_digest end as inputs_digest,
       b.scenario_digest, b.bundle_digest, d.previous::text as previous,
       d.inbox_mark as mark, d.as_of = :day as today
from unnest(cast(:subjects as text[])) as s(id)
cross join lateral (
    (select * from {table} d where d.scenario = :scenario and d.subject_id = s.id
        and d.as_of < :day
        and not exists (select from review r join review_act a on a.review_id = r.id
                        where r.decision = d.id and a.outcome = 'annulled')
        order by as_of desc, inbox_mark desc, seq desc limit 1)
    union all
    (select * from {table} d where d.scenario = :scenario and d.subject_id = s.id
        and d.as_of = :day order by inbox_mark desc, seq desc limit 1)
) as d
join basis b on b.id = d.basis
left join lateral (
    select a.outcome, a.grade from review r join review_act a on a.review_id = r.id
    where r.decision = d.id and a.outcome in ('annulled', 'changed') order by a.id desc limit 1
) as w on true
"""
"""What :func:`earlier` asks, of the table that its name is put in."""


def find(connection: Connection, wanted: UUID, *, role: Role = "champion") -> Decision | None:
    """Return a decision; ``None`` where there is none of the id."""
    found = find_all(connection, [wanted], role=role)
    return found[0] if found else None


def find_all(
    connection: Connection, wanted: Sequence[UUID], *, role: Role = "champion"
) -> list[Decision]:
    """Return the decisions of these ids that there are, in no order."""
    table = _table(role)
    found = connection.execute(_found(table), {"wanted": list(wanted)})
    return [_decision(row) for row in found.mappings()]


def current(
    connection: Connection, scenario: str, subject: str, *, on: date | None = None
) -> Decision | None:
    """Return the decision that stands of a subject, today or as of a day; ``None`` for none."""
    found = history(connection, scenario, subject, on=on, limit=1)
    return found[0] if found else None


def history(
    connection: Connection,
    scenario: str,
    subject: str,
    *,
    on: date | None = None,
    limit: int = 100,
) -> list[Decision]:
    """Return a subject's decisions, the standing one first, at most ``limit``."""
    table = DecisionRow
    query = _decisions(table).where(table.scenario == scenario, table.subject_id == subject)
    if on is not None:
        query = query.where(table.as_of <= on)
    query = query.order_by(table.as_of.desc(), table.inbox_mark.desc(), table.seq.desc())
    return [_decision(row) for row in connection.execute(query.limit(limit)).mappings()]


@cache
def _found(table: type[DecisionRow | ShadowRow]) -> Select[Any]:
    """Return the query of decisions by id, kept: laying it out takes longer than its answer."""
    return _decisions(table).where(table.id == func.any(bindparam("wanted", type_=ARRAY(Uuid))))


@cache
def _stored(table: type[DecisionRow | ShadowRow]) -> ReturningInsert[UUID]:
    return upsert(table).on_conflict_do_nothing().returning(table.id)


def _decisions(table: type[DecisionRow | ShadowRow]) -> Select[Any]:
    """Return the query of decisions with their basis and what superseded them."""
    later = aliased(table)
    next_one = (
        select(later.id)
        .where(
            later.scenario == table.scenario,
            later.subject_id == table.subject_id,
            tuple_(later.as_of, later.inbox_mark, later.seq)
            > tuple_(table.as_of, table.inbox_mark, table.seq),
        )
        .order_by(later.as_of, later.inbox_mark, later.seq)
        .limit(1)
        .scalar_subquery()
    )
    query = select(
        *(getattr(table, name) for name in _OWN),
        BasisRow.scenario_digest,
        BasisRow.bundle_digest,
        BasisRow.data_versions,
        BasisRow.reference,
        next_one.label("superseded_by"),
    ).join(BasisRow, BasisRow.id == table.basis)
    return cast("Select[Any]", query)


_OWN: Final = (
    *("id", "scenario", "subject_id", "as_of", "inbox_mark", "region", "probability"),
    *("risk_score", "grade", "previous_grade", "vetoes", "valid_until", "warn", "draw", "action"),
    *("inputs_digest", "previous", "replaces", "made_at"),
)


def _table(role: Role) -> type[DecisionRow | ShadowRow]:
    return DecisionRow if role == "champion" else ShadowRow


def _decision(row: Mapping[Any, Any]) -> Decision:
    named: dict[str, Any] = {str(name): value for name, value in row.items()}
    named["vetoes"] = tuple(named["vetoes"])
    return Decision(**named)


def _uuid(content: str) -> UUID:
    return UUID(bytes=hashlib.sha256(content.encode()).digest()[:16])
