from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from models.errors import LedgerError
from serving.ledger.base import Base
from serving.ledger.engine import Ledger
from serving.ledger.migrate import check, head, migrate, revision


def test_an_empty_database_is_brought_to_the_head_once(empty_database: str) -> None:
    ledger = Ledger.at(empty_database)
    assert revision(ledger) is None
    with pytest.raises(LedgerError, match="xinjian serve migrate"):
        check(ledger)
    assert migrate(ledger) == (None, head())
    assert migrate(ledger) == (head(), head())
    check(ledger)
    ledger.close()


def test_two_that_migrate_at_once_do_it_once(empty_database: str) -> None:
    ledger = Ledger.at(empty_database)
    with ThreadPoolExecutor(2) as pool:
        before = {pool.submit(migrate, ledger).result()[0] for _ in range(2)}
    ledger.close()
    assert before == {None, head()}


def test_a_ledger_of_a_newer_release_is_left_alone(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999_far'"))
    with pytest.raises(LedgerError, match="newer"):
        migrate(ledger)
    with pytest.raises(LedgerError, match="newer"):
        check(ledger)


def test_the_migrated_schema_is_the_declared_one(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
