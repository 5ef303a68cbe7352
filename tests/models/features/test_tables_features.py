"""What of its tables a scenario makes window features of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl
import pytest

from models.errors import ConfigError, LakeMissingError
from models.features import tables
from models.features.window import Category, WindowSpec, build_windows
from models.features.wording import VALUE, Phrase, wording
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.records.reading import LakeRecords, MemoryRecords
from models.scenarios import catalogue
from tests.models.features.firms import AS_OF, FIRMS, penalty, records, scenario


def specs(features: str) -> dict[str, WindowSpec]:
    return {s.table: s for s in tables.window_specs(scenario(features), CONTRACTS)}


def test_every_usable_column_gives_features() -> None:
    made = specs("{tables: [penalty, change], windows: [90d, 365d]}")
    assert list(made) == ["penalty", "change"]
    assert made["penalty"].measures == CONTRACTS["penalty"].measures
    assert made["penalty"].windows == (90, 365)
    assert made["change"].categories == (Category("item"),)
    assert made["penalty"].trends == ((90, 365),)


def test_levels_are_counted_each_by_itself() -> None:
    made = specs(
        "{tables: [listing], windows: [365d], levels: {listing: {kind: [abnormal, serious]}}}"
    )
    assert made["listing"].categories[0] == Category("kind", ("abnormal", "serious"))
    names = [f.name for f in made["listing"].features]
    assert "listing_kind_abnormal_count_365d" in names
    assert "listing_kind_serious_share_365d" in names


@pytest.mark.parametrize("way", ["fine_amount", "penalty.fine_amount"])
def test_a_scenario_leaves_columns_out(way: str) -> None:
    made = specs(f"{{tables: [penalty], windows: [365d], exclude: [{way}]}}")
    assert made["penalty"].measures == ("confiscated_amount",)


def test_a_scenario_narrows_a_table() -> None:
    made = specs("{tables: [penalty], windows: [365d], columns: {penalty: [fine_amount]}}")
    assert made["penalty"].measures == ("fine_amount",)
    assert made["penalty"].categories == ()


@pytest.mark.parametrize("table", sorted(CONTRACTS))
def test_nothing_is_made_of_what_is_written_after_the_outcome_or_is_personal(table: str) -> None:
    contract = CONTRACTS[table]
    (spec,) = specs(f"{{tables: [{table}], windows: [365d]}}").values()
    columns = {*spec.measures, *(c.column for c in spec.categories)}
    assert not columns & (contract.outcome | contract.personal)
    assert columns <= {*contract.measures, *contract.categories}


def built(
    data: MemoryRecords | LakeRecords, spec: WindowSpec, subjects: Sequence[str] = FIRMS[:2]
) -> pl.DataFrame:
    wanted = pl.Series("subject_id", subjects, dtype=pl.String)
    return tables.build(data, spec, subjects=wanted, dates=[AS_OF, date(2024, 7, 1)])


SPEC = specs("{tables: [penalty], windows: [90d, 365d]}")["penalty"]


def test_the_columns_are_those_of_the_window_family_in_order() -> None:
    data = records(penalty=[penalty(0), penalty(1, date(2024, 12, 1), fine_amount=5.0)])
    wanted = pl.Series("subject_id", FIRMS[:2])
    direct = build_windows(
        data.frames["penalty"], SPEC, subjects=wanted, dates=[AS_OF, date(2024, 7, 1)]
    )
    made = built(data, SPEC)
    assert made.columns == [f.name for f in SPEC.features]
    assert made.equals(direct.select(made.columns))


def test_what_is_not_there_is_null() -> None:
    made = built(MemoryRecords({}), SPEC)
    assert made.columns == [f.name for f in SPEC.features]
    assert made.height == 4
    assert made.null_count().row(0) == (4,) * made.width
    assert set(made.dtypes) == {pl.Float64()}


def test_a_category_that_is_not_there_is_null_and_the_others_are_not() -> None:
    data = records(penalty=[penalty(0)])
    short = MemoryRecords({"penalty": data.frames["penalty"].drop("violation_type")})
    made = built(short, SPEC)
    assert made["penalty_violation_type_distinct_365d"].to_list() == [None] * 4
    assert made["penalty_severity_distinct_365d"].to_list() == [1, 0, 1, 0]


def test_few_subjects_of_a_lake_and_all_of_them_get_the_same(province: Lake) -> None:
    everything = LakeRecords(province)
    spec = next(
        s
        for s in tables.window_specs(catalogue()["dishonesty_warning"], CONTRACTS)
        if s.table == "penalty"
    )
    ids = everything.frame("penalty", ["subject_id"]).collect()["subject_id"].unique().sort()
    assert ids.len() > 64
    whole = built(everything, spec, ids.to_list())
    some = built(everything, spec, ids.to_list()[:10])
    assert some.equals(pl.concat([whole[:10], whole[ids.len() : ids.len() + 10]]))


def test_a_lake_of_another_version_is_not_read(province: Lake) -> None:
    with pytest.raises(LakeMissingError):
        built(LakeRecords(province, versions={"penalty": 99}), SPEC)


def test_a_table_of_no_contract_is_said_with_the_nearest() -> None:
    declared = scenario()
    features = declared.features.model_copy(update={"tables": ("penalties",)})
    with pytest.raises(ConfigError, match=r"unknown table 'penalties'.*penalty"):
        tables.window_specs(declared.model_copy(update={"features": features}), CONTRACTS)


def test_phrases_keep_the_blank_of_the_value() -> None:
    phrase = Phrase(title="近{days}天{table}", reason="近{days}天{value}次", unit="次")
    said = phrase.said(days=30, table="行政处罚")
    assert said.title == "近30天行政处罚"
    assert said.reason == f"近30天{VALUE}次"


@pytest.mark.parametrize(
    ("table", "column", "value", "word"),
    [
        ("inspection", "result", "fail", "不合格"),
        ("sampling", "result", "pass", "合格"),
        ("listing", "kind", "abnormal", "经营异常"),
        ("tax_event", "kind", "abnormal", "非正常户"),
        ("licence", "kind", "普通", "普通"),
    ],
)
def test_values_are_called_by_table_then_column_then_themselves(
    table: str, column: str, value: str, word: str
) -> None:
    assert wording().value(table, column, value) == word


def test_every_stat_of_the_window_family_has_words() -> None:
    made = specs(
        "{tables: [inspection], windows: [90d, 365d], levels: {inspection: {result: [fail]}}}"
    )
    stats = {f.stat for f in made["inspection"].features}
    assert stats <= set(wording().window)
    assert {"count", "sum", "distinct", "recency", "trend", "max", "share"} <= stats


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"table": "penalty", "stat": "count"}, "up"),
        ({"table": "penalty", "stat": "recency"}, "down"),
        ({"table": "penalty", "stat": "distinct"}, None),
        ({"table": "inspection", "stat": "count"}, None),
        ({"table": "inspection", "stat": "count", "column": "result", "level": "fail"}, "up"),
        ({"table": "inspection", "stat": "share", "column": "result", "level": "pass"}, "down"),
        ({"table": "listing", "stat": "count", "column": "kind", "level": "honour"}, None),
        ({}, None),
    ],
)
def test_hints(options: dict[str, str], hint: str | None) -> None:
    assert wording().hint("some_feature", **options) == hint
    assert wording().hint("relation_flagged_share") == "up"
