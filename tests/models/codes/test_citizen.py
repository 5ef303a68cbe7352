from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codes import citizen

TODAY = date(2026, 1, 1)


def number(born: date | str, *, area: str = "210102", sequence: str = "001") -> str:
    """Return a made-up number with the right check symbol."""
    day = born if isinstance(born, str) else f"{born:%Y%m%d}"
    body = f"{area}{day}{sequence}"
    total = sum(int(digit) * weight for digit, weight in zip(body, citizen.WEIGHTS, strict=True))
    return body + citizen.CHECK_SYMBOLS[total % 11]


def is_valid(value: str) -> bool:
    """Return what scalar and expression both say."""
    scalar = citizen.is_valid(value, today=TODAY)
    column = pl.DataFrame({"id": [value]}).select(citizen.is_valid_expr("id", today=TODAY))
    assert column.item() is scalar
    return bool(scalar)


def test_standard_example() -> None:
    assert is_valid("11010519491231002X")
    assert not is_valid("11010519491231002x")
    assert not is_valid("110105194912310021")


@given(born=st.dates(date(1900, 1, 1), TODAY), sequence=st.integers(0, 999))
def test_every_real_day_is_valid(born: date, sequence: int) -> None:
    assert is_valid(number(born, sequence=f"{sequence:03}"))


@given(born=st.dates(date(1900, 1, 1), TODAY), place=st.integers(14, 16), step=st.integers(1, 9))
def test_any_changed_digit_is_found(born: date, place: int, step: int) -> None:
    code = number(born)
    other = str((int(code[place]) + step) % 10)
    assert not is_valid(code[:place] + other + code[place + 1 :])


@pytest.mark.parametrize(
    "day", ["20010229", "19000229", "20231301", "20230001", "20230100", "20230431", "18991231"]
)
def test_unreal_days_are_not_valid(day: str) -> None:
    assert not is_valid(number(day))


def test_leap_days_are_real() -> None:
    assert is_valid(number("20000229"))
    assert is_valid(number("20240229"))


def test_nobody_is_born_tomorrow() -> None:
    assert is_valid(number(TODAY))
    assert not is_valid(number(TODAY + timedelta(days=1)))


@pytest.mark.parametrize("area", ["990102", "160101", "009999", "910101"])
def test_unknown_provinces_are_not_valid(area: str) -> None:
    assert not is_valid(number("19991231", area=area))


@pytest.mark.parametrize("area", ["830000", "810000", "650102"])
def test_residence_permits_have_areas_too(area: str) -> None:
    assert is_valid(number("19991231", area=area))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("11010519491231002X", "110***********002X"),
        ("E12345678", "E12**5678"),
        ("1234567", "*******"),
        ("中文", "**"),
        ("", ""),
        (None, None),
    ],
)
def test_mask_keeps_head_and_tail(value: str | None, shown: str | None) -> None:
    assert citizen.mask(value) == shown
    column = pl.DataFrame({"id": [value]}, schema={"id": pl.String})
    assert column.select(citizen.mask_expr("id")).item() == shown


@given(text=st.text(max_size=40))
def test_mask_never_shows_the_middle(text: str) -> None:
    shown = citizen.mask(text) or ""
    assert len(shown) == len(text)
    assert set(shown[3:-4]) <= {"*"}
