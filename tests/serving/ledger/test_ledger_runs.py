"""Whose live records a run over everybody leaves to the live path, and what asking costs."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text

from serving.ledger import runs
from serving.ledger.engine import Ledger

_ROW = (
    "insert into inbox (table_name, record_id, subject_id, record, caller, received_at, merged_at,"
    " lake_version) select :table, 'r' || n, :who || n, '{}', 'c', now(),"
    " case when cast(:version as bigint) is null then null else now() end, :version"
    " from generate_series(1, :rows) n"
)


def came(
    connection: Connection, table: str, who: str, *, version: int | None, rows: int = 1
) -> None:
    """Write rows of subjects ``who1``, ``who2`` …, which the lake has since a version."""
    told = {"table": table, "who": who, "version": version, "rows": rows}
    connection.execute(text(_ROW), told)


@pytest.mark.parametrize(
    ("versions", "mark", "expected"),
    [
        ({"penalty": 3, "listing": 3}, 9, {"c1", "d1", "f1"}),
        ({"penalty": 4, "listing": 3}, 9, {"c1", "f1"}),
        ({"penalty": 2, "listing": 9}, 9, {"b1", "c1", "d1", "f1"}),
        ({"penalty": 9}, 9, {"c1", "e1", "f1"}),
        ({}, 9, {"a1", "b1", "c1", "d1", "e1", "f1"}),
        ({}, 2, {"a1", "b1"}),
    ],
)
def test_what_a_version_lacks_up_to_a_number(
    ledger: Ledger, versions: dict[str, int], mark: int, expected: set[str]
) -> None:
    with ledger.begin() as connection:
        for who, table, version in [
            *(("a", "penalty", 0), ("b", "penalty", 3), ("c", "penalty", None)),
            *(("d", "penalty", 4), ("e", "listing", 3), ("f", "listing", None)),
        ]:
            came(connection, table, who, version=version)
        assert runs.waiting(connection, mark, versions) == expected


def test_an_empty_inbox_has_nobody(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        assert runs.waiting(connection, 9, {"penalty": 1}) == frozenset()


def test_what_the_lake_has_since_long_is_not_read(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        for table in ("penalty", "listing", "inspection"):
            came(connection, table, "old", version=1, rows=2000)
        came(connection, "penalty", "new", version=2, rows=3)
        came(connection, "penalty", "live", version=None, rows=2)
        connection.execute(text("analyze inbox"))
        read = text(
            "select coalesce(sum(seq_tup_read), 0) + coalesce(sum(idx_tup_fetch), 0)"
            " from pg_stat_xact_user_tables where relname = 'inbox'"
        )
        before = connection.execute(read).scalar_one()
        found = runs.waiting(connection, 2**62, {"penalty": 1, "listing": 1, "inspection": 1})
        assert found == {"new1", "new2", "new3", "live1", "live2"}
        assert connection.execute(read).scalar_one() - before < 50
