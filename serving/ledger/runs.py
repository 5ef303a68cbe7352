"""Runs over everybody: what each part of one has done, so that a run that broke off goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Identity,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger import inbox
from serving.ledger.base import Base
from serving.ledger.inbox import InboxRow
from serving.ledger.locks import Lock, hold
from serving.ledger.rows import add_once


class ScoreRunRow(Base):
    """One run of a scenario over everybody as of a day; ``finished_at`` is null until its end."""

    __tablename__ = "score_run"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    scenario: Mapped[str]
    as_of: Mapped[date]
    scenario_digest: Mapped[str]
    bundle_digest: Mapped[str]
    inbox_mark: Mapped[int] = mapped_column(BigInteger)
    data_versions: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class ScoreRunPartRow(Base):
    """One part of a run that is done: how many were decided, and how many of them warned."""

    __tablename__ = "score_run_part"

    run_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    part: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    decided: Mapped[int] = mapped_column(BigInteger)
    warned: Mapped[int] = mapped_column(BigInteger)
    done_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Run:
    """A run; ``parts`` are those that are done, ``decided`` and ``warned`` what they sum to."""

    id: int
    scenario: str
    as_of: date
    inbox_mark: int
    parts: frozenset[int]
    decided: int
    warned: int
    finished_at: datetime | None


def begin(
    connection: Connection,
    scenario: str,
    on: date,
    *,
    scenario_digest: str,
    bundle_digest: str,
    at: datetime,
) -> Run:
    """Return the unfinished run of this scenario, day, declaration and bundle, or a new one."""
    hold(connection, Lock.SCORE_RUNS)
    row = ScoreRunRow
    begun = select(row.id).where(
        row.scenario == scenario,
        row.as_of == on,
        row.scenario_digest == scenario_digest,
        row.bundle_digest == bundle_digest,
        row.finished_at.is_(None),
    )
    found = connection.execute(begun.order_by(row.id.desc()).limit(1)).scalar()
    if found is None:
        new = insert(row).values(
            scenario=scenario,
            as_of=on,
            scenario_digest=scenario_digest,
            bundle_digest=bundle_digest,
            inbox_mark=inbox.high_water(connection),
            started_at=at,
        )
        found = connection.execute(new.returning(row.id)).scalar_one()
    return read(connection, found)


def pin(connection: Connection, run: int, versions: Mapping[str, int]) -> None:
    """Note the lake's versions that the run reads."""
    connection.execute(
        update(ScoreRunRow).where(ScoreRunRow.id == run).values(data_versions=dict(versions))
    )


def waiting(connection: Connection, mark: int, versions: Mapping[str, int]) -> frozenset[str]:
    """Return whose live records up to a number are not in the lake at these versions.

    Costs what is found: what the lake has since long is stepped over by an index.
    """
    row = InboxRow
    tables = [one for one in connection.execute(_TABLES).scalars() if one is not None]
    found: set[str] = set()
    for table in tables:
        later = (row.lake_version.is_(None), row.lake_version > versions.get(table, -1))
        for asked in later:  # in this order: what goes into the lake meanwhile is seen twice
            mine = select(row.subject_id).where(row.table_name == table, asked, row.seq <= mark)
            found.update(connection.execute(mine.distinct()).scalars())
    return frozenset(found)


_TABLES: Final = text(
    "with recursive one as (select min(table_name) as name from inbox union all "
    "select (select min(table_name) from inbox where table_name > one.name) from one "
    "where one.name is not null) select name from one"
)
"""The tables of the inbox, one step of an index each."""


def part_done(
    connection: Connection, run: int, part: int, *, decided: int, warned: int, at: datetime
) -> bool:
    """Note that a part is done, first in the transaction that stores its decisions.

    False where another process did it, whose transaction this one waits for.
    """
    values = {"run_id": run, "part": part, "decided": decided, "warned": warned, "done_at": at}
    return add_once(connection, ScoreRunPartRow, values)


def finish(connection: Connection, run: int, *, at: datetime) -> None:
    """Note that the run is over."""
    connection.execute(
        update(ScoreRunRow)
        .where(ScoreRunRow.id == run, ScoreRunRow.finished_at.is_(None))
        .values(finished_at=at)
    )


def of_day(connection: Connection, on: date) -> list[Run]:
    """Return the newest run of each scenario as of a day, by scenario."""
    row = ScoreRunRow
    newest = select(func.max(row.id)).where(row.as_of == on).group_by(row.scenario)
    asked = select(row.id).where(row.id.in_(newest)).order_by(row.scenario)
    return [read(connection, number) for number in connection.execute(asked).scalars()]


def read(connection: Connection, run: int) -> Run:
    """Return a run as it stands."""
    row, part = ScoreRunRow, ScoreRunPartRow
    found = connection.execute(
        select(row.id, row.scenario, row.as_of, row.inbox_mark, row.finished_at).where(
            row.id == run
        )
    ).one()
    done = connection.execute(
        select(
            func.coalesce(func.array_agg(part.part), text("'{}'")),
            func.coalesce(func.sum(part.decided), 0),
            func.coalesce(func.sum(part.warned), 0),
        ).where(part.run_id == run)
    ).one()
    return Run(
        id=found.id,
        scenario=found.scenario,
        as_of=found.as_of,
        inbox_mark=found.inbox_mark,
        parts=frozenset(done[0]),
        decided=int(done[1]),
        warned=int(done[2]),
        finished_at=found.finished_at,
    )
