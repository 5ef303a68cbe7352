from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from models.text.heads import Head
from training.text.measure import (
    Measured,
    bootstrap_gain,
    calibration_error,
    coverage_at,
    macro_f1,
    measure,
    micro_f1,
    near_duplicates,
    truths,
)
from training.text.verdict import Model, judge

LEAF = Head(name="leaf", labels=("a", "b", "c"))
MANY = Head(name="department", labels=("a", "b", "c"), kind="many")


f1_score = cast("Callable[..., float]", getattr(metrics, "f1_score"))  # noqa: B009


def _told(seed: int, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    told = LEAF.probabilities(rng.normal(0, 2, (rows, 3)).astype(np.float32))
    labels = (told.cumsum(1) < rng.random((rows, 1))).sum(1).clip(0, 2)
    return told, np.eye(3, dtype=np.float32)[labels]


@given(st.integers(0, 500), st.integers(1, 40))
def test_f1_is_what_scikit_learn_computes(seed: int, rows: int) -> None:
    told, targets = _told(seed, rows)
    truth, said = truths(LEAF, told, targets)
    y, p = truth.argmax(1), said.argmax(1)
    assert macro_f1(truth, said) == pytest.approx(f1_score(y, p, average="macro"))
    assert micro_f1(truth, said) == pytest.approx(f1_score(y, p, average="micro"))


@given(st.integers(0, 500))
def test_f1_of_many_is_what_scikit_learn_computes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, told = rng.random((30, 3)) < 0.4, rng.random((30, 3)).astype(np.float32)
    said = truths(MANY, told, truth.astype(np.float32))[1]
    expected = f1_score(truth, said, average="macro", zero_division=0)
    assert macro_f1(truth, said) == pytest.approx(expected)


def test_honest_confidence_has_no_calibration_error_and_boasting_has() -> None:
    told, targets = _told(1, 20_000)
    honest = measure(LEAF, told, targets, threshold=0.5)
    boast = measure(LEAF, LEAF.probabilities(np.log(told), 0.2), targets, threshold=0.5)
    assert honest.ece < 0.015
    assert boast.ece > 0.1
    assert boast.nll > honest.nll
    assert boast.micro_f1 == honest.micro_f1


def test_calibration_error_by_hand() -> None:
    sure, right = np.array([0.9, 0.9, 0.3, 0.3]), np.array([True, False, False, False])
    assert calibration_error(sure, right) == pytest.approx((0.4 + 0.3) / 2)


def test_coverage_is_the_largest_share_that_keeps_precision() -> None:
    sure = np.array([0.9, 0.8, 0.7, 0.6])
    assert coverage_at(sure, np.array([True, True, False, True]), 0.75) == 1.0
    assert coverage_at(sure, np.array([True, True, False, False]), 0.75) == 0.5
    assert coverage_at(sure, np.array([False, False, True, True]), 0.95) == 0.0
    assert coverage_at(np.full(4, 0.5), np.array([True, False, True, True]), 0.95) == 0.0


def test_answered_and_precision_are_at_the_threshold_set_beforehand() -> None:
    told = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.8, 0.2, 0]], dtype=np.float32)
    truth = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]], dtype=np.float32)
    found = measure(LEAF, told, truth, threshold=0.7)
    assert found.answered == pytest.approx(2 / 3)
    assert found.precision == pytest.approx(0.5)
    assert measure(LEAF, told, truth, threshold=1.01).precision is None


def test_nothing_to_measure_is_all_zero() -> None:
    none = np.zeros((0, 3), dtype=np.float32)
    found = measure(LEAF, none, none, threshold=0.5)
    assert found.rows == 0
    assert found.coverage == found.ece == 0


def test_copies_are_found_and_others_are_not() -> None:
    learnt = ["经查，当事人销售超过保质期的食品三件", "废气超标排放"]
    asked = ["经查，当事人销售超过保质期的食品五件", "小区噪音扰民", ""]
    assert near_duplicates(learnt, asked, at=0.8).tolist() == [True, False, False]


def _measured(macro: float) -> dict[str, Measured]:
    return {
        "leaf": Measured(
            rows=9, macro_f1=macro, micro_f1=0, ece=0, nll=0, coverage=0, answered=0, precision=None
        )
    }


def test_the_cheapest_stands_unless_a_dearer_one_proves_better() -> None:
    ahead, level = np.full(100, 0.02), np.array([0.01] * 50 + [-0.01] * 50)
    measured: dict[Model, dict[str, Measured]] = {
        "linear": _measured(0.9),
        "encoder": _measured(0.92),
        "ensemble": _measured(0.93),
    }
    won = judge(
        measured,
        {
            ("encoder", "linear"): [level],
            ("ensemble", "linear"): [ahead],
            ("ensemble", "encoder"): [ahead],
        },
    )
    assert won.winner == "ensemble"
    assert "encoder against linear: macro-F1 +0.0200, ahead in 50%" in won.reasons[1]
    assert "not enough" in won.reasons[1]
    assert "earns its cost" in won.reasons[2]


def test_a_gain_too_small_to_pay_is_not_enough() -> None:
    measured: dict[Model, dict[str, Measured]] = {
        "linear": _measured(0.9),
        "encoder": _measured(0.902),
    }
    assert judge(measured, {("encoder", "linear"): [np.full(9, 0.002)]}).winner == "linear"


def test_a_linear_model_alone_wins() -> None:
    assert judge({"linear": _measured(0.1)}, {}).winner == "linear"


def test_the_resampled_gain_is_around_the_gain() -> None:
    told, targets = _told(3, 500)
    truth, said = truths(LEAF, told, targets)
    gains = bootstrap_gain(truth, truth, said, resamples=200)
    assert gains.mean() == pytest.approx(1 - macro_f1(truth, said), abs=0.02)
    assert (bootstrap_gain(truth, said, said, resamples=20) == 0).all()
