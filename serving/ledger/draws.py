"""Draws: frozen pools, public seeds, records, and every subject's line for it to check by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl
from sqlalchemy import BigInteger, Connection, Index, LargeBinary, insert, select, text
from sqlalchemy.orm import Mapped, mapped_column

from models.inspection.pool import Pool
from models.inspection.record import parsed
from models.inspection.seed import Commitment, Seed
from serving.ledger.base import Base
from serving.ledger.copying import copied, copy_rows
from serving.ledger.lists import packed, unpacked
from serving.ledger.rows import columns_of

GRADED: Final = pl.Schema(
    {
        "subject_id": pl.String(),
        "grade": pl.String(),
        "probability": pl.Float64(),
        "vetoed": pl.Boolean(),
        "expired": pl.Boolean(),
    }
)
"""The columns of :func:`graded`; ``expired``: the decision has lapsed by the day."""


class PoolRow(Base):
    """A frozen pool: its canonical file, who is in it (Parquet), and what it was made with."""

    __tablename__ = "inspection_pool"

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    population: Mapped[bytes] = mapped_column(LargeBinary)
    commitment: Mapped[str]
    made_with: Mapped[str]


class StrataRow(Base):
    """What the labels of a pool stand for, sealed."""

    __tablename__ = "inspection_strata"

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class StrataToldRow(Base):
    """What the labels of a pool stand for, as it is published when its period is closed."""

    __tablename__ = "inspection_strata_told"

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[str]


class SeedRow(Base):
    """The public seed of a frozen pool, as JSON."""

    __tablename__ = "inspection_seed"

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[str]


class DrawRow(Base):
    """The record of a draw, as the file that is published."""

    __tablename__ = "inspection_draw"

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    record: Mapped[str]


class LineRow(Base):
    """How a draw came to one subject; ``key`` and ``rank`` are null for mandatory ones."""

    __tablename__ = "inspection_line"
    __table_args__ = (
        Index(
            "ix_inspection_line_drawn",
            *("plan_id", "period", "subject_id"),
            postgresql_where=text("drawn"),
        ),
    )

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[str] = mapped_column(primary_key=True)
    stratum: Mapped[str]
    pi: Mapped[float]
    u: Mapped[float]
    key: Mapped[float | None]
    rank: Mapped[int | None] = mapped_column(BigInteger)
    n: Mapped[int] = mapped_column(BigInteger)
    drawn: Mapped[bool]
    inclusion_probability: Mapped[float]


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen pool without its content; ``made_with`` is JSON."""

    commitment: Commitment
    made_with: str


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """How a draw came to one subject; see :class:`LineRow`."""

    subject_id: str
    stratum: str
    pi: float
    u: float
    key: float | None
    rank: int | None
    n: int
    drawn: bool
    inclusion_probability: float


def keep_pool(
    connection: Connection,
    plan_id: str,
    period: str,
    *,
    pool: Pool,
    population: pl.DataFrame,
    commitment: Commitment,
    made_with: str,
    strata: bytes,
) -> None:
    """Keep a pool that is frozen, once; ``strata`` is the sealed key to its labels."""
    values = {
        "plan_id": plan_id,
        "period": period,
        "content": pool.lines(),
        "population": packed(population),
        "commitment": commitment.model_dump_json(),
        "made_with": made_with,
    }
    connection.execute(insert(PoolRow).values(values))
    named = {"plan_id": plan_id, "period": period, "sealed": strata}
    connection.execute(insert(StrataRow).values(named))


def frozen(connection: Connection, plan_id: str, period: str) -> Frozen | None:
    """Return what was published of a pool; ``None`` where it is not frozen."""
    row = PoolRow
    found = connection.execute(
        select(row.commitment, row.made_with).where(row.plan_id == plan_id, row.period == period)
    ).one_or_none()
    if found is None:
        return None
    commitment = parsed(Commitment, found.commitment, "the ledger", "commitment")
    return Frozen(commitment, found.made_with)


def pool_file(connection: Connection, plan_id: str, period: str) -> bytes | None:
    """Return the canonical file of a pool."""
    row = PoolRow
    asked = select(row.content).where(row.plan_id == plan_id, row.period == period)
    return connection.execute(asked).scalar()


def population(connection: Connection, plan_id: str, period: str) -> pl.DataFrame | None:
    """Return who was in a frozen pool, with what was known of them."""
    row = PoolRow
    asked = select(row.population).where(row.plan_id == plan_id, row.period == period)
    found = connection.execute(asked).scalar()
    return None if found is None else unpacked(found)


