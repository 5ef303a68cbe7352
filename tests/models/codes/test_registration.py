from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.codes import registration

BODIES = st.text("0123456789", min_size=14, max_size=14)


def test_worked_example() -> None:
    assert registration.check_digit("21010000000001") == "9"
    assert registration.is_valid("210100000000019") is True


@given(body=BODIES)
def test_one_check_digit_fits(body: str) -> None:
    valid = [digit for digit in "0123456789" if registration.is_valid(body + digit)]
    assert valid == [registration.check_digit(body)]


@given(body=BODIES, place=st.integers(0, 13), step=st.integers(1, 9))
def test_any_changed_digit_is_found(body: str, place: int, step: int) -> None:
    number = body + str(registration.check_digit(body))
    other = str((int(number[place]) + step) % 10)
    assert registration.is_valid(number[:place] + other + number[place + 1 :]) is False


def test_only_ascii_digits_count() -> None:
    assert registration.is_valid("２１０１０００００００００１９") is False
    assert registration.is_valid(None) is None
