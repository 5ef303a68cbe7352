from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, IntegrityError

from models.errors import LedgerDownError, RecordError
from serving.ledger.audit import AuditRow
from serving.ledger.copying import CHUNK, copy_rows
from serving.ledger.engine import Ledger

KINDS = Table(
    "kinds of value",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("text", Text),
    Column("number", Double),
    Column("flag", Boolean),
    Column("day", Date),
    Column("at", DateTime(timezone=True)),
    Column("evidence", JSONB),
    Column("plain", JSON),
    Column("bytes", LargeBinary),
    Column("money", Numeric(18, 2)),
    Column("given", Text, server_default="by default"),
)

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
SLOW = profile(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def kinds(ledger: Ledger) -> Ledger:
    with ledger.begin() as connection:
        KINDS.metadata.create_all(connection)
    return ledger


def rows(ledger: Ledger) -> list[dict[str, object]]:
    with ledger.begin() as connection:
        return [dict(row) for row in connection.execute(select(KINDS).order_by("id")).mappings()]


def copied(ledger: Ledger, frame: pl.DataFrame) -> list[dict[str, object]]:
    with ledger.begin() as connection:
        assert copy_rows(connection, KINDS, frame) == frame.height
    return rows(ledger)


def test_every_kind_of_value_arrives_as_it_was(kinds: Ledger) -> None:
    at = datetime(2026, 11, 22, 1, 2, 3, 456789, tzinfo=UTC)
    first: dict[str, object] = {
        "id": 1,
        "text": '他说"停",\n\\N \\. \r\n',
        "number": 0.1,
        "flag": True,
        "day": date(2026, 11, 22),
        "at": at,
        "evidence": {"ids": ["a", "b"], "weight": 0.5, "none": None},
        "plain": ["一", None],
        "bytes": b"\x00\xff",
        "money": Decimal("12.30"),
    }
    second = dict.fromkeys(first, None) | {"id": 2}
    found = copied(kinds, pl.DataFrame([first, second]))
    assert found == [first | {"given": "by default"}, second | {"given": "by default"}]


def test_an_empty_text_is_no_null_and_a_backslash_n_is_text(kinds: Ledger) -> None:
    texts = ["", None, "\\N", '""', "NULL", "\\.", " ", ","]
    frame = pl.DataFrame({"id": range(len(texts)), "text": texts})
    assert [row["text"] for row in copied(kinds, frame)] == texts


def test_a_single_column_keeps_its_nulls_and_what_looks_like_an_end(ledger: Ledger) -> None:
    texts = ["\\.", "", None, "a"]
    single = Table("single", MetaData(), Column("text", Text))
    with ledger.begin() as connection:
        single.create(connection)
        copy_rows(connection, single, pl.DataFrame({"text": texts}))
        assert list(connection.execute(select(single)).scalars()) == texts


@given(
    texts=st.lists(
        st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        max_size=20,
    ),
    numbers=st.lists(st.none() | st.floats(), min_size=20, max_size=20),
)
@profile(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
def test_any_text_and_any_number_arrive_exactly(
    kinds: Ledger, texts: list[str | None], numbers: list[float | None]
) -> None:
    frame = pl.DataFrame(
        {"id": range(len(texts)), "text": texts, "number": numbers[: len(texts)]},
        schema={"id": pl.Int64, "text": pl.String, "number": pl.Float64},
    )
    with kinds.begin() as connection:
        connection.execute(KINDS.delete())
    found = copied(kinds, frame)
    assert [row["text"] for row in found] == texts
    assert [repr(row["number"]) for row in found] == [repr(one) for one in frame["number"]]


def test_an_instant_without_a_zone_is_utc(kinds: Ledger) -> None:
    at = datetime(2026, 11, 22, 1)  # noqa: DTZ001 - what the test is about
    (found,) = copied(kinds, pl.DataFrame({"id": [1], "at": [at]}))
    assert found["at"] == at.replace(tzinfo=UTC)


def test_more_than_a_chunk_is_one_copy(kinds: Ledger) -> None:
    frame = pl.DataFrame({"id": pl.int_range(CHUNK + 3, eager=True)})
    with kinds.begin() as connection:
        assert copy_rows(connection, KINDS, frame) == CHUNK + 3
        assert connection.execute(select(func.count()).select_from(KINDS)).scalar() == CHUNK + 3


def test_rows_that_are_there_are_left_alone_and_not_counted(kinds: Ledger) -> None:
    copied(kinds, pl.DataFrame({"id": [1, 2], "text": ["old", "old"]}))
    frame = pl.DataFrame({"id": [2, 3, 3], "text": ["new", "new", "twice"]})
    with kinds.begin() as connection:
        assert copy_rows(connection, KINDS, frame, on_conflict="ignore") == 1
        assert copy_rows(connection, KINDS, frame, on_conflict="ignore") == 0
    assert [row["text"] for row in rows(kinds)] == ["old", "old", "new"]
    assert rows(kinds)[2]["given"] == "by default"


def test_only_rows_that_are_there_are_ignored(kinds: Ledger) -> None:
    with pytest.raises(IntegrityError, match="null value"), kinds.begin() as connection:
        copy_rows(connection, KINDS, pl.DataFrame({"id": [1, None]}), on_conflict="ignore")
    assert rows(kinds) == []


def test_what_the_transaction_did_before_a_conflict_is_kept(kinds: Ledger) -> None:
    with kinds.begin() as connection:
        copy_rows(connection, KINDS, pl.DataFrame({"id": [1]}))
        frame = pl.DataFrame({"id": [2, 1]})
        assert copy_rows(connection, KINDS, frame, on_conflict="ignore") == 1
    assert [row["id"] for row in rows(kinds)] == [1, 2]


def test_a_conflict_fails_as_in_any_insert_and_keeps_nothing(kinds: Ledger) -> None:
    with pytest.raises(IntegrityError), kinds.begin() as connection:
        copy_rows(connection, KINDS, pl.DataFrame({"id": [1, 1]}))
    assert rows(kinds) == []
    kinds.ping()


def test_an_empty_frame_copies_nothing(kinds: Ledger) -> None:
    with kinds.begin() as connection:
        for conflict in ("fail", "ignore"):
            frame = pl.DataFrame(schema={"id": pl.Int64})
            assert copy_rows(connection, KINDS, frame, on_conflict=conflict) == 0


def test_what_a_table_cannot_hold_is_refused_before_it_is_sent(kinds: Ledger) -> None:
    with kinds.begin() as connection:
        with pytest.raises(RecordError, match="no column other; it has id"):
            copy_rows(connection, KINDS, pl.DataFrame({"other": [1]}))
        with pytest.raises(RecordError, match="text has a NUL"):
            copy_rows(connection, KINDS, pl.DataFrame({"id": [1], "text": ["a\0b"]}))
        with pytest.raises(RecordError, match="text is a list"):
            copy_rows(connection, KINDS, pl.DataFrame({"id": [1], "text": [["a"]]}))
        with pytest.raises(RecordError, match="no column zzz; it has seq"):
            copy_rows(connection, AuditRow, pl.DataFrame({"zzz": [1]}))


def test_a_value_of_another_type_is_the_databases_error(kinds: Ledger) -> None:
    with pytest.raises(DBAPIError, match="integer"), kinds.begin() as connection:
        copy_rows(connection, KINDS, pl.DataFrame({"id": ["x"]}))
    assert rows(kinds) == []


def test_a_connection_that_is_lost_within_a_copy_is_told_as_down(kinds: Ledger) -> None:
    with pytest.raises(LedgerDownError), kinds.begin() as connection:  # noqa: PT012
        with kinds.begin() as other:
            other.exec_driver_sql(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
        copy_rows(connection, KINDS, pl.DataFrame({"id": [1]}))
    assert rows(kinds) == []
