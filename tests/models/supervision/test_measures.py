from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.records.contracts import CONTRACTS
from models.scenarios.where import parse
from models.supervision.measures import Measures, kind_of, load_measures, measures

TODAY = date(2026, 11, 20)
HEAD = """triggers:
  listing_x: {title: 乙, table: listing, where: "kind == 'other'"}
measures:
"""
ROW = """  - {id: a, type: 2, title: 甲, triggers: [%s], subjects: [enterprise], authority: 机关,
     basis: [法], certainty: text%s}
"""
SINCE = ", effective_from: 2020-01-01"


def load(tmp_path: Path, text: str) -> Measures:
    (tmp_path / "m.yaml").write_text(HEAD + text, encoding="utf-8")
    return load_measures(tmp_path / "m.yaml")


def test_a_measure_fires_only_for_its_trigger_and_kind_of_subject() -> None:
    book = measures()
    enterprise = {one.id for one in book.lawful(["listing_debtor"], "enterprise", TODAY)}
    person = {one.id for one in book.lawful(["listing_debtor"], "person", TODAY)}
    assert "consumption_limit" in enterprise & person
    assert "credit_caution" in enterprise - person
    assert book.lawful([], "enterprise", TODAY) == ()


@given(st.text(max_size=30))
def test_nothing_but_a_row_fires_a_measure(trigger: str) -> None:
    known = {name for one in measures().measures for name in one.triggers}
    found = measures().lawful([trigger], "enterprise", TODAY)
    assert trigger in known or found == ()


@pytest.mark.parametrize("trigger", ["grade_d", "risk_score", "probability_high", "model_alert"])
def test_no_score_fires_a_measure(tmp_path: Path, trigger: str) -> None:
    with pytest.raises(ConfigError, match=r"m\.yaml:1.*no score, grade or warning"):
        load(tmp_path, ROW % (trigger, SINCE))


def test_a_row_names_a_fact_that_is_declared_and_its_days(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no trigger 'listing_y'; did you mean 'listing_x'"):
        load(tmp_path, ROW % ("listing_y", SINCE))
    with pytest.raises(ConfigError, match=r"m\.yaml:4: missing key 'effective_from'"):
        load(tmp_path, ROW % ("listing_x", ""))


def test_a_trigger_is_the_records_that_its_condition_means() -> None:
    contract = CONTRACTS["listing"]
    for trigger in measures().triggers.values():
        assert parse(trigger.where).problems(CONTRACTS[trigger.table]) == []
    rows = pl.DataFrame(
        {"kind": ["debtor", "safety", None]}, schema={"kind": contract.dtypes["kind"]}
    )
    assert measures().triggers["listing_safety"].of(rows)["kind"].to_list() == ["safety"]


@pytest.mark.parametrize(
    ("told", "kind"),
    [("企业", "enterprise"), ("个体工商户", "individual_business"), ("机关", None), (None, None)],
)
def test_the_register_says_what_kind_of_subject_it_is(told: str | None, kind: str | None) -> None:
    assert kind_of(told) == kind


def test_a_row_holds_within_its_dates(tmp_path: Path) -> None:
    dated = ROW % ("listing_x", ", effective_from: 2026-01-01, effective_to: 2026-06-30")
    book = load(tmp_path, dated)
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 6, 30), date(2026, 7, 1)]
    found = [len(book.lawful(["listing_x"], "enterprise", day)) for day in days]
    assert found == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("dates", "told"),
    [(", effective_from: 2026-02-01, effective_to: 2026-01-01", "before it begins")],
)
def test_dates_out_of_order_are_refused(tmp_path: Path, dates: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(tmp_path, ROW % ("listing_x", dates))


def test_two_versions_may_follow_each_other_and_not_meet(tmp_path: Path) -> None:
    first = ROW % ("listing_x", f"{SINCE}, effective_to: 2026-06-30")
    second = ROW % ("listing_x", ", effective_from: 2026-07-01")
    assert len(load(tmp_path, first + second).measures) == 2
    meeting = second.replace("2026-07-01", "2026-06-30")
    with pytest.raises(ConfigError, match="two versions of a"):
        load(tmp_path, first + meeting)
