"""Resamples draw whole clusters, the same ones for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluate.bootstrap import BLOCK, draws, interval, once


def test_every_resample_draws_as_many_clusters_as_there_are() -> None:
    blocks = list(draws(50, BLOCK + 3, 7))
    assert [block.shape for block in blocks] == [(50, BLOCK), (50, 3)]
    assert all((block.sum(axis=0) == 50).all() for block in blocks)


def test_the_same_seed_draws_the_same() -> None:
    one, two, other = (np.concatenate(list(draws(30, 10, seed)), axis=1) for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()


def test_nothing_is_drawn_from_nothing() -> None:
    assert list(draws(0, 10, 1)) == []
    assert once(0).shape == (0, 1)


def test_an_interval_is_the_middle_of_the_resamples() -> None:
    found = interval(0.5, np.linspace(0, 1, 1001))
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))


def test_a_biased_figure_is_moved_back_and_stays_positive() -> None:
    found = interval(0.01, np.linspace(0.02, 0.06, 1001), centred=True)
    assert found.low == 0
    assert found.high == pytest.approx(0.01 + 0.019)


def test_a_figure_that_most_resamples_lack_has_no_interval() -> None:
    nothing = float("nan")
    assert interval(nothing, np.ones(3)).value is None
    assert interval(0.5, np.array([0.5, nothing, nothing])).low is None
    assert interval(0.5, np.array([0.5, 0.5, nothing])).low == pytest.approx(0.5)
    assert interval(0.5, np.empty(0)).high is None


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        values = rng.normal(size=40)
        blocks = [block.T.astype(float) @ values / 40 for block in draws(40, 200, trial)]
        found = interval(float(values.mean()), np.concatenate(blocks))
        covered += (found.low or 0) <= 0 <= (found.high or 0)
    assert 175 <= covered <= 199
