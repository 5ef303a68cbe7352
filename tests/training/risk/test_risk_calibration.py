"""From log-odds to probability on later rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import FitError
from models.risk.calibrate import Kind, sigmoid
from models.risk.encode import FloatArray
from training.risk.calibration import calibrate
from training.risk.sample import BoolArray

KINDS: tuple[Kind, ...] = ("platt", "beta", "isotonic")


def drawn(
    rows: int = 20_000, *, slope: float = 1.0, shift: float = 0.0, seed: int = 0
) -> tuple[FloatArray, BoolArray]:
    """Return log-odds, and outcomes whose log-odds are ``slope`` times them plus ``shift``."""
    random = np.random.default_rng(seed)
    raw = random.normal(-1.5, 1.2, rows)
    return raw, random.random(rows) < sigmoid(slope * raw + shift)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.5, -1.0), (2.0, 1.5)])
def test_probabilities_are_recovered(kind: Kind, slope: float, shift: float) -> None:
    raw, positive = drawn(slope=slope, shift=shift)
    told = calibrate(kind, raw, positive).apply(raw)
    true = sigmoid(slope * raw + shift)
    assert abs(told.mean() - positive.mean()) < 0.005
    assert np.abs(told - true).mean() < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_is_kept(kind: Kind) -> None:
    raw, positive = drawn(3000)
    told = calibrate(kind, raw, positive).apply(np.sort(raw))
    assert (np.diff(told) >= 0).all()
    assert len(np.unique(told)) > 0.99 * len(raw)  # no ties inside, nor at the ends


@pytest.mark.parametrize("kind", KINDS)
def test_a_falling_relation_is_flat_rather_than_turned(kind: Kind) -> None:
    raw, positive = drawn(3000, slope=-1.0)
    told = calibrate(kind, raw, positive).apply(np.sort(raw))
    assert (np.diff(told) >= 0).all()
    assert np.ptp(told) < 0.15
    assert abs(told.mean() - positive.mean()) < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count_rows(kind: Kind) -> None:
    raw, positive = drawn(400)
    weight = np.random.default_rng(1).integers(1, 4, len(raw))
    rows = np.repeat(np.arange(len(raw)), weight)
    grid = np.linspace(-4, 3, 50)
    weighed = calibrate(kind, raw, positive, weight.astype(np.float64)).apply(grid)
    repeated = calibrate(kind, raw[rows], positive[rows]).apply(grid)
    scaled = calibrate(kind, raw, positive, weight.astype(np.float64) * 1e6).apply(grid)
    assert np.allclose(weighed, repeated, atol=0.02)
    assert np.allclose(weighed, scaled, atol=1e-9)


def test_blocks_are_pooled_until_rates_rise() -> None:
    raw = np.array([-4.0, -3.0, -2.0, -1.0, 0.0, 1.0])
    positive = np.array([False, True, False, False, True, True])
    made = calibrate("isotonic", raw, positive)
    inner = dict(zip(made.knots, made.levels, strict=True))
    assert inner[-2.0] == pytest.approx(1 / 3)  # -3, -2 and -1 are one block, at its centre
    assert inner[-4.0] == pytest.approx(1 - inner[0.5])  # half a row at the ends
    between = made.apply(np.array([-3.0, -2.0, -1.0]))
    assert between[0] < between[1] < between[2]


def test_nobody_is_certain() -> None:
    raw = np.concatenate([np.full(50, -3.0), np.full(50, 3.0)])
    positive = raw > 0
    for kind in KINDS:
        told = calibrate(kind, raw, positive).apply(np.array([-50.0, -3.0, 3.0, 50.0]))
        assert (told > 0).all()
        assert (told < 1).all()
        assert told[1] < 0.1
        assert told[2] > 0.9


def test_none_leaves_log_odds_alone() -> None:
    raw, positive = drawn(10)
    assert (calibrate("none", raw, positive).apply(raw) == sigmoid(raw)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("positive", [True, False])
def test_a_single_class_cannot_be_calibrated(kind: Kind, *, positive: bool) -> None:
    with pytest.raises(FitError, match="both outcomes"):
        calibrate(kind, np.zeros(5), np.full(5, positive))


@given(
    st.lists(
        st.tuples(st.floats(-30, 30), st.booleans(), st.floats(0.01, 100)), min_size=2, max_size=40
    ),
    st.sampled_from(KINDS),
)
def test_any_rows_give_a_rising_curve(rows: list[tuple[float, bool, float]], kind: Kind) -> None:
    raw, positive, weight = (np.array(column) for column in zip(*rows, strict=True))
    if positive.all() or not positive.any():
        return
    told = calibrate(kind, raw, positive, weight).apply(np.linspace(-40, 40, 101))
    assert (np.diff(told) >= 0).all()
    assert ((told > 0) & (told < 1)).all()
