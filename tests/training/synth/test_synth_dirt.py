from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.codes import masking, uscc
from models.records.amounts import fine_agrees
from training.synth import dirt, truth
from training.synth.arrays import stream
from training.synth.layouts import PENALTY
from training.synth.province import Summary
from training.synth.spec import DIRT, Rates, Spec

DIRT_RATE = 0.02


def rows_of(summary: Summary, rule: str) -> pl.DataFrame:
    """Return the penalty rows that were made to break ``rule``, under our column names."""
    frame = pl.read_csv(summary.out / "penalty.csv", infer_schema=False).with_row_index("line", 2)
    marked = truth.read(summary.out, "dirt").filter(
        (pl.col("table") == "penalty") & (pl.col("rule") == rule)
    )
    lines = marked.select(pl.col("line").cast(pl.UInt32)).collect()
    names = {heading: name for name, heading in PENALTY.headings.items()}
    return frame.join(lines, on="line", how="semi").rename(names)


def test_every_rule_is_broken_at_its_rate(dirty: Summary) -> None:
    height = dirty.rows["penalty"]
    assert {rule for table, rule in dirty.dirty if table == "penalty"} == set(DIRT)
    for rule in set(DIRT) - {"V05", "V08", "F02"}:
        share = dirty.dirty["penalty", rule] / height
        assert share == pytest.approx(DIRT_RATE, abs=4 * np.sqrt(DIRT_RATE / height)), rule


def test_a_row_breaks_one_rule_only(dirty: Summary) -> None:
    marked = truth.read(dirty.out, "dirt").collect()
    assert marked.select(pl.struct("file", "line").is_unique().all()).item()
    assert marked.height == sum(dirty.dirty.values())


def test_the_usual_rates_leave_about_one_row_in_a_hundred_dirty(province: Summary) -> None:
    for table in ("penalty", "licence"):
        count = sum(n for (name, _), n in province.dirty.items() if name == table)
        assert 0.005 < count / province.rows[table] < 0.03


def test_lines_are_those_of_the_files_over_all_chunks(province: Summary) -> None:
    marked = truth.read(province.out, "dirt").filter(rule="V02").collect()
    for table in ("licence", "inspection", "complaint"):
        for file, line in marked.filter(table=table).select("file", "line").iter_rows():
            code = _code(province.out / file, line)
            assert not uscc.is_valid(code), f"{file}:{line} {code}"


def _code(path: Path, line: int) -> str:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)["uscc"][line - 1]
    return path.read_text(encoding="utf-8").splitlines()[line - 1].split(",")[2]


def test_broken_codes_categories_and_organs(dirty: Summary) -> None:
    assert not any(uscc.is_valid(code) for code in rows_of(dirty, "V02")["uscc"])
    mixed = rows_of(dirty, "V03").select(uscc.category_agrees_expr("subject_category", "uscc"))
    assert not mixed.to_series().any()
    organs = rows_of(dirty, "V14")["authority_code"]
    assert not any(uscc.is_valid(code) and code.startswith("1") for code in organs)


def test_names_that_nobody_has(dirty: Summary) -> None:
    known = set(pl.read_csv(dirty.out / "subject.csv", infer_schema=False)["企业名称"])
    assert not known & set(rows_of(dirty, "V04")["subject_name"])


def test_dates_in_the_wrong_order(dirty: Summary) -> None:
    odd = rows_of(dirty, "V05").select(
        pl.col("happened_on", "publish_until").str.to_date("%Y/%m/%d"),
        reported=pl.col("known_at").str.head(10).str.to_date("%Y/%m/%d"),
    )
    ancient = odd["happened_on"].dt.year() == 1900
    assert (ancient | (odd["happened_on"] > odd["reported"])).all()
    assert 0.2 < float(ancient.mean()) < 0.8  # type: ignore[arg-type]
    assert (odd["publish_until"] >= odd["happened_on"]).all()
    ended = rows_of(dirty, "V06").select(
        pl.col("happened_on", "publish_until").str.to_date("%Y/%m/%d")
    )
    assert (ended["publish_until"] < ended["happened_on"]).all()
    unread = rows_of(dirty, "F01").select(
        pl.col("happened_on", "publish_until").str.to_date("%Y/%m/%d", strict=False)
    )
    assert unread.select(pl.any_horizontal(pl.all().is_null()).all()).item()


