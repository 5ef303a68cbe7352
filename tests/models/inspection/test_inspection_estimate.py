from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final, Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InspectionError
from models.inspection.estimate import (
    FIGURES,
    Method,
    degrees,
    rates,
    variance,
)
from models.inspection.intervals import effective_size, interval, quantile, satterthwaite

METHODS: tuple[Method, ...] = ("ht", "hajek", "difference")


def pool(sizes: dict[str, int]) -> pl.DataFrame:
    rows = [
        {"subject_id": f"{stratum}{n:03d}", "stratum": stratum, "half": n % 2}
        for stratum, size in sizes.items()
        for n in range(size)
    ]
    frame = pl.DataFrame(rows)
    return frame.with_columns(
        (pl.col("subject_id").rank("dense") / (frame.height + 1) * 0.5).alias("probability")
    )


def sample(whole: pl.DataFrame, ids: list[str], positive: Sequence[float | None]) -> pl.DataFrame:
    drawn = whole.filter(pl.col("subject_id").is_in(ids))
    size = drawn.group_by("stratum").len("n").join(whole.group_by("stratum").len("N"), on="stratum")
    return (
        drawn.select("subject_id", "stratum")
        .join(size, on="stratum", maintain_order="left")
        .select(
            "subject_id",
            (pl.col("n") / pl.col("N")).alias("inclusion_probability"),
            pl.Series("positive", positive, strict=False),
        )
    )


def one(frame: pl.DataFrame) -> dict[str, float]:
    return frame.row(0, named=True)


def test_a_simple_random_sample_has_the_textbook_variance() -> None:
    whole = pool({"A": 40})
    ids = whole["subject_id"].to_list()[:10]
    outcomes: list[bool] = [True] * 3 + [False] * 7
    figures = one(rates(sample(whole, ids, outcomes), whole, method="ht"))
    assert figures["rate"] == pytest.approx(0.3)
    # Cochran 1977, 3.8: (1 - f) p q / (n - 1)
    assert figures["standard_error"] ** 2 == pytest.approx(0.75 * 0.3 * 0.7 / 9)
    assert figures["population"] == 40
    assert figures["drawn"] == figures["observed"] == 10


def test_strata_add_up_as_in_the_textbook() -> None:
    whole = pool({"A": 40, "B": 60})
    ids = [f"A{n:03d}" for n in range(10)] + [f"B{n:03d}" for n in range(6)]
    outcomes: list[bool] = [True, *[False] * 9, *[True] * 3, *[False] * 3]
    figures = one(rates(sample(whole, ids, outcomes), whole, method="hajek"))
    assert figures["rate"] == pytest.approx(0.4 * 0.1 + 0.6 * 0.5)
    wanted = 0.16 * 0.75 * 0.09 / 9 + 0.36 * 0.9 * 0.25 / 5
    assert figures["standard_error"] ** 2 == pytest.approx(wanted)


@pytest.mark.parametrize("method", METHODS)
def test_over_all_samples_the_mean_is_the_truth_and_the_variance_is_right(method: Method) -> None:
    whole = pool({"A": 7})
    outcome = {name: n in {1, 4, 6} for n, name in enumerate(whole["subject_id"])}
    found: list[float] = []
    said: list[float] = []
    for ids in combinations(whole["subject_id"].to_list(), 3):
        drawn = sample(whole, list(ids), [outcome[name] for name in ids])
        figures = one(rates(drawn, whole, method=method))
        found.append(figures["rate"])
        said.append(figures["standard_error"] ** 2)
    assert np.mean(found) == pytest.approx(3 / 7)
    assert np.mean(said) == pytest.approx(np.var(found))


def test_a_perfect_model_leaves_no_error() -> None:
    whole = pool({"A": 20}).with_columns(pl.col("half").cast(pl.Float64).alias("probability"))
    ids = whole["subject_id"].to_list()[:6]
    drawn = sample(whole, ids, [n % 2 for n in range(6)])
    figures = one(rates(drawn, whole, method="difference"))
    assert figures["rate"] == pytest.approx(0.5)
    assert figures["standard_error"] == pytest.approx(0)


