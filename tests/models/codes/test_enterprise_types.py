from __future__ import annotations

import pytest

from models.codes import enterprise_types
from models.codes.enterprise_types import Ownership


@pytest.mark.parametrize(
    ("given", "ownership"),
    [
        ("1100", Ownership.LIMITED),
        ("1110", Ownership.STATE),
        ("1120", Ownership.LIMITED),
        ("1130", Ownership.PRIVATE),
        ("1140", Ownership.STATE),
        ("1151", Ownership.PRIVATE),
        ("1159", Ownership.LIMITED),
        ("1219", Ownership.JOINT_STOCK),
        ("2190", Ownership.BRANCH),
        ("3100", Ownership.STATE),
        ("3200", Ownership.COLLECTIVE),
        ("3500", None),
        ("4533", Ownership.PARTNERSHIP),
        ("4540", Ownership.SOLE_PROPRIETOR),
        ("5190", Ownership.FOREIGN),
        ("5810", Ownership.BRANCH),
        ("6220", Ownership.HONGKONG_MACAO_TAIWAN),
        ("7390", Ownership.FOREIGN),
        ("9100", Ownership.COOPERATIVE),
        ("9200", Ownership.BRANCH),
        ("9500", Ownership.INDIVIDUAL_BUSINESS),
        ("8000", None),
        ("110", Ownership.STATE),
        ("120", Ownership.COLLECTIVE),
        ("130", Ownership.COLLECTIVE),
        ("159", Ownership.LIMITED),
        ("160", Ownership.JOINT_STOCK),
        ("174", Ownership.PRIVATE),
        ("230", Ownership.HONGKONG_MACAO_TAIWAN),
        ("310", Ownership.FOREIGN),
        ("900", None),
        ("１１１０", Ownership.STATE),
        ("有限责任公司（自然人投资或控股）", Ownership.PRIVATE),
        ("有限责任公司(法人独资)", Ownership.LIMITED),
        ("其他股份有限公司(上市)", Ownership.JOINT_STOCK),
        ("股份有限公司(非上市、国有控股)", Ownership.STATE),
        ("集体所有制(股份合作)", Ownership.COLLECTIVE),
        ("有限责任公司(台港澳法人独资)", Ownership.HONGKONG_MACAO_TAIWAN),
        ("有限责任公司(中外合资)", Ownership.FOREIGN),
        ("有限责任公司(外商投资企业投资)", Ownership.LIMITED),
        ("有限责任公司分公司(国有独资)", Ownership.BRANCH),
        ("有限合伙企业", Ownership.PARTNERSHIP),
        ("农民专业合作社", Ownership.COOPERATIVE),
        ("个体工商户", Ownership.INDIVIDUAL_BUSINESS),
        ("机关", None),
        ("", None),
        (None, None),
    ],
)
def test_ownership(given: str | None, ownership: Ownership | None) -> None:
    assert enterprise_types.ownership(given) is ownership


def test_every_ownership_can_be_reached() -> None:
    codes = [f"{number}" for number in range(100, 10_000)]
    assert {enterprise_types.ownership(code) for code in codes} == {*Ownership, None}


def test_a_name_falls_back_to_the_shorter_code() -> None:
    assert enterprise_types.name("1151") == "有限责任公司(自然人独资)"
    assert enterprise_types.name("1159") == "一人有限责任公司"
    assert enterprise_types.is_known("1151") is True
    assert enterprise_types.is_known("1159") is False


@pytest.mark.parametrize("code", ["1110", "1130", "1140", "1200", "3100", "3200", "4533", "9100"])
def test_a_listed_name_means_the_same_as_its_code(code: str) -> None:
    assert enterprise_types.ownership(enterprise_types.name(code)) is enterprise_types.ownership(
        code
    )
