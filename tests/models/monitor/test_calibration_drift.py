from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.monitor.calibration import calibration


def _world(rows: int, seed: int, *, factor: float = 1.0) -> tuple[pl.Series, pl.Series]:
    generator = np.random.default_rng(seed)
    p = generator.beta(1, 8, size=rows)
    return pl.Series(p), pl.Series(generator.random(rows) < factor * p)


def test_calibrated_probabilities_show_no_more_than_chance() -> None:
    drifted = [calibration(*_world(2000, seed)).drifted for seed in range(100)]
    assert sum(drifted) <= 12


def test_the_error_by_chance_is_what_calibrated_probabilities_show() -> None:
    found = [calibration(*_world(1000, seed)) for seed in range(60)]
    mean = np.mean([one.ece for one in found])
    assert mean == pytest.approx(np.mean([one.ece_by_chance for one in found]), rel=0.1)


def test_a_rate_that_doubled_is_drift_and_an_error_beyond_chance() -> None:
    found = calibration(*_world(2000, 1, factor=2))
    assert found.drifted
    assert found.gap == pytest.approx(found.expected, rel=0.2)
    assert found.ece > 3 * found.ece_by_chance


def test_rows_of_one_subject_are_one_draw() -> None:
    p, y = _world(300, 3)
    ten = calibration(p.extend_constant(None, 0).append(p), y.append(y))
    by_subject = pl.Series(list(range(300)) * 2)
    p2, y2 = _world(300, 3)
    one = calibration(p2, y2)
    both = calibration(p2.append(p2), y2.append(y2), subject=by_subject)
    assert both.high - both.low == pytest.approx(one.high - one.low)
    assert ten.high - ten.low < one.high - one.low


def test_weights_count_as_repeated_rows() -> None:
    p, y, w = pl.Series([0.1, 0.5]), pl.Series([False, True]), pl.Series([3.0, 1.0])
    found = calibration(p, y, weight=w)
    assert found.expected == pytest.approx((0.3 + 0.5) / 4)
    assert found.observed == pytest.approx(0.25)


def test_rows_without_label_or_probability_are_left_out() -> None:
    p, y = pl.Series([0.1, None, 0.3]), pl.Series([None, True, False])
    assert calibration(p, y).rows == 1


def test_nothing_known_is_no_drift() -> None:
    found = calibration(pl.Series([0.1]), pl.Series([None], dtype=pl.Boolean))
    assert found.rows == 0
    assert np.isnan(found.gap)
    assert not found.drifted


def test_probabilities_that_are_all_equal_are_one_bin() -> None:
    found = calibration(pl.Series([0.2] * 10), pl.Series([True] * 2 + [False] * 8))
    assert found.ece == pytest.approx(0)
