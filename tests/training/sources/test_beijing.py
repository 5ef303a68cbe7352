"""The example mapping of Beijing's tables: sound by itself, and honest on the real tables."""

from __future__ import annotations

from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from models.codes import uscc
from models.records.bookkeeping import QUARANTINE
from models.records.declared import load_contract
from models.records.lake import Lake
from training.sources.assign import assign
from training.sources.mapping import Mapping, load_mapping
from training.sources.read import find_files
from training.sources.run import Tally, import_mapping

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "training/sources/examples/beijing"
DATA = ROOT.parent / "shared/data/beijing"
NEWEST = date(2026, 1, 15)

with_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real tables are not on this machine")


@dataclass(frozen=True)
class Imported:
    """What an import of the real tables left behind."""

    mapping: Mapping
    tallies: ReadOnly[str, Tally]
    lake: Lake

    def table(self, name: str, *files: str) -> pl.DataFrame:
        """Return a table's records; those of the files named so, if any are named."""
        frame = self.lake.scan(name).collect()
        of = [pl.col("source_ref").str.contains(file, literal=True) for file in files]
        return frame.filter(pl.any_horizontal(of)) if of else frame

    def refused(self, source: str, rule: str) -> pl.DataFrame:
        """Return the quarantined rows of a source under a rule."""
        ours = (pl.col("source") == source) & (pl.col("rule") == rule)
        return self.lake.scan(QUARANTINE).filter(ours).collect()


def _import(folder: Path, *sources: str) -> Imported:
    mapping = load_mapping(EXAMPLE / "mapping.yaml")
    if sources:
        plans = tuple(plan for plan in mapping.plans if plan.source.id in sources)
        assert len(plans) == len(sources)
        mapping = replace(mapping, plans=plans)
    lake = Lake.open(folder, buckets=4)
    tallies = import_mapping(mapping, lake, root=DATA)
    return Imported(mapping, {tally.source: tally for tally in tallies}, lake)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """Import the small tables that show most of the dirt."""
    return _import(
        tmp_path_factory.mktemp("few"),
        "subject_penalised",
        "subject_safety_permit",
        "subject_urban_inspected",
        "penalty_culture",
        "penalty_huairou",
        "penalty_yanqing",
        "penalty_yanqing_repaired",
        "penalty_safety_daxing",
        "penalty_environment",
        "inspection_urban_pinggu",
        "inspection_zone",
        "licence_planning",
        "licence_safety_permit",
        "listing_honour",
        "listing_specialised_dongcheng",
        "listing_tax_serious",
    )