def test_a_useless_model_does_no_harm_to_the_mean() -> None:
    whole = pool({"A": 20}).with_columns(pl.lit(0.9).alias("probability"))
    ids = whole["subject_id"].to_list()[:6]
    drawn = sample(whole, ids, [True, *[False] * 5])
    rows = [one(rates(drawn, whole, method=method)) for method in METHODS]
    assert [row["rate"] for row in rows] == pytest.approx([1 / 6] * 3)


def test_groups_are_estimated_each_by_itself() -> None:
    whole = pool({"A": 40, "B": 40})
    ids = [f"A{n:03d}" for n in range(8)] + [f"B{n:03d}" for n in range(8)]
    drawn = sample(whole, ids, [n % 2 == 1 for n in range(8)] * 2)
    made = rates(drawn, whole, by=["half"])
    assert made.columns == ["half", *FIGURES]
    assert made["rate"].to_list() == [0.0, 1.0]
    assert made["population"].to_list() == [40, 40]
    assert made["drawn"].to_list() == [8, 8]
    assert 0 == made["low"][0] < made["high"][0] < 1
    assert rates(drawn, whole, by=["stratum"])["rate"].to_list() == [0.5, 0.5]


def test_a_group_nobody_was_drawn_from_is_null() -> None:
    whole = pool({"A": 10}).with_columns(
        pl.when(pl.col("subject_id") == "A009").then(pl.lit("x")).otherwise(pl.lit("y")).alias("g")
    )
    made = rates(sample(whole, ["A000", "A001", "A002"], [True, False, False]), whole, by=["g"])
    assert made.row(0) == ("x", 1, 0, 0, None, None, None, None)


def test_everybody_visited_means_no_doubt() -> None:
    whole = pool({"A": 4})
    drawn = sample(whole, whole["subject_id"].to_list(), [True, False, False, False])
    figures = one(rates(drawn, whole))
    assert (figures["low"], figures["rate"], figures["high"]) == (0.25, 0.25, 0.25)


def test_no_problem_found_is_no_proof_of_none() -> None:
    whole = pool({"A": 100})
    drawn = sample(whole, whole["subject_id"].to_list()[:20], [False] * 20)
    figures = one(rates(drawn, whole))
    assert figures["rate"] == figures["low"] == 0
    assert 0.1 < figures["high"] < 0.2


def test_those_with_results_can_stand_for_those_without() -> None:
    whole = pool({"A": 20, "B": 20})
    ids = [f"A{n:03d}" for n in range(4)] + [f"B{n:03d}" for n in range(4)]
    drawn = sample(whole, ids, [True, False, None, None, True, True, True, False])
    with pytest.raises(InspectionError, match="2 of 8 drawn have no result"):
        rates(drawn, whole)
    figures = one(rates(drawn, whole, missing="reweight"))
    assert figures["rate"] == pytest.approx((0.5 + 0.75) / 2)
    assert (figures["drawn"], figures["observed"]) == (8, 6)


def test_out_of_scope_is_not_a_pass() -> None:
    whole = pool({"A": 20})
    drawn = sample(whole, [f"A{n:03d}" for n in range(6)], [True, False, None, None, False, False])
    drawn = drawn.with_columns(in_scope=pl.col("positive").is_not_null())
    figures = one(rates(drawn, whole))
    assert figures["rate"] == pytest.approx(1 / 4)
    assert figures["observed"] == 4
    with pytest.raises(InspectionError, match="2 of the drawn are out of scope"):
        rates(drawn, whole, method="ht")


