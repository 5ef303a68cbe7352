from __future__ import annotations

from hashlib import sha256

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InspectionError
from models.inspection.trial import (
    COMPARISON,
    MODEL,
    USUAL,
    assign,
    compare,
    detectable,
    needed,
    units,
)

OFFICES = [f"O{n}" for n in range(6)]
PERIODS = ["2027Q1", "2027Q2", "2027Q3"]


def results(model: list[int], usual: list[int], visits: int = 20) -> pl.DataFrame:
    both = [*((MODEL, n) for n in model), *((USUAL, n) for n in usual)]
    return pl.DataFrame(
        {
            "arm": [arm for arm, _ in both],
            "block": ["b"] * len(both),
            "inspections": [visits] * len(both),
            "findings": [n for _, n in both],
        }
    )


def test_half_of_each_block_works_with_the_list() -> None:
    made = assign(units(OFFICES, PERIODS), "seed")
    counts = made.group_by("block", "arm").len().sort("block", "arm")
    assert counts["len"].to_list() == [3] * 6
    assert made["unit_id"].to_list()[0] == "O0@2027Q1"


def test_the_assignment_can_be_checked_by_hand() -> None:
    made = assign(units(OFFICES, ["2027Q1"]), "seed")
    keys = {name: sha256(f"seed\n{name}@2027Q1".encode()).hexdigest() for name in OFFICES}
    assert dict(made.select("office", "key").rows()) == keys
    first = set(sorted(OFFICES, key=lambda name: keys[name])[:3])
    assert set(made.filter(arm=MODEL)["office"]) == first


@given(seed=st.text(min_size=1, max_size=8), many=st.integers(2, 9))
def test_arms_differ_by_one_at_most(seed: str, many: int) -> None:
    frame = units([f"O{n}" for n in range(many)], ["P", "Q"])
    made = assign(frame, seed)
    for block in made.partition_by("block"):
        counts = [block.filter(arm=arm).height for arm in (MODEL, USUAL)]
        assert abs(counts[0] - counts[1]) == many % 2
    assert assign(frame.reverse(), seed).sort("unit_id").equals(made.sort("unit_id"))


def test_every_unit_has_the_same_chance() -> None:
    frame = units(["a", "b", "c"], ["P"])
    share = [
        (assign(frame, f"seed {n}")["arm"] == MODEL).to_numpy().astype(float) for n in range(800)
    ]
    assert np.mean(share, axis=0) == pytest.approx([0.5] * 3, abs=0.07)


def test_what_cannot_be_assigned_is_refused() -> None:
    frame = units(["a", "b"], ["P"])
    with pytest.raises(InspectionError, match="the seed is empty"):
        assign(frame, "")
    with pytest.raises(InspectionError, match="stands twice"):
        assign(pl.concat([frame, frame]), "s")
    with pytest.raises(InspectionError, match="block P has a single unit"):
        assign(frame.head(1), "s")
    with pytest.raises(InspectionError, match="needs 'block'"):
        assign(frame.drop("block"), "s")


def test_equal_units_give_welchs_interval() -> None:
    model, usual = [4, 6, 5, 9, 6], [2, 3, 1, 4]
    row = compare(results(model, usual)).row(0, named=True)
    a, b = np.array(model) / 20, np.array(usual) / 20
    assert row["model"] == pytest.approx(a.mean())
    assert row["difference"] == pytest.approx(a.mean() - b.mean())
    error = np.sqrt(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size)
    assert row["standard_error"] == pytest.approx(error)
    # Welch's t test of the units' rates, as R and scipy give it.
    assert row["p_value"] == pytest.approx(0.013138682130203342, rel=0.03)
    assert (row["low"], row["high"]) == pytest.approx((0.049743642, 0.300256358), rel=0.02)


def test_blocks_take_their_differences_out() -> None:
    easy = results([4, 5, 4, 5], [2, 3, 2, 3])
    hard = results([14, 15, 14, 15], [12, 13, 12, 13]).with_columns(block=pl.lit("hard"))
    both = pl.concat([easy, hard])
    blocked = compare(both).row(0, named=True)
    mixed = compare(both.with_columns(block=pl.lit("one"))).row(0, named=True)
    assert blocked["difference"] == mixed["difference"] == pytest.approx(0.1)
    assert blocked["standard_error"] < 0.3 * mixed["standard_error"]


