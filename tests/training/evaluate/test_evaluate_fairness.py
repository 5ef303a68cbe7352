"""Groups are compared where they are large enough, by fairlearn, with intervals."""

from __future__ import annotations

import polars as pl
import pytest

from tests.training.evaluate.foretold import predictions
from training.evaluate.evaluation import Fairness, Group
from training.evaluate.fairness import FIGURES, UNKNOWN, fairness

FRAME = predictions(600)


def audited(
    frame: pl.DataFrame, *, share: float | None = 0.2, weight: str | None = None
) -> dict[str, Fairness]:
    found = fairness(frame, "lightgbm", share=share, weight=weight, seed=1, resamples=100)
    return {one.by: one for one in found}


def groups(found: Fairness) -> dict[str, Group]:
    return {one.name: one for one in found.groups}


def test_every_audited_attribute_and_group_is_told() -> None:
    found = audited(FRAME)
    assert set(found) == {"region", "size"}
    assert set(groups(found["size"])) == {"micro", "small", "large"}
    for one in found.values():
        assert sum(group.rows for group in one.groups) == FRAME.height
        assert [g.rows for g in one.groups] == sorted((g.rows for g in one.groups), reverse=True)


def test_the_share_is_selected_within_each_fold() -> None:
    one_group = FRAME.with_columns(audit_size=pl.lit("micro"))
    (all_,) = audited(one_group)["size"].groups
    assert all_.selected.value == pytest.approx(0.2)


def test_figures_are_what_they_are_called() -> None:
    cut = FRAME.group_by("fold").agg(pl.col("p_lightgbm").quantile(0.8, "higher").alias("cut"))
    rows = FRAME.join(cut, on="fold").with_columns(taken=pl.col("p_lightgbm") >= pl.col("cut"))
    here = rows.filter(audit_region="210102")
    seen = here.filter("observed")
    one = groups(audited(FRAME)["region"])["210102"]
    assert one.selected.value == pytest.approx(here["taken"].mean(), abs=0.002)
    assert one.tpr.value == pytest.approx(seen.filter("positive")["taken"].mean(), abs=0.01)
    assert one.fpr.value == pytest.approx(
        seen.filter(~pl.col("positive"))["taken"].mean(), abs=0.01
    )
    gap = (seen["p_lightgbm"] - seen["positive"].cast(pl.Float64)).mean()
    assert one.gap.value == pytest.approx(gap)


def test_rates_are_weighted_and_selection_is_not() -> None:
    plain = groups(audited(FRAME)["region"])["210102"]
    weighted = groups(audited(FRAME, weight="weight")["region"])["210102"]
    assert weighted.selected == plain.selected
    assert weighted.tpr.value != plain.tpr.value


def test_small_groups_are_named_and_not_judged() -> None:
    found = audited(FRAME)["size"]
    large = groups(found)["large"]
    assert not large.large
    assert large.selected.low is None
    assert large.subjects < 100
    both = [groups(found)[name].tpr.value or 0 for name in ("micro", "small")]
    assert found.differences["tpr"].value == pytest.approx(max(both) - min(both))


def test_one_large_group_differs_from_nobody() -> None:
    assert audited(FRAME.with_columns(audit_size=pl.lit("micro")))["size"].differences == {}


def test_a_model_that_favours_a_group_is_seen() -> None:
    north = pl.col("audit_region") == "210102"
    tilted = FRAME.with_columns(
        p_lightgbm=pl.when(north).then(pl.col("p_lightgbm") / 2).otherwise("p_lightgbm")
    )
    found, fair = audited(tilted)["region"], audited(FRAME)["region"]
    assert set(found.differences) == set(FIGURES)
    assert (found.differences["gap"].low or 0) > 0.05
    assert (fair.differences["gap"].low or 0) == pytest.approx(0, abs=0.03)
    assert (groups(found)["210102"].gap.high or 0) < 0


def test_those_of_whom_nothing_is_known_are_a_group() -> None:
    blank = FRAME.with_columns(audit_size=pl.lit(None, pl.String))
    assert [one.name for one in audited(blank)["size"].groups] == [UNKNOWN]


@pytest.mark.parametrize("share", [None, 1.0])
def test_a_capacity_for_everybody_selects_a_tenth(share: float | None) -> None:
    assert audited(FRAME, share=share)["size"].share == 0.1


def test_without_audit_columns_there_is_nothing_to_tell() -> None:
    assert audited(FRAME.drop("audit_region", "audit_size")) == {}
