# ruff: noqa: S608 -- statements of an attacker, made of constants
from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from models.errors import LedgerDownError, LedgerError
from serving.ledger import audit
from serving.ledger.audit import GENESIS, Anchor, Entry, Recorder, append, head, verify
from serving.ledger.engine import Ledger

AT = datetime(2026, 11, 22, 1, 2, 3, 456789, tzinfo=UTC)
COLUMNS = "at, actor, action, target, outcome, purpose, request_id, details, previous, hash"
VALUES = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
SLOW = profile(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def entry(number: int = 0, **more: object) -> Entry:
    details = {"number": number, **more}
    return Entry(AT, "user:1", "user.create", f"user:{number}", details=details)


def fill(ledger: Ledger, rows: int) -> Anchor:
    with ledger.begin() as connection:
        return append(connection, *(entry(number) for number in range(rows)))


def copy_of(seq: int, number: int) -> str:
    return (
        f"insert into audit (seq, {COLUMNS}) "
        f"select {number}, {COLUMNS} from audit where seq = {seq}"
    )


def tamper(ledger: Ledger, *statements: str) -> None:
    """Do what an owner of the database can do who means ill."""
    with ledger.begin() as connection:
        connection.execute(text("alter table audit disable trigger append_only"))
        for statement in statements:
            connection.execute(text(statement))
        connection.execute(text("alter table audit enable always trigger append_only"))


def faults(ledger: Ledger, *anchors: Anchor) -> list[tuple[int, str]]:
    with ledger.begin() as connection:
        return [(fault.seq, fault.kind) for fault in verify(connection, anchors).faults]


def test_an_empty_chain_is_whole(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        verdict = verify(connection)
    assert (verdict.rows, verdict.head, verdict.whole) == (0, Anchor(0, GENESIS), True)


def test_what_was_appended_is_whole_and_reads_back(ledger: Ledger) -> None:
    end = fill(ledger, 5)
    with ledger.begin() as connection:
        verdict = verify(connection, [end, Anchor(0, GENESIS)])
        rows = audit.page(connection, after=3)
        found = audit.page(connection, target="user:2")
    assert (verdict.rows, verdict.head, verdict.faults) == (5, end, ())
    assert [row["seq"] for row in rows] == [4, 5]
    assert rows[-1]["hash"] == end.hash
    (row,) = found
    assert (row["at"], row["actor"], row["outcome"]) == (AT, "user:1", "done")
    assert json.loads(str(row["details"])) == {"number": 2}


def test_a_transaction_that_fails_leaves_no_trace_in_the_chain(ledger: Ledger) -> None:
    end = fill(ledger, 2)
    with pytest.raises(ZeroDivisionError), ledger.begin() as connection:  # noqa: PT012
        append(connection, entry(9))
        raise ZeroDivisionError
    with ledger.begin() as connection:
        assert head(connection) == end
    fill(ledger, 1)
    assert faults(ledger) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update audit set actor = 'user:2' where seq = 1",
        "update audit set actor = 'user:2' where seq = 99",
        "delete from audit where seq = 1",
        "truncate audit",
        "insert into audit select * from audit on conflict (seq) do update set actor = 'x'",
    ],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_the_database_refuses_to_change_what_was_recorded(
    ledger: Ledger, statement: str, role: str
) -> None:
    fill(ledger, 2)
    with pytest.raises(DBAPIError, match="append-only"), ledger.begin() as connection:  # noqa: PT012
        connection.execute(text(f"set session_replication_role = {role}"))
        connection.execute(text(statement))
    assert faults(ledger) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", "at + interval '1 microsecond'"),
        ("actor", "'user:2'"),
        ("action", "'user.delete'"),
        ("target", "null"),
        ("outcome", "'denied'"),
        ("purpose", "''"),
        ("request_id", "'other'"),
        ("details", "'{}'"),
    ],
)
def test_a_changed_row_is_found_whatever_was_changed(
    ledger: Ledger, column: str, value: str
) -> None:
    fill(ledger, 5)
    tamper(ledger, f"update audit set {column} = {value} where seq = 3")
    assert faults(ledger) == [(3, "changed")]


def test_a_changed_row_with_a_new_hash_is_found_by_the_row_behind_it(ledger: Ledger) -> None:
    fill(ledger, 5)
    tamper(ledger, f"update audit set hash = '{'1' * 64}' where seq = 3")
    assert faults(ledger) == [(3, "changed"), (4, "moved")]


@pytest.mark.parametrize(("gone", "first"), [("1", 1), ("3", 3), ("5", 5), ("3, 4", 3)])
def test_a_missing_row_is_found_at_the_begin_within_and_at_the_end(
    ledger: Ledger, gone: str, first: int
) -> None:
    fill(ledger, 5)
    tamper(ledger, f"delete from audit where seq in ({gone})")
    assert faults(ledger) == [(first, "missing")]


