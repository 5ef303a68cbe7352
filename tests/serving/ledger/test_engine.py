from __future__ import annotations

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from models.errors import LedgerDownError, LedgerError
from serving.ledger import embedded
from serving.ledger.engine import Ledger


def test_a_transaction_is_kept_whole_or_not_at_all(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        connection.execute(text("create table seen (n int primary key)"))
    with pytest.raises(IntegrityError), ledger.begin() as connection:  # noqa: PT012
        connection.execute(text("insert into seen values (1)"))
        connection.execute(text("insert into seen values (1)"))
    with ledger.begin() as connection:
        assert connection.execute(text("select count(*) from seen")).scalar() == 0


def test_no_server_is_told_as_one_that_may_come_back() -> None:
    ledger = Ledger.at("postgresql://localhost:1/x", wait=1)
    with pytest.raises(LedgerDownError, match="cannot be reached"):
        ledger.ping()
    ledger.close()


def test_a_database_that_is_not_there_is_told_with_what_to_do(server: embedded.Server) -> None:
    ledger = Ledger.at(server.get_uri("nobody_made_this"))
    with pytest.raises(LedgerError, match="create it"):
        ledger.ping()
    ledger.close()


def test_a_connection_that_the_server_ended_is_replaced(ledger: Ledger) -> None:
    end = text(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    with pytest.raises(LedgerDownError), ledger.begin() as connection:  # noqa: PT012
        with ledger.begin() as other:
            other.execute(end)
        connection.execute(text("select 1"))
    ledger.ping()


def test_a_pool_that_is_empty_asks_to_repeat(database: str) -> None:
    ledger = Ledger.at(database, wait=0.2)
    free = threading.Event()

    def hold() -> None:
        with ledger.begin():
            free.wait(10)

    threads = [threading.Thread(target=hold) for _ in range(16)]
    for thread in threads:
        thread.start()
    while ledger.engine.pool.checkedout() < len(threads):  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        threading.Event().wait(0.01)
    with pytest.raises(LedgerDownError, match="every connection"):
        ledger.ping()
    free.set()
    for thread in threads:
        thread.join()
    ledger.close()
