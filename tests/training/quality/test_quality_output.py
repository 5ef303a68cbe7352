from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from models.errors import ConfigError
from models.records.bookkeeping import IMPORT_RUN, QUARANTINE
from training.quality import measure_lake, run
from training.quality.figures import at_least, at_most, line
from training.quality.measurement import Tables
from training.quality.table import as_table

GOLDEN = Path(__file__).parent / "quality.golden.json"
Make = Callable[..., pl.LazyFrame]
LakeOf = Callable[[Mapping[str, pl.LazyFrame]], Tables]


@pytest.fixture
def small(
    records: Make, quarantine: Make, runs: Make, at: Callable[..., datetime], lake_of: LakeOf
) -> Tables:
    """Give one of everything a report shows."""
    here = "a" * 32
    penalties = [
        {"record_id": here},
        {"happened_on": date(2024, 2, 1), "authority": "乙局", "findings": ["V11"]},
        {"known_assumed": True, "known_at": at(2024, 4, 1, 0), "region": None},
    ]
    refused = [
        {"line": 2, "target_record_id": here, "raw": '{"处罚决定书文号": "甲罚〔2024〕1号"}'},
        {"line": 3, "rule": "V10", "column": None, "value": None},
        {"line": 4, "rule": "V01", "column": "legal_basis", "value": None, "authority": None},
    ]
    return lake_of(
        {
            "penalty": records("penalty", penalties),
            "licence": records("licence", [{"known_at": at(2024, 3, 31, 23, 59)}]),
            QUARANTINE: quarantine(refused),
            IMPORT_RUN: runs([{"rows_in": 7, "accepted": 4, "quarantined": 3, "by_code": 4}]),
        }
    )


def test_the_json_is_as_it_was(small: Tables) -> None:
    """Set RENEW_GOLDEN=1 to write the file anew, then read the difference."""
    text = measure_lake(small).to_json()
    if os.environ.get("RENEW_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert json.loads(text) == json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_the_json_is_the_same_every_time(province: Tables) -> None:
    assert measure_lake(province).to_json() == measure_lake(province).to_json()


def test_json_and_page_are_written_by_their_ending(small: Tables, tmp_path: Path) -> None:
    quality = run(small, out=[tmp_path / "deep" / "quality.json"])
    assert (tmp_path / "deep" / "quality.json").read_text(encoding="utf-8") == quality.to_json()
    run(small, out=[tmp_path / "quality.HTML"])
    assert (tmp_path / "quality.HTML").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "quality.HTML"]
    assert run(small).totals == quality.totals


@pytest.mark.parametrize("name", ["quality.pdf", "quality"])
def test_another_ending_is_refused_before_measuring(name: str, tmp_path: Path) -> None:
    broken: Any = None
    with pytest.raises(ConfigError, match=r"\.html or \.json"):
        run(broken, out=[tmp_path / name])


@pytest.mark.parametrize("target", [0.0, -1.0, 1.01, 99.0])
def test_a_target_that_is_no_share_is_refused(target: float) -> None:
    broken: Any = None
    with pytest.raises(ConfigError, match=r"0\.99"):
        run(broken, target=target)


def test_a_report_that_cannot_be_written_says_so(small: Tables, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot write"):
        run(small, out=[tmp_path / "file" / "quality.json"])


def test_the_terminal_says_whether_the_line_is_met(small: Tables, lake_of: LakeOf) -> None:
    def shown(lake: Tables, target: float) -> str:
        console = Console(file=io.StringIO(), width=140)
        console.print(as_table(measure_lake(lake, target=target)))
        out = console.file
        assert isinstance(out, io.StringIO)
        return out.getvalue()

    short = shown(small, 0.99)
    verdict = "".join(short.splitlines()[:2])
    assert "✗ 归集合规率 57.14 %，未达到 99 % 目标线：隔离 3 行" in verdict
    assert "若其中 3 行首报即合规便达标。更正后合规率 66.66 %" in verdict
    for words in ("行政处罚", "2024-03", "（未注明机关）", "V10", "重复报送", "隔离", "提示"):
        assert words in short
    assert "✓ 归集合规率 57.14 %，达到 57 % 目标线" in shown(small, 0.57)
    assert "没有报送数据" in shown(lake_of({}), 0.99)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_on_a_narrow_terminal_the_names_stay(province: Tables, width: int) -> None:
    file = io.StringIO()
    Console(file=file, width=width).print(as_table(measure_lake(province)))
    shown = file.getvalue()
    assert max(Text(line).cell_len for line in shown.splitlines()) <= width
    assert "…" not in shown
    for words in ("行政处罚", "2025-12", "大连市生态环境局", "统一社会信用代", "合规率"):
        assert words in shown
    assert "窗口较窄，未列出" in shown


def test_markup_in_data_is_not_read_as_markup(
    records: Make, lake_of: LakeOf, quarantine: Make
) -> None:
    evil = "[red]甲局[/nonsense]"
    refused = [{"authority": f"\x1b]0;x\x07{evil}\x1b[2J\u202e", "rule": evil, "table": evil}]
    lake = lake_of({QUARANTINE: quarantine(refused), "penalty": records("penalty", [])})
    console = Console(file=io.StringIO(), width=240)
    console.print(as_table(measure_lake(lake)))
    out = console.file
    assert isinstance(out, io.StringIO)
    shown = out.getvalue()
    assert shown.count(evil) >= 3
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


@pytest.mark.parametrize(
    ("rate", "least", "most"),
    [
        (None, "—", "—"),
        (0.0, "0.00 %", "0.00 %"),
        (1.0, "100.00 %", "100.00 %"),
        (0.57, "57.00 %", "57.00 %"),
        (0.999999, "99.99 %", "100.00 %"),
        (0.0000001, "0.00 %", "0.01 %"),
    ],
)
def test_a_rate_never_looks_better_than_it_is(rate: float | None, least: str, most: str) -> None:
    assert (at_least(rate), at_most(rate)) == (least, most)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_rate_below_the_line_is_never_shown_on_it(part: int, whole: int) -> None:
    rate = part / whole
    shown = float(at_least(rate).removesuffix(" %")) / 100
    assert shown <= rate + 1e-9
    assert rate - shown < 1.01e-4


def test_the_line_has_no_needless_zeros() -> None:
    assert [line(t) for t in (0.99, 0.995, 1.0, 0.9999)] == ["99 %", "99.5 %", "100 %", "99.99 %"]