def test_rows_that_changed_places_are_found(ledger: Ledger) -> None:
    fill(ledger, 5)
    tamper(
        ledger,
        "update audit set seq = 0 where seq = 2",
        "update audit set seq = 2 where seq = 3",
        "update audit set seq = 3 where seq = 0",
    )
    assert {seq for seq, _ in faults(ledger)} == {2, 3, 4}


def test_an_inserted_row_is_found_within_and_at_the_end(ledger: Ledger) -> None:
    fill(ledger, 5)
    tamper(ledger, copy_of(5, 6))
    assert (6, "head") in faults(ledger)
    tamper(
        ledger,
        "update audit set seq = seq + 100 where seq > 3",
        "update audit set seq = seq - 99 where seq > 100",
        copy_of(3, 4),
        "update audit_head set seq = 7",
    )
    assert (4, "changed") in faults(ledger)


def test_a_chain_that_was_written_anew_is_found_by_an_anchor_alone(ledger: Ledger) -> None:
    anchor = fill(ledger, 5)
    tamper(
        ledger,
        "delete from audit",
        f"update audit_head set seq = 0, hash = '{GENESIS}'",
    )
    with ledger.begin() as connection:
        append(connection, *(entry(number, forged=True) for number in range(5)))
    assert faults(ledger) == []
    assert faults(ledger, anchor) == [(5, "anchor")]
    assert faults(ledger, Anchor(6, anchor.hash)) == [(6, "anchor")]


def test_a_chain_without_its_end_is_told(ledger: Ledger) -> None:
    tamper(ledger, "delete from audit_head")
    with pytest.raises(LedgerError, match="no end"), ledger.begin() as connection:
        append(connection, entry())


@given(
    said=st.text(),
    details=st.dictionaries(
        st.text(),
        st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    ),
)
@profile(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
def test_whatever_a_caller_says_is_kept_and_verified(
    ledger: Ledger, said: str, details: dict[str, object]
) -> None:
    with ledger.begin() as connection:
        append(connection, Entry(AT, said, said, said, purpose=said, details=details))
    assert faults(ledger) == []


def test_an_instant_is_the_same_in_every_zone(ledger: Ledger) -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=8)))
    with ledger.begin() as connection:
        append(connection, Entry(elsewhere, audit.SYSTEM, "x"))
        connection.execute(text("set local timezone = 'Asia/Shanghai'"))
        assert verify(connection).whole


def test_an_act_without_a_zone_or_with_what_json_lacks_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="zone"), ledger.begin() as connection:
        append(connection, Entry(AT.replace(tzinfo=None), audit.SYSTEM, "x"))
    with pytest.raises(ValueError, match="JSON"):
        Recorder(ledger).record(entry(0, rate=float("nan")))


def test_lines_hold_the_whole_chain(ledger: Ledger) -> None:
    end = fill(ledger, 3)
    with ledger.begin() as connection:
        lines = list(audit.lines(connection, after=1))
    assert [json.loads(line)["seq"] for line in lines] == [2, 3]
    assert json.loads(lines[-1])["hash"] == end.hash


def test_many_threads_append_to_one_chain(ledger: Ledger) -> None:
    recorder = Recorder(ledger)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(recorder.record, map(entry, range(80))))
    with ledger.begin() as connection:
        verdict = verify(connection)
    assert (verdict.rows, verdict.faults) == (80, ())


def test_processes_append_to_one_chain(database: str) -> None:
    ledgers = [Ledger.at(database) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(fill, one, 1) for one in ledgers * 10]
    assert len({one.result().seq for one in done}) == 40
    with ledgers[0].begin() as connection:
        verdict = verify(connection)
    for one in ledgers:
        one.close()
    assert (verdict.rows, verdict.faults) == (40, ())


def test_who_records_is_told_where_it_was_not_kept() -> None:
    ledger = Ledger.at("postgresql://localhost:1/x", wait=1)
    with pytest.raises(LedgerDownError):
        Recorder(ledger).record(entry())
    ledger.close()


def test_after_a_failure_every_thread_is_answered_and_the_next_ones_are_written(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(ledger)
    failing = Mock(side_effect=[LedgerDownError("gone"), LedgerDownError("gone")])

    def flaky(connection: Connection, *entries: Entry) -> Anchor:
        if failing.call_count < 2:
            failing()
        return append(connection, *entries)

    monkeypatch.setattr(audit, "append", flaky)

    def kept(number: int) -> bool:
        try:
            recorder.record(entry(number))
        except LedgerDownError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(kept, range(40)))
    with ledger.begin() as connection:
        verdict = verify(connection)
    assert not all(answers)
    assert (verdict.rows, verdict.faults) == (sum(answers), ())
