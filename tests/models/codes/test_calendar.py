from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.codes import calendar
from models.errors import CodeError, ConfigError

FIRST, LAST = date(2015, 1, 1), date(2026, 12, 31)
DAYS = st.dates(FIRST, LAST)

# First and last day off, and weekend days worked, written here a second time from the notices.
NOTICES = {
    2024: (
        "1/1 2/10-2/17 4/4-4/6 5/1-5/5 6/8-6/10 9/15-9/17 10/1-10/7",
        "2/4 2/18 4/7 4/28 5/11 9/14 9/29 10/12",
    ),
    2025: ("1/1 1/28-2/4 4/4-4/6 5/1-5/5 5/31-6/2 10/1-10/8", "1/26 2/8 4/27 9/28 10/11"),
    2026: (
        "1/1-1/3 2/15-2/23 4/4-4/6 5/1-5/5 6/19-6/21 9/25-9/27 10/1-10/7",
        "1/4 2/14 2/28 5/9 9/20 10/10",
    ),
}
WORKING_DAYS_OF_YEARS = {
    2015: 249,
    2016: 250,
    2017: 249,
    2018: 250,
    2019: 250,
    2020: 249,
    2021: 250,
    2022: 249,
    2023: 249,
    2024: 251,
    2025: 248,
    2026: 248,
}


def days_of(year: int, spans: str) -> set[date]:
    """Return the days of spans such as ``5/1-5/5 10/1``."""
    days: set[date] = set()
    for span in spans.split():
        first, _, last = span.partition("-")
        start, end = (date(year, *map(int, day.split("/"))) for day in (first, last or first))
        days |= {start + timedelta(days=step) for step in range((end - start).days + 1)}
    return days


@pytest.mark.parametrize("year", NOTICES)
def test_years_follow_their_notices(year: int) -> None:
    off, worked = (days_of(year, spans) for spans in NOTICES[year])
    day = date(year, 1, 1)
    while day.year == year:
        expected = day in worked or (day.weekday() < 5 and day not in off)
        assert calendar.is_working_day(day) is expected, day
        day += timedelta(days=1)


@pytest.mark.parametrize("year", WORKING_DAYS_OF_YEARS)
def test_working_days_of_a_year(year: int) -> None:
    eve = date(year, 1, 1)
    count = calendar.working_days_between(eve, date(year, 12, 31)) + calendar.is_working_day(eve)
    assert count == WORKING_DAYS_OF_YEARS[year]


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        (date(2020, 1, 31), False),  # the Spring Festival was lengthened that year
        (date(2020, 2, 1), False),
        (date(2020, 2, 3), True),
        (date(2019, 5, 2), False),  # Labour Day, changed in March 2019
        (date(2019, 5, 5), True),
        (date(2018, 12, 31), False),  # named by the notice for 2019
        (date(2018, 12, 29), True),
        (date(2015, 9, 3), False),
        (date(2015, 9, 6), True),
    ],
)
def test_changes_made_after_a_notice(day: date, worked: bool) -> None:
    assert calendar.is_working_day(day) is worked


def test_as_many_weekend_days_are_worked_as_the_notices_say() -> None:
    frame = pl.DataFrame({"day": pl.date_range(FIRST, LAST, eager=True)})
    worked = frame.with_columns(
        works=calendar.is_working_day_expr("day"), weekend=pl.col("day").dt.weekday() > 5
    )
    swapped = worked.filter(pl.col("works") & pl.col("weekend")).group_by(pl.col("day").dt.year())
    counts = dict(swapped.len().sort("day").iter_rows())
    assert list(counts.values()) == [5, 6, 5, 7, 6, 6, 7, 7, 7, 8, 5, 6]


@pytest.mark.parametrize(
    ("decision", "last_day"),
    [
        (date(2025, 9, 26), date(2025, 10, 13)),  # over National Day, 28 September worked
        (date(2025, 3, 3), date(2025, 3, 12)),
        (date(2025, 3, 1), date(2025, 3, 11)),  # decided on a Saturday
        (date(2026, 2, 13), date(2026, 3, 2)),  # 14 and 28 February worked
        (date(2024, 12, 31), date(2025, 1, 10)),
    ],
)
def test_publicity_deadlines(decision: date, last_day: date) -> None:
    assert calendar.deadline(decision) == last_day
    assert calendar.working_days_between(decision, last_day) == 7


@given(day=st.dates(FIRST, date(2026, 11, 1)), count=st.integers(0, 25))
def test_adding_and_counting_agree(day: date, count: int) -> None:
    later = calendar.add_working_days(day, count)
    assert calendar.working_days_between(day, later) == count
    assert count == 0 or calendar.is_working_day(later)


@given(day=st.dates(date(2015, 3, 1), LAST), count=st.integers(1, 25))
def test_going_back_takes_the_last_working_days_before(day: date, count: int) -> None:
    earlier = calendar.add_working_days(day, -count)
    assert calendar.is_working_day(earlier)
    between = [earlier + timedelta(days=step) for step in range((day - earlier).days)]
    assert sum(calendar.is_working_day(step) for step in between) == count


@given(start=DAYS, end=DAYS)
def test_counting_backwards_is_counting_with_a_minus(start: date, end: date) -> None:
    forwards = calendar.working_days_between(start, end)
    assert forwards == -calendar.working_days_between(end, start)


