"""The catalogue: every feature named, worded and the same each time."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from models.errors import ConfigError
from models.features.catalogue import as_table, digest, features_of
from models.features.spec import FeatureSpec
from models.features.wording import wording
from models.records.contracts import CONTRACTS
from models.records.declared import load_contract
from models.scenarios import Scenario, catalogue, parse_scenario
from models.scenarios.check import problems
from tests.models.features.firms import scenario

SCENARIOS = list(catalogue().values())
by_scenario = pytest.mark.parametrize("declared", SCENARIOS, ids=lambda one: one.id)


def by_name(declared: Scenario) -> dict[str, FeatureSpec]:
    return {spec.name: spec for spec in features_of(declared)}


@by_scenario
def test_names_and_titles_tell_features_apart(declared: Scenario) -> None:
    specs = features_of(declared)
    assert len({s.name for s in specs}) == len(specs) > 100
    assert len({s.title for s in specs}) == len(specs)
    for spec in specs:  # a level is named by its value, which may be Chinese
        name = spec.name.replace(f"_{spec.level}_", "_")
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name), spec.name


@by_scenario
def test_all_is_said_in_words(declared: Scenario) -> None:
    for spec in features_of(declared):
        assert "{value}" in spec.reason, spec
        assert not re.search(r"[{}]|None", spec.title + spec.reason.replace("{value}", "")), spec
        assert re.search(r"[\u4e00-\u9fff]", spec.title), spec


@by_scenario
def test_what_a_scenario_names_is_there(declared: Scenario) -> None:
    made = {spec.name: spec.polars for spec in features_of(declared)}
    assert problems(declared, CONTRACTS, features=made) == []


@by_scenario
def test_families_are_those_declared(declared: Scenario) -> None:
    families = {spec.family for spec in features_of(declared)}
    assert families <= set(declared.features.families)
    assert {"window", "subject"} <= families


@by_scenario
def test_nothing_is_made_of_what_tells_the_outcome_or_the_person(declared: Scenario) -> None:
    for spec in features_of(declared):
        if spec.family != "window" or spec.column is None:
            continue
        table = CONTRACTS[str(spec.table)]
        assert spec.column not in table.outcome | table.personal
        assert spec.column != "inspector_id"
        assert spec.column not in declared.features.exclude


@by_scenario
def test_the_digest_is_the_same_each_time(declared: Scenario) -> None:
    assert features_of(declared) == features_of(declared)
    assert digest(features_of(declared)) == digest(features_of(declared))


def test_the_digest_follows_every_word_and_the_order() -> None:
    specs = features_of(scenario())
    assert len({digest(specs), digest(specs[1:]), digest(specs[::-1])}) == 3


@pytest.mark.parametrize(
    ("name", "title", "unit"),
    [
        ("penalty_count_365d", "近365天行政处罚次数", "次"),
        ("penalty_fine_amount_sum_365d", "近365天行政处罚罚款金额合计", "元"),
        ("penalty_fine_amount_max_90d", "近90天行政处罚罚款金额最大值", "元"),
        ("penalty_recency", "距最近一次行政处罚的天数", "天"),
        ("penalty_trend_90d_365d", "近90天与近365天行政处罚频率之比", "倍"),
        ("penalty_penalty_kinds_distinct_365d", "近365天行政处罚处罚类别种数", "种"),
        ("inspection_result_fail_count_90d", "近90天行政检查中检查结果为不合格的次数", "次"),
        ("inspection_result_fail_share_90d", "近90天行政检查中检查结果为不合格的占比", "比例"),
        ("penalty_penalty_kinds_03_count_90d", "近90天行政处罚中处罚类别为罚款的次数", "次"),
    ],
)
def test_titles(name: str, title: str, unit: str) -> None:
    declared = scenario(
        "{tables: [penalty, inspection], windows: [90d, 365d],"
        " levels: {inspection: {result: [fail]}, penalty: {penalty_kinds: ['03']}}}"
    )
    spec = by_name(declared)[name]
    assert (spec.title, spec.unit) == (title, unit)


def test_hints_follow_the_declaration_first() -> None:
    declared = scenario(model="{monotone: {penalty_recency: up}}")
    specs = by_name(declared)
    assert specs["penalty_recency"].monotone == "up"
    assert by_name(scenario())["penalty_recency"].monotone == "down"
    assert specs["penalty_count_365d"].monotone == "up"
    assert specs["peers_penalty_count_365d"].monotone == "up"
    assert specs["subject_age_days"].monotone is None


def test_the_hints_name_what_there_is() -> None:
    hints = wording().hints
    for one in hints.values():
        assert set(one.tables) <= set(CONTRACTS)
        for place in one.levels:
            table, _, column = place.partition(".")
            assert column in CONTRACTS[table].categories
    names = {spec.name for declared in SCENARIOS for spec in features_of(declared)}
    assert {name for one in hints.values() for name in one.names} <= names


@pytest.mark.parametrize(
    ("windows", "trend"),
    [
        ("30d, 90d, 365d", ["penalty_trend_90d_365d"]),
        ("180d, 1095d", ["penalty_trend_180d_1095d"]),
        ("30d, 365d, 1095d", ["penalty_trend_30d_365d"]),
        ("365d", []),
    ],
)
def test_one_trend_compares_a_short_window_with_a_long_one(windows: str, trend: list[str]) -> None:
    specs = features_of(scenario(f"{{tables: [penalty], windows: [{windows}]}}"))
    assert [s.name for s in specs if s.stat == "trend"] == trend


def test_an_unknown_table_is_said() -> None:
    declared = scenario("{tables: [complaint], windows: [365d]}")
    short = {name: contract for name, contract in CONTRACTS.items() if name != "complaint"}
    with pytest.raises(ConfigError, match="unknown table 'complaint'"):
        features_of(declared, short)


def test_a_table_of_one_s_own_gives_features(tmp_path: Path) -> None:
    path = tmp_path / "machine.yaml"
    path.write_text(
        "name: machine\ntitle: 机械设备\nkey: [code]\ncolumns:\n"
        "  code: {type: text, title: 编号, required: true}\n"
        "  category: {type: text, title: 设备类别, one_of: [电梯, 锅炉], role: category}\n"
        "  capacity: {type: number, title: 容量, unit: 吨, role: measure}\n"
        "  accident: {type: flag, title: 事故, role: category, known_after: outcome}\n",
        encoding="utf-8",
    )
    contracts = {**CONTRACTS, "machine": load_contract(path)}
    declared = parse_scenario(
        "id: own\ntitle: 试验\nlegal_basis: [试验]\nsubject: enterprise\n"
        "label: {table: penalty, horizon: 90d}\nsnapshots: {every: 30d}\n"
        "features: {tables: [machine], windows: [365d], families: [window],"
        " levels: {machine: {category: [电梯]}}}\n"
        "grades: {A: {below: 0.1, draw: 0.1}, B: {draw: 0.5}}\n",
        "own.yaml",
        contracts=contracts,
    )
    specs = {spec.name: spec for spec in features_of(declared, contracts)}
    assert specs["machine_capacity_sum_365d"].title == "近365天机械设备容量合计"
    assert specs["machine_capacity_sum_365d"].unit == "吨"
    assert "machine_category_电梯_count_365d" in specs
    assert not any("accident" in name for name in specs)


def test_two_features_of_one_name_are_said(tmp_path: Path) -> None:
    path = tmp_path / "peers.yaml"
    path.write_text(
        "name: peers_penalty\ntitle: 同名\nkey: [code]\ncolumns:\n"
        "  code: {type: text, title: 编号, required: true}\n",
        encoding="utf-8",
    )
    contracts = {**CONTRACTS, "peers_penalty": load_contract(path)}
    declared = scenario("{tables: [penalty], windows: [365d]}")
    features = declared.features.model_copy(update={"tables": ("penalty", "peers_penalty")})
    with pytest.raises(ConfigError, match=r"two features .* 'peers_penalty_count_365d'"):
        features_of(declared.model_copy(update={"features": features}), contracts)


def test_the_table_has_a_row_a_feature_in_order() -> None:
    specs = features_of(scenario())
    table = as_table(specs)
    assert table["name"].to_list() == [s.name for s in specs]
    assert table.schema["window"] == pl.Int32()
    assert (
        table.filter(name="penalty_count_365d").row(0, named=True)["title"] == "近365天行政处罚次数"
    )
