"""Metrics agree with scikit-learn's, and a resample with the rows written out as often."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from tests.training.evaluate.foretold import peer, predictions
from training.evaluate.bootstrap import once
from training.evaluate.metrics import (
    METRICS,
    Measured,
    Ranked,
    curve,
    measure,
    paired,
    reliability,
    shares_with,
    summarised,
)
from training.evaluate.predictions import Sample

SHARES = shares_with(0.4)


def sample(
    positive: list[int],
    scores: list[float],
    weights: list[float] | None = None,
    group: list[int] | None = None,
) -> Sample:
    rows = len(positive)
    numbers = group if group is not None else list(range(rows))
    return Sample(
        np.array(positive, np.uint8),
        np.array(numbers, np.int32),
        max(numbers, default=-1) + 1,
        {"m": np.array(scores, np.float64)},
        {"plain": np.ones(rows), "ipw": np.array(weights or [1.0] * rows, np.float64)},
    )


def measured(one: Sample, counts: np.ndarray | None = None, *, bins: int = 10) -> Measured:
    return measure(
        Ranked.of(one, "m", "ipw", bins=bins),
        once(one.groups) if counts is None else counts,
        SHARES,
    )


def value(found: Measured, name: str, column: int = 0) -> float:
    return float({str(key): values for key, values in found.metrics.items()}[name][column])


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Scores of few distinct values have ties; weights may be 0; both outcomes weigh something."""
    rows = draw(st.integers(2, 40))
    score = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0]) | st.floats(0, 1)
    scores = draw(st.lists(score, min_size=rows, max_size=rows))
    positive = draw(st.lists(st.integers(0, 1), min_size=rows - 2, max_size=rows - 2))
    weight = st.sampled_from([0.0, 0.5, 1.0, 3.0])
    weights = draw(st.lists(weight, min_size=rows - 2, max_size=rows - 2))
    group = draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows))
    return sample([0, 1, *positive], scores, [1.0, 2.0, *weights], group)


@given(samples())
def test_metrics_are_scikit_learns(one: Sample) -> None:
    found = measured(one)
    y, p, w = one.positive, one.scores["m"], one.weights["ipw"]
    for name in ("auc", "ap", "brier"):
        assert value(found, name) == pytest.approx(peer(name, y, p, w)), name


@given(samples(), st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_a_resample_is_the_rows_written_out_as_often(one: Sample, times: list[int]) -> None:
    counts = np.array(times, np.uint8)[: one.groups, None]
    rows = np.repeat(np.arange(len(one.positive)), counts[one.group, 0])
    again = Sample(
        one.positive[rows],
        np.arange(len(rows), dtype=np.int32),
        len(rows),
        {"m": one.scores["m"][rows]},
        {"plain": np.ones(len(rows)), "ipw": one.weights["ipw"][rows]},
    )
    resampled, direct = measured(one, counts), measured(again)
    for name in METRICS:
        if name != "ece":  # the resample keeps the sample's bins
            expected = value(direct, name)
            assert value(resampled, name) == pytest.approx(expected, nan_ok=True), name


@given(samples())
def test_columns_of_a_block_do_not_touch_one_another(one: Sample) -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 3, (one.groups, 7)).astype(np.uint8)
    block = measured(one, counts)
    for column in range(7):
        alone = measured(one, np.ascontiguousarray(counts[:, [column]]))
        for name in METRICS:
            expected = value(alone, name)
            assert value(block, name, column) == pytest.approx(expected, nan_ok=True), name


def test_the_top_of_a_ranking() -> None:
    found = measured(sample([1, 0, 1, 0, 0, 0, 0, 0, 0, 1], [1 - n / 10 for n in range(10)]))
    assert value(found, "recall_10") == pytest.approx(1 / 3)
    assert value(found, "precision_10") == pytest.approx(1)
    assert value(found, "lift_10") == pytest.approx(1 / 0.3)
    assert value(found, "precision_25") == pytest.approx(1.5 / 2.5)  # half of the third row
    assert value(found, "recall_capacity") == pytest.approx(2 / 3)


def test_a_share_that_ends_in_a_tie_takes_the_expected_part() -> None:
    found = measured(sample([1, 0, 0, 0, 1], [0.5, 0.5, 0.5, 0.5, 0.1]))
    assert value(found, "recall_capacity") == pytest.approx(0.5 * 1 / 4 * 2)


@given(samples())
def test_the_whole_finds_everything(one: Sample) -> None:
    ranked = Ranked.of(one, "m", "ipw")
    found = measure(ranked, once(one.groups), {"capacity": 1.0})
    assert value(found, "recall_capacity") == pytest.approx(1)
    assert value(found, "lift_capacity") == pytest.approx(1)


