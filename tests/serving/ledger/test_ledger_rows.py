"""What is shared by the ledger's tables: writing once, reading held, pages of the newest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from models.errors import LedgerError
from serving.ledger.engine import Ledger
from serving.ledger.inbox import InboxRequest
from serving.ledger.repairs import Case, CaseRow, open_case
from serving.ledger.rows import add_once, columns_of, first_of, newest, values_of

AT = datetime(2026, 11, 22, tzinfo=UTC)
ALL = select(*columns_of(CaseRow, Case))


@dataclass(frozen=True, slots=True)
class Part:
    """Some columns of a case, in another order than the table's."""

    record_id: str
    id: int


def opened(ledger: Ledger, *records: str) -> list[Case]:
    with ledger.begin() as connection:
        return [
            open_case(connection, "penalty", one, subject_id="s", region=None, at=AT)
            for one in records
        ]


def test_columns_follow_the_fields_of_a_value(ledger: Ledger) -> None:
    (case,) = opened(ledger, "r")
    with ledger.begin() as connection:
        row = first_of(connection, select(*columns_of(CaseRow, Part)))
    assert row is not None
    assert Part(*row) == Part("r", case.id)
    assert values_of(Part(*row)) == {"record_id": "r", "id": case.id}


def test_what_is_there_is_not_written_again(ledger: Ledger) -> None:
    row = {"caller": "c", "key": "k", "digest": "d", "answer": {"n": 1}, "at": AT}
    with ledger.begin() as connection:
        assert add_once(connection, InboxRequest, row)
        assert not add_once(connection, InboxRequest, {**row, "answer": {"n": 2}})
        assert add_once(connection, InboxRequest, {**row, "key": "l"})
        kept = connection.execute(select(InboxRequest.answer).where(InboxRequest.key == "k"))
        assert kept.scalar_one() == {"n": 1}


def test_nothing_is_none(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        assert first_of(connection, ALL) is None
        assert first_of(connection, ALL, lock=True) is None


@pytest.mark.parametrize("lock", [False, True])
def test_a_row_is_held_where_that_is_asked(ledger: Ledger, *, lock: bool) -> None:
    opened(ledger, "r")

    def held() -> bool:
        try:
            with ledger.begin() as other:
                other.execute(text("set local lock_timeout = '50ms'"))
                first_of(other, ALL, lock=True)
        except (DBAPIError, LedgerError):
            return True
        return False

    with ledger.begin() as connection:
        first_of(connection, ALL, lock=lock)
        assert held() is lock


@pytest.mark.parametrize(
    ("before", "limit", "expected"),
    [(None, 9, "cba"), (None, 2, "cb"), (2, 9, "ba"), (1, 1, "a"), (0, 9, "")],
)
def test_pages_of_the_newest(ledger: Ledger, before: int | None, limit: int, expected: str) -> None:
    cases = opened(ledger, "a", "b", "c", "d")
    upto = cases[-1].id if before is None else cases[before].id
    with ledger.begin() as connection:
        found = newest(connection, ALL, CaseRow.id, before=upto, limit=limit)
    assert "".join(Case(*row).record_id for row in found) == expected


def test_without_a_number_the_newest_of_all_come(ledger: Ledger) -> None:
    opened(ledger, "a", "b")
    with ledger.begin() as connection:
        found = newest(connection, ALL, CaseRow.id, limit=1)
    assert [Case(*row).record_id for row in found] == ["b"]
