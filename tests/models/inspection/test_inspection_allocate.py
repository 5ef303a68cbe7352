from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InspectionError
from models.inspection.allocate import (
    COLUMNS,
    FEWEST,
    Mandatory,
    affordable,
    by_grade,
    by_risk,
    weigh,
    whole,
)
from models.inspection.pool import Pool
from tests.models.inspection.catering import RATIOS, people


def sums(pi: pl.DataFrame) -> list[float]:
    return pi.group_by("stratum").agg(pl.col("pi").sum()).sort("stratum")["pi"].to_list()


def test_ratios_are_met_by_stratum() -> None:
    rows = people(4000)
    made = by_grade(rows, RATIOS)
    assert dict(made.schema) == COLUMNS
    assert made["subject_id"].to_list() == rows["subject_id"].to_list()
    sizes = rows.group_by("grade").len().sort("grade").rows()
    assert sums(made) == pytest.approx([round(RATIOS[grade] * many) for grade, many in sizes])
    assert made.group_by("stratum").agg(pl.col("pi").n_unique())["pi"].to_list() == [1] * 4
    Pool.of(made.select("subject_id", "stratum", "pi"))


def test_strata_may_cross() -> None:
    made = by_grade(people(4000), RATIOS, strata=("region", "grade"))
    assert made["stratum"].n_unique() == 8
    assert "东/A" in made["stratum"].to_list()
    with pytest.raises(InspectionError, match="name 'grade' among the strata"):
        by_grade(people(10), RATIOS, strata=("region",))


def test_small_strata_get_two_where_they_have_them() -> None:
    rows = pl.DataFrame({"subject_id": list("abcdef"), "grade": list("AAAAAB")})
    made = by_grade(rows, RATIOS)
    assert sums(made) == pytest.approx([FEWEST, 1])


def test_mandatory_subjects_come_on_top() -> None:
    rows = people(1000).with_columns(
        pl.when(pl.col("subject_id") < "S000010")
        .then(pl.lit(Mandatory.FOOD_DISHONEST.value))
        .alias("mandatory")
    )
    made = by_grade(rows, RATIOS)
    assert made["pi"].to_list()[:10] == [1.0] * 10
    assert made["mandatory"].count() == 10
    risk = by_risk(rows, 60, random_share=0.2)
    assert risk["pi"].to_list()[:10] == [1.0] * 10
    assert risk["pi"].sum() == pytest.approx(60)
    assert Mandatory.FOOD_DISHONEST.monthly
    assert not Mandatory.VETO.monthly
    assert "月查" in Mandatory.MEDICAL_DISHONEST.label


def test_more_than_the_capacity_is_refused_and_can_be_lowered() -> None:
    rows = people(4000)
    with pytest.raises(InspectionError, match=r"the ratios come to .* and the capacity is 50"):
        by_grade(rows, RATIOS, capacity=50)
    lowered = affordable(rows, RATIOS, 50)
    assert by_grade(rows, lowered)["pi"].sum() == pytest.approx(50, abs=2)
    assert affordable(rows, RATIOS, 4000) == RATIOS
    listed = rows.with_columns(mandatory=pl.lit("veto"))
    with pytest.raises(InspectionError, match="4000 of them mandatory"):
        affordable(listed, RATIOS, 50)


@pytest.mark.parametrize("precision", [0.0, 0.01, 1.0, 100.0])
def test_risk_raises_the_chance_and_nobody_is_exempt(precision: float) -> None:
    rows = people(3000)
    made = by_risk(rows, 150, random_share=0.2, precision=precision)
    assert made["pi"].sum() == pytest.approx(150)
    assert made["pi"].to_numpy().max() <= 1
    assert made["pi"].to_numpy().min() > 0.5 * 0.2 * 150 / 3000
    assert all(abs(one - round(one)) < 1e-9 for one in sums(made))
    Pool.of(made.select("subject_id", "stratum", "pi"))


def test_the_weight_of_precision_goes_from_the_riskiest_to_the_even() -> None:
    rows = people(3000)
    p = rows["probability"].to_numpy()
    found = [
        float((by_risk(rows, 150, random_share=0.1, precision=w)["pi"].to_numpy() * p).sum())
        for w in (0.0, 0.1, 1.0, 10.0)
    ]
    assert found == sorted(found, reverse=True)
    greedy = float(np.sort(p)[-150:].sum())
    assert 0.9 * greedy < found[0] < greedy
    even = by_risk(rows, 150, random_share=1.0)["pi"].to_numpy()
    assert even.max() / even.min() < 1.2