def test_lonely_strata_are_refused_or_put_together() -> None:
    whole = pool({"A": 10, "B": 10, "C": 10})
    drawn = sample(whole, ["A000", "A001", "B000", "C000"], [True, False, True, False])
    with pytest.raises(InspectionError, match="single result drawn by chance"):
        rates(drawn, whole)
    assert one(rates(drawn, whole, collapse=True))["standard_error"] > 0
    only = sample(whole, ["A000", "A001", "B000"], [True, False, True])
    assert one(rates(only, whole.filter(pl.col("stratum") != "C"), collapse=True))["low"] < 0.7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.lit(0.0).alias("inclusion_probability"), "not in \\(0, 1\\]"),
        (pl.lit(2.0).alias("positive"), "not between 0 and 1"),
        (pl.lit("A000").alias("subject_id"), "twice in the sample"),
        ((pl.col("subject_id") + "x").alias("subject_id"), "not in the pool"),
        (pl.lit(None, pl.Float64).alias("inclusion_probability"), "null in 4 rows"),
        (pl.lit(None, pl.Boolean).alias("positive"), "have no result"),
    ],
)
def test_frames_that_do_not_fit_are_refused(change: pl.Expr, message: str) -> None:
    whole = pool({"A": 10})
    drawn = sample(whole, [f"A{n:03d}" for n in range(4)], [True, False, False, False])
    with pytest.raises(InspectionError, match=message):
        rates(drawn.with_columns(change), whole)


def test_what_is_not_there_is_named() -> None:
    whole = pool({"A": 10})
    drawn = sample(whole, ["A000", "A001"], [True, False])
    with pytest.raises(InspectionError, match="no column 'stratum'"):
        rates(drawn, whole.drop("stratum"))
    with pytest.raises(InspectionError, match="no column 'probability'"):
        rates(drawn, whole.drop("probability"), method="difference")
    with pytest.raises(InspectionError, match="the sample is empty"):
        rates(drawn.clear(), whole)
    with pytest.raises(InspectionError, match="level 95"):
        rates(drawn, whole, level=95)
    none = sample(whole, ["A000", "A001"], [None, None])
    with pytest.raises(InspectionError, match="nobody of stratum A has a result"):
        rates(none, whole, missing="reweight")


STUDENT: Final = {
    0.8: [3.07768354, 1.88561808, 1.63774435, 1.47588405, 1.37218364, 1.30307705, 1.28155157],
    0.95: [12.70620474, 4.30265273, 3.18244631, 2.57058184, 2.22813885, 2.02107539, 1.95996398],
    0.99: [63.65674116, 9.9248432, 5.84090931, 4.03214298, 3.16927267, 2.70445927, 2.57582930],
}
"""Tabulated for 1, 2, 3, 5, 10, 40 and infinitely many degrees of freedom."""


@pytest.mark.parametrize("level", STUDENT)
def test_quantiles_are_those_of_student(level: float) -> None:
    for freedom, wanted in zip([1, 2, 3, 5, 10, 40, 1e9], STUDENT[level], strict=True):
        near = 1e-8 if freedom <= 2 else (0.02 if freedom < 5 else 1e-3)
        assert quantile(level, freedom) == pytest.approx(wanted, rel=near)


def test_the_interval_is_wilsons() -> None:
    low, high = interval(0.2, float(np.sqrt(0.2 * 0.8 / 50)), reach=1.959963984540054, fallback=1)
    assert (low, high) == pytest.approx((0.11243750015776106, 0.33037105932225413))


@given(
    rate=st.floats(-0.2, 1.2),
    error=st.floats(0, 0.5),
    reach=st.floats(0.5, 13),
    size=st.floats(1, 1e9),
)
def test_intervals_lie_within_bounds(rate: float, error: float, reach: float, size: float) -> None:
    inside = min(max(rate, 0.0), 1.0)
    low, high = interval(rate, error, reach=reach, fallback=size)
    assert 0 <= low <= high <= 1
    assert low - 1e-9 <= inside <= high + 1e-9


@given(pi=st.lists(st.floats(0.01, 0.99), min_size=2, max_size=30), shift=st.floats(-5, 5))
def test_equal_scaled_values_have_no_variance(pi: list[float], shift: float) -> None:
    chances, stratum = np.array(pi), np.zeros(len(pi), np.int64)
    same = np.full(len(pi), shift)
    assert variance(same, chances, stratum) == pytest.approx(0, abs=1e-20)


