from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from models.monitor.ranking import Floats, Order, measures

rows = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(1, 4)), min_size=2, max_size=40
).filter(lambda rows: len({positive for _, positive, _ in rows}) == 2)


def _columns(rows: list[tuple[int, bool, int]]) -> tuple[Floats, Floats, Floats]:
    table = np.asarray(rows, dtype=np.float64)
    return table[:, 0] / 7, table[:, 1], table[:, 2]


def _peer(name: str, y: Floats, score: Floats, weight: Floats) -> float:
    measure = cast("Callable[..., float]", getattr(metrics, name))
    return measure(y, score, sample_weight=weight)


@given(rows)
def test_measures_equal_those_of_scikit_learn(rows: list[tuple[int, bool, int]]) -> None:
    score, y, w = _columns(rows)
    found = measures(Order.of(score, w), y, capacity=0.5)
    assert found["auc"] == pytest.approx(_peer("roc_auc_score", y, score, w))
    assert found["average_precision"] == pytest.approx(
        _peer("average_precision_score", y, score, w)
    )


@given(rows, st.integers(0, 2**32))
def test_the_order_of_rows_changes_nothing(rows: list[tuple[int, bool, int]], seed: int) -> None:
    score, y, w = _columns(rows)
    again = np.random.default_rng(seed).permutation(len(rows))
    one = measures(Order.of(score, w), y, capacity=0.3)
    other = measures(Order.of(score[again], w[again]), y[again], capacity=0.3)
    assert one == pytest.approx(other)


def test_precision_and_recall_at_capacity() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.6])
    found = measures(Order.of(score), np.array([1.0, 0.0, 1.0, 1.0]), capacity=0.5)
    assert found["precision"] == 0.5
    assert found["recall"] == pytest.approx(1 / 3)


def test_a_tie_at_the_capacity_counts_in_proportion() -> None:
    score = np.array([0.9, 0.5, 0.5, 0.5])
    found = measures(Order.of(score), np.array([1.0, 1.0, 0.0, 0.0]), capacity=0.5)
    assert found["precision"] == pytest.approx((1 + 1 / 3) / 2)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_single_class_has_no_auc(label: float) -> None:
    found = measures(Order.of(np.array([0.1, 0.9])), np.full(2, label), capacity=0.5)
    assert np.isnan(found["auc"])


def test_no_rows_have_no_figure() -> None:
    found = measures(Order.of(np.zeros(0)), np.zeros(0), capacity=0.5)
    assert all(np.isnan(value) for value in found.values())
