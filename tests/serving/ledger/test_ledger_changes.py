from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from serving.ledger import changes
from serving.ledger.changes import Change, ChangeKind
from serving.ledger.engine import Ledger

AT = datetime(2026, 11, 22, tzinfo=UTC)


def put(ledger: Ledger, *subjects: str, region: str | None = "210102") -> None:
    with ledger.begin() as connection:
        for subject in subjects:
            changes.append(
                connection,
                ChangeKind.DECISION,
                subject_id=subject,
                region=region,
                payload={"grade": "D"},
                at=AT,
            )


def read(
    ledger: Ledger, after: int = 0, *, limit: int = 100, **more: Sequence[str]
) -> list[Change]:
    with ledger.begin() as connection:
        return changes.read(connection, after, limit=limit, **more)  # pyright: ignore[reportArgumentType]


def test_changes_come_in_their_order_page_by_page(ledger: Ledger) -> None:
    put(ledger, *"abcde")
    first = read(ledger, limit=2)
    rest = read(ledger, first[-1].position)
    assert [one.subject_id for one in (*first, *rest)] == list("abcde")
    assert read(ledger, rest[-1].position) == []
    assert first[0].payload == {"grade": "D"}
    assert first[0].at == AT


def test_a_transaction_that_ends_late_is_not_passed_over(ledger: Ledger) -> None:
    written, ended = threading.Event(), threading.Event()

    def slow() -> None:
        with ledger.begin() as connection:
            changes.append(
                connection, ChangeKind.REPAIR, subject_id="slow", region=None, payload={}, at=AT
            )
            written.set()
            ended.wait(20)

    thread = threading.Thread(target=slow)
    thread.start()
    written.wait(20)
    put(ledger, "quick")
    seen = read(ledger)
    assert [one.subject_id for one in seen] == ["quick"]
    ended.set()
    thread.join()
    assert [one.subject_id for one in read(ledger, seen[-1].position)] == ["slow"]


def test_what_is_undone_is_never_told(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.begin() as connection:  # noqa: PT012
        changes.append(
            connection, ChangeKind.DECISION, subject_id="a", region=None, payload={}, at=AT
        )
        raise RuntimeError
    put(ledger, "b")
    assert [one.subject_id for one in read(ledger)] == ["b"]


def test_a_reader_is_told_of_its_regions_alone(ledger: Ledger) -> None:
    put(ledger, "shenyang", region="210102")
    put(ledger, "dalian", region="210202")
    put(ledger, "nowhere", region=None)
    assert {one.subject_id for one in read(ledger)} == {"shenyang", "dalian", "nowhere"}
    assert [one.subject_id for one in read(ledger, regions=("2101",))] == ["shenyang"]
    assert read(ledger, regions=()) == []
    assert read(ledger, regions=("2%",)) == []


def test_a_reader_is_told_of_its_kinds_alone(ledger: Ledger) -> None:
    put(ledger, "a")
    assert read(ledger, kinds=(ChangeKind.REPAIR,)) == []
    assert len(read(ledger, kinds=(ChangeKind.DECISION,))) == 1


def test_the_latest_position_is_the_last_that_is_told(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        assert changes.latest(connection) == 0
    put(ledger, "a", "b")
    with ledger.begin() as connection:
        newest = changes.latest(connection)
    assert newest == read(ledger)[-1].position


def test_two_readers_at_once_see_one_order(ledger: Ledger) -> None:
    found: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: found.append([one.position for one in read(ledger)]))
        for _ in range(4)
    ]
    put(ledger, *map(str, range(50)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found[0]) == 50
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize(
    "statement",
    [
        "update change set subject_id = 'x'",
        "update change set position = position + 1",
        "update change set position = null",
        "delete from change",
        "truncate change",
    ],
)
def test_what_was_told_stays(ledger: Ledger, statement: str) -> None:
    put(ledger, "a")
    read(ledger)
    with pytest.raises(DBAPIError), ledger.begin() as connection:
        connection.execute(text(statement))
    assert len(read(ledger)) == 1
