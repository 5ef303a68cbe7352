from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from models.errors import ConfigError
from models.records.contracts import CONTRACTS
from serving.jobs import intake
from serving.jobs.intake import Sent
from serving.ledger import inbox
from serving.ledger.engine import Ledger
from serving.ledger.inbox import Posted
from tests.serving.posts import FIRM, OTHER, penalty

AT = datetime(2026, 11, 22, tzinfo=UTC)


def rows(*given: dict[str, object]) -> list[Posted]:
    contract = CONTRACTS["penalty"]
    good = intake.take(given, Sent(contract, "", "c", "ref", AT)).good
    records = good.select(pl.struct(contract.columns).struct.json_encode()).to_series()
    told = good.select("record_id", "subject_id", "region").iter_rows()
    return [
        Posted("penalty", *ids, record=record) for ids, record in zip(told, records, strict=True)
    ]


def write(ledger: Ledger, *given: dict[str, object]) -> int:
    with ledger.begin() as connection:
        return inbox.write(connection, rows(*given), caller="c", at=AT)


def amounts(frames: dict[str, pl.DataFrame]) -> list[float]:
    return frames["penalty"]["fine_amount"].to_list() if frames else []


def test_a_record_waits_as_it_was_posted(ledger: Ledger) -> None:
    write(ledger, penalty(1, penalty_kinds=["03"]), penalty(2, subject_id=OTHER))
    with ledger.begin() as connection:
        found = inbox.pending(connection, [FIRM])
    assert set(found) == {"penalty"}
    assert found["penalty"].schema == pl.Schema(CONTRACTS["penalty"].dtypes)
    (row,) = found["penalty"].iter_rows(named=True)
    assert (row["penalty_kinds"], row["known_at"], row["subject_id"]) == (["03"], AT, FIRM)


def test_corrections_fold_into_one_record(ledger: Ledger) -> None:
    write(ledger, penalty(1, fine_amount=1.0, remark="first"))
    write(ledger, penalty(1, fine_amount=2.0))
    with ledger.begin() as connection:
        (row,) = inbox.pending(connection, [FIRM])["penalty"].iter_rows(named=True)
    assert (row["fine_amount"], row["remark"]) == (2.0, "first")


def test_what_the_lake_has_waits_no_more_but_is_still_known(ledger: Ledger) -> None:
    first = write(ledger, penalty(1, fine_amount=1))
    second = write(ledger, penalty(2, fine_amount=2))
    with ledger.begin() as connection:
        inbox.mark(connection, [first], version=7, at=AT)
    with ledger.begin() as connection:
        assert amounts(inbox.pending(connection, [FIRM])) == [2.0]
        assert inbox.high_water(connection) == second
        assert inbox.backlog(connection) == (1, AT)
        # A decision that read version 6 saw both rows here, one that read 7 the second alone.
        for version, seen in ((6, [1.0, 2.0]), (7, [2.0])):
            then = inbox.known_then(
                connection, [FIRM], high_water=second, versions={"penalty": version}
            )
            assert amounts(then) == seen
        earlier = inbox.known_then(connection, [FIRM], high_water=first, versions={"penalty": 6})
        assert amounts(earlier) == [1.0]
        assert amounts(inbox.known_then(connection, [FIRM], high_water=second, versions={})) == [
            1.0,
            2.0,
        ]


def test_numbers_become_visible_in_their_order(ledger: Ledger) -> None:
    """A writer that is not at its end holds others up, so none is seen before a lower one."""
    began, end = threading.Event(), threading.Event()

    def slow() -> None:
        with ledger.begin() as connection:
            inbox.write(connection, rows(penalty(1)), caller="c", at=AT)
            began.set()
            end.wait(20)

    def quick() -> None:
        write(ledger, penalty(2))

    threads = [threading.Thread(target=slow), threading.Thread(target=quick)]
    threads[0].start()
    began.wait(20)
    threads[1].start()
    threads[1].join(0.3)
    assert threads[1].is_alive()
    with ledger.begin() as connection:
        assert inbox.high_water(connection) == 0
    end.set()
    for thread in threads:
        thread.join()
    with ledger.begin() as connection:
        assert inbox.high_water(connection) == 2


def test_a_table_whose_contract_is_gone_is_told(ledger: Ledger) -> None:
    write(ledger, penalty())
    with ledger.begin() as connection, pytest.raises(ConfigError, match=r"put penalty\.yaml back"):
        inbox.pending(connection, [FIRM], contracts={})


@pytest.mark.parametrize(
    "statement",
    [
        "update inbox set record = '{}'",
        "update inbox set merged_at = null",
        "update inbox set lake_version = lake_version + 1",
        "update inbox set merged_at = now() + interval '1 hour'",
        "delete from inbox",
        "truncate inbox",
    ],
)
def test_what_came_in_stays_as_it_was(ledger: Ledger, statement: str) -> None:
    seq = write(ledger, penalty())
    with ledger.begin() as connection:
        inbox.mark(connection, [seq], version=1, at=AT)
    with pytest.raises(DBAPIError), ledger.begin() as connection:
        connection.execute(text(statement))


def test_answers_are_forgotten_when_they_are_old(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        for key, at in (("old", AT - timedelta(days=31)), ("new", AT)):
            assert inbox.answer(connection, "c", key, digest="d", answer={"a": 1}, at=at)
        assert inbox.forget_answers(connection, before=AT - timedelta(days=30)) == 1
        assert inbox.answered(connection, "c", "old") is None
        assert inbox.answered(connection, "c", "new") == ("d", {"a": 1})
        assert not inbox.answer(connection, "c", "new", digest="e", answer={}, at=AT)
