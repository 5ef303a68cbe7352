"""Each rule of the publication standard lets good rows pass and stops bad ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

import polars as pl
import pytest

from models.codes.uscc import make_uscc
from models.errors import RecordError
from models.records import gate
from models.records.contract import Contract
from models.records.tables.publicity import LICENCE, PENALTY
from models.records.tables.standing import LISTING
from models.records.tables.subject import SUBJECT

FIRM = make_uscc("91", "210100", body="YY000001")
SHOP = make_uscc("92", "210300", body="YY000003")
COOPERATIVE = make_uscc("93", "210100", body="YY000004")
ORGAN = make_uscc("11", "210100", body="YY000005")
INSTITUTION = make_uscc("12", "210100", body="YY000006")
ID_NUMBER = "11010519491231002X"

BASE: Mapping[str, object] = {
    "record_id": "0" * 32,
    "subject_id": FIRM,
    "happened_on": date(2025, 3, 3),
    "known_at": datetime(2025, 3, 10, tzinfo=UTC),
    "known_assumed": False,
    "authority": "沈阳市市场监督管理局",
    "authority_code": ORGAN,
    "region": "210100",
    "source_ref": "a.csv#2",
    "findings": [],
}
GOOD_PENALTY: Mapping[str, object] = BASE | {
    "document_number": "沈市监处罚〔2025〕12号",
    "subject_name": "沈阳某某商贸有限公司",
    "subject_category": "法人及非法人组织",
    "legal_representative": "P_1",
    "violation_type": "《食品安全法》第一百二十四条",
    "violation_fact": "销售超过保质期的食品",
    "legal_basis": "《食品安全法》第一百二十四条第一款第五项",
    "penalty_kinds": ["03"],
    "penalty_content": "罚款人民币贰仟元",
    "fine_amount": 2000.0,
    "valid_to": date(2099, 12, 31),
    "publish_until": date(2026, 3, 3),
    "source_authority": "沈阳市市场监督管理局",
    "source_authority_code": ORGAN,
}
GOOD_LICENCE: Mapping[str, object] = BASE | {
    "document_number": "沈食许〔2025〕7号",
    "subject_name": "沈阳某某商贸有限公司",
    "subject_category": "法人及非法人组织",
    "legal_representative": "P_1",
    "document_name": "准予行政许可决定书",
    "kind": "普通",
    "content": "食品经营许可",
    "valid_from": date(2025, 3, 3),
    "valid_to": date(2030, 3, 2),
    "valid": True,
    "source_authority": "沈阳市市场监督管理局",
    "source_authority_code": ORGAN,
}


def frame(contract: Contract, *rows: Mapping[str, object]) -> pl.DataFrame:
    numbered = [{**row, "source_ref": f"a.csv#{i}"} for i, row in enumerate(rows, start=2)]
    return pl.DataFrame(numbered, schema=contract.dtypes)


def broken(contract: Contract, change: Mapping[str, object], *, strict: bool = True) -> set[str]:
    good = GOOD_LICENCE if contract is LICENCE else GOOD_PENALTY
    gated = gate.check(frame(contract, {**good, **change}), contract, strict=strict)
    assert gated.good.height == (1 if gated.problems.is_empty() else 0)
    return set(gated.problems["rule"])


Case = tuple[str, Mapping[str, object], Mapping[str, object]]

PENALTY_CASES: list[Case] = [
    # V01 required fields
    ("V01", {"violation_fact": None}, {}),
    ("V01", {"publish_until": None}, {"remark": None}),
    ("V01", {"legal_representative": None}, {"legal_representative": "P_2"}),
    ("V01", {"authority_code": None, "subject_name": None}, {"revoked_certificate": None}),
    # V03 category and prefix
    (
        "V03",
        {"subject_category": "个体工商户"},
        {"subject_category": "个体工商户", "subject_id": SHOP},
    ),
    ("V03", {"subject_id": SHOP}, {"subject_id": COOPERATIVE}),
    ("V03", {"subject_category": "自然人"}, {"subject_category": "自然人", "subject_id": "P_0"}),
    # V05 dates
    ("V05", {"happened_on": date(2025, 3, 11)}, {"happened_on": date(2025, 3, 10)}),
    ("V05", {"happened_on": date(1949, 9, 30)}, {"happened_on": date(1949, 10, 1)}),
    (
        "V05",
        {"known_at": datetime(2025, 3, 2, 15, tzinfo=UTC)},
        {"known_at": datetime(2025, 3, 2, 16, tzinfo=UTC)},
    ),
    # V06 order of dates
    ("V06", {"valid_to": date(2025, 3, 2)}, {"valid_to": date(2025, 3, 3)}),
    ("V06", {"publish_until": date(2024, 3, 3)}, {"publish_until": date(2025, 3, 3)}),
    (
        "V06",
        {"void_from": date(2025, 6, 1)},
        {"void_from": date(2025, 6, 1), "void_reason": "repaired"},
    ),
    # V07 amounts and kinds agree
    ("V07", {"fine_amount": None}, {"fine_amount": None, "penalty_kinds": ["01"]}),
    ("V07", {"penalty_kinds": ["01"]}, {"penalty_kinds": ["01", "03"]}),
    (
        "V07",
        {"penalty_kinds": ["03", "04"]},
        {"penalty_kinds": ["03", "04"], "confiscated_amount": 5.0},
    ),
    (
        "V07",
        {"penalty_kinds": ["03", "08"]},
        {"penalty_kinds": ["03", "08"], "revoked_certificate": "许可证1号"},
    ),
    # V09 no citizen's number in a text
    (
        "V09",
        {"violation_fact": f"当事人（{ID_NUMBER}）"},
        {"violation_fact": "编号110105194912310021"},
    ),
    (
        "V09",
        {"penalty_content": f"罚款2000元，{ID_NUMBER}"},
        {"penalty_content": f"罚款2000元，代码{FIRM}"},
    ),
    ("V09", {"remark": ID_NUMBER}, {"remark": ID_NUMBER[:-1]}),
    # V14 who decided
    ("V14", {"authority_code": FIRM}, {"authority_code": INSTITUTION}),
    ("V14", {"authority_code": ORGAN[:-1] + "0"}, {"authority_code": ORGAN}),
    (
        "V14",
        {"authority_code": "沈阳"},
        {"authority_code": make_uscc("19", "210100", body="YY000009")},
    ),
    # F03, F04: enumerations, lengths, ranges
    ("F03", {"severity": "heavy"}, {"severity": "serious"}),
    ("F03", {"penalty_kinds": ["03", "77"]}, {"penalty_kinds": ["03", "99"]}),
    ("F03", {"procedure": "quick"}, {"procedure": "simple"}),
    ("F04", {"fine_amount": -1.0}, {"fine_amount": 0.01}),
    ("F04", {"region": "沈阳"}, {"region": "210102"}),
    ("F04", {"max_months": -3}, {"max_months": 36}),
]


@pytest.mark.parametrize(("rule", "bad", "good"), PENALTY_CASES)
def test_a_penalty_breaks_its_rule_and_no_other(
    rule: str, bad: Mapping[str, object], good: Mapping[str, object]
) -> None:
    assert broken(PENALTY, bad) == {rule}
    assert broken(PENALTY, good) == set()


LICENCE_CASES: list[Case] = [
    ("V01", {"content": None}, {"certificate_name": None}),
    ("V01", {"kind": None}, {"kind": "登记"}),
    ("V01", {"valid": None}, {"valid": False}),
    ("V03", {"subject_category": "个体工商户"}, {"subject_id": INSTITUTION}),
    ("V06", {"valid_to": date(2025, 3, 2)}, {"valid_to": date(2099, 12, 31)}),
    ("V06", {"valid_from": date(2031, 1, 1)}, {"valid_from": date(2024, 1, 1)}),
    ("V09", {"content": f"准予{ID_NUMBER}执业"}, {"content": "准予执业"}),
    ("V14", {"authority_code": SHOP}, {"authority_code": INSTITUTION}),
    ("F03", {"kind": "特别"}, {"kind": "特许"}),
    ("F04", {"document_number": "号" * 129}, {"document_number": "号" * 128}),
]


@pytest.mark.parametrize(("rule", "bad", "good"), LICENCE_CASES)
def test_a_licence_breaks_its_rule_and_no_other(
    rule: str, bad: Mapping[str, object], good: Mapping[str, object]
) -> None:
    assert broken(LICENCE, bad) == {rule}
    assert broken(LICENCE, good) == set()


def test_a_plain_import_does_not_ask_for_what_only_publication_needs() -> None:
    bare: Mapping[str, object] = {
        "violation_fact": None,
        "publish_until": None,
        "authority_code": None,
        "fine_amount": None,
    }
    assert broken(PENALTY, bare, strict=False) == set()
    assert broken(PENALTY, bare, strict=True) == {"V01", "V07"}


def found(change: Mapping[str, object]) -> list[str]:
    good = gate.check(frame(PENALTY, {**GOOD_PENALTY, **change}), PENALTY).good
    return good["findings"].item().to_list()


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        ("V08", {"fine_amount": 0.2}, {"fine_amount": 2000.0}),
        ("V08", {"fine_amount": 20_000_000.0}, {"penalty_content": "警告"}),
        ("V08", {"penalty_content": "处以贰万元罚款"}, {"fine_amount": None}),
        (
            "V08",
            {"penalty_content": "罚款500元；罚款1000元"},
            {"penalty_content": "罚款500元；罚款1500元"},
        ),
        ("V11", {"legal_basis": "食品安全法"}, {"legal_basis": "《食品安全法》第122条"}),
        ("V11", {"legal_basis": "《食品安全法》"}, {"legal_basis": None}),
        ("V11", {"legal_basis": "第五条"}, {"legal_basis": "违反《某条例》第三条之规定"}),
        ("V12", {"procedure": "simple"}, {"procedure": "ordinary"}),
        ("V12", {"document_number": "京建法罚简（密建）字1号"}, {"document_number": "京建法罚1号"}),
        ("V12", {"remark": "当场处罚"}, {"remark": "一般程序"}),
    ],
)
def test_a_warning_is_noted_and_the_row_is_kept(
    rule: str, bad: Mapping[str, object], good: Mapping[str, object]
) -> None:
    assert found(bad) == [rule]
    assert found(good) == []


def test_every_broken_rule_of_a_row_is_named_with_its_value() -> None:
    row = {**GOOD_PENALTY, "severity": "heavy", "fine_amount": -1.0, "violation_fact": None}
    problems = gate.check(frame(PENALTY, row), PENALTY, strict=True).problems
    assert problems.sort("rule").rows() == [
        ("a.csv#2", "F03", "severity", "heavy"),
        ("a.csv#2", "F04", "fine_amount", "-1.0"),
        ("a.csv#2", "V01", "violation_fact", None),
    ]


def test_good_rows_keep_their_order_among_bad_ones() -> None:
    rows = [{**GOOD_PENALTY, "fine_amount": a} for a in (3.0, -1.0, 1.0, -2.0, 2.0)]
    gated = gate.check(frame(PENALTY, *rows), PENALTY)
    assert gated.good["fine_amount"].to_list() == [3.0, 1.0, 2.0]
    assert set(gated.problems["source_ref"]) == {"a.csv#3", "a.csv#5"}


def test_findings_already_noted_stay() -> None:
    row = {**GOOD_PENALTY, "findings": ["V13"], "fine_amount": 0.2}
    good = gate.check(frame(PENALTY, row), PENALTY).good
    assert good["findings"].to_list() == [["V13", "V08"]]


def test_a_frame_without_the_contract_s_columns_is_refused() -> None:
    with pytest.raises(RecordError, match=r"lack the columns .*fine_amount"):
        gate.check(frame(PENALTY, GOOD_PENALTY).drop("fine_amount"), PENALTY)


def test_an_empty_frame_passes() -> None:
    gated = gate.check(frame(LISTING), LISTING)
    assert gated.good.is_empty()
    assert gated.problems.schema == pl.Schema(gate.PROBLEM_SCHEMA)


def test_a_subject_may_have_no_date_of_birth() -> None:
    row = {
        **BASE,
        "happened_on": None,
        "name": "沈阳某某商贸有限公司",
        "closed_on": date(2025, 1, 1),
    }
    assert gate.check(frame(SUBJECT, row), SUBJECT).problems.is_empty()