def sealed_strata(connection: Connection, plan_id: str, period: str) -> bytes | None:
    """Return the sealed key to the labels of a pool; ``None`` where it was frozen without."""
    row = StrataRow
    asked = select(row.sealed).where(row.plan_id == plan_id, row.period == period)
    return connection.execute(asked).scalar()


def keep_told_strata(connection: Connection, plan_id: str, period: str, *, content: str) -> None:
    """Keep the key to the labels of a pool as it is published, once."""
    values = {"plan_id": plan_id, "period": period, "content": content}
    connection.execute(insert(StrataToldRow).values(values))


def told_strata(connection: Connection, plan_id: str, period: str) -> str | None:
    """Return the published key to the labels of a pool; ``None`` before it is closed."""
    row = StrataToldRow
    asked = select(row.content).where(row.plan_id == plan_id, row.period == period)
    return connection.execute(asked).scalar()


def keep_seed(connection: Connection, plan_id: str, period: str, seed: Seed) -> None:
    """Keep the seed of a frozen pool, once."""
    values = {"plan_id": plan_id, "period": period, "content": seed.model_dump_json()}
    connection.execute(insert(SeedRow).values(values))


def seed(connection: Connection, plan_id: str, period: str) -> Seed | None:
    """Return the seed of a pool; ``None`` where there is none yet."""
    row = SeedRow
    asked = select(row.content).where(row.plan_id == plan_id, row.period == period)
    found = connection.execute(asked).scalar()
    return None if found is None else parsed(Seed, found, "the ledger", "seed")


def keep_draw(
    connection: Connection, plan_id: str, period: str, *, record: str, lines: pl.DataFrame
) -> None:
    """Keep a draw, once: the text of its record, and everybody's line (the columns of a line)."""
    connection.execute(insert(DrawRow).values(plan_id=plan_id, period=period, record=record))
    named = lines.with_columns(plan_id=pl.lit(plan_id), period=pl.lit(period))
    copy_rows(connection, LineRow, named.select(*_KEY, *DrawnLine.__slots__))


def record(connection: Connection, plan_id: str, period: str) -> str | None:
    """Return the record of a draw as it is published; ``None`` where there was none yet."""
    row = DrawRow
    asked = select(row.record).where(row.plan_id == plan_id, row.period == period)
    return connection.execute(asked).scalar()


def line(connection: Connection, plan_id: str, period: str, subject: str) -> DrawnLine | None:
    """Return the line of a subject; ``None`` where the pool has no such subject."""
    row = LineRow
    asked = select(*columns_of(row, DrawnLine)).where(
        row.plan_id == plan_id, row.period == period, row.subject_id == subject
    )
    found = connection.execute(asked).first()
    return None if found is None else DrawnLine(*found)


def chosen(connection: Connection, plan_id: str, period: str) -> pl.DataFrame:
    """Return the drawn: ``subject_id``, ``stratum`` and ``inclusion_probability``, sorted."""
    row = LineRow
    asked = select(row.subject_id, row.stratum, row.inclusion_probability).where(
        row.plan_id == plan_id, row.period == period, row.drawn
    )
    schema = {
        "subject_id": pl.String,
        "stratum": pl.String,
        "inclusion_probability": pl.Float64,
    }
    rows = [tuple(one) for one in connection.execute(asked)]
    return pl.DataFrame(rows, schema=schema, orient="row").sort("subject_id")


def graded(connection: Connection, scenario: str, on: date) -> pl.DataFrame:
    """Return the last decision of each subject as of a day; see :data:`GRADED`.

    Of whom a review annulled it there is none; a grade that a review changed is the changed one.
    """
    told = {"scenario": scenario, "day": on}
    return copied(connection, f"copy ({_GRADED}) to stdout (format csv)", told, schema=GRADED)


_KEY: Final = ("plan_id", "period")
_GRADED: Final = """
with reviewed as (
    select distinct on (r.decision) r.decision, a.outcome, a.grade
    from review r join review_act a on a.review_id = r.id
    where a.outcome in ('annulled', 'changed') order by r.decision, a.id desc
)
select d.subject_id, coalesce(w.grade, d.grade), d.probability, d.vetoed, d.expired
from (
    select distinct on (subject_id) id, subject_id, grade, probability,
        (jsonb_array_length(vetoes) > 0)::text as vetoed, (valid_until < %(day)s)::text as expired
    from decision where scenario = %(scenario)s and as_of <= %(day)s
    order by subject_id, as_of desc, inbox_mark desc, seq desc
) as d
left join reviewed w on w.decision = d.id
where w.outcome is distinct from 'annulled'
order by d.subject_id
"""
