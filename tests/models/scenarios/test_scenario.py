"""Scenario files: what is right is read, what is wrong is named with its line and a remedy."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from models.errors import ConfigError
from models.records.contracts import CONTRACTS
from models.records.declared import load_contract
from models.scenarios import (
    catalogue,
    load_scenario,
    parse_scenario,
    scenario_named,
    schema,
)
from models.scenarios.check import problems, unusable
from models.scenarios.inputs import inputs
from models.time import MonthDay, Span

TEXT = """\
id: culture_market_inspection
title: 文化市场检查风险
legal_basis: [市场主体登记管理条例 第三十八条]
subject: enterprise
cohort: {seen_in: [licence, inspection], status: open}
label:
  table: inspection
  where: "result == 'fail'"
  horizon: 180d
  observed_by: inspection
  weight: ipw
snapshots: {every: 30d, embargo: 0d}
features: {tables: [inspection, penalty, licence, complaint, listing],
           windows: [30d, 90d, 180d, 365d, 1095d],
           families: [window, subject, relation, peers, text], exclude: [inspector_id]}
model: {kind: lightgbm, leaves: 8, monotone: {penalty_count_365d: up}, calibrate: isotonic, seed: 7}
grades: {A: {below: 0.02, draw: 0.01}, B: {below: 0.06, draw: 0.03},
         C: {below: 0.15, draw: 0.15}, D: {draw: 0.50, warn: true}}
