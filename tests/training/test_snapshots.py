"""Dates of view: regular, and only where the whole outcome is known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.records.reading import MemoryRecords
from models.scenarios import Scenario, parse_scenario
from training.snapshots import Period, check_complete, complete_on, latest_view, period, snapshots

TEXT = """\
id: trial
title: 试验
legal_basis: [试验]
subject: enterprise
label: {label}
snapshots: {snapshots}
features: {{tables: [penalty], windows: [365d]}}
grades: {{A: {{below: 0.1, draw: 0.1}}, B: {{draw: 0.5}}}}
"""
DATA = Period(date(2020, 1, 1), date(2025, 12, 31))


def scenario(
    snapshots: str = "{every: 30d}", label: str = "{table: penalty, horizon: 180d}"
) -> Scenario:
    return parse_scenario(TEXT.format(label=label, snapshots=snapshots), "s.yaml")


def test_dates_are_regular_and_their_outcomes_complete() -> None:
    dates = snapshots(scenario("{every: 30d, embargo: 20d}"), DATA)
    assert dates[0] >= DATA.start
    assert dates[0] - timedelta(days=30) < DATA.start
    assert {b - a for a, b in pairwise(dates)} == {timedelta(days=30)}
    assert dates[-1] + timedelta(days=200) <= DATA.end
    assert dates[-1] + timedelta(days=230) > DATA.end


def test_the_embargo_waits_for_what_is_reported_late() -> None:
    declared = scenario("{every: 1d, embargo: 20d}")
    assert complete_on(declared, date(2025, 6, 14)) == date(2025, 12, 31)
    assert snapshots(declared, DATA)[-1] == date(2025, 6, 14)
    assert snapshots(scenario("{every: 1d}"), DATA)[-1] == date(2025, 7, 4)


def test_bounds_are_kept() -> None:
    declared = scenario("{every: 30d, first: 2022-01-15, last: 2022-03-31}")
    days = [date(2022, 1, 15), date(2022, 2, 14), date(2022, 3, 16)]
    assert list(snapshots(declared, DATA)) == days
    early = scenario("{every: 30d, first: 2019-12-20}")
    assert snapshots(early, DATA)[0] == date(2020, 1, 19)


def test_days_of_the_year() -> None:
    yearly = scenario(
        "{on: ['05-31', '03-31'], embargo: 10d}",
        '{kind: survival, table: annual_report, where: "year == year(due) - 1", until: "06-30"}',
    )
    within = Period(date(2024, 4, 1), date(2025, 7, 10))
    assert snapshots(yearly, within) == (date(2024, 5, 31), date(2025, 3, 31), date(2025, 5, 31))
    shorter = Period(date(2024, 4, 1), date(2025, 7, 9))
    assert snapshots(yearly, shorter) == (date(2024, 5, 31),)


def test_the_latest_view_is_the_end_of_the_data_or_the_last_day_of_the_year_declared() -> None:
    assert latest_view(scenario("{every: 30d}"), DATA) == DATA.end
    yearly = scenario('{on: ["03-31", "05-31"]}')
    assert latest_view(yearly, Period(date(2023, 1, 1), date(2025, 12, 20))) == date(2025, 5, 31)
    assert latest_view(yearly, Period(date(2023, 1, 1), date(2025, 4, 2))) == date(2025, 3, 31)
    assert latest_view(yearly, Period(date(2025, 6, 1), date(2025, 7, 1))) == date(2025, 7, 1)


def test_too_little_data_gives_no_dates() -> None:
    assert snapshots(scenario(), Period(date(2025, 1, 1), date(2025, 6, 29))) == ()


@given(st.integers(1, 400), st.integers(0, 90), st.dates(date(2021, 1, 1), date(2029, 1, 1)))
def test_more_data_adds_dates_and_moves_none(every: int, embargo: int, end: date) -> None:
    declared = scenario(f"{{every: {every}d, embargo: {embargo}d}}")
    before = snapshots(declared, Period(DATA.start, end))
    after = snapshots(declared, Period(DATA.start, end + timedelta(days=every)))
    assert after[: len(before)] == before
    assert len(after) <= len(before) + 1
    assert all(complete_on(declared, on) <= end for on in before)


@pytest.mark.parametrize(
    ("on", "word"),
    [(date(2025, 7, 5), "take an earlier date"), (date(2019, 12, 31), "take a later date")],
)
def test_a_date_outside_is_named(on: date, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        check_complete(scenario(), on, within=DATA)


def frame(*days: tuple[date, datetime]) -> pl.DataFrame:
    schema = {"happened_on": pl.Date, "known_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame(list(days), schema=schema, orient="row")


def test_the_data_ends_when_the_first_table_falls_silent() -> None:
    label = "{any_of: [{table: penalty}, {table: listing}, {table: judgment}], horizon: 90d}"
    told = [
        MemoryRecords(
            {
                "penalty": frame(
                    (date(2020, 1, 1), datetime(2020, 1, 5, tzinfo=UTC)),
                    (date(2025, 5, 1), datetime(2025, 5, 5, 16, tzinfo=UTC)),
                ),
                "listing": frame((date(2021, 1, 1), datetime(2024, 3, 4, tzinfo=UTC))),
                "judgment": frame(),
            }
        ),
        MemoryRecords({"listing": frame((date(2021, 1, 1), datetime(2025, 3, 4, tzinfo=UTC)))}),
    ]
    found = period(told, scenario(label=label))
    assert found == Period(date(2020, 1, 1), date(2025, 3, 4))
    # 16:00 UTC is the next day in Shanghai
    assert period(told[:1], scenario()) == Period(date(2020, 1, 1), date(2025, 5, 6))


def test_tables_without_records_are_named() -> None:
    with pytest.raises(ConfigError, match=r"'trial' learns from penalty.*import"):
        period([MemoryRecords({"penalty": frame()})], scenario())
