"""The scenarios that come with the package: sound, complete, and each means what it says."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import pytest

from models.codes.uscc import make_uscc
from models.errors import ConfigError
from models.features.catalogue import features_of
from models.features.checked import checked_features
from models.records.contracts import CONTRACTS
from models.records.reading import MemoryRecords
from models.scenarios import catalogue, scenario_named
from models.scenarios.absent import check_tables, gaps
from models.scenarios.check import unusable
from models.scenarios.cohort import cohort
from tests.models.features.firms import frame
from tests.models.scenarios.catalogue_cases import AFTER, AS_OF, BEFORE, CASES, Case, Row
from training.labels import labels
from training.snapshots import Period

MOST_FEATURES = 500
SCENARIOS = catalogue()
KNOWN = Period(date(2019, 1, 1), date(2030, 1, 1))
REGISTERED = date(2015, 1, 1)
EMPTY = {table: frame(table, []) for table in CONTRACTS}

by_name = pytest.mark.parametrize("name", sorted(SCENARIOS))


def told(root: Path, name: str) -> str:
    """Return what a scenario foretells, as the first sentence of its file's head says."""
    text = (root / "models" / "scenarios" / "catalog" / f"{name}.yaml").read_text(encoding="utf-8")
    lines = text.split("\nid: ", 1)[0].splitlines()
    head = "".join(line.removeprefix("#").strip() for line in lines)
    found = re.match(r"[^：。]+：(.+?)[。；]", head)
    assert found, f"{name}: the head says no '名称：预测什么。'"
    return found[1]


# What a declaration holds


def test_there_are_enough_scenarios_that_some_may_retire() -> None:
    assert len(SCENARIOS) >= 24
    codes = {one.code for one in SCENARIOS.values()}
    assert {f"SC{n:02}" for n in range(1, 23)} <= codes


def test_no_two_share_a_code_or_a_title() -> None:
    for told_ in ([one.code for one in SCENARIOS.values() if one.code],
                  [one.title for one in SCENARIOS.values()]):  # fmt: skip
        assert len(set(told_)) == len(told_)


@by_name
def test_each_is_complete(name: str) -> None:
    scenario = SCENARIOS[name]
    assert all(len(one) >= 4 for one in scenario.legal_basis)
    assert scenario.actions.keys() == scenario.grades.keys()
    assert all(0 < grade.draw <= 1 for grade in scenario.grades.values())
    draws = [grade.draw for grade in scenario.grades.values()]
    assert draws == sorted(draws), "a worse grade is drawn no less"
    assert [letter for letter, grade in scenario.grades.items() if grade.warn] == ["D"]
    assert scenario.capacity is not None
    assert scenario.audit.by


@by_name
def test_features_are_some_and_none_tells_the_outcome(name: str) -> None:
    specs = checked_features(SCENARIOS[name])
    assert 100 < len(specs) <= MOST_FEATURES
    for table in SCENARIOS[name].features.tables:
        columns = {spec.column for spec in specs if spec.table == table}
        assert not columns & unusable(CONTRACTS[table])


@by_name
def test_what_is_constrained_and_vetoed_is_a_feature(name: str) -> None:
    scenario, made = SCENARIOS[name], {spec.name for spec in features_of(SCENARIOS[name])}
    assert scenario.model.monotone.keys() <= made
    assert set(scenario.model.monotone.values()) <= {"up"}
    for veto in scenario.veto:
        assert veto.grade == "D"
        assert veto.reason
        assert "listing_kind_" in veto.when, "only a list that a law provides for is a veto"


# Whom it looks at and what it foretells


def subject(case: Case, number: int) -> str:
    return make_uscc(case.prefix, "210100", body=f"YY{number:06d}")


def eligible(case: Case, number: int, **columns: object) -> list[tuple[str, Row]]:
    """Return a registered subject with what makes it eligible; ``columns`` change the register."""
    own = {"subject_id": subject(case, number), "happened_on": BEFORE}
    register = {**own, "happened_on": REGISTERED, "name": "甲", "industry": case.industry}
    return [
        ("subject", {**register, **columns}),
        *((table, {**own, **row}) for table, row in case.seen),
    ]


def on(case: Case, number: int, told_: tuple[str, Row], day: date) -> tuple[str, Row]:
    """Return a row of a subject that happens, or is settled, on ``day``."""
    table, row = told_
    moved = {column: day if value == AFTER else value for column, value in row.items()}
    return table, {"subject_id": subject(case, number), "happened_on": day, **moved}


