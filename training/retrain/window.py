"""The days that champion and challenger are judged by: neither has learnt from them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import cast

import polars as pl

from models.features.spec import AS_OF
from models.risk.bundle import Bundle
from models.scenarios.scenario import Scenario
from training.risk.folds import final
from training.risk.matrix import At, Matrix
from training.snapshots import complete_on


def unseen_from(bundle: Bundle, at: At) -> date:
    """Return the first date of view whose past holds every label that the bundle has learnt from.

    A label reaches as far as its horizon and what it takes to be reported, so an earlier date would
    be judged by days that the model knows.
    """
    last = bundle.manifest.trained_to
    known = complete_on(bundle.scenario, last)
    if at == "visits":
        known = last + bundle.scenario.snapshots.embargo.delta
    return known + timedelta(days=1)


def test_from(matrix: Matrix, champion: Bundle | None) -> date | None:
    """Return from when on the challenger is tested, ``None`` where there is nothing new to test by.

    It is where the fit alone would begin its test, or later where the champion has learnt from
    days up to then.

    Raises:
        FitError: The matrix is too short for a model at all.
    """
    rows = matrix.rows
    begin = final(rows).test.first
    if champion is None:
        return begin
    begin = max(begin, unseen_from(champion, matrix.at))
    last = cast("date | None", rows.filter(pl.col("observed"))[AS_OF].max())
    return None if last is None or last < begin else begin


def since(scenario: Scenario, bundle: Bundle, at: At) -> Scenario:
    """Return the scenario narrowed to dates of view that the bundle has not learnt from."""
    first = unseen_from(bundle, at)
    declared = scenario.snapshots
    if declared.first is not None:
        first = max(first, declared.first)
    return scenario.model_copy(
        update={"snapshots": declared.model_copy(update={"first": first, "last": None})}
    )
