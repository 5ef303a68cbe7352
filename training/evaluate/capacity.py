"""What share of the candidates the declared capacity reaches."""

from __future__ import annotations

from datetime import date
from typing import Final

import polars as pl

from models.scenarios.scenario import Scenario
from training.evaluate.predictions import at_visits

DAYS_A_MONTH: Final = 365.25 / 12


def capacity_share(frame: pl.DataFrame, scenario: Scenario) -> float | None:
    """Return the share of the rows of ``frame`` that can be inspected, None without a capacity.

    Only what the model may steer counts: ``random_share`` of the capacity stays with the purely
    random draw. At dates of view each row is a candidate until the next date; at visits the rows
    are the visits of the whole time from the first to the last.
    """
    if scenario.capacity is None or frame.is_empty():
        return None
    monthly = scenario.capacity.per_month * (1 - scenario.capacity.random_share)
    reach = monthly * _months(frame, scenario)
    return min(1.0, reach / frame.height) if reach > 0 else None


def _months(frame: pl.DataFrame, scenario: Scenario) -> float:
    days = frame["as_of"].unique().sort().to_list()
    if at_visits(frame):
        first, last = days[0], days[-1]
        assert isinstance(first, date)  # noqa: S101 - as_of holds dates
        return ((last - first).days + 1) / DAYS_A_MONTH
    every = scenario.snapshots.every
    step = 365.25 / len(scenario.snapshots.on) if every is None else every.days
    return len(days) * step / DAYS_A_MONTH