def placed(rows: Iterable[tuple[str, Row]]) -> MemoryRecords:
    tables: dict[str, list[Row]] = {}
    for table, row in rows:
        tables.setdefault(table, []).append(row)
    return MemoryRecords({**EMPTY, **{table: frame(table, some) for table, some in tables.items()}})


def test_every_scenario_is_tried() -> None:
    assert CASES.keys() == SCENARIOS.keys()


@by_name
def test_who_is_eligible(name: str) -> None:
    scenario, case = SCENARIOS[name], CASES[name]
    rows = [*eligible(case, 0), *eligible(case, 1, closed_on=BEFORE)]
    for number, industry in enumerate(case.others, start=2):
        rows += eligible(case, number, industry=industry)
    later = [one for one in (*case.found, *case.clean) if "happened_on" not in one[1]]
    for number, one in enumerate(later if case.seen else (), start=10):
        rows += [*eligible(case, number)[:1], on(case, number, one, AFTER)]
    assert cohort(placed(rows), scenario, AS_OF)["subject_id"].to_list() == [subject(case, 0)]


@by_name
def test_what_makes_the_label_and_when(name: str) -> None:
    scenario, case = SCENARIOS[name], CASES[name]
    late = scenario.label.ends(AS_OF) + timedelta(days=1)
    tried = [
        *((one, AFTER, True) for one in case.found),
        *((one, late, scenario.label.means == "survival") for one in case.found),
        *((one, AFTER, False) for one in case.clean),
    ]
    rows = [
        row
        for number, (one, day, _) in enumerate(tried)
        for row in (*eligible(case, number), on(case, number, one, day))
    ]
    made = labels(placed(rows), scenario, [AS_OF], within=KNOWN)
    positive = dict(made.select("subject_id", "positive").iter_rows())
    for number, (one, day, wanted) in enumerate(tried):
        assert bool(positive[subject(case, number)]) is wanted, (one, day)


# Tables that a lake lacks


def test_a_lake_without_what_decides_is_refused() -> None:
    contracts = [table for table in CONTRACTS if table not in ("bid", "penalty", "listing")]
    with pytest.raises(ConfigError, match=r"looks at the subjects of bid, and the lake has no"):
        check_tables(SCENARIOS["bid_rigging"], contracts)
    with pytest.raises(ConfigError, match=r"learns from penalty, listing, .* import it first"):
        check_tables(SCENARIOS["bid_rigging"], [*contracts, "bid"])
    check_tables(SCENARIOS["bid_rigging"], [*contracts, "bid", "penalty"])


def test_what_a_lacking_table_costs_is_told() -> None:
    scenario = SCENARIOS["prepaid_runaway"]
    assert gaps(scenario, list(CONTRACTS)) == ()
    there = [table for table in CONTRACTS if table not in ("listing", "opinion")]
    opinion = CONTRACTS["opinion"].title
    assert gaps(scenario, there) == (
        "湖中没有表 listing（名录名单）：无从排除已在其中的主体",
        "湖中没有表 listing（名录名单）：只由它得知的结果记不到",
        f"湖中没有表 opinion（{opinion}）：由它产生的指标为空",
        "湖中没有表 listing（名录名单）：由它产生的指标为空",
    )
    assert "只在此表中出现过" in gaps(SCENARIOS["transport_safety"], ["licence"])[0]


@by_name
def test_a_lake_with_the_register_only_is_refused_or_everybody_is_looked_at(name: str) -> None:
    scenario = SCENARIOS[name]
    with pytest.raises(ConfigError, match=rf"'{name}' .* the lake has no such table"):
        check_tables(scenario, ["subject"])


# The table of the catalogue


def test_the_page_lists_the_catalogue(root: Path) -> None:
    page = (root / "training" / "README.md").read_text(encoding="utf-8")
    listed = [line for line in page.splitlines() if re.match(r"\| (SC[0-9]{2}|—) \|", line)]
    order = sorted(SCENARIOS.values(), key=lambda one: (one.code or "", one.id))
    wanted = [
        f"| {one.code or '—'} | `{one.id}` | {one.title} | {told(root, one.id)} | "
        f"{' '.join(sorted(one.tables - {'subject'}))} |"
        for one in order
    ]
    differing = "\n".join(difflib.unified_diff(listed, wanted, "page", "catalogue", lineterm=""))
    assert listed == wanted, differing


def test_a_code_leads_to_its_scenario() -> None:
    for one in SCENARIOS.values():
        if one.code:
            assert scenario_named(one.code.lower()) is one
