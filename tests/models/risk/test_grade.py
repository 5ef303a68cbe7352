"""Scores, thresholds, hysteresis and vetoes are as declared."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError, ConfigError
from models.risk.grade import Places, foretells, risk_score, rulebook
from models.scenarios.catalogue import catalogue
from models.scenarios.scenario import Scenario
from tests.models.risk.small import scenario

BOOK = rulebook(scenario())
A, B, C, D = range(4)
probabilities = st.floats(0, 1)


def places(*grades: int) -> Places:
    return np.array(grades, dtype=np.int64)


def graded(*probability: float, previous: Places | None = None) -> list[int]:
    return BOOK.places(np.array(probability), previous).tolist()


def with_(**change: object) -> Scenario:
    return Scenario.model_validate({**scenario().model_dump(mode="json"), **change})


def test_the_score_runs_from_0_to_1000_along_the_log_odds() -> None:
    score = risk_score(np.array([1e-9, 0.001, 0.5, 0.999, 1 - 1e-9]))
    assert score.tolist() == pytest.approx([0, 0, 500, 1000, 1000], abs=1e-9)
    odds = np.array([0.01, 0.02, 0.04]) / (1 - np.array([0.01, 0.02, 0.04]))
    steps = np.diff(np.log(odds)) / (2 * math.log(999)) * 1000
    assert np.diff(risk_score(np.array([0.01, 0.02, 0.04]))) == pytest.approx(steps)


@given(st.lists(st.floats(1e-12, 1 - 1e-12), min_size=2))
def test_a_riskier_subject_never_scores_less(some: list[float]) -> None:
    score = risk_score(np.array(sorted(some)))
    assert (np.diff(score) >= 0).all()
    assert ((score >= 0) & (score <= 1000)).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, 1.0, -0.1])
def test_what_is_no_probability_has_no_score(bad: float) -> None:
    with pytest.raises(BundleError, match=r"a probability of .* has no score"):
        risk_score(np.array([0.5, bad]))


def test_a_grade_ends_below_its_threshold() -> None:
    below = math.nextafter(0.2, 0)
    assert graded(0.0, below, 0.2, 0.4, 0.6, 1.0) == [A, A, B, C, D, D]


def test_a_grade_in_force_changes_only_well_past_the_threshold() -> None:
    """The hysteresis is .05: thresholds at .2, .4 and .6."""
    held = {
        (A, 0.24): A,
        (A, 0.26): B,
        (B, 0.16): B,
        (B, 0.14): A,
        (A, 0.41): B,  # surely past .2, not surely past .4
        (A, 0.46): C,
        (D, 0.56): D,
        (D, 0.36): C,
        (D, 0.34): B,
        (C, 0.50): C,
    }
    for (before, probability), after in held.items():
        assert graded(probability, previous=places(before)) == [after], (before, probability)


def test_without_a_grade_in_force_the_threshold_is_the_threshold() -> None:
    assert graded(0.24, 0.24, previous=places(-1, A)) == [B, A]


@given(probabilities, st.integers(-1, 3))
def test_the_held_grade_lies_between_the_one_before_and_the_plain_one(
    p: float, before: int
) -> None:
    [plain], [held] = graded(p), graded(p, previous=places(before))
    if before < 0:
        assert held == plain
    else:
        assert min(before, plain) <= held <= max(before, plain)
        assert graded(p, previous=places(held)) == [held], "it settles"


@given(st.lists(probabilities, min_size=2), st.integers(0, 3))
def test_a_riskier_subject_of_the_same_grade_never_gets_a_better_one(
    some: list[float], before: int
) -> None:
    held = graded(*sorted(some), previous=places(*[before] * len(some)))
    assert held == sorted(held)


@given(probabilities, st.integers(0, 3))
def test_without_hysteresis_the_one_before_does_not_matter(p: float, before: int) -> None:
    book = rulebook(_PLAIN)
    assert book.places(np.array([p]), places(before)).tolist() == graded(p)


_PLAIN = with_(validity={"days": 30})


def test_vetoes_read_the_features_and_null_meets_none() -> None:
    rows = pl.DataFrame(
        {
            "inspection_count_30d": [3.0, None, 0.0, 3.0],
            "inspection_count_365d": [0.0, 9.0, 9.0, 2.0],
        }
    )
    hits = BOOK.hits(rows)
    assert hits.tolist() == [[True, False], [False, False], [False, True], [True, True]]
    assert BOOK.worst(places(A, A, D, B), hits).tolist() == [D, A, D, D]
    assert BOOK.worst(places(A, A, A, B), hits).tolist() == [D, A, C, D]


def test_a_veto_never_improves_a_grade() -> None:
    hits = np.array([[False, True]])
    assert BOOK.worst(places(D), hits).tolist() == [D]


def test_a_feature_that_a_veto_needs_is_named() -> None:
    with pytest.raises(BundleError, match=r"vetoes read: inspection_count_30d; build"):
        BOOK.hits(pl.DataFrame({"inspection_count_365d": [1.0]}))


def test_without_vetoes_nothing_is_read() -> None:
    hits = rulebook(with_(veto=[])).hits(pl.DataFrame({"x": [1, 2]}))
    assert hits.shape == (2, 0)
    assert BOOK.worst(places(A, B), hits).tolist() == [A, B]


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_grade_of_every_scenario_is_drawn(name: str) -> None:
    draws = rulebook(catalogue()[name]).follows["draw"]
    assert ((draws > 0) & (draws <= 1)).all()


def test_a_grade_that_is_never_drawn_is_refused() -> None:
    grades = dict(scenario().grades)
    grades["A"] = grades["A"].model_copy(update={"draw": 0.0})
    with pytest.raises(ConfigError, match=r"grade A draws 0; nobody is exempt .*不免抽"):
        rulebook(scenario().model_copy(update={"grades": grades}))


def test_thresholds_out_of_order_are_refused() -> None:
    grades = dict(scenario().grades)
    grades["B"] = grades["B"].model_copy(update={"below": 0.9})
    with pytest.raises(ConfigError, match="must ascend"):
        rulebook(scenario().model_copy(update={"grades": grades}))


def test_what_follows_is_as_declared() -> None:
    assert BOOK.follows.drop("scenario_digest").rows() == [
        ("A", False, 0.01, "甲"),
        ("B", False, 0.05, "乙"),
        ("C", False, 0.2, "丙"),
        ("D", True, 0.5, "丁"),
    ]
    assert BOOK.follows["scenario_digest"].unique().to_list() == [scenario().digest]
    assert BOOK.consequences(places(D))["grade"].to_list() == ["D"]
    assert BOOK.consequences(places(D, A, D))["grade"].to_list() == ["D", "A", "D"]


def test_only_what_makes_the_probability_tells_scenarios_apart() -> None:
    assert foretells(with_(title="另一", validity={"days": 3})) == foretells(scenario())
    assert foretells(with_(id="other")) != foretells(scenario())


def test_nan_meets_no_veto() -> None:
    rows = pl.DataFrame(
        {
            "inspection_count_30d": [math.nan, 3.0, None, 1.0],
            "inspection_count_365d": [math.nan, math.nan, math.nan, 2.0],
        }
    )
    assert BOOK.hits(rows).tolist() == [[False] * 2, [True, False], [False] * 2, [False, True]]