@pytest.fixture(scope="module")
def all_tables(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """Import everything."""
    return _import(tmp_path_factory.mktemp("all"))


def test_mapping_is_sound_and_subjects_come_first() -> None:
    tables = [plan.contract.name for plan in load_mapping(EXAMPLE / "mapping.yaml").plans]
    subjects = tables.count("subject")
    assert set(tables[:subjects]) == {"subject"}
    assert {"penalty", "licence", "inspection", "sampling", "listing", "tax_event"} <= set(tables)
    assert {"complaint", "objection", "credit_rating"} <= set(tables)


def test_every_subject_source_folds_and_fills() -> None:
    for plan in load_mapping(EXAMPLE / "mapping.yaml").plans:
        if plan.contract.name == "subject":
            assert (plan.source.fold, plan.source.fill) == (True, True), plan.source.id


def test_no_source_claims_to_know_a_day_that_its_table_does_not_tell() -> None:
    told = {"sampling_food", "penalty_huairou", "objection", "listing_irregular_sales"}
    for plan in load_mapping(EXAMPLE / "mapping.yaml").plans:
        source = plan.source
        if plan.contract.name == "subject":
            continue
        assert (source.known_at.source is not None) == (source.id in told), source.id
        if "happened_on" in source.constants:
            assert date.fromisoformat(source.constants["happened_on"]) > NEWEST
            assert source.known_at.on == date.fromisoformat(source.constants["happened_on"])


@pytest.mark.parametrize("name", ["objection", "credit_rating"])
def test_own_contracts_load(name: str) -> None:
    assert load_contract(EXAMPLE / f"{name}.yaml").name == name


def test_nothing_names_the_place_of_the_data() -> None:
    for path in EXAMPLE.iterdir():
        assert "shared" not in path.read_text(encoding="utf-8"), path


@with_data
def test_every_column_of_every_file_is_used_or_left_out_on_purpose() -> None:
    unused = {
        f"{plan.source.id}: {path.name}": left
        for plan in load_mapping(EXAMPLE / "mapping.yaml").plans
        for path in find_files(plan.source, DATA)
        if (left := assign(plan, pl.read_parquet_schema(path)).unused)
    }
    assert unused == {}


@with_data
def test_nothing_is_ignored_that_no_file_has() -> None:
    for plan in load_mapping(EXAMPLE / "mapping.yaml").plans:
        present = {
            heading
            for path in find_files(plan.source, DATA)
            for heading in pl.read_parquet_schema(path)
        }
        if plan.source.id != "subject_penalised":
            assert set(plan.source.ignore) <= present, plan.source.id


@with_data
def test_rows_add_up(few: Imported) -> None:
    for tally in few.tallies.values():
        done = tally.filtered + tally.collapsed + tally.accepted + tally.quarantined
        assert done == tally.rows_in, tally.source
        assert tally.by_code + tally.by_organisation + tally.by_name + tally.unmatched == (
            tally.rows_in - tally.filtered
        )


@with_data
def test_impossible_dates_are_named(few: Imported) -> None:
    refused = few.refused("penalty_culture", "F01")
    assert sorted(refused["value"]) == ["2023-2-29", "2023-2-29", "2024-2-30"]
    assert set(refused["column"]) == {"publish_until"}


@with_data
def test_placeholder_codes_are_no_codes(few: Imported) -> None:
    unmatched = few.refused("inspection_urban_pinggu", "S01")["raw"]
    assert unmatched.str.contains("111111111111111111").sum() > 50
    assert not few.refused("inspection_urban_pinggu", "V02")["value"].is_in(["1" * 18]).any()
    assert few.refused("penalty_huairou", "S01")["raw"].str.contains("00000000000000000X").all()
    codes = few.table("penalty")["subject_id"]
    assert pl.DataFrame({"c": codes}).select(uscc.is_valid_expr("c").all()).item()


@with_data
def test_the_table_published_twice_is_taken_once(few: Imported) -> None:
    planning = few.table("licence", "建设工程规划许可证")
    assert planning["source_ref"].str.contains("建筑类").all()
    assert planning["record_id"].is_unique().all()
    again = few.refused("licence_planning", "V10")
    assert planning.height <= again.filter(pl.col("file").str.contains("市政类")).height


@with_data
def test_shifted_rows_are_refused(few: Imported) -> None:
    assert few.refused("licence_safety_permit", "F01")["line"].n_unique() == 2
    assert few.tallies["licence_safety_permit"].accepted == 10_836


@with_data
def test_day_numbers_and_months_are_dates(few: Imported) -> None:
    plans = {plan.source.id: plan for plan in few.mapping.plans}
    assert "excel" in plans["inspection_zone"].source.columns["happened_on"].formats
    assert few.tallies["inspection_zone"].rules.keys() <= {"S01", "S02", "V10"}
    listed = few.table("listing", "重大税收违法")
    assert listed["happened_on"].dt.day().unique().to_list() == [1]
    assert listed["happened_on"].is_between(date(2020, 8, 1), date(2021, 8, 1)).all()
    known = listed["known_at"].dt.convert_time_zone("Asia/Shanghai").dt.date()
    assert (known >= listed["happened_on"].dt.month_end()).all()


@with_data
def test_values_that_are_no_dates_are_named(few: Imported) -> None:
    values = set(few.refused("listing_specialised_dongcheng", "F01")["value"])
    assert "取消复核资格" in values
    assert any(value.startswith("P_") for value in values)


@with_data
def test_only_huairou_tells_when_it_reported(few: Imported) -> None:
    assumed = (
        few.table("penalty")
        .group_by(pl.col("source_ref").str.contains("怀柔").alias("huairou"))
        .agg(pl.col("known_assumed").unique())
    )
    assert dict(assumed.iter_rows()) == {True: [False], False: [True]}


@with_data
def test_repaired_penalties_stop_counting(few: Imported) -> None:
    yanqing = few.table("penalty", "法人行政处罚信息.parquet")
    repaired = yanqing.filter(pl.col("remark") == "已完成信用修复")
    assert repaired["void_reason"].unique().to_list() == ["repaired"]
    others = yanqing.join(repaired, on="record_id", how="anti")
    assert others["void_from"].null_count() == others.height
    both = [few.tallies[i] for i in ("penalty_yanqing", "penalty_yanqing_repaired")]
    assert sum(t.filtered for t in both) == 607
    assert both[0].filtered == 71


@with_data
def test_amounts_are_yuan(few: Imported) -> None:
    culture = few.table("penalty", "新闻出版领域行政处罚")
    row = culture.filter(pl.col("penalty_content") == "1.警告；2.罚款人民币500元。")
    assert set(row["fine_amount"]) == {500.0}
    daxing = few.table("penalty", "行政处罚.parquet")
    assert daxing.filter(penalty_content="罚款1.9万元")["fine_amount"].unique().to_list() == [
        19_000.0
    ]


@with_data
def test_decisions_on_the_spot_are_found(few: Imported) -> None:
    daxing = few.table("penalty", "行政处罚.parquet")
    simple = daxing.filter(pl.col("procedure") == "simple")
    assert simple.height > 10
    assert simple["findings"].list.contains("V12").all()


@with_data
def test_a_penalty_without_a_day_is_not_given_one(few: Imported) -> None:
    tally = few.tallies["penalty_environment"]
    assert few.refused("penalty_environment", "V01")["line"].n_unique() == 1_814
    assert tally.accepted <= 1_905 - 1_814
    known = few.table("penalty", "市生态环境局").select(
        pl.col("known_at").dt.convert_time_zone("Asia/Shanghai").dt.date() - pl.col("happened_on")
    )
    assert known.to_series().dt.total_days().unique().to_list() == [99]


@with_data
def test_the_givers_code_is_not_taken_for_the_winners(few: Imported) -> None:
    honours = few.table("listing", "荣誉表彰信息")
    givers = {"11110000MB16786141", "11110000000021557L"}
    assert set(honours["authority_code"]) <= givers
    assert not set(honours["subject_id"]) & givers


@with_data
def test_importing_again_changes_nothing(few: Imported) -> None:
    before = {name: few.table(name).height for name in few.lake.tables() if name != "import_run"}
    for tally in import_mapping(few.mapping, few.lake, root=DATA):
        assert (tally.inserted, tally.updated) == (0, 0), tally.source
    assert {name: few.table(name).height for name in before} == before


@with_data
@pytest.mark.slow
def test_all_rows_add_up(all_tables: Imported) -> None:
    test_rows_add_up(all_tables)
    assert sum(tally.rows_in for tally in all_tables.tallies.values()) == 396_834


@with_data
@pytest.mark.slow
def test_culture_inspections_are_matched_by_code_then_name(all_tables: Imported) -> None:
    tally = all_tables.tallies["inspection_culture"]
    assert tally.rows_in == 42_784
    assert tally.by_code == 39_560
    without_code = tally.by_organisation + tally.by_name + tally.unmatched
    assert 0.07 < without_code / tally.rows_in < 0.08
    assert tally.by_name > 2_000
    assert tally.unmatched < 1_100


@with_data
@pytest.mark.slow
def test_failures_of_culture_inspections_drift_as_published(all_tables: Imported) -> None:
    yearly = (
        all_tables.table("inspection", "文化领域行政检查", "新闻出版领域行政检查")
        .group_by(pl.col("happened_on").dt.year().alias("year"))
        .agg((pl.col("result") == "fail").mean().alias("rate"))
    )
    rates = dict(yearly.iter_rows())
    assert rates[2022] == pytest.approx(0.009, abs=0.001)
    assert rates[2025] == pytest.approx(0.108, abs=0.002)


@with_data
@pytest.mark.slow
def test_no_masked_person_has_a_record(all_tables: Imported) -> None:
    for name in ("objection", "licence", "credit_rating", "complaint"):
        names = all_tables.table(name)["subject_name"]
        assert not names.str.contains(r"^.{0,2}\*+$").any(), name


@with_data
@pytest.mark.slow
def test_abnormal_list_names_are_matched_or_reported(all_tables: Imported) -> None:
    tally = all_tables.tallies["listing_abnormal"]
    assert tally.rows_in == 104_259
    assert tally.unmatched == all_tables.refused("listing_abnormal", "S01").height
    assert tally.by_name > 500
    listed = all_tables.table("listing", "经营异常企业信息")["happened_on"]
    assert (listed > NEWEST).all()
