"""Spans, delays and days of the year are read as they are written, and nothing else is."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from models.errors import ConfigError
from models.time import MAX_DAYS, Delay, MonthDay, Span, not_in_future


class Declaration(BaseModel):
    window: Span
    embargo: Delay = Delay(0)
    until: MonthDay | None = None


@given(st.integers(1, MAX_DAYS))
def test_a_span_reads_what_it_writes(days: int) -> None:
    assert Span.parse(str(Span(days))) == Span(days)
    assert Span(days).delta == timedelta(days=days)


def test_weeks_are_seven_days() -> None:
    assert Span.parse("26w") == Span(182)


@pytest.mark.parametrize(
    "text", ["", "d", "30", "-1d", "1.5d", "36mo", "1y", "30 d", "３０d", "30D", "9999999999d"]
)
def test_what_is_no_span_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(ConfigError, match="180d"):
        Span.parse(text)


@pytest.mark.parametrize("text", ["0d", "0w", "36501d"])
def test_a_window_shorter_than_a_day_or_longer_than_a_century_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="at least 1 and at most 36500 days"):
        Span.parse(text)


def test_a_delay_may_be_nothing() -> None:
    assert Delay.parse("0d").days == 0
    with pytest.raises(ConfigError, match="180d"):
        Delay.parse("-1d")


def test_declarations_read_and_write_them_as_text() -> None:
    read = Declaration.model_validate({"window": "26w", "until": "06-30"})
    assert read.model_dump(mode="json") == {"window": "182d", "embargo": "0d", "until": "06-30"}
    assert Declaration.model_validate(read.model_dump()) == read
    properties = Declaration.model_json_schema()["properties"]
    assert properties["window"]["type"] == "string"
    with pytest.raises(ValidationError, match="180d"):
        Declaration.model_validate({"window": 180})


@given(
    st.dates(date(1990, 1, 1), date(2098, 12, 31)), st.dates(date(2001, 1, 1), date(2001, 12, 31))
)
def test_the_next_day_of_the_year_is_later_and_within_a_year(on: date, day: date) -> None:
    yearly = MonthDay(day.month, day.day)
    following = yearly.after(on)
    assert on < following <= on + timedelta(days=366)
    assert (following.month, following.day) == (day.month, day.day)
    assert MonthDay.parse(str(yearly)) == yearly


@pytest.mark.parametrize("text", ["02-29", "13-01", "00-10", "6-30", "06-31", "0630"])
def test_a_day_that_some_year_lacks_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="MM-DD"):
        MonthDay.parse(text)


def test_a_date_of_view_may_be_today_and_not_tomorrow() -> None:
    now = date(2026, 4, 1)
    assert not_in_future(now, today=now).on == now
    with pytest.raises(ConfigError, match=r"2026-04-02.*has not come.*2026-04-01"):
        not_in_future(date(2026, 4, 2), today=now)
