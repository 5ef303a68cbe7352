"""What becomes of rows under the standard, of natural persons, and of a user's own table."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from models.codes.uscc import make_uscc
from models.records.bookkeeping import QUARANTINE
from tests.training.sources.world import (
    KEY,
    NAMES,
    PENALTY,
    REGISTER,
    A,
    B,
    World,
    mapping,
    penalties,
    registered,
)
from training.sources.identity import person_id

ORGAN = make_uscc("11", "210100", body="00000001")
STRICT = """
  - id: strict
    target: penalty
    files: [strict.csv]
    strict: true
    known_at: {from: 报送时间}
"""


# Strict, findings, persons

FULL = {
    "行政相对人名称": NAMES[A],
    "行政相对人类别": "法人及非法人组织",
    "统一社会信用代码": A,
    "法定代表人": "某某",
    "处罚决定书文号": "沈罚1号",
    "违法行为类型": "违反《食品安全法》",
    "违法事实": "过期食品",
    "处罚依据": "《中华人民共和国食品安全法》第一百二十四条",
    "处罚类别": "罚款",
    "处罚内容": "罚款2000元",
    "CF_NR_FK": "0.2",
    "处罚决定日期": "2024-01-05",
    "处罚有效期": "2099/12/31",
    "公示截止期": "2025-01-05",
    "处罚机关": "沈阳市市场监督管理局",
    "CF_CFJGDM": ORGAN,
    "数据来源单位": "沈阳市市场监督管理局",
    "CF_SJLYDM": ORGAN,
    "报送时间": "2024-01-08 09:00",
    "CF_XDR_ZJHM": "",
}


def strict_file(world: World, *rows: dict[str, str]) -> None:
    lines = [",".join(FULL), *(",".join((FULL | changes).values()) for changes in rows)]
    world.write("strict.csv", "\n".join(lines) + "\n")


def strict_rules(world: World, **changes: str) -> set[str]:
    registered(world)
    strict_file(world, changes)
    return set(world.run(mapping(REGISTER, STRICT))["strict"].rules)


def test_a_full_row_passes_the_standard(world: World) -> None:
    assert strict_rules(world) == set()
    (record,) = world.table("penalty").to_dicts()
    assert record["fine_amount"] == 2000
    assert record["penalty_kinds"] == ["03"]
    assert record["known_at"] == datetime(2024, 1, 8, 1, tzinfo=UTC)
    assert record["findings"] == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"违法事实": ""}, "V01"),
        ({"法定代表人": ""}, "V01"),
        ({"统一社会信用代码": A[:17] + "*"}, "V02"),
        ({"行政相对人类别": "个体工商户"}, "V03"),
        ({"行政相对人名称": "另一家公司"}, "V04"),
        ({"处罚决定日期": "2024-02-05"}, "V05"),
        ({"处罚有效期": "2023-12-31"}, "V06"),
        ({"CF_NR_FK": ""}, "V07"),
        ({"违法事实": "某人210102199001011237酒驾"}, "V09"),
        ({"CF_CFJGDM": B}, "V14"),
    ],
)
def test_what_the_standard_refuses(changes: dict[str, str], rule: str, world: World) -> None:
    assert rule in strict_rules(world, **changes)


def test_what_only_the_standard_refuses_passes_elsewhere(world: World) -> None:
    registered(world)
    strict_file(world, {"违法事实": "", "行政相对人名称": "另一家公司"})
    plain = STRICT.replace("strict: true", "strict: false")
    assert world.run(mapping(REGISTER, plain))["strict"].accepted == 1


def test_warnings_are_noted_and_the_row_is_kept(world: World) -> None:
    changes = {"CF_NR_FK": "2000", "处罚依据": "法律", "违法事实": "<b>过期</b>"}
    assert strict_rules(world, **changes) == set()
    (record,) = world.table("penalty").to_dicts()
    assert sorted(record["findings"]) == ["V08", "V11", "V13"]
    assert record["violation_fact"] == "过期"


def test_an_invalid_code_with_a_known_name_is_a_finding(world: World) -> None:
    registered(world)
    world.write("penalty.csv", penalties(f"沈罚1号,{A[:17]}*,{NAMES[A]},2024-01-05,,"))
    tally = world.run(mapping(REGISTER, PENALTY))["penalty"]
    assert (tally.accepted, tally.by_name) == (1, 1)
    assert world.table("penalty").select("subject_id", "findings").rows() == [(A, ["V02"])]


PERSON = {
    "行政相对人类别": "自然人",
    "行政相对人名称": "某某",
    "统一社会信用代码": "",
    "法定代表人": "",
    "CF_XDR_ZJHM": "210102199001011237",
}


@pytest.mark.parametrize("strict", ["true", "false"])
def test_a_person_is_kept_without_name_and_number(strict: str, world: World) -> None:
    registered(world)
    strict_file(world, PERSON)
    source = STRICT.replace("strict: true", f"strict: {strict}")
    tally = world.run(mapping(REGISTER, source))["strict"]
    assert tally.accepted == 1, tally.rules
    (record,) = world.table("penalty").to_dicts()
    assert record["subject_id"] == person_id(PERSON["CF_XDR_ZJHM"], KEY)
    assert not {"某某", PERSON["CF_XDR_ZJHM"]} & {str(value) for value in record.values()}


def test_without_a_key_a_person_is_refused(world: World) -> None:
    strict_file(world, PERSON)
    loaded = world.mapping(mapping(STRICT))
    tally = world.run_mapping(loaded, person_key=None)["strict"]
    assert (tally.accepted, tally.by_code, tally.unmatched) == (0, 0, 1)
    assert "S03" in tally.rules


def test_former_names_imported_in_the_same_run_find_their_subject(world: World) -> None:
    registered(world)
    world.write(
        "change.csv",
        f"统一社会信用代码,变更日期,变更事项,变更前,变更后\n{A},2023-01-05,name,旧名厂,{NAMES[A]}\n",
    )
    world.write("penalty.csv", penalties("沈罚1号,,旧名厂,2024-01-05,,"))
    change = """
  - id: change
    target: change
    files: [change.csv]
    known_at: {after: happened_on, days: 1}
