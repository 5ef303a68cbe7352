"""What every model must beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from models.features.catalogue import features_of
from models.features.spec import FeatureSpec
from models.scenarios import catalogue
from models.scenarios.where import parse
from tests.training.risk.world import category, number, scenario
from training.risk.baseline.all import fit_baselines
from training.risk.baseline.logistic import fit_logistic
from training.risk.baseline.past_rate import PRIOR, fit_past_rate
from training.risk.baseline.rules import indicators, points, rules
from training.risk.baseline.woe import bins, fit_woe
from training.risk.fit import area
from training.risk.folds import final
from training.risk.matrix import Matrix
from training.risk.sample import Sample, read_sample


def sample(
    frame: pl.DataFrame, positive: list[bool] | np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Sample:
    group = pl.Series("group", [f"s{n}" for n in range(frame.height)])
    return Sample(frame, np.array(positive), np.ones(frame.height), group)


def drawn(rows: int = 3000, seed: int = 0) -> tuple[Sample, tuple[FeatureSpec, ...]]:
    """Return rows where x raises the risk, y lowers it, and p0 is a risky place."""
    random = np.random.default_rng(seed)
    x, y, z = random.normal(size=(3, rows))
    place = random.integers(0, 3, rows)
    odds = -1.5 + x - y + (place == 0)
    gaps = np.where(random.random(rows) < 0.2, np.nan, x)
    frame = pl.DataFrame(
        {"x": gaps, "y": y, "z": z, "place": [f"p{n}" for n in place], "empty": [None] * rows}
    ).with_columns(pl.col("empty").cast(pl.Float64))
    specs = (number("x"), number("y"), number("z"), category("place"), number("empty"))
    return sample(frame, random.random(rows) < 1 / (1 + np.exp(-odds))), specs


def test_the_past_is_drawn_towards_the_region() -> None:
    frame = pl.DataFrame(
        {
            "past_seen": [0.0, 0.0, 4.0, 4.0, 4.0, 1.0],
            "past_found": [0.0, 0.0, 0.0, 4.0, 9.0, 1.0],
            "audit_region": ["a", "b", "a", "a", "a", "new"],
        }
    )
    many = pl.concat(
        [frame.filter(pl.col("audit_region") == r)[:1] for r in "ab" for _ in range(400)]
    )
    train = sample(many, [n < 300 for n in range(800)])
    told = fit_past_rate(train)(frame)
    p = 1 / (1 + np.exp(-told))
    assert p[0] > 0.7
    assert p[1] < 0.1
    assert p[2] < p[0] < p[3] <= p[4] < 1
    assert p[5] == pytest.approx((1 + PRIOR * train.rate) / (1 + PRIOR))
    without = fit_past_rate(sample(many.drop("audit_region"), train.positive))
    assert without(frame)[0] == without(frame)[1]


def test_rules_count_what_is_worse_when_there_is_more() -> None:
    declared = catalogue()["random_inspection_priority"]
    found = indicators(features_of(declared))
    names = {one.feature for one in found}
    assert {"penalty_count_365d", "listing_count_365d"} <= names
    assert "penalty_count_90d" not in names  # one window of each
    assert not any("inspection_count" in name for name in names if "relation" not in name)
    assert {one.dimension for one in found} <= {one.id for one in points().groups}
    assert sum(one.weight for one in points().groups) == 1000


def test_points_rise_with_records_and_a_veto_takes_all() -> None:
    declared = scenario(
        features="{tables: [penalty, listing], windows: [365d], families: [window, subject]}",
        veto='[{when: "listing_count_365d > 0", grade: B}]',
    )
    features = features_of(declared)
    score = rules(declared, features)
    rows = {"penalty_count_365d": [0.0, 1.0, 2.0, 3.0, 9.0, 0.0, None]}
    frame = pl.DataFrame(rows).with_columns(
        pl.Series("listing_count_365d", [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, None]),
        *(
            pl.lit(3000.0).alias(s.name)
            for s in features
            if s.dtype == "number" and s.name not in rows and s.name != "listing_count_365d"
        ),
    )
    told = score(frame)
    assert told[0] < told[1] < told[2] < told[3] == told[4] < 1
    assert told[5] == 1
    assert told[6] == told[0]
    young = score(frame.with_columns(subject_age_days=pl.lit(100.0)))
    assert young[0] > told[0]


def test_every_scenario_of_the_package_has_rules() -> None:
    for declared in catalogue().values():
        assert indicators(features_of(declared)), declared.id


def test_bins_rise_or_fall() -> None:
    train, specs = drawn()
    for spec, way in ((specs[0], 1), (specs[1], -1)):
        made = bins(train, spec)
        assert made is not None
        assert made.edges is not None
        assert 2 <= len(made.edges) <= 20
        assert (way * np.diff(made.evidence[:-1]) > 0).all()
        shares = pl.Series(made.of(train.frame)).value_counts()["count"] / train.frame.height
        assert shares.min() >= 0.03  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
    place = bins(train, specs[3])
    assert place is not None
    assert place.edges is None
    assert place.evidence[0] > max(place.evidence[1:3])
    assert bins(train, specs[4]) is None


def test_the_missing_and_the_new_have_evidence() -> None:
    train, specs = drawn()
    made = bins(train, specs[0])
    place = bins(train, specs[3])
    assert made is not None
    assert place is not None
    rows = pl.DataFrame({"x": [None, float("nan"), 1e9, -1e9], "place": ["p0", "new", None, "p1"]})
    told = made.of(rows)
    assert told[0] == told[1] == made.evidence[-1]
    assert told[2] == made.evidence[-2]
    assert told[3] == made.evidence[0]
    assert place.of(rows)[1] == place.of(rows)[2] == place.evidence[-1]


@pytest.mark.parametrize("learn", [fit_woe, fit_logistic])
def test_what_is_learnt_holds_on_other_rows(learn: object) -> None:
    assert learn in (fit_woe, fit_logistic)
    function = fit_woe if learn is fit_woe else fit_logistic
    train, specs = drawn()
    other, _ = drawn(seed=1)
    raw = function(train, specs, seed=1)(other.frame)
    assert area(raw, other.positive, other.weight) > 0.75
    assert (raw == function(train, specs, seed=1)(other.frame)).all()
    assert np.isfinite(raw).all()


@pytest.mark.parametrize("learn", [fit_woe, fit_logistic])
def test_without_anything_that_varies_the_rate_is_told(learn: object) -> None:
    function = fit_woe if learn is fit_woe else fit_logistic
    frame = pl.DataFrame({"x": [1.0] * 10})
    raw = function(sample(frame, [n < 2 for n in range(10)]), (number("x"),), seed=1)(frame)
    assert raw == pytest.approx(np.log(2 / 8))


def test_weights_are_honoured() -> None:
    train, specs = drawn()
    heavy = replace(train, weight=np.where(train.positive, 5.0, 1.0))
    for function in (fit_woe, fit_logistic):
        plain = function(train, specs, seed=1)(train.frame).mean()
        assert function(heavy, specs, seed=1)(train.frame).mean() > plain + 1


def test_all_are_calibrated_on_the_same_rows(numbers: Matrix) -> None:
    rows = numbers.rows
    fold = final(rows)
    calibration = read_sample(numbers, rows, fold.calibrate)
    made = fit_baselines(
        numbers.scenario,
        numbers.features,
        train=read_sample(numbers, rows, fold.train),
        calibration=calibration,
        kind="platt",
        seed=1,
    )
    assert [one.name for one in made] == ["past_rate", "rules", "woe", "logistic"]
    for one in made:
        p = one.probability(calibration.frame)
        assert ((p > 0) & (p < 1)).all()
        assert p.mean() == pytest.approx(calibration.rate, abs=0.02)


def test_nan_earns_no_points_and_meets_no_veto() -> None:
    declared = catalogue()["dishonesty_warning"]
    specs = features_of(declared)
    names = {one.feature for one in indicators(specs)} | parse(declared.veto[0].when).names
    unknown = pl.DataFrame({name: [None, float("nan")] for name in sorted(names)}, strict=False)
    young = unknown.with_columns(pl.lit(9999.0).alias("subject_age_days")).cast(pl.Float64)
    assert rules(declared, specs)(young).tolist() == [0.0, 0.0]
