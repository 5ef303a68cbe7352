"""Databases: rows as they are, passwords never shown."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import polars as pl
import pytest

from models.errors import ConfigError, SourceError
from training.sources import read
from training.sources.mapping import Source
from training.sources.read import LINE
from training.sources.sql import read_sql


def source(query: str, **options: object) -> Source:
    return Source.model_validate(
        {
            "id": "db",
            "target": "penalty",
            "known_at": {"on": "2024-01-01"},
            "options": {"query": query, **options},
        }
    )


@pytest.fixture
def address(tmp_path: Path) -> str:
    path = tmp_path / "处罚.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE 处罚 (文号 TEXT, 金额 REAL, 日期, 备注)")
        rows = [(f"沈罚{n}号", n / 2, "2024-01-05", None if n % 2 else n) for n in range(10)]
        connection.executemany("INSERT INTO 处罚 VALUES (?, ?, ?, ?)", rows)
        connection.execute("UPDATE 处罚 SET 备注 = '文字' WHERE 文号 = '沈罚4号'")
    connection.close()
    return f"sqlite:///{path}"


def frame(query: str, address: str) -> pl.DataFrame:
    return pl.concat([batch.frame for batch in read_sql(source(query, url=address))])


def test_rows_are_streamed_and_numbered(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "BATCH_ROWS", 4)
    batches = list(read_sql(source("SELECT 文号, 金额 FROM 处罚 ORDER BY rowid", url=address)))
    assert [batch.frame.height for batch in batches] == [4, 4, 2]
    assert {batch.file for batch in batches} == {"db.sql"}
    whole = pl.concat([batch.frame for batch in batches])
    assert whole[LINE].to_list() == list(range(1, 11))
    assert whole["金额"].to_list() == [n / 2 for n in range(10)]


def test_values_of_several_types_become_text(address: str) -> None:
    found = frame("SELECT 备注 FROM 处罚 ORDER BY rowid", address)["备注"].to_list()
    assert found == ["0", None, "2", None, "文字", None, "6", None, "8", None]


def test_no_rows_still_show_the_columns(address: str) -> None:
    found = frame("SELECT 文号, 金额 FROM 处罚 WHERE 1 = 0", address)
    assert found.columns == [LINE, "文号", "金额"]
    assert found.is_empty()


def test_the_address_may_stand_in_the_environment(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = source("SELECT 1 AS a", url_env="TEST_DATABASE")
    with pytest.raises(ConfigError, match="'TEST_DATABASE' is not set"):
        list(read_sql(asked))
    monkeypatch.setenv("TEST_DATABASE", address)
    assert [batch.frame["a"].to_list() for batch in read_sql(asked)] == [[1]]


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("SELECT * FROM 没有", SourceError, "refused the query: no such table"),
        ("SELECT FROM WHERE", SourceError, "refused the query: .*syntax error"),
        ("SELECT 1 AS a, 2 AS a", SourceError, "gives the column 'a' twice"),
        ("SELECT 1 AS __line__", SourceError, "'__line__' that is reserved"),
    ],
)
def test_a_wrong_query_is_a_clear_error(
    query: str, error: type[Exception], message: str, address: str
) -> None:
    with pytest.raises(error, match=rf"source 'db': .*{message}"):
        frame(query, address)


def test_a_query_changes_nothing(address: str) -> None:
    with pytest.raises(ValueError, match="must begin with SELECT"):
        frame("DELETE FROM 处罚", address)
    assert frame("SELECT * FROM 处罚", address).height == 10


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("not an address", "not of the form dialect://"),
        ("postgresql://user:geheim@host:port/x", "not of the form dialect://"),
        ("nosuch://user:geheim@host/x", "unknown kind of database 'nosuch'"),
        ("sqlite:////no/such/folder/x.db", "refused the query: unable to open"),
        ("postgresql+psycopg://user:geheim@127.0.0.1:1/x?password=geheim", "refused|not installed"),
        ("oracle+oracledb://user:geheim@127.0.0.1/x", "not installed"),
    ],
)
def test_a_wrong_address_is_a_clear_error_without_the_password(url: str, message: str) -> None:
    with pytest.raises((ConfigError, SourceError), match=message) as caught:
        frame("SELECT 1", url)
    assert "geheim" not in str(caught.value)
    assert caught.value.__suppress_context__
