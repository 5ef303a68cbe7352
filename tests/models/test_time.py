"""A day of view ends at midnight in Shanghai."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.time import SHANGHAI, AsOf, parse_day


def test_the_day_ends_at_midnight_in_shanghai() -> None:
    assert AsOf(date(2026, 4, 1)).known_before == datetime(2026, 4, 1, 16, tzinfo=UTC)
    assert str(AsOf(date(2026, 4, 1))) == "2026-04-01"


def test_the_last_day_there_is_has_an_end() -> None:
    assert AsOf(date.max).known_before == datetime.max.replace(tzinfo=UTC)
    assert AsOf(date.min).known_before > datetime.min.replace(tzinfo=UTC)


@given(st.dates(date(1992, 1, 1), date(2099, 12, 30)))
def test_the_last_moment_of_the_day_is_known_and_the_next_is_not(day: date) -> None:
    end = AsOf(day).known_before
    assert (end - timedelta(microseconds=1)).astimezone(SHANGHAI).date() == day
    assert end.astimezone(SHANGHAI).date() == day + timedelta(days=1)


@given(st.dates())
def test_an_option_names_a_day(day: date) -> None:
    assert parse_day(str(day), "--as-of") == day


@pytest.mark.parametrize("text", ["2026-02-30", "26-02-03", "today", "", "2026-02-03T00:00"])
def test_an_option_that_names_no_day_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"--until {text}: no such day; write YYYY-MM-DD"):
        parse_day(text, "--until")
