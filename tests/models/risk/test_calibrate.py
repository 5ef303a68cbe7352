"""A calibrator rises, never says 0 or 1, and comes back from its file to the bit."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError
from models.risk.calibrate import Calibrator, logit, sigmoid
from models.risk.encode import FloatArray

ISOTONIC = Calibrator("isotonic", knots=(-2.0, 0.0, 1.0), levels=(0.1, 0.3, 0.8))

finite = st.floats(allow_nan=False, allow_infinity=False)
inside = st.floats(-50, 50)
slopes = st.floats(0, 10)


@st.composite
def calibrators(draw: st.DrawFn) -> Calibrator:
    kind = draw(st.sampled_from(["none", "platt", "beta", "isotonic"]))
    if kind == "isotonic":
        knots = sorted(draw(st.sets(finite, min_size=1, max_size=6)))
        some = st.floats(1e-9, 1 - 1e-9)
        levels = sorted(draw(st.lists(some, min_size=len(knots), max_size=len(knots))))
        return Calibrator("isotonic", knots=tuple(knots), levels=tuple(levels))
    coefficients = draw(slopes), draw(slopes), draw(inside)
    return Calibrator(
        "platt" if kind == "platt" else "beta" if kind == "beta" else "none", *coefficients
    )


def odds(*values: float) -> FloatArray:
    return np.array(values, dtype=np.float64)


def test_each_kind_is_its_formula() -> None:
    raw = odds(-3.0, 0.0, 2.0)
    s = 1 / (1 + np.exp(-raw))
    assert np.allclose(Calibrator().apply(raw), s, atol=1e-15)
    platt = Calibrator("platt", slope=0.5, intercept=-1.0)
    assert np.allclose(platt.apply(raw), 1 / (1 + np.exp(-(0.5 * raw - 1))), atol=1e-15)
    beta = Calibrator("beta", slope=0.7, slope_high=1.3, intercept=0.2)
    ratio = np.exp(0.2) * s**0.7 / (1 - s) ** 1.3
    assert np.allclose(beta.apply(raw), ratio / (1 + ratio), atol=1e-12)


def test_isotonic_is_linear_between_centres_and_flat_beyond() -> None:
    raw = odds(-9.0, -2.0, -1.0, 0.0, 0.5, 1.0, 7.0)
    assert np.allclose(ISOTONIC.apply(raw), [0.1, 0.1, 0.2, 0.3, 0.55, 0.8, 0.8], atol=1e-15)


def test_inside_the_blocks_there_are_no_ties() -> None:
    some = np.linspace(-2, 1, 1_000)
    assert (np.diff(ISOTONIC.apply(some)) > 0).all()


@given(calibrators(), st.lists(finite, min_size=1))
def test_it_rises_and_is_never_certain(calibrator: Calibrator, raw: list[float]) -> None:
    with np.errstate(over="ignore"):
        found = calibrator.apply(odds(*sorted(raw)))
    assert ((found > 0) & (found < 1)).all()
    assert (np.diff(found) >= 0).all() or np.diff(found).min() > -1e-15


@given(calibrators(), st.lists(st.floats(-40, 40), min_size=1, max_size=40))
def test_a_row_alone_is_calibrated_to_the_bit_as_among_many(
    calibrator: Calibrator, raw: list[float]
) -> None:
    many = calibrator.apply(odds(*raw))
    alone = np.array([calibrator.apply(odds(one))[0] for one in raw])
    assert many.tobytes() == alone.tobytes()


@given(calibrators())
def test_it_comes_back_to_the_bit(calibrator: Calibrator) -> None:
    again = Calibrator.from_json(calibrator.to_json())
    assert again == calibrator
    assert again.to_json() == calibrator.to_json()


@pytest.mark.parametrize("kind", ["none", "isotonic"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_log_odds_that_are_not_finite_are_refused(kind: str, bad: float) -> None:
    calibrator = ISOTONIC if kind == "isotonic" else Calibrator()
    with pytest.raises(BundleError, match="not finite"):
        calibrator.apply(odds(0.0, bad))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"slope": -1.0}, "turn the order around"),
        ({"slope_high": -0.1}, "turn the order around"),
        ({"intercept": math.nan}, "finite"),
        ({"knots": (), "levels": ()}, "each block has one of both"),
        ({"levels": (0.1, 0.2)}, "3 knots and 2 levels"),
        ({"knots": (0.0, 0.0, 1.0)}, "out of order"),
        ({"knots": (0.0, 1.0, math.inf)}, "out of order"),
        ({"levels": (0.3, 0.2, 0.8)}, "out of order"),
        ({"levels": (0.0, 0.2, 0.8)}, "strictly between 0 and 1"),
        ({"levels": (0.1, 0.2, 1.0)}, "strictly between 0 and 1"),
        ({"kind": "other"}, "unknown calibration"),
    ],
)
def test_what_would_mislead_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        replace(ISOTONIC, **change)  # pyright: ignore[reportArgumentType]


def test_other_text_is_no_calibrator() -> None:
    data = json.loads(ISOTONIC.to_json())
    for text in (
        "",
        "3",
        "[]",
        "{}",
        json.dumps({**data, "more": 1}),
        json.dumps({**data, "knots": 1}),
    ):
        with pytest.raises(BundleError, match="no calibrator"):
            Calibrator.from_json(text)


@given(st.floats(1e-12, 1 - 1e-12))
def test_log_odds_and_probability_are_each_others_inverse(probability: float) -> None:
    assert sigmoid(logit(odds(probability)))[0] == pytest.approx(probability, rel=1e-9)