def test_amounts_that_do_not_agree(dirty: Summary) -> None:
    fined = rows_of(dirty, "V07").select(
        (pl.col("penalty_kinds").str.contains("罚款") == pl.col("fine_amount").is_not_null()).any()
    )
    assert not fined.item()
    wrong = rows_of(dirty, "V08").with_columns(yuan=pl.col("fine_amount").cast(pl.Float64) * 10_000)
    assert wrong.height > 10
    assert not wrong.select(fine_agrees("yuan", "penalty_content")).to_series().any()
    assert rows_of(dirty, "F02")["fine_amount"].cast(pl.Float64, strict=False).null_count() > 10


def test_texts_that_should_not_be(dirty: Summary) -> None:
    told = rows_of(dirty, "V09").select(
        pl.concat_str("violation_fact", pl.col("remark").fill_null(""))
    )
    found = masking.has_citizen_id_expr(pl.first(), today=date(2026, 6, 30))
    assert told.select(found.all()).item()
    assert told.to_series().str.contains(r"21999919[01]\d{7}").all()
    assert not rows_of(dirty, "V11")["legal_basis"].str.contains("《").any()
    simple = rows_of(dirty, "V12").select(
        pl.concat_str("document_number", pl.col("remark").fill_null("")).str.contains(
            "罚简|简易|当场"
        )
    )
    assert simple.to_series().all()
    noisy = rows_of(dirty, "V13")["violation_fact"]
    assert noisy.str.contains(r"[<&１\x07\u200b]").all()


def test_a_second_report_repeats_an_earlier_row(dirty: Summary) -> None:
    frame = pl.read_csv(dirty.out / "penalty.csv", infer_schema=False)
    again = rows_of(dirty, "V10")
    assert again.height > 20
    key = ["CF_CFJGDM", "CF_WSH", "CF_XDR_SHXYM"]
    counted = frame.group_by(key).len().filter(pl.col("len") > 1)
    assert counted.height == again.height


def test_missing_fields_and_words_out_of_the_list(dirty: Summary) -> None:
    columns = ["violation_fact", "legal_basis", "penalty_content", "source_authority"]
    blank = rows_of(dirty, "V01").select(pl.any_horizontal(pl.col(columns).is_null()).all())
    assert blank.item()
    assert not set(rows_of(dirty, "F03")["severity"]) & {"轻微", "一般", "严重"}


def test_clean_rows_are_clean(dirty: Summary) -> None:
    frame = pl.read_csv(dirty.out / "penalty.csv", infer_schema=False).with_row_index("line", 2)
    marked = truth.read(dirty.out, "dirt").filter(pl.col("table") == "penalty").collect()
    names = {heading: name for name, heading in PENALTY.headings.items()}
    clean = frame.join(marked.select(pl.col("line").cast(pl.UInt32)), on="line", how="anti").rename(
        names
    )
    assert clean.select(uscc.is_valid_expr("uscc").all()).item()
    assert clean.select(uscc.category_agrees_expr("subject_category", "uscc").all()).item()
    text = pl.concat_str("violation_fact", "penalty_content", "legal_basis")
    assert not clean.select(text.str.contains(r"[<>&０-９\x00-\x1f\u200b]|\d{17}").any()).item()


def test_rules_can_be_left_out(tables: dict[str, pl.DataFrame]) -> None:
    rng = stream(1, 0, "dirt")
    chosen = dirt.assign(rng, "penalty", tables["penalty"], {"V02": 0.5})
    assert set(chosen) == {"V02"}
    assert dirt.assign(rng, "penalty", tables["penalty"], {}) == {}
    assert dirt.assign(rng, "subject", tables["subject"], Rates().dirt) == {}


def test_dirt_without_a_maker_is_said() -> None:
    with pytest.raises(Exception, match="no dirt is made for V99"):
        Spec(subjects=1, seed=1, rates=Rates(dirt={"V99": 0.1}))
