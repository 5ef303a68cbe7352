"""Laws brought into an installation."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import typer
from structlog.testing import capture_logs
from typer.testing import CliRunner

from models.errors import ConfigError, SourceError
from models.text.laws import Laws, index_beside
from models.text.titles import ELSEWHERE
from training.commands.text_laws import register
from training.text.laws import KEPT, import_laws

ROWS = [
    ("行政法规", "甲管理条例", "2020-01-01", "第一条", "超标排放废气"),
    ("DLC/山东地方法规/地方性法规/山东", "青岛市排放办法", "", "第一条", "超标排放废气"),
    ("DLC/地方法规", "青岛市养犬条例", "", "第一条", "遛犬不牵绳"),
    ("DLC/辽宁地方法规", "沈阳市排放办法", "2021-05-01", "第二条", "超标排放废气"),
]
TABLE = pl.DataFrame(ROWS, schema=["category", "law", "date", "article", "text"], orient="row")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "articles.parquet"
    TABLE.write_parquet(path)
    return path


def test_each_law_gets_its_place(source: Path, tmp_path: Path) -> None:
    laws = import_laws(source, tmp_path / "home")
    assert dict(laws.articles.select("law", "region").rows()) == {
        "甲管理条例": None,
        "青岛市排放办法": "370000",
        "青岛市养犬条例": ELSEWHERE,
        "沈阳市排放办法": "210100",
    }


def test_what_is_kept_is_read_again(source: Path, tmp_path: Path) -> None:
    laws = import_laws(source, tmp_path)
    assert index_beside(tmp_path / KEPT).is_file()
    again = Laws.read(tmp_path / KEPT)
    proposed = [one.article.law for one in again.propose("超标排放废气", region="370202")]
    assert sorted(proposed) == ["甲管理条例", "青岛市排放办法"]
    assert again.articles.equals(laws.articles)


def test_a_region_of_the_tables_own_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    TABLE.with_columns(region=pl.lit("110000")).write_csv(path)
    assert import_laws(path, tmp_path).articles["region"].unique().to_list() == ["110000"]


def test_bringing_in_twice_replaces(source: Path, tmp_path: Path) -> None:
    import_laws(source, tmp_path)
    TABLE.head(1).write_parquet(source)
    import_laws(source, tmp_path)
    assert Laws.read(tmp_path / KEPT).articles.height == 1


def test_what_is_no_table_of_laws_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        import_laws(tmp_path / "none.parquet", tmp_path)
    path = tmp_path / "bad.parquet"
    TABLE.drop("law").write_parquet(path)
    with pytest.raises(ConfigError, match="lacks law"):
        import_laws(path, tmp_path)


def test_a_table_without_articles_leaves_the_laws_as_they_are(source: Path, tmp_path: Path) -> None:
    import_laws(source, tmp_path)
    TABLE.clear().write_parquet(source)
    with pytest.raises(ConfigError, match="nothing was changed"):
        import_laws(source, tmp_path)
    assert Laws.read(tmp_path / KEPT).articles.height == len(ROWS)


def test_rows_that_are_left_out_are_told(source: Path, tmp_path: Path) -> None:
    other = TABLE.head(1).with_columns(text=pl.lit("同一条的另一段"))
    pl.concat([TABLE, other, TABLE.head(1).with_columns(law=None)]).write_parquet(source)
    with capture_logs() as told:
        import_laws(source, tmp_path)
    assert [one["rows"] for one in told if one["log_level"] == "warning"] == [2]


def test_a_day_that_is_none_is_said_in_one_line(source: Path, tmp_path: Path) -> None:
    TABLE.with_columns(date=pl.lit("2021-13-01")).write_parquet(source)
    with pytest.raises(ConfigError, match="2021-13-01") as raised:
        import_laws(source, tmp_path)
    assert "\n" not in str(raised.value)


def test_the_command_says_what_it_kept(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path))
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)
    run = CliRunner().invoke(app, ["laws", str(source)])
    assert run.exit_code == 0, run.output
    assert "4 articles of 4 laws" in run.stdout
