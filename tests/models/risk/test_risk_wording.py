"""What is said of values, and what is never said."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features.catalogue import features_of
from models.features.spec import FeatureSpec
from models.records.contracts import CONTRACTS
from models.risk.protected import protected
from models.risk.wording import Value, money, said, titles_of, words
from models.scenarios import Scenario
from tests.models.features.firms import AS_OF, scenario
from tests.models.risk import town

WIDE = scenario(
    "{tables: [penalty, inspection, complaint], windows: [90d, 365d], hops: 2, "
    "levels: {inspection: {result: [fail]}, penalty: {penalty_kinds: ['03']}}}"
)
SPECS = {spec.name: spec for spec in (*town.pipeline().features, *features_of(WIDE))}
TITLES = titles_of(CONTRACTS)


def say(name: str, value: Value) -> str:
    return said(SPECS[name], value, as_of=AS_OF, titles=TITLES)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0.0, "0"),
        (500.0, "500"),
        (9_949.99, "9949.99"),
        (9_999.99, "1万"),
        (10_000.0, "1万"),
        (20_500.0, "2.05万"),
        (350_000.0, "35万"),
        (99_999_999.0, "1亿"),
        (250_000_000.0, "2.5亿"),
        (-35_000.0, "-3.5万"),
    ],
)
def test_money_is_written_in_the_largest_size_that_fits(amount: float, text: str) -> None:
    assert money(amount) == text


@given(st.floats(min_value=-1e13, max_value=1e13))
def test_money_says_the_amount(amount: float) -> None:
    text = money(amount)
    size = {"亿": 1e8, "万": 1e4}.get(text[-1], 1.0)
    assert float(text.rstrip("亿万")) * size == pytest.approx(amount, rel=0.006, abs=0.006)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("penalty_count_365d", 2.0, "近365天有行政处罚2次"),
        ("penalty_count_365d", 0.0, "近365天无行政处罚记录"),
        ("penalty_count_365d", None, "未归集行政处罚信息"),
        ("penalty_fine_amount_sum_365d", 35_000.0, "近365天行政处罚罚款金额合计3.5万元"),
        ("penalty_fine_amount_sum_365d", 0.0, "近365天行政处罚罚款金额合计为0"),
        ("penalty_fine_amount_max_90d", None, "近90天无载明罚款金额的行政处罚"),
        ("penalty_recency", 35.0, "最近一次行政处罚在35天前（2024年11月27日）"),
        ("penalty_recency", None, "无行政处罚记录"),
        ("penalty_trend_90d_365d", 2.5, "近90天行政处罚的频率是近365天的2.5倍"),
        ("penalty_trend_90d_365d", None, "近365天无行政处罚记录"),
        ("inspection_result_fail_count_365d", 1.0, "近365天行政检查中检查结果为不合格的有1次"),
        ("inspection_result_fail_count_365d", 0.0, "近365天行政检查中检查结果为不合格的次数为0"),
        ("inspection_result_fail_share_365d", 0.375, "近365天行政检查中检查结果为不合格的占37.5%"),
        ("inspection_result_fail_share_365d", 0.0, "近365天有行政检查，其中没有检查结果为不合格的"),
        ("inspection_result_fail_share_365d", None, "近365天无行政检查记录"),
        ("penalty_penalty_kinds_03_share_365d", 0.0, "近365天有行政处罚，其中没有处罚类别为罚款的"),
        ("peers_penalty_count_365d", 0.97, "近365天行政处罚次数在同行业同地区处于97%分位"),
        ("peers_penalty_count_365d", None, "近365天行政处罚次数的同行业同地区分位：无可比数据"),
        ("subject_age_days", 366.0, "成立366天（2024年1月1日）"),
        ("subject_age_days", None, "成立天数未登记"),
        ("subject_registered_capital", 1e6, "注册资本100万元"),
        ("subject_industry_section", "C", "行业门类为制造业"),
        ("subject_status", "revoked", "截面日状态为吊销未注销"),
        ("relation_penalty_count", 2.0, "有2户关联主体近365天受过行政处罚"),
        ("relation_penalty_count", 0.0, "近365天受行政处罚的关联主体数为0"),
        ("relation_hub", 1.0, "关联的人员、住所或主体连接过多（是）"),
        ("relation_hub", 0.0, "关联的人员、住所和主体连接不多"),
        (
            "penalty_text_market_count_365d",
            None,
            "近365天市场秩序类违法的行政处罚次数：文书尚未判读",
        ),
    ],
)
def test_values_are_said_as_people_say_them(name: str, value: Value, text: str) -> None:
    assert say(name, value) == text


@given(st.sampled_from(sorted(SPECS)), st.none() | st.floats(min_value=0, max_value=1e9))
def test_no_blank_is_left_open(name: str, value: float | None) -> None:
    spec = SPECS[name]
    if spec.stat == "recency" or spec.name == "subject_age_days":
        value = None if value is None else min(value, 10_000.0)
    text = said(spec, value, as_of=AS_OF, titles=TITLES)
    assert "{" not in text
    assert "None" not in text
    assert text


def test_a_table_of_ones_own_without_contract_is_said_by_its_title() -> None:
    spec = replace(SPECS["penalty_count_365d"], table="spill", title="近365天泄漏次数")
    assert said(spec, 0.0, as_of=AS_OF, titles=TITLES) == "近365天泄漏次数为0"
    assert said(spec, None, as_of=AS_OF, titles=TITLES) == "近365天泄漏次数：无数据"


def test_dates_are_written_in_chinese() -> None:
    assert words().day(date(2024, 1, 9)) == "2024年1月9日"


def hides(spec: FeatureSpec, declared: Scenario) -> bool:
    return protected(spec, declared, CONTRACTS, TITLES)


def of_column(column: str, table: str = "penalty") -> FeatureSpec:
    return replace(SPECS["penalty_fine_amount_sum_365d"], table=table, column=column)


@pytest.mark.parametrize(
    "column", ["owner_age", "sex", "legal_representative_gender", "ethnicity", "负责人年龄"]
)
def test_attributes_of_persons_are_protected(column: str) -> None:
    assert hides(of_column(column, "spill"), WIDE)


@pytest.mark.parametrize("column", ["fine_amount", "wages", "stage", "usage", "sexagenary_no"])
def test_parts_of_words_are_not_taken_for_attributes_of_persons(column: str) -> None:
    assert not hides(of_column(column), WIDE)


def test_what_contracts_call_personal_or_outcome_is_protected() -> None:
    assert hides(of_column("legal_representative"), WIDE)
    assert hides(of_column("removed_on", "listing"), WIDE)


def test_what_the_scenario_leaves_out_is_protected_with_its_percentile() -> None:
    out = scenario("{tables: [penalty], windows: [365d], exclude: [penalty.fine_amount]}")
    for name in ("penalty_fine_amount_sum_365d", "peers_penalty_fine_amount_sum_365d"):
        assert hides(SPECS[name], out)
        assert not hides(SPECS[name], WIDE)


def test_owner_is_always_protected_and_place_where_it_is_audited() -> None:
    assert hides(SPECS["subject_ownership"], WIDE)
    assert hides(SPECS["subject_city"], town.declared())
    assert not hides(SPECS["subject_city"], WIDE)


def test_indicators_of_the_official_frame_are_worded_although_audited() -> None:
    for name in ("subject_age_days", "subject_registered_capital", "subject_industry_section"):
        assert not hides(SPECS[name], town.declared())