@given(
    p=st.lists(st.floats(0, 1), min_size=3, max_size=60),
    share=st.floats(0.01, 0.99),
    floor=st.floats(0.01, 1),
    precision=st.floats(0, 1e3),
)
def test_weights_sum_and_stay_in_bounds(
    p: list[float], share: float, floor: float, precision: float
) -> None:
    many = len(p)
    size = max(1, round(share * many))
    least = floor * size / many
    made = weigh(np.array(p), size, floor=least, precision=precision)
    assert made.sum() == pytest.approx(size)
    assert made.max() <= 1
    # what the last scaling to the exact sum takes away is no more than its rounding
    assert made.min() >= least * 0.5


def test_weights_are_the_best_that_there_are() -> None:
    """No small exchange of π between two subjects gains anything."""
    rng = np.random.default_rng(1)
    p, size, precision = rng.beta(1, 6, 40), 8, 0.5
    made = weigh(p, size, floor=0.02, precision=precision)
    weight = precision * (size / p.size) ** 2
    gain = p + weight * p * (1 - p) / made**2
    inside = (made > 0.02 + 1e-6) & (made < 1 - 1e-6)
    assert inside.sum() > 10
    assert np.ptp(gain[inside]) < 1e-6 * gain[inside].max()
    assert gain[made <= 0.02 + 1e-6].max(initial=0) <= gain[inside].min() + 1e-6


def test_equal_probabilities_get_equal_chances() -> None:
    made = weigh(np.full(10, 0.3), 4, floor=0.1, precision=0.0)
    assert made == pytest.approx(np.full(10, 0.4))


@given(
    pi=st.lists(st.floats(0.01, 1), min_size=4, max_size=60),
    strata=st.integers(1, 4),
)
def test_sums_become_whole_and_their_total_stays(pi: list[float], strata: int) -> None:
    stratum = np.arange(len(pi)) % strata
    made = whole(np.array(pi), stratum)
    each = np.bincount(stratum, made)
    assert each == pytest.approx(np.round(each), abs=1e-9)
    assert made.max() <= 1
    assert made.min() > 0
    least = float(np.minimum(np.bincount(stratum), FEWEST).sum())
    assert made.sum() == pytest.approx(max(round(float(np.sum(pi))), least))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.lit(None, pl.String).alias("grade"), "have no grade"),
        (pl.lit("E").alias("grade"), "grade E has no ratio"),
        (pl.lit("S").alias("subject_id"), "stands twice in the pool"),
        (pl.lit("gossip").alias("mandatory"), "'gossip' is no mandatory list"),
    ],
)
def test_what_cannot_be_allocated_is_refused(change: pl.Expr, message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        by_grade(people(20).with_columns(change), RATIOS)


def test_ratios_and_shares_are_checked() -> None:
    with pytest.raises(InspectionError, match="the pool is empty"):
        by_grade(people(3).clear(), RATIOS)
    with pytest.raises(InspectionError, match="ratio 0 of grade A"):
        by_grade(people(30), {**RATIOS, "A": 0.0})
    with pytest.raises(InspectionError, match="random share 0"):
        by_risk(people(30), 5, random_share=0.0)
    with pytest.raises(InspectionError, match="31 are to be drawn of 30"):
        by_risk(people(30), 31, random_share=0.5)
    with pytest.raises(InspectionError, match="no column 'probability'"):
        by_risk(people(30).drop("probability"), 5, random_share=0.5)
    with pytest.raises(InspectionError, match="not between 0 and 1"):
        by_risk(people(30).with_columns(probability=pl.lit(2.0)), 5, random_share=0.5)
    with pytest.raises(InspectionError, match="is negative"):
        by_risk(people(30), 5, random_share=0.5, precision=-1)


@given(
    many=st.integers(4, 120),
    seed=st.integers(0, 99),
    share=st.floats(0.05, 1),
    random_share=st.floats(0.01, 1),
    precision=st.sampled_from([0.0, 1e-3, 0.1, 1.0, 1e3]),
)
def test_every_allocation_can_be_frozen(
    many: int, seed: int, share: float, random_share: float, precision: float
) -> None:
    rows = people(many, seed)
    least = int(rows["grade"].value_counts()["count"].clip(upper_bound=2).sum())
    made = by_risk(
        rows, max(least, round(share * many)), random_share=random_share, precision=precision
    )
    pool = Pool.of(made.select("subject_id", "stratum", "pi"))
    assert pool.frame["pi"].to_numpy().min() > 0
    ratios = {grade: min(ratio * 5 * share, 1.0) for grade, ratio in RATIOS.items()}
    Pool.of(by_grade(rows, ratios).select("subject_id", "stratum", "pi"))


def test_strata_of_other_parts_have_other_names() -> None:
    people = pl.DataFrame(
        {
            "subject_id": [f"S{n}" for n in range(8)],
            "grade": ["A"] * 4 + ["A/B"] * 4,
            "trade": ["B/C"] * 4 + ["C"] * 4,
        }
    )
    made = by_grade(people, {"A": 0.5, "A/B": 0.5}, strata=("grade", "trade"))
    assert made["stratum"].unique().sort().to_list() == ["A%2FB/C", "A/B%2FC"]