def test_every_metric_there_is_is_compared() -> None:
    frame = results([4, 6, 5], [2, 3, 1]).with_columns(
        days_earlier=pl.Series([40, 80, 60, 0, 0, 0]),
        found_later=pl.Series([1, 0, 1, 4, 3, 4]),
        cost=pl.Series([90.0] * 6),
    )
    made = compare(frame)
    assert dict(made.schema) == COMPARISON
    assert made["metric"].to_list() == ["hit_rate", "days_earlier", "found_later", "cost"]
    rows = {row["metric"]: row for row in made.iter_rows(named=True)}
    assert rows["days_earlier"]["model"] == pytest.approx(12)
    assert rows["found_later"]["difference"] < 0
    assert rows["cost"]["usual"] == pytest.approx(45)


def test_a_block_with_one_unit_of_an_arm_counts_too() -> None:
    frame = results([4, 6, 5], [2, 3, 1]).with_columns(
        block=pl.Series(["x", "x", "y", "x", "x", "y"])
    )
    row = compare(frame).row(0, named=True)
    assert row["low"] < row["difference"] < row["high"]
    assert 0 < row["p_value"] < 1


def test_no_difference_has_p_one() -> None:
    row = compare(results([2, 2], [2, 2])).row(0, named=True)
    assert (row["difference"], row["p_value"]) == (0, 1)
    assert compare(results([3, 3], [2, 2])).row(0, named=True)["p_value"] == 0


def test_too_little_to_compare_is_refused() -> None:
    with pytest.raises(InspectionError, match="1 \\(model\\) and 2 \\(usual\\)"):
        compare(results([2], [2, 2]))
    with pytest.raises(InspectionError, match="arm 'model' has no inspections at all"):
        compare(results([0, 0], [0, 0], visits=0))
    with pytest.raises(InspectionError, match="needs 'findings'"):
        compare(results([1, 1], [1, 1]).drop("findings"))
    with pytest.raises(InspectionError, match="there is no arm 'modell'"):
        compare(results([1, 1], [1, 1]).with_columns(arm=pl.lit("modell")))
    with pytest.raises(InspectionError, match="needs 'cost'"):
        compare(results([1, 1], [1, 1]).with_columns(cost=pl.lit(None, pl.Float64)))


def test_the_size_is_that_of_two_proportions() -> None:
    size = needed(0.1, 0.15, per_unit=1, alike=0.0)
    # Fleiss 1981 without continuity correction: 683 in each arm; one more for the t distribution.
    assert size.units_per_arm == 684
    assert size.design_effect == 1
    clustered = needed(0.1, 0.15, per_unit=25, alike=0.04)
    assert clustered.design_effect == pytest.approx(1.96)
    assert clustered.inspections_per_arm == clustered.units_per_arm * 25
    assert clustered.inspections_per_arm > 1.9 * 683


def test_a_trial_of_the_needed_size_has_the_power() -> None:
    size = needed(0.1, 0.2, per_unit=20, alike=0.03)
    rng = np.random.default_rng(0)
    shape = 1 / 0.03 - 1
    shown = 0
    for _ in range(300):
        counts = [
            rng.binomial(20, rng.beta(p * shape, (1 - p) * shape, size.units_per_arm)).tolist()
            for p in (0.2, 0.1)
        ]
        shown += compare(results(counts[0], counts[1]))["low"][0] > 0
    assert shown / 300 == pytest.approx(0.8, abs=0.08)


def test_what_a_trial_would_show_fits_its_size() -> None:
    least = detectable(0.1, units_per_arm=30, per_unit=20, alike=0.03)
    assert needed(0.1, least, per_unit=20, alike=0.03).units_per_arm <= 30
    assert needed(0.1, least - 0.002, per_unit=20, alike=0.03).units_per_arm >= 30
    assert detectable(0.1, units_per_arm=1, per_unit=1, alike=0.0) == 1


def test_designs_without_sense_are_refused() -> None:
    with pytest.raises(InspectionError, match=r"both hit rates are 0\.1"):
        needed(0.1, 0.1, per_unit=20, alike=0.0)
    with pytest.raises(InspectionError, match=r"hit rate 1\.2 is not between"):
        needed(0.1, 1.2, per_unit=20, alike=0.0)
    with pytest.raises(InspectionError, match="0 inspections of a unit"):
        needed(0.1, 0.2, per_unit=0, alike=0.0)
