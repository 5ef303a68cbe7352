"""Quarters of each fold, and scores that moved."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.training.evaluate.foretold import predictions
from training.evaluate.evaluation import Quarter
from training.evaluate.stability import stability

FRAME = predictions(400)


def quarters(frame: pl.DataFrame, *, weight: str | None = None) -> tuple[Quarter, ...]:
    return stability(frame, "lightgbm", weight=weight, seed=1, resamples=30)


def test_every_quarter_of_every_fold_is_told() -> None:
    found = quarters(FRAME)
    assert [(one.fold, one.quarter) for one in found] == [(0, "2023Q1"), (1, "2023Q2")]
    assert sum(one.rows for one in found) == FRAME.height
    assert sum(one.judged for one in found) == FRAME["observed"].sum()
    assert all((one.metrics["auc"].low or 0) < (one.metrics["auc"].high or 0) for one in found)


def test_rates_are_weighted_where_asked() -> None:
    plain, weighted = quarters(FRAME)[0], quarters(FRAME, weight="weight")[0]
    seen = FRAME.filter("observed", pl.col("fold") == 0)
    assert plain.base_rate == pytest.approx(seen["positive"].mean())
    by = float(np.average(seen["positive"].to_numpy(), weights=seen["weight"].to_numpy()))
    assert weighted.base_rate == pytest.approx(by)
    assert by < (plain.base_rate or 0)  # the riskier are looked at more often


def test_scores_that_moved_are_seen_beyond_chance() -> None:
    one_fold = FRAME.with_columns(fold=pl.lit(0, pl.Int32))
    first, still = quarters(one_fold)
    assert first.psi is None
    assert (still.psi or 0) < (still.psi_chance or 0)
    late = pl.col("as_of").dt.quarter() == 2
    pushed = pl.when(late).then(pl.col("p_lightgbm").sqrt()).otherwise("p_lightgbm")
    moved = quarters(one_fold.with_columns(p_lightgbm=pushed))[1]
    assert (moved.psi or 0) > 0.25 > (moved.psi_chance or 1)


def test_a_quarter_without_both_outcomes_has_no_ranking() -> None:
    found = quarters(FRAME.with_columns(positive=pl.when("observed", fold=0).then("positive")))
    assert found[0].metrics
    assert (found[1].judged, found[1].metrics, found[1].base_rate) == (0, {}, None)
    never = pl.when("observed").then(pl.lit(value=False))
    assert quarters(FRAME.with_columns(positive=never))[0].metrics == {}
