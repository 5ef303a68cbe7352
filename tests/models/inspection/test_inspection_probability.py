from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.errors import InspectionError
from models.inspection import probability, standalone
from models.inspection.probability import (
    TOLERANCE,
    inclusion_probabilities,
    joint_approximation,
    joint_probabilities,
)
from tests.models.inspection.pools import skewed, targets

Floats = NDArray[np.float64]


@st.composite
def strata(draw: st.DrawFn) -> Floats:
    size = draw(st.integers(2, 24))
    n = draw(st.integers(1, size - 1))
    weights = draw(st.lists(st.floats(0.02, 1), min_size=size, max_size=size))
    return targets(np.array(weights), n) if n < 0.9 * size else np.full(size, n / size)


def apart(made: Floats, pi: Floats) -> float:
    """Return how far ``made`` is from what the stand-alone program computes in another way."""
    other = standalone.inclusion(pi.tolist(), round(pi.sum()))
    return float(np.abs(made - [other[one] for one in pi.tolist()]).max())


@given(strata())
@settings(max_examples=60, deadline=None)
def test_two_ways_of_computing_agree(pi: Floats) -> None:
    made = inclusion_probabilities(pi)
    assert apart(made, pi) < TOLERANCE
    assert made.sum() == pytest.approx(pi.sum(), abs=TOLERANCE)
    assert (np.diff(made[np.argsort(pi)]) >= -1e-12).all()


@given(strata())
def test_those_left_out_are_a_draw_of_the_complements(pi: Floats) -> None:
    # Pareto's key of 1 − pi, with 1 − u, is one over that of pi: the largest become the smallest.
    np.testing.assert_allclose(
        inclusion_probabilities(1 - pi), 1 - inclusion_probabilities(pi), atol=TOLERANCE, rtol=0
    )


@pytest.mark.parametrize("first", [0.01, 0.3, 0.49, 0.9])
def test_one_of_two_has_a_closed_form(first: float) -> None:
    ratio = (first / (1 - first)) ** 2  # of the odds: the second's target is 1 − first
    exact = ratio * (ratio - 1 - log(ratio)) / (ratio - 1) ** 2
    made = inclusion_probabilities(np.array([first, 1 - first]))
    assert made == pytest.approx([exact, 1 - exact], abs=1e-12)


def test_equal_targets_give_equal_probabilities() -> None:
    assert inclusion_probabilities(np.full(8, 0.375)).tolist() == [0.375] * 8


def test_simulated_draws_have_the_stated_probabilities() -> None:
    pi, times = skewed(5, 2), 100_000
    u = np.random.default_rng(7).random((times, len(pi)))
    keys = (u / (1 - u)) / (pi / (1 - pi))
    drawn = np.zeros(keys.shape, np.bool_)
    np.put_along_axis(drawn, np.argsort(keys, axis=1)[:, :2], np.True_, axis=1)
    stated = inclusion_probabilities(pi)
    error = np.sqrt(stated * (1 - stated) / times)
    assert (np.abs(drawn.mean(axis=0) - stated) < 4.5 * error).all()
    assert (np.abs(pi - stated) > 4.5 * error).any()  # the targets themselves would be told apart
    both = drawn.astype(np.float64).T @ drawn / times
    joint = joint_probabilities(pi)
    assert (np.abs(both - joint) < 5 * np.sqrt(joint / times)).all()


def test_targets_are_nearly_met_in_large_strata() -> None:
    for size, bound in ((100, 1e-3), (1000, 1e-5), (10_000, 1e-6)):
        pi = skewed(size, size // 10)
        assert np.abs(inclusion_probabilities(pi) - pi).max() < bound


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_gathering_and_interpolating_change_nothing(
    spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pi = skewed(6000, 300, spread=spread)
    made = inclusion_probabilities(pi)
    monkeypatch.setattr(probability, "_MOST_EXACT", 10_000)
    some = pi[:: len(pi) // 50]
    values, counts = np.unique(pi, return_counts=True)
    law = probability._law(values, counts.astype(np.float64), 300)
    direct = probability._all_drawn(law, some[:, None])
    assert np.abs(made[:: len(pi) // 50] - direct).max() < TOLERANCE


def test_extreme_targets_are_exact_too() -> None:
    pi = np.array([1e-6, 1e-6, 0.3 - 2e-6, 0.7, 1 - 1e-6, 1e-6])
    assert apart(inclusion_probabilities(pi), pi) < TOLERANCE


@given(strata())
@settings(max_examples=30)
def test_joint_probabilities_add_up(pi: Floats) -> None:
    joint, single = joint_probabilities(pi), inclusion_probabilities(pi)
    n = round(pi.sum())
    assert (joint == joint.T).all()
    assert (joint >= -1e-12).all()
    np.testing.assert_allclose(np.diag(joint), single)
    np.testing.assert_allclose(joint.sum(axis=1), n * single, atol=len(pi) * TOLERANCE)


@pytest.mark.parametrize("size", [40, 100, 150])
def test_the_approximation_is_of_second_order(size: int) -> None:
    pi = skewed(size, size // 4)
    single = inclusion_probabilities(pi)
    exact, near = joint_probabilities(pi), joint_approximation(single)
    depth = float(single @ (1 - single))
    assert np.abs(near / exact - 1).max() < 1 / depth**2


@pytest.mark.parametrize(
    ("pi", "message"),
    [
        ([], "lie in"),
        ([0.5, 1.0], "leave mandatory subjects"),
        ([0.0, 0.5, 0.5], "lie in"),
        ([0.5, 0.2], "sum to 0.7"),
        ([0.1, 0.2], "from 1 to 1"),
    ],
)
def test_impossible_targets_are_refused(pi: list[float], message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        inclusion_probabilities(np.array(pi))


def test_large_joint_matrices_are_refused() -> None:
    with pytest.raises(InspectionError, match="use joint_approximation"):
        joint_probabilities(skewed(500, 50))
