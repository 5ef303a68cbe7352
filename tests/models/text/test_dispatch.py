from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError, TransitionError
from models.text import dispatch
from models.text.dispatch import MACHINE, Read, office, route, rules
from models.text.taxonomy import taxonomy

HEPING, SHENYANG, LIAONING = "210102", "210100", "210000"
LEAVES = [leaf.code for leaf in taxonomy().leaves]


def read(*top: tuple[str, float], abstains: bool = False) -> Read:
    return Read(top, abstains)


def kinds(text: str, told: Read | None) -> list[str]:
    return [one.kind for one in route(text, told, HEPING).reasons]


def test_a_plain_complaint_goes_to_the_department_of_its_place() -> None:
    found = route("买到过期牛奶", read(("F04", 0.9), ("F06", 0.05)), HEPING)
    assert (found.state, found.department, found.region) == ("dispatched", "market", HEPING)
    assert (found.leaf, found.probability, found.reasons) == ("F04", 0.9, ())


@pytest.mark.parametrize(
    ("text", "told", "why"),
    [
        ("买到过期牛奶", None, ["no_model"]),
        ("。。。", read(), ["nothing_to_read"]),
        ("买到过期牛奶", read(("F04", 0.59)), ["unsure"]),
        ("买到过期牛奶", read(("F04", 0.7), abstains=True), ["unsure"]),
        ("工厂", read(("F04", 0.61), ("E02", 0.31)), ["two_departments"]),
        ("冒用商标", read(("M22", 0.9)), ["two_departments"]),
        ("吃后食物中毒", read(("F04", 0.9)), ["public_safety"]),
        ("老板 跑 路 了", read(("F04", 0.9)), ["public_safety"]),
        ("鍋爐爆炸", None, ["no_model", "public_safety"]),
    ],
)
def test_what_is_not_plain_goes_to_a_person_who_is_told_why(
    text: str, told: Read | None, why: list[str]
) -> None:
    found = route(text, told, HEPING)
    assert [one.kind for one in found.reasons] == why
    assert (found.state, found.department, found.region) == ("desk", None, None)
    assert all(one.text for one in found.reasons)


def test_a_likely_leaf_of_the_same_department_is_no_second_one() -> None:
    assert kinds("牛奶", read(("F04", 0.61), ("F06", 0.35))) == []


@pytest.mark.parametrize(
    ("region", "department", "leaf", "expected"),
    [
        (HEPING, "market", "F04", HEPING),
        (HEPING, "market", "M25", LIAONING),
        (HEPING, "bank", "J03", SHENYANG),
        (SHENYANG, "market", "F04", SHENYANG),
        ("110105", "bank", None, "110000"),
        ("110105", "market", None, "110105"),
    ],
)
def test_the_level_is_the_departments_but_never_below_the_place(
    region: str, department: str, leaf: str | None, expected: str
) -> None:
    assert office(region, department, leaf) == expected


@given(st.sampled_from(LEAVES), st.floats(0, 1), st.text(max_size=50))
def test_whatever_is_sent_goes_to_an_office_or_to_a_person(leaf: str, p: float, text: str) -> None:
    found = route(text, read((leaf, p)), HEPING)
    assert (found.department is None) == bool(found.reasons) == (found.state == "desk")
    if not found.reasons:
        assert p >= rules().confidence
        assert len(taxonomy().leaf(leaf).departments) == 1


def test_terms_are_working_days() -> None:
    friday = date(2026, 11, 20)
    assert dispatch.recall_until(friday) == date(2026, 11, 23)
    assert dispatch.accept_due("complaint", "market", friday) == date(2026, 12, 1)
    assert dispatch.accept_due("report", "market", friday) == date(2026, 12, 11)
    assert dispatch.accept_due("complaint", None, friday) == date(2026, 12, 1)
    assert dispatch.accept_due("complaint", "tax", friday) is None
    assert dispatch.end_due("report", "market", friday) is None
    # Beyond the last notice the holidays of fixed dates are assumed.
    assert dispatch.end_due("complaint", "market", friday) == date(2027, 1, 25)


def test_no_step_leads_out_of_the_end() -> None:
    assert MACHINE.allowed("closed") == ()
    with pytest.raises(TransitionError, match="recall"):
        MACHINE.after("accepted", "recall")


@pytest.mark.parametrize(
    ("found", "put", "told"),
    [
        ("bank: city", "banc: city", "banc"),
        ("M25: province", "M99: province", "M99"),
        ("confidence: 0.6", "confidence: 6", "confidence"),
        ("[market, drug, intellectual]", "[market, market]", "two clocks"),
    ],
)
def test_a_mistake_in_the_rules_is_told_with_its_place(
    tmp_path: Path, found: str, put: str, told: str
) -> None:
    text = Path(dispatch.__file__).with_name("dispatch.yaml").read_text("utf-8")
    assert found in text
    (tmp_path / "rules.yaml").write_text(text.replace(found, put), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"rules\.yaml:\d+|rules\.yaml.*{told}") as error:
        dispatch.load(tmp_path / "rules.yaml")
    assert told in str(error.value)