@given(samples())
def test_calibration_error_is_that_of_the_bins(one: Sample) -> None:
    ranked = Ranked.of(one, "m", "ipw")
    point = measure(ranked, once(one.groups), SHARES)
    bins = reliability(ranked, point, [])
    assert sum(b.mass for b in bins) == pytest.approx(1)
    assert [b.predicted for b in bins] == sorted(b.predicted for b in bins)
    error = sum(b.mass * abs(b.predicted - (b.observed.value or 0.0)) for b in bins)
    assert value(point, "ece") == pytest.approx(error, abs=1e-12)


def test_bins_have_equal_mass_and_keep_ties_together() -> None:
    scores = [0.1] * 30 + [0.2 + n / 1000 for n in range(70)]
    ranked = Ranked.of(sample([n % 2 for n in range(100)], scores), "m", "plain")
    bins = reliability(ranked, measure(ranked, once(100), SHARES), [])
    assert [b.rows for b in bins] == [30, *[10] * 7]


def test_perfect_probabilities_have_no_error() -> None:
    assert value(measured(sample([0, 0, 1, 1], [0, 0, 1, 1])), "ece") == 0
    assert value(measured(sample([0, 0, 1, 1], [0, 0, 1, 1])), "brier") == 0


def test_a_single_outcome_has_no_ranking_but_a_calibration() -> None:
    found = summarised(measured(sample([0, 0, 0], [0.1, 0.2, 0.3])), [])
    assert found["auc"].value is None
    assert found["ap"].value is None
    assert found["lift_10"].value is None
    assert found["ece"].value == pytest.approx(0.2)


def test_no_rows_have_no_figures() -> None:
    assert {one.value for one in summarised(measured(sample([], [])), []).values()} == {None}


def test_a_curve_goes_from_nothing_to_all() -> None:
    drawn = curve(Ranked.of(sample([1, 0, 1, 0], [0.9, 0.8, 0.8, 0.1]), "m", "plain"))
    assert drawn is not None
    assert (drawn.recall[0], drawn.recall[-1]) == (0, 1)
    assert (drawn.alarms[0], drawn.alarms[-1]) == (0, 1)
    assert drawn.recall[100] == pytest.approx(0.75)  # half of the rows: half of the tie
    assert drawn.precision[-1] == pytest.approx(0.5)
    assert curve(Ranked.of(sample([1, 1], [0.9, 0.8]), "m", "plain")) is None


def test_a_better_model_is_told_from_a_worse_one() -> None:
    frame = predictions()
    for metric in ("auc", "ap", "recall_10"):
        found = paired(frame, "lightgbm", "rules", metric, resamples=200, seed=3)
        assert found.low is not None
        assert found.low > 0, metric
    brier = paired(frame, "lightgbm", "rules", "brier", resamples=200, seed=3)
    assert brier.high is not None
    assert brier.high < 0


def test_a_difference_turns_its_sign_with_its_sides() -> None:
    frame = predictions()
    one = paired(frame, "lightgbm", "logistic", "auc", weight="weight", resamples=100, seed=5)
    two = paired(frame, "logistic", "lightgbm", "auc", weight="weight", resamples=100, seed=5)
    assert (one.value, one.low, one.high) == pytest.approx(
        tuple(-(x or 0.0) for x in (two.value, two.high, two.low))
    )


def test_a_model_does_not_differ_from_itself() -> None:
    found = paired(predictions(), "rules", "rules", "recall_10", resamples=50, seed=1)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_comparison_at_capacity_needs_the_capacity() -> None:
    frame = predictions()
    found = paired(
        frame, "lightgbm", "rules", "recall_capacity", resamples=50, seed=1, capacity=0.1
    )
    same = paired(frame, "lightgbm", "rules", "recall_10", resamples=50, seed=1)
    assert found == same
    with pytest.raises(ModelError, match="capacity="):
        paired(frame, "lightgbm", "rules", "recall_capacity", resamples=50, seed=1)


def test_pairs_that_cannot_be_had_are_named() -> None:
    frame = predictions()
    with pytest.raises(ModelError, match="p_forest"):
        paired(frame, "lightgbm", "forest", "auc", resamples=10, seed=1)
    with pytest.raises(ModelError, match="'weights'"):
        paired(frame, "lightgbm", "rules", "auc", weight="weights", resamples=10, seed=1)
    with pytest.raises(ModelError, match="no weight"):
        paired(
            frame.with_columns(weight=pl.lit(-1.0)),
            "lightgbm", "rules", "auc", weight="weight", resamples=10, seed=1,
        )  # fmt: skip
