"""Labels by people: which texts are asked about, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import cast

import numpy as np
import openpyxl
import polars as pl
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.worksheet.worksheet import Worksheet
from typer.testing import CliRunner

from models.errors import ConfigError, SourceError
from models.records.lake import Lake
from models.text.bundle import Answering, TextBundle
from models.text.heads import Floats, Head
from models.text.linear import Linear
from models.text.taxonomy import taxonomy
from tests.models.features.firms import frame, penalty
from training.commands.text_review import register
from training.text.review import (
    LABELS,
    all_labels,
    chosen_of,
    keep_labels,
    labels,
    pool,
    to_learn,
    uncertainty,
    useful,
)
from training.text.sheet import HEADINGS, NONE, SHEET, read_sheet, write_sheet

LEAVES = ("F04", "M07")
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
ON = date(2026, 11, 22)


class Fake:
    """Unsure of what mentions neither word."""

    def probabilities(self, texts: Sequence[str | None]) -> dict[str, Floats]:
        sure = {"过期": (0.95, 0.05), "广告": (0.1, 0.9)}
        told = [
            next((p for word, p in sure.items() if word in (text or "")), (0.52, 0.48))
            for text in texts
        ]
        return {"leaf": np.array(told, dtype=np.float32).reshape(-1, 2)}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    facts = ("销售过期食品", "发布虚假广告", "当事人张三，电话13800001234，天气晴朗", "天气晴朗")
    rows = [penalty(n, date(2024, 6, 1), violation_fact=fact) for n, fact in enumerate(facts)]
    rows += [penalty(5, date(2024, 6, 1), violation_fact=None), penalty(6, violation_fact=facts[0])]
    made = Lake.open(tmp_path / "lake", buckets=2)
    made.merge("penalty", frame("penalty", rows))
    return made


def _exported(lake: Lake, path: Path, *, count: int = 9) -> pl.DataFrame:
    rows = useful(pool(lake), Fake(), LEAVES, count=count)
    write_sheet(rows, path, known=taxonomy(), model="m" * 64)
    return rows


def _fill(path: Path, line: int, **cells: str) -> None:
    book = openpyxl.load_workbook(path)
    sheet = cast("Worksheet", book[SHEET])
    for name, value in cells.items():
        sheet.cell(line, list(HEADINGS).index(name) + 1, value)
    book.save(path)


def test_the_pool_holds_each_text_once_and_none_with_a_label(lake: Lake) -> None:
    texts = pool(lake)
    assert texts.height == 4
    assert texts["text_id"].is_sorted()
    left = pool(lake, without=texts["text_id"].head(3).to_list())
    assert left["text_id"].to_list() == texts["text_id"].tail(1).to_list()
    assert pool(lake, most=2, seed=1).equals(pool(lake, most=2, seed=1))
    assert pool(lake, most=2).height == 2


def test_the_least_sure_come_first_and_masked(lake: Lake) -> None:
    rows = useful(pool(lake), Fake(), LEAVES, count=2)
    assert all("天气晴朗" in text for text in rows["text"])
    assert "当事人张*，电话13*********，天气晴朗" in rows["text"].to_list()
    assert rows["proposed"].to_list() == ["F04", "F04"]
    assert rows["third"].null_count() == 2


def test_a_text_like_one_taken_waits() -> None:
    texts = ["甲乙丙丁戊己", "甲乙丙丁戊庚", "子丑寅卯辰巳"]
    chosen = chosen_of(texts, np.array([0.9, 0.89, 0.5]), count=2)
    assert chosen.tolist() == [0, 2]


@given(st.lists(st.text(max_size=8), max_size=12), st.integers(1, 15))
def test_as_many_are_chosen_as_there_are(texts: list[str], count: int) -> None:
    chosen = chosen_of(texts, np.full(len(texts), 0.5), count=count)
    assert len(set(chosen.tolist())) == min(count, len(texts))


def test_uncertainty_is_what_the_likeliest_does_not_lead_by() -> None:
    told = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0.6, 0.3, 0.1]])
    np.testing.assert_allclose(uncertainty(told), [0, 1, 0.7])


def test_an_empty_pool_makes_an_empty_sheet(tmp_path: Path) -> None:
    rows = _exported(Lake.open(tmp_path / "none"), tmp_path / "a.xlsx")
    assert rows.is_empty()
    assert read_sheet(tmp_path / "a.xlsx", known=taxonomy(), on=ON).is_empty()


def test_the_sheet_offers_every_leaf(lake: Lake, tmp_path: Path) -> None:
    _exported(lake, tmp_path / "a.xlsx")
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    (rule,) = cast("Worksheet", book[SHEET]).data_validations.dataValidation
    offered = [str(row[0].value) for row in cast("Worksheet", book["分类"]).rows]
    assert offered[0] == NONE
    assert [name.split()[0] for name in offered[1:]] == [leaf.code for leaf in taxonomy().leaves]
    assert rule.formula1 == f"分类!$A$1:$A${len(offered)}"


def test_a_text_that_looks_like_a_formula_stays_text(tmp_path: Path) -> None:
    rows = pl.DataFrame({"text_id": ["x"], "table": ["penalty"], "text": ["=1+1"]})
    write_sheet(rows, tmp_path / "a.xlsx", known=taxonomy(), model="m")
    _fill(tmp_path / "a.xlsx", 2, leaf="F04", reviewer="甲")
    told = read_sheet(tmp_path / "a.xlsx", known=taxonomy(), on=ON)
    assert told["text"].to_list() == ["=1+1"]


def test_what_was_filled_in_comes_back(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    rows = _exported(lake, path)
    _fill(path, 2, leaf="F04 超过保质期", reviewer="审核员甲", reviewed_on="2026-11-20", note="好")
    _fill(path, 4, leaf=NONE)
    told = read_sheet(path, known=taxonomy(), on=ON, reviewer="审核员乙")
    assert told.drop("text", "confidence").to_dicts() == [
        {
            "text_id": rows["text_id"][at],
            "table": "penalty",
            "leaf": leaf,
            "proposed": rows["proposed"][at],
            "model": "m" * 64,
            "taxonomy": taxonomy().digest,
            "reviewer": who,
            "reviewed_on": on,
            "note": note,
        }
        for at, leaf, who, on, note in (
            (0, "F04", "审核员甲", date(2026, 11, 20), "好"),
            (2, None, "审核员乙", ON, None),
        )
    ]
    assert told["text"].to_list() == [rows["text"][0], rows["text"][2]]
    expected = [rows["confidence"][at] for at in (0, 2)]
    assert told["confidence"].to_list() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"leaf": "F99 没有", "reviewer": "甲"}, r"cell H3: 'F99 没有' is no leaf"),
        ({"leaf": "随便", "reviewer": "甲"}, "choose from the list"),
        ({"leaf": "F04"}, "cell I3: nobody is named"),
        ({"leaf": "F04", "reviewer": "甲", "reviewed_on": "昨天"}, "cell J3: '昨天'"),
        ({"leaf": "F04", "reviewer": "甲", "reviewed_on": "2026-13-01"}, "cell J3"),
        ({"leaf": "F04", "reviewer": "甲", "text": ""}, "cell C3: the row has lost its text"),
        (
            {"leaf": "F04", "reviewer": "甲", "reviewed_on": "2026-11-23"},
            "J3: 2026-11-23 is",
        ),
        ({"leaf": "F04", "reviewer": "甲", "confidence": "高"}, "cell E3: '高' is no number"),
        ({"leaf": "F04", "reviewer": "甲", "confidence": "nan"}, "cell E3: 'nan' is no number"),
    ],
)
def test_a_mistake_is_named_by_its_cell_and_nothing_is_read(
    lake: Lake, tmp_path: Path, cells: dict[str, str], said: str
) -> None:
    path = tmp_path / "a.xlsx"
    _exported(lake, path)
    _fill(path, 2, leaf="F04", reviewer="甲")
    _fill(path, 3, **cells)
    with pytest.raises(ConfigError, match=said):
        read_sheet(path, known=taxonomy(), on=ON)


def test_a_text_labelled_twice_is_refused(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    rows = _exported(lake, path)
    _fill(path, 2, leaf="F04", reviewer="甲")
    _fill(path, 4, leaf="M07", reviewer="甲", text_id=rows["text_id"][0])
    with pytest.raises(ConfigError, match="cell H4: the text of line 2 has another label"):
        read_sheet(path, known=taxonomy(), on=ON)
    _fill(path, 4, leaf="F04")
    assert read_sheet(path, known=taxonomy(), on=ON).height == 2
    _fill(path, 4, leaf="M07", reviewer="乙")
    assert read_sheet(path, known=taxonomy(), on=ON).height == 2


def test_what_people_write_into_the_sheet_is_masked(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    _exported(lake, path)
    said = "当事人张三丰，电话13800001234"
    _fill(path, 2, leaf="F04", reviewer="甲", text=said, note=said)
    (told,) = read_sheet(path, known=taxonomy(), on=ON).to_dicts()
    assert told["text"] == told["note"] == "当事人张**，电话13*********"


def test_what_is_no_such_sheet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        read_sheet(tmp_path / "none.xlsx", known=taxonomy(), on=ON)
    (tmp_path / "bad.xlsx").write_bytes(b"nonsense")
    with pytest.raises(SourceError):
        read_sheet(tmp_path / "bad.xlsx", known=taxonomy(), on=ON)
    pl.DataFrame({"a": [1]}).write_excel(tmp_path / "other.xlsx", worksheet=SHEET)
    with pytest.raises(SourceError, match="no column 编号"):
        read_sheet(tmp_path / "other.xlsx", known=taxonomy(), on=ON)
    with pytest.raises(ConfigError, match=r"written as \.xlsx"):
        write_sheet(pl.DataFrame(), tmp_path / "a.csv", known=taxonomy(), model="m")


def _told(leaf: str | None, on: date = ON, text: str = "甲") -> pl.DataFrame:
    row = {"text_id": text, "table": "penalty", "text": text, "leaf": leaf, "proposed": "F04"}
    row |= {"model": "m", "taxonomy": "t", "reviewer": "甲", "note": None}
    return pl.DataFrame([{**row, "confidence": 0.5, "reviewed_on": on}])


def test_labels_are_only_added(tmp_path: Path) -> None:
    first = keep_labels(tmp_path, _told("F04"), now=NOW)
    assert first is not None
    kept = first.read_bytes()
    assert keep_labels(tmp_path, _told("F04"), now=NOW) is None
    assert keep_labels(tmp_path, _told("M07", date(2026, 11, 23)), now=NOW) is not None
    assert first.read_bytes() == kept
    assert all_labels(tmp_path).schema == LABELS
    assert all_labels(tmp_path).height == 2
    assert labels(tmp_path)["leaf"].to_list() == ["M07"]


def test_labels_can_be_learnt_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="review import"):
        to_learn(tmp_path)
    for told in (_told("F04"), _told(None, text="乙"), _told("M07", text="丙")):
        keep_labels(tmp_path, told, now=NOW)
    table = to_learn(tmp_path)
    assert sorted(table.select("text", "leaf").rows()) == [("丙", "M07"), ("甲", "F04")]


def test_a_damaged_file_of_labels_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"nonsense")
    with pytest.raises(SourceError, match=r"x\.parquet"):
        all_labels(tmp_path)


def test_the_commands_go_round(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path))
    weights = np.array([[9, 0], [0, 9]], dtype=np.float32)
    nothing = np.zeros(2, dtype=np.float32)
    linear = Linear(("过期", "广告"), (2, 2), np.ones(2, dtype=np.float32), weights, nothing)
    head = Head(name="leaf", labels=LEAVES)
    TextBundle((Answering(head=head, share=0),), linear=linear).save(tmp_path / "model")
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)
    path = tmp_path / "a.xlsx"

    def run(*words: object) -> str:
        done = CliRunner().invoke(app, ["review", *map(str, words)], catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    assert "4 of 4 unlabelled texts" in run("export", tmp_path / "model", path)
    assert lake.rows("penalty") == 6
    _fill(path, 2, leaf="F04", reviewer="甲")
    assert "1 labels" in run("import", path)
    assert "there already" in run("import", path)
    assert "3 of 3" in run("export", tmp_path / "model", tmp_path / "b.xlsx")
    (tmp_path / "fitted").mkdir()
    with pytest.raises(ConfigError, match=r"neither verdict\.json nor manifest\.json"):
        run("export", tmp_path / "fitted", tmp_path / "b.xlsx")
    assert "1 labelled" in run("labels", tmp_path / "c.parquet")
    assert pl.read_parquet(tmp_path / "c.parquet")["leaf"].to_list() == ["F04"]
