"""Capacity a month becomes a share of the candidates of the time that is judged."""

from __future__ import annotations

import polars as pl
import pytest

from models.scenarios import parse_scenario
from tests.training.evaluate.foretold import START, TEXT, predictions, scenario
from training.evaluate.capacity import DAYS_A_MONTH, capacity_share


def test_dates_of_view_share_the_months_between_them() -> None:
    frame = predictions(400)
    share = capacity_share(frame, scenario())
    assert share == pytest.approx(90 * (30 / DAYS_A_MONTH) / 400)  # a tenth stays random
    assert capacity_share(frame.filter(pl.col("fold") == 0), scenario()) == pytest.approx(share)


def test_days_of_the_year_share_the_year() -> None:
    text = TEXT.replace("{{every: 30d}}", "{{on: [01-01, 07-01]}}").format(
        weight="none", capacity="capacity: {per_month: 10, random_share: 0.5}"
    )
    halves = parse_scenario(text, "trial.yaml")
    assert capacity_share(predictions(400), halves) == pytest.approx(5 * 6 / 400)


def test_visits_share_the_days_from_the_first_to_the_last() -> None:
    frame = predictions(400, visits=True)
    days = (max(frame["as_of"].to_list()) - START).days + 1
    expected: float = 90 * days / DAYS_A_MONTH / frame.height
    assert capacity_share(frame, scenario()) == pytest.approx(expected)


def test_more_than_everybody_is_everybody() -> None:
    assert capacity_share(predictions(40), scenario()) == 1


def test_without_a_capacity_there_is_no_share() -> None:
    assert capacity_share(predictions(40), scenario(capacity="")) is None
    assert capacity_share(predictions(40).clear(), scenario()) is None