veto: [{when: "serious_list_active > 0", grade: D}]
validity: {days: 30, hysteresis: 0.01}
capacity: {per_month: 1200, random_share: 0.10, inspectors_per_target: 2}
actions: {A: 无事不扰, B: 常规监管, C: 重点关注, D: 严格监管}
audit: {by: [region, size, ownership, age_band]}
"""


def changed(*swaps: tuple[str, str]) -> str:
    text = TEXT
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_a_scenario_is_read_as_it_is_written() -> None:
    read = parse_scenario(TEXT, "s.yaml")
    assert read.label.means == "inspection"
    assert read.label.ends(date(2024, 1, 1)) == date(2024, 6, 29)
    assert [rows.where for rows in read.label.observers] == ["result != 'excluded'"]
    assert read.features.windows[-1] == Span(1095)
    assert read.tables == {"subject", "inspection", "penalty", "licence", "complaint", "listing"}


def test_the_digest_is_of_the_meaning_not_of_the_writing() -> None:
    plain = parse_scenario(TEXT, "s.yaml").digest
    assert re.fullmatch(r"[0-9a-f]{64}", plain)
    lines = TEXT.splitlines(keepends=True)
    reordered = "".join([*lines[3:], *lines[:3]])
    assert parse_scenario(reordered, "t.yaml").digest == plain
    short = changed(("kind: lightgbm, leaves: 8, ", ""), (", calibrate: isotonic, seed: 7", ""))
    assert parse_scenario(short, "s.yaml").digest == plain  # what is left out has these defaults
    weeks = changed(("horizon: 180d", "horizon: 182d")), changed(("horizon: 180d", "horizon: 26w"))
    assert len({parse_scenario(text, "s.yaml").digest for text in weeks} | {plain}) == 2


def test_the_digest_changes_with_every_value() -> None:
    swaps = [
        ("below: 0.02", "below: 0.021"), ("seed: 7", "seed: 8"), ("30d, 90d", "31d, 90d"),
        ("status: open", "status: active"), ("'fail'", "'pass'"), ("无事不扰", "不打扰"),
        ("every: 30d", "every: 60d"), ("penalty_count_365d: up", "penalty_count_365d: down"),
    ]  # fmt: skip
    digests = {parse_scenario(changed(swap), "s.yaml").digest for swap in swaps}
    assert len(digests | {parse_scenario(TEXT, "s.yaml").digest}) == len(swaps) + 1


BAD = [
    # unknown names
    (("tables: [inspection", "tables: [inspektion"), 13, "did you mean 'inspection'"),
    (("seen_in: [licence", "seen_in: [licens"), 5, "did you mean 'licence'"),
    (("  table: inspection", "  table: quarantine"), 6, "label"),
    (("status: open", "statu: open"), 5, "did you mean 'status'"),
    (("status: open", "status: opened"), 5, "did you mean 'open'"),
    (("subject: enterprise", "subject: enterprises"), 4, "did you mean 'enterprise'"),
    (("result == ", "reslt == "), 8, "did you mean 'result'"),
    (("'fail'", "'failed'"), 8, "did you mean 'fail'"),
    (("exclude: [inspector_id]", "exclude: [inspektor_id]"), 15, "did you mean 'inspector_id'"),
    (("penalty_count_365d", "penalti_count_365d"), 16, "did you mean 'penalty_count_365d'"),
    (("penalty_count_365d", "judgment_count_365d"), 16, "add 'judgment' to features.tables"),
    (("penalty_count_365d", "penalty_count_400d"), 16, "a window that features.windows lacks"),
    (("grade: D}]", "grade: E}]"), 19, "no grade 'E'"),
    (("by: [region", "by: [regions"), 23, "did you mean 'region'"),
    # spans
    (("30d, 90d", "0d, 90d"), 14, "at least 1"),
    (("30d, 90d", "12h, 90d"), 14, "180d"),
    (("30d, 90d", "90d, 30d"), 14, "sort them"),
    (("30d, 90d", "90d, 90d"), 14, "named twice"),
    (("horizon: 180d", "horizon: 6mo"), 9, "180d"),
    (("horizon: 180d", "horizon: 180d\n  until: '06-30'"), 6, "exactly one"),
    (("embargo: 0d", "on: ['06-30']"), 12, "exactly one"),
    # leaks
    (("exclude: [inspector_id]", "columns: {inspection: [problem]}"), 15, "after the outcome"),
    (("exclude: [inspector_id]", "columns: {licence: [valid]}"), 15, "as things stand now"),
    (("exclude: [inspector_id]", "levels: {complaint: {outcome: [x]}}"), 15, "after the outcome"),
    (("penalty_count_365d", "complaint_outcome_share_365d"), 16, "after the outcome"),
    (("status: open", "where: \"status = '注销'\""), 5, "status: open or active"),
    (("status: open", 'where: "closed_on > as_of"'), 5, "status: open or active"),
    (
        ("[licence, inspection]", "{table: complaint, where: \"outcome = '立案'\"}"),
        5,
        "so it cannot say who is eligible",
    ),
    (("status: open", 'where: "known_at is not null"'), 5, "so it cannot say who is eligible"),
    (
        ("[licence, inspection]", '{table: penalty, where: "void_reason is null"}'),
        5,
        "'penalty.void_reason' is written as things stand now",
    ),
    (
        ("status: open", 'without: {table: penalty, where: "published"}'),
        5,
        "'penalty.published' is written as things stand now",
    ),
    (
        ("status: open", 'without: {table: penalty, where: "publish_until > as_of"}'),
        5,
        "so it cannot say who is eligible",
    ),
    (
        ("status: open", 'without: {table: relation, where: "ended_on is null"}'),
        5,
        "so it cannot say who is eligible",
    ),
    # features
    (("exclude: [inspector_id]", "levels: {penalty: {severity: [minor, minor]}}"), 15, "twice"),
    (("exclude: [inspector_id]", "levels: {inspection: {result: [fial]}}"), 15, "mean 'fail'"),
    (("exclude: [inspector_id]", "levels: {inspection: {problem: [x]}}"), 15, "after the outcome"),
    (("exclude: [inspector_id]", "levels: {judgment: {kind: [civil]}}"), 15, "not among"),
    (("exclude: [inspector_id]", "columns: {penalty: [fine_amont]}"), 15, "mean 'fine_amount'"),
    (("exclude: [inspector_id]", "hops: 3"), 15, "less than or equal to 2"),
    (("every: 30d", "on: ['06-30', '06-30']"), 12, "06-30 is named twice"),
    (("families: [window, ", "families: ["), 13, "peers compares what window counts"),
    (("subject: enterprise", "subject: [enterprise, enterprise]"), 4, "enterprise is named twice"),
    # grades
    (("below: 0.06", "below: 0.02"), 17, "thresholds must ascend"),
    (("below: 0.06", "below: 0.01"), 17, "thresholds must ascend"),
    (("draw: 0.03", "draw: 0"), 17, "不免抽"),
    (("draw: 0.03", "draw: -0.1"), 17, "不免抽"),
    (("draw: 0.03", "draw: 1.5"), 17, "less than or equal to 1"),
    (("D: {draw", "D: {below: 0.9, draw"), 17, "leave its below out"),
    (("C: {below: 0.15, draw", "C: {draw"), 17, "needs below"),
    (("D: 严格监管", "E: 严格监管"), 22, "differ in D, E"),
    (("inspectors_per_target: 2", "inspectors_per_target: 1"), 21, "greater than or equal to 2"),
    (("random_share: 0.10", "random_share: 0"), 21, "greater than 0"),
    # labels
    (("observed_by: inspection", "observed_by: sampling"), 6, "not in observed_by"),
    (("  observed_by: inspection\n", ""), 6, "weight and visits"),
    (("  table: inspection", "  kind: event\n  table: inspection"), 6, "leave observed_by out"),
    (("  table: inspection", "  on: known_at\n  table: inspection"), 6, "leave 'on' out"),
    (
        ("observed_by: inspection", "observed_by: [inspection, inspection]"),
        6,
        "names a table twice",
    ),
    (("  table: inspection\n", ""), 6, "exactly one of table and any_of"),
    (("seen_in: [licence, inspection]", "within: 90d"), 5, "seen_in"),
    # conditions
    (("status: open", 'where: "not name"'), 5, "cannot be judged"),
    (("result == 'fail'", "'Fail' = result"), 8, "did you mean 'fail'"),
    (("serious_list_active > 0", "subject_age > due"), 19, "a veto asks features, and 'due' is"),
    (("result == 'fail'", "sum(result) > 1"), 8, "no function of conditions"),
    (("result == 'fail'", "result in (select 1)"), 8, "looks at other rows"),
    (("serious_list_active > 0", "serious_list_active >"), 19, "is no condition"),
]


@pytest.mark.parametrize(("swap", "line", "word"), BAD)
def test_what_is_wrong_is_named_with_its_line(swap: tuple[str, str], line: int, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_scenario(changed(swap), "s.yaml")
    found = [text for text in str(caught.value).splitlines() if word in text]
    assert found, caught.value
    assert found[0].startswith(f"s.yaml:{line}: ")


def test_every_problem_is_told_at_once() -> None:
    text = changed(("[licence, inspection]", "[licens, inspektion]"), ("'fail'", "'failed'"))
    with pytest.raises(ConfigError) as caught:
        parse_scenario(text, "s.yaml")
    assert len(str(caught.value).splitlines()) == 3


def test_a_scenario_of_one_s_own_table_needs_no_python(tmp_path: Path) -> None:
    (tmp_path / "machine.yaml").write_text(
        "name: machine\ntitle: 机械设备\nkey: [code]\ncolumns:\n"
        "  code: {type: text, title: 使用登记证编号, required: true}\n"
        "  due_on: {type: date, title: 下次检验日期}\n"
        "  capacity: {type: number, title: 额定容量, unit: 吨, min: 0, role: measure}\n"
        "  accident: {type: flag, title: 是否发生事故, known_after: outcome}\n",
        encoding="utf-8",
    )
    contracts = {**CONTRACTS, "machine": load_contract(tmp_path / "machine.yaml")}
    text = changed(
        ("  table: inspection", "  table: machine"),
        ("result == 'fail'", "accident"),
        ("  observed_by: inspection\n  weight: ipw\n", "  kind: event\n  on: due_on\n"),
        ("tables: [inspection", "tables: [machine"),
        ("exclude: [inspector_id]", "exclude: [machine.code]"),
    )
    read = parse_scenario(text, "s.yaml", contracts=contracts)
    assert inputs(read.features, contracts["machine"]).measures == ("capacity",)
    with pytest.raises(ConfigError, match="unknown table 'machine'"):
        parse_scenario(text, "s.yaml")
    leaking = text.replace("exclude: [machine.code]", "columns: {machine: [accident]}")
    with pytest.raises(ConfigError, match="after the outcome is known"):
        parse_scenario(leaking, "s.yaml", contracts=contracts)


def test_inputs_leave_out_what_leaks_and_what_is_excluded() -> None:
    features = parse_scenario(TEXT, "s.yaml").features
    for table in features.tables:
        kept = inputs(features, CONTRACTS[table])
        assert not unusable(CONTRACTS[table]) & {*kept.measures, *kept.categories}
    assert "valid" not in inputs(features, CONTRACTS["licence"]).categories
    one = changed(("[inspector_id]", "[penalty.severity, result]"))
    features = parse_scenario(one, "s.yaml").features
    assert "severity" not in inputs(features, CONTRACTS["penalty"]).categories
    assert "result" not in inputs(features, CONTRACTS["inspection"]).categories
    narrow = changed(("exclude: [inspector_id]", "columns: {penalty: [fine_amount]}"))
    features = parse_scenario(narrow, "s.yaml").features
    assert inputs(features, CONTRACTS["penalty"]).measures == ("fine_amount",)
    assert inputs(features, CONTRACTS["penalty"]).categories == ()


def test_names_are_held_against_the_features_where_they_are_known() -> None:
    read = parse_scenario(TEXT, "s.yaml")
    number = pl.Float64()
    made = {"penalty_count_365d": number, "serious_list_active": number}
    assert problems(read, CONTRACTS, features=made) == []
    made = {"penalty_count_365d": number, "serious_list_aktive": number}
    (problem,) = problems(read, CONTRACTS, features=made)
    assert "did you mean 'serious_list_aktive'" in problem.text


@pytest.mark.parametrize(
    ("when", "word"),
    [
        ("serious_list_active > 'many'", "cannot be judged"),
        ("serious_list_active", "gives Float64"),
        ("subject_kind > 0", "cannot be judged"),
        ("subject_kind", "gives String"),
        ("not subject_kind", "cannot be judged"),
        ("as_of > serious_list_active", "a veto asks features"),
        ("serious_list_active / 0 > 1", "divides by nought"),
    ],
)
def test_a_veto_asks_of_features_what_their_types_allow(when: str, word: str) -> None:
    read = parse_scenario(TEXT, "s.yaml")
    veto = read.veto[0].model_copy(update={"when": when})
    made = {
        "penalty_count_365d": pl.Float64(),
        "serious_list_active": pl.Float64(),
        "subject_kind": pl.String(),
    }
    asked = read.model_copy(update={"veto": (veto,)})
    (problem,) = problems(asked, CONTRACTS, features=made)
    assert word in problem.text
    assert problem.place == ("veto", 0, "when")


def test_a_file_that_is_not_there_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_scenario(tmp_path / "none.yaml")


def test_the_schema_is_for_editors() -> None:
    told = schema()
    assert json.loads(json.dumps(told)) == told
    assert told["additionalProperties"] is False
    keys = ("cohort", "label", "snapshots", "features", "grades")
    assert [key for key in keys if f"'{key}': {{" not in str(told["properties"])] == []
    assert "'default': '0d'" in str(told)


# The catalogue


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_each_file_is_named_as_its_scenario(name: str, root: Path) -> None:
    read = load_scenario(root / "models" / "scenarios" / "catalog" / f"{name}.yaml")
    assert read.id == name
    assert read.digest == catalogue()[name].digest
    assert all(grade.draw > 0 for grade in read.grades.values())


def test_a_scenario_is_found_by_id_and_by_code() -> None:
    assert scenario_named("SC04") is scenario_named("annual_report_overdue")
    assert scenario_named("sc04").label.until == MonthDay(6, 30)
    with pytest.raises(ConfigError, match="did you mean 'food_safety'"):
        scenario_named("food_safty")


@pytest.mark.parametrize(
    ("swap", "message"),
    [
        (("hysteresis: 0.01", "hysteresis: 0.02"), "not below 0.02, where grade A ends"),
        (("C: {below: 0.15", "C: {below: 0.995"), "past 0.995, where grade D begins"),
    ],
)
def test_hysteresis_leaves_every_grade_within_reach(swap: tuple[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_scenario(changed(swap), "s.yaml")