def test_those_drawn_for_certain_add_nothing() -> None:
    pi = np.array([0.5, 0.5, 1.0, 1.0])
    stratum = np.zeros(4, np.int64)
    scaled = np.array([1.0, 3.0, 100.0, -100.0])
    assert variance(scaled, pi, stratum) == pytest.approx(variance(scaled[:2], pi[:2], stratum[:2]))
    assert effective_size(pi) == pytest.approx(4**2 / (2 * 2))
    assert effective_size(np.ones(3)) == float("inf")


def test_few_problems_mean_few_degrees_of_freedom() -> None:
    pi, stratum = np.full(200, 0.1), np.zeros(200, np.int64)
    few, many = np.zeros(200), np.zeros(200)
    few[:2], many[::2] = 10.0, 10.0
    assert degrees(few, pi, stratum) < 10
    assert degrees(many, pi, stratum) > 100
    assert degrees(np.zeros(200), pi, stratum) == 199
    assert satterthwaite([1.0, 1.0], [10.0, 10.0]) == pytest.approx(20)
    assert satterthwaite([1.0, 0.0], [10.0, 1.0]) == pytest.approx(10)
    assert satterthwaite([0.0, 0.0], [3.0, 4.0]) == 7


@pytest.mark.parametrize("how", ["ht", "hajek"])
def test_unequal_chances_over_all_samples(how: Literal["ht", "hajek"]) -> None:
    """Conditional Poisson sampling of 3 of 6, by enumeration."""
    weights = np.array([0.2, 0.5, 1.0, 1.0, 2.0, 3.0])
    sets = list(combinations(range(6), 3))
    chance = np.array([np.prod(weights[list(s)]) for s in sets])
    chance /= chance.sum()
    pi = np.array([chance[[k in s for s in sets]].sum() for k in range(6)])
    outcome = np.array([1, 0, 1, 0, 1, 0])
    whole = pl.DataFrame({"subject_id": list("abcdef"), "stratum": ["S"] * 6})
    found: list[float] = []
    said: list[float] = []
    for s in sets:
        rows = list(s)
        drawn = pl.DataFrame(
            {
                "subject_id": [list("abcdef")[k] for k in rows],
                "inclusion_probability": pi[rows],
                "positive": outcome[rows],
            }
        )
        figures = one(rates(drawn, whole, method=how))
        found.append(figures["rate"])
        said.append(figures["standard_error"] ** 2)
    mean = float(chance @ np.array(found))
    true = float(chance @ np.square(np.array(found) - mean))
    assert mean == pytest.approx(0.5, abs=1e-9 if how == "ht" else 0.1)
    # Of three results the ratio's variance is not to be had by linearising.
    near = 0.35 if how == "ht" else 0.5
    assert float(chance @ np.array(said)) == pytest.approx(true, rel=near)


def test_estimates_and_errors_are_those_of_svy() -> None:
    """svy 0.35.0 on a stratified sample with population sizes, in all and by region."""
    sizes = {"A": 30, "B": 50, "C": 12}
    found = {"A": [1, 0, 0, 1, 0, 0], "B": [0, 0, 1, 0, 0, 0, 0, 1], "C": [1, 1, 0, 1]}
    whole = pool(sizes).with_columns(
        pl.col("half").replace_strict({0: "E", 1: "W"}).alias("region")
    )
    ids = [f"{stratum}{n:03d}" for stratum, got in found.items() for n in range(len(got))]
    drawn = sample(whole, ids, [y == 1 for got in found.values() for y in got])
    for method in ("ht", "hajek"):
        figures = one(rates(drawn, whole, method=method))
        assert figures["rate"] == pytest.approx(0.3423913043478261, abs=1e-14)
        assert figures["standard_error"] == pytest.approx(0.10552439042906302, abs=1e-14)
    regions = rates(drawn, whole, by=["region"])
    assert regions["rate"].to_list() == pytest.approx([0.30978260869565216, 0.375], abs=1e-14)
    assert regions["standard_error"].to_list() == pytest.approx(
        [0.15171121455718997, 0.15137113562179844], abs=1e-14
    )