@given(days=st.lists(st.none() | st.dates(FIRST, date(2026, 11, 1)), max_size=30))
@settings(max_examples=30)
def test_columns_say_what_scalars_say(days: list[date | None]) -> None:
    frame = pl.DataFrame({"day": days}, schema={"day": pl.Date})
    start = date(2020, 6, 30)
    result = frame.select(
        works=calendar.is_working_day_expr("day"),
        deadline=calendar.deadline_expr("day"),
        between=calendar.working_days_between_expr(pl.lit(start), "day"),
    )
    for day, row in zip(days, result.iter_rows(named=True), strict=True):
        assert row["works"] == (None if day is None else calendar.is_working_day(day))
        assert row["deadline"] == (None if day is None else calendar.deadline(day))
        expected = None if day is None else calendar.working_days_between(start, day)
        assert row["between"] == expected


@pytest.mark.parametrize("day", [date(2014, 12, 31), date(2027, 1, 1)])
def test_an_unknown_year_is_an_error_never_a_guess(day: date) -> None:
    message = rf"{day.year}.*no notice.*2015-2026.*calendar YAML"
    with pytest.raises(CodeError, match=message):
        calendar.is_working_day(day)
    with pytest.raises(CodeError, match=message):
        calendar.working_days_between(date(2025, 1, 2), day)
    frame = pl.DataFrame({"day": [date(2025, 1, 2), None, day]})
    with pytest.raises(CodeError, match=message):
        frame.select(calendar.deadline_expr("day"))
    with pytest.raises(CodeError, match=message):
        frame.select(calendar.is_working_day_expr("day"))


def test_a_term_that_runs_into_an_unknown_year_is_an_error() -> None:
    assert calendar.deadline(date(2026, 12, 22)) == date(2026, 12, 31)
    with pytest.raises(CodeError, match="2027-01-01 is in 2027"):
        calendar.deadline(date(2026, 12, 23))
    with pytest.raises(CodeError, match="2014-12-31 is in 2014"):
        calendar.add_working_days(date(2015, 1, 4), -1)


def test_callers_can_set_unknown_years_aside() -> None:
    assert calendar.known_years() == tuple(range(2015, 2027))
    frame = pl.DataFrame({"day": [date(2014, 1, 2), date(2025, 1, 2), None]})
    known = frame.filter(calendar.is_known_year_expr("day"))
    assert known.select(calendar.deadline_expr("day")).item() == date(2025, 1, 13)


def test_instants_are_refused() -> None:
    frame = pl.DataFrame({"at": [datetime(2025, 1, 2, 23)]})  # noqa: DTZ001 - the mistake itself
    with pytest.raises(CodeError, match="counted on dates"):
        frame.select(calendar.deadline_expr("at"))


def write(path: Path, text: str) -> Path:
    """Write ``text`` and return where."""
    path.write_text(text, encoding="utf-8")
    return path


def test_a_year_can_be_added_from_a_file(tmp_path: Path) -> None:
    year = "{notices: [试验], days_off: [2027-01-01/2027-01-03], worked: [2027-01-09]}"
    table = calendar.load(write(tmp_path / "more.yaml", f"years: {{2027: {year}}}\n"))
    assert calendar.known_years(table)[-1] == 2027
    assert calendar.is_working_day(date(2027, 1, 9), table)
    assert calendar.deadline(date(2026, 12, 31), 1, calendar=table) == date(2027, 1, 4)
    frame = pl.DataFrame({"day": [date(2026, 12, 31)]})
    assert frame.select(calendar.deadline_expr("day", 1, calendar=table)).item() == date(2027, 1, 4)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("years:\n  2028: {notices: [], days_off: []}\n", CodeError, "jumps over 2027"),
        ("years:\n  2027: {notices: [], days_off: [2026-01-01]}\n", CodeError, "under 2027"),
        ("years:\n  2027: {notices: [], days_off: [1月1日]}\n", CodeError, "first/last"),
        ("years:\n  2027: {notices: [], dayoff: []}\n", ConfigError, "2027"),
        ("years:\n  2027: {notices: [\n", ConfigError, "yaml:3"),
    ],
)
def test_a_wrong_file_is_explained(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        calendar.load(write(tmp_path / "wrong.yaml", text))


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        calendar.load(tmp_path / "none.yaml")


def test_terms_are_set_beyond_the_last_notice_and_told_as_assumed() -> None:
    last = calendar.known_years()[-1]
    end = calendar.add_working_days(date(last, 12, 28), 10, calendar=calendar.planning())
    assert end.year == last + 1
    assert not calendar.is_settled(end)
    assert calendar.is_settled(date(last, 12, 31))
    assert not calendar.is_working_day(date(last + 1, 10, 1), calendar.planning())
    assert calendar.is_working_day(date(last + 1, 10, 8), calendar.planning())
    with pytest.raises(CodeError):
        calendar.is_working_day(date(last + 1, 1, 4))
    with pytest.raises(CodeError):
        calendar.is_working_day(date(last + 3, 1, 4), calendar.planning())


def test_planning_knows_what_the_notices_say() -> None:
    known = calendar.load()
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    for day in days:
        assert calendar.is_working_day(day, calendar.planning()) is calendar.is_working_day(
            day, known
        )
