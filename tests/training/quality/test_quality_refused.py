from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from models.errors import ConfigError
from models.records.bookkeeping import QUARANTINE
from training.quality.measurement import Tables, measure_lake
from training.quality.refused import SHOWN, Wanted, as_listing, refused, write_refused

Make = Callable[..., pl.LazyFrame]
LakeOf = Callable[[Mapping[str, pl.LazyFrame]], Tables]

HERE = "a" * 32
PERSON = {"行政相对人名称": "某某某", "法定代表人": "某某", "经办电话": "13800000000"}


@pytest.fixture
def lake(records: Make, quarantine: Make, lake_of: LakeOf) -> Tables:
    raw = json.dumps({**PERSON, "罚款金额": "=1+1", "备注": ""}, ensure_ascii=False)
    rows = [
        {"line": 2, "raw": raw, "value": "13800000000"},
        {"line": 2, "raw": raw, "rule": "V01", "column": "legal_basis", "value": None},
        {"line": 3, "raw": '{"a": "1"}', "target_record_id": HERE},
        {"line": 4, "raw": '{"a": "2"}', "rule": "V10", "column": None, "target_record_id": HERE},
        {"line": 5, "raw": '{"规则": "-2"}', "source": "other", "rule": "F01"},
        {"line": 6, "raw": "a,b,c", "source": "other", "rule": "F05", "column": None},
        {"line": 9, "raw": raw, "value": "13800000000", "run_id": "2"},
    ]
    return lake_of(
        {
            "penalty": records("penalty", [{"record_id": HERE}]),
            QUARANTINE: quarantine(rows),
        }
    )


def printed(entries: pl.DataFrame, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(as_listing(entries))
    return file.getvalue()


def test_each_problem_is_listed_once_where_it_was_last_met(lake: Tables) -> None:
    found = refused(lake)
    assert found.select("source", "line", "rule", "state").rows() == [
        ("other", 5, "F01", "open"),
        ("other", 6, "F05", "open"),
        ("penalty", 2, "V01", "open"),
        ("penalty", 3, "V02", "corrected"),
        ("penalty", 4, "V10", "duplicate"),
        ("penalty", 9, "V02", "open"),
    ]


def test_what_is_open_agrees_with_the_report(lake: Tables) -> None:
    waiting = refused(lake, Wanted(open=True))
    assert waiting.select("table", "_row").n_unique() == measure_lake(lake).totals.outstanding


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        (Wanted(sources=("other",)), [5, 6]),
        (Wanted(rules=("V10",)), [4]),
        (Wanted(rules=("V10",), open=True), []),
        (Wanted(tables=("penalty",), rules=("V02",)), [3, 9]),
    ],
)
def test_rows_are_chosen(lake: Tables, wanted: Wanted, lines: list[int]) -> None:
    assert refused(lake, wanted)["line"].to_list() == lines


@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        (Wanted(sources=("penalti",)), "penalty"),
        (Wanted(tables=("penalt",)), "penalty"),
        (Wanted(rules=("v2",)), "V02"),
    ],
)
def test_an_unknown_word_is_refused_with_the_nearest(
    lake: Tables, wanted: Wanted, near: str
) -> None:
    with pytest.raises(ConfigError, match=near):
        refused(lake, wanted)


def test_a_lake_without_quarantine_has_nothing_to_list(lake_of: LakeOf) -> None:
    found = refused(lake_of({}), Wanted(rules=("V02",)))
    assert found.is_empty()
    assert "没有" in printed(found)


def test_the_terminal_shows_masked_values_and_remedies(lake: Tables) -> None:
    shown = printed(refused(lake))
    for words in ("penalty.csv:9", "V02", "统一社会信用代码不合规", "处罚依据", "（空）", "整行"):
        assert words in shown
    assert "13800000000" not in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_the_terminal_shows_the_first_and_counts_all(quarantine: Make, lake_of: LakeOf) -> None:
    rows = [{"line": n, "raw": f'{{"a": "{n}"}}'} for n in range(SHOWN + 5)]
    shown = printed(refused(lake_of({QUARANTINE: quarantine(rows)})))
    assert f"共 {SHOWN + 5} 行" in shown
    assert "--out" in shown


def test_the_file_holds_whole_rows_for_their_owner_alone(lake: Tables, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "bad.csv"
    out.parent.mkdir()
    out.write_text("old", encoding="utf-8")
    out.chmod(0o644)
    entries = refused(lake)
    assert write_refused(entries, out) == entries.select("table", "_row").n_unique()
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.read_bytes().startswith(b"\xef\xbb\xbf")
    assert [path.name for path in out.parent.iterdir()] == ["bad.csv"]
    rows = {
        row["文件"] + row["行号"]: row for row in pl.read_csv(out, infer_schema=False).to_dicts()
    }
    whole = rows["penalty.csv2"]
    assert (whole["规则"], whole["更正状态"]) == ("V01；V02", "待更正")
    assert {heading: whole[heading] for heading in PERSON} == PERSON
    assert whole["罚款金额"] == "'=1+1"
    assert "备注" in whole
    assert rows["penalty.csv5"]["规则（源）"] == "'-2"
    assert rows["penalty.csv6"]["原始行"] == "a,b,c"


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@a", "\ta", " =1", "\r1"])
def test_no_cell_or_heading_is_a_formula(
    cell: str, quarantine: Make, lake_of: LakeOf, tmp_path: Path
) -> None:
    raw = json.dumps({cell: cell})
    out = tmp_path / "bad.csv"
    write_refused(refused(lake_of({QUARANTINE: quarantine([{"raw": raw}])})), out)
    frame = pl.read_csv(out, infer_schema=False, has_header=False)
    assert frame[-1:, -1].item() == frame[0:1, -1].item() == f"'{cell}"


def test_a_file_that_cannot_be_written_says_so(lake: Tables, tmp_path: Path) -> None:
    entries = refused(lake)
    with pytest.raises(ConfigError, match=r"\.csv"):
        write_refused(entries, tmp_path / "bad.xlsx")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot write"):
        write_refused(entries, tmp_path / "file" / "bad.csv")
