from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codes import organisation
from models.errors import CodeError

BODIES = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=8, max_size=8)


@pytest.mark.parametrize(("body", "check"), [("D2143569", "X"), ("M000100Y", "4")])
def test_worked_examples(body: str, check: str) -> None:
    assert organisation.check_symbol(body) == check
    assert organisation.is_valid(body + check) is True
    assert organisation.is_valid(f"{body}-{check}") is True


@given(body=BODIES.filter(lambda body: body != "0" * 8))
def test_completed_codes_are_valid_and_only_those(body: str) -> None:
    code = organisation.complete_organisation_code(body)
    assert organisation.is_valid(code) is True
    others = set(organisation.CHECK_SYMBOLS) - {code[8]}
    assert not any(organisation.is_valid(body + other) for other in others)


@given(digits=st.text("0123456789", min_size=8, max_size=8), place=st.integers(0, 7))
def test_any_changed_digit_is_found(digits: str, place: int) -> None:
    code = organisation.complete_organisation_code(digits)
    other = str((int(code[place]) + 1) % 10)
    assert organisation.is_valid(code[:place] + other + code[place + 1 :]) is False


@pytest.mark.parametrize(
    "code", ["00000000-0", "000000000", "", "D2143569", "D-2143569X", "d2143569X"]
)
def test_what_is_no_organisation_code(code: str) -> None:
    assert organisation.is_valid(code) is False


def test_a_wrong_body_cannot_be_completed() -> None:
    with pytest.raises(CodeError, match="'D214' begins no 组织机构代码"):
        organisation.complete_organisation_code("D214")


def test_completing_a_column() -> None:
    frame = pl.DataFrame({"body": ["D2143569", "D214", None]})
    made = frame.select(organisation.complete_organisation_code_expr("body")).to_series()
    assert made.to_list() == ["D2143569X", None, None]