"""
    tallies = world.run(mapping(PENALTY, change, REGISTER))
    assert tallies["penalty"].by_name == 1
    assert world.table("penalty")["subject_id"].to_list() == [A]


# A user's own table


def test_a_users_own_table_needs_no_python(world: World) -> None:
    world.write(
        "machine.yaml",
        """
name: machine
title: 机械设备
key: [registration_code]
columns:
  registration_code: {type: text, title: 使用登记证编号, required: true, spellings: [证号]}
  category: {type: text, title: 设备类别, one_of: [电梯, 锅炉], role: category}
  due_on: {type: date, title: 下次检验日期}
  capacity: {type: number, title: 额定容量, unit: 元, min: 0, role: measure, in_wan: [容量（万）]}
  accident: {type: flag, title: 是否发生事故, known_after: outcome}
  tags: {type: list, title: 标签}
  seen_at: {type: time, title: 登记时间}
""",
    )
    registered(world)
    world.write(
        "machine.csv",
        "证号,统一社会信用代码,企业名称,设备类别,下次检验日期,容量（万）,是否发生事故,标签,登记时间,登记日期\n"
        f"梯1,{A},,电梯,2025年3月1日,1.5,否,甲;乙,2024-01-05 09:00,2024-01-05\n"
        f"梯2,,{NAMES[B]},缆车,2025-03-01,1,是,,,2024-01-05\n"
        f"梯1,{A},,电梯,,,,,,2024-01-05\n",
    )
    own = """
  - id: machine
    target: machine.yaml
    files: [machine.csv]
    columns: {happened_on: 登记日期}
    known_at: {on: 2024-06-01}
"""
    tally = world.run(mapping(REGISTER, own))["machine"]
    assert tally.rules == {"F03": 1, "V10": 1}
    (record,) = world.table("machine").to_dicts()
    assert (record["capacity"], record["tags"], record["accident"]) == (15000, ["甲", "乙"], False)
    assert record["seen_at"] == datetime(2024, 1, 5, 1, tzinfo=UTC)
    assert QUARANTINE in world.lake.tables()
