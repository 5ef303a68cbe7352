"""A ledger that is in use is migrated with its rows: filled at each revision, then brought up."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import JSON, Column, Connection, MetaData, Table, insert, select

from serving.ledger.audit import Entry, append, verify
from serving.ledger.engine import Ledger
from serving.ledger.migrate import head, migrate, revision, revisions

ROWS = 3
OWN = ("alembic_version", "audit", "audit_head")
"""Tables that are filled by other means than made-up rows."""
MADE_UP: dict[tuple[str, str], object] = {}
"""What a column takes that does not take any value of its type, by table and column."""
AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def ledger(empty_database: str) -> Generator[Ledger]:
    opened = Ledger.at(empty_database)
    yield opened
    opened.close()


def value(column: Column[object], number: int) -> object:
    """Return a value of the column's type, another for each number."""
    known = MADE_UP.get((column.table.name, column.name))
    if known is not None:
        return known
    if isinstance(column.type, JSON):
        return {"n": number}
    kinds: dict[type, object] = {
        bool: True,
        int: number,
        float: number + 0.5,
        Decimal: Decimal(number),
        datetime: AT + timedelta(days=number),
        date: date(2026, 1, 1) + timedelta(days=number),
        bytes: bytes([number]),
        UUID: UUID(int=number),
        list: [],
        str: f"{column.name}-{number}",
    }
    if column.type.python_type in kinds:
        return kinds[column.type.python_type]
    message = f"no value for {column.table.name}.{column.name} of {column.type!r}: add it above"
    raise TypeError(message)


def rows(table: Table, connection: Connection) -> Iterator[dict[str, object]]:
    """Make rows up; a column that refers to another table refers to what is there."""
    foreign = {key.parent.name: key.column for key in table.foreign_keys}
    for number in range(1, ROWS + 1):
        row: dict[str, object] = {}
        for column in table.columns:
            if column.identity is not None or column.computed is not None:
                continue
            if column.name in foreign:
                there = connection.execute(select(foreign[column.name])).scalars().all()
                row[column.name] = sorted(there, key=repr)[number - 1]
            else:
                row[column.name] = value(column, number)
        yield row


def reflected(connection: Connection) -> list[Table]:
    metadata = MetaData()
    metadata.reflect(connection)
    return metadata.sorted_tables


def fill(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        append(connection, *(Entry(AT, "user:1", "x", str(n)) for n in range(ROWS)))
        for table in reflected(connection):
            if table.name not in OWN:
                connection.execute(insert(table), list(rows(table, connection)))


def content(ledger: Ledger) -> dict[str, list[dict[str, object]]]:
    with ledger.begin() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in reflected(connection)
            if table.name != "alembic_version"
        }


@pytest.mark.parametrize("start", revisions())
def test_every_row_is_kept_from_every_revision_on(ledger: Ledger, start: str) -> None:
    assert migrate(ledger, to=start) == (None, start)
    fill(ledger)
    before = content(ledger)
    assert all(found for found in before.values())
    assert migrate(ledger) == (start, head())
    after = content(ledger)
    for table, found in before.items():
        kept = [{name: row[name] for name in found[0]} for row in after[table]]
        assert sorted(kept, key=repr) == sorted(found, key=repr), table
    with ledger.begin() as connection:
        assert verify(connection).whole


def test_a_step_that_fails_leaves_the_rows_and_the_revision(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command

    migrate(ledger, to=revisions()[0])
    fill(ledger)
    upgrade = command.upgrade

    def broken(*given: object) -> None:
        upgrade(*given)  # pyright: ignore[reportArgumentType]
        message = "the last step fails"
        raise RuntimeError(message)

    monkeypatch.setattr(command, "upgrade", broken)
    with pytest.raises(RuntimeError):
        migrate(ledger)
    assert revision(ledger) == revisions()[0]
    monkeypatch.undo()
    migrate(ledger)
    assert len(content(ledger)["audit"]) == ROWS
