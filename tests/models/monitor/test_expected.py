from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.errors import ConfigError
from models.monitor.expected import Estimate, expected, measured
from models.monitor.ranking import MEASURES, Order, measures


def _world(rows: int, seed: int) -> tuple[pl.Series, pl.Series]:
    generator = np.random.default_rng(seed)
    p = generator.beta(1, 6, size=rows)
    return pl.Series(p), pl.Series(generator.random(rows) < p)


def test_expectations_are_the_mean_over_labellings() -> None:
    p = np.floor(np.random.default_rng(5).beta(1, 4, size=300) * 100) / 100  # ties
    found = expected(pl.Series(p), capacity=0.1)
    generator, order = np.random.default_rng(6), Order.of(p)
    draws = [(generator.random(300) < p).astype(np.float64) for _ in range(3000)]
    runs = [measures(order, draw, capacity=0.1) for draw in draws]
    for name in MEASURES:
        mean = float(np.mean([run[name] for run in runs]))
        assert found[name].value == pytest.approx(mean, rel=0.02), name


@pytest.mark.parametrize("seed", range(3))
def test_labels_of_a_calibrated_model_fall_into_the_expected_interval(seed: int) -> None:
    p, y = _world(4000, seed)
    guessed, seen = expected(p, capacity=0.1), measured(p, y, capacity=0.1)
    assert all(guessed[n].low - 0.02 <= seen[n].value <= guessed[n].high + 0.02 for n in MEASURES)
    assert seen["auc"].low < seen["auc"].value < seen["auc"].high


def test_labels_that_no_longer_follow_the_probability_fall_out_of_it() -> None:
    p, y = _world(4000, 1)
    shuffled = y.sample(fraction=1, shuffle=True, seed=2)
    seen = measured(p, shuffled, capacity=0.1)
    assert seen["auc"].value not in expected(p, capacity=0.1)["auc"]


def test_the_same_seed_gives_the_same_interval() -> None:
    p, y = _world(200, 1)
    assert measured(p, y, capacity=0.1, seed=4) == measured(p, y, capacity=0.1, seed=4)
    assert expected(p, capacity=0.1, seed=4) == expected(p, capacity=0.1, seed=4)


def test_rows_without_a_label_do_not_count() -> None:
    p = pl.Series([0.9, 0.8, 0.1, 0.5])
    full = measured(p.head(3), pl.Series([True, False, False]), capacity=0.5)
    assert measured(p, pl.Series([True, False, False, None]), capacity=0.5) == full


def test_weights_move_the_expectation_like_repeated_rows() -> None:
    p, w = pl.Series([0.2, 0.6, 0.9]), pl.Series([3, 1, 2])
    found = expected(p, capacity=0.5, weight=w)["precision"].value
    assert found == pytest.approx((0.9 * 2 + 0.6) / 3)


def test_no_rows_have_no_figure() -> None:
    nothing = expected(pl.Series([], dtype=pl.Float64), capacity=0.1)
    assert all(np.isnan(one.value) for one in nothing.values())


@pytest.mark.parametrize("odd", [1.2, -0.1, None, float("nan")])
def test_what_is_no_probability_is_refused(odd: float | None) -> None:
    with pytest.raises(ConfigError, match="is not a probability"):
        expected(pl.Series([0.5, odd]), capacity=0.1)


@pytest.mark.parametrize("capacity", [0.0, 1.1])
def test_a_capacity_is_a_share(capacity: float) -> None:
    with pytest.raises(ConfigError, match=r"\(0, 1\]"):
        expected(pl.Series([0.5]), capacity=capacity)


def test_an_estimate_contains_its_bounds() -> None:
    assert 0.2 in Estimate(0.3, 0.2, 0.4)
    assert 0.5 not in Estimate(0.3, 0.2, 0.4)
