"""Weights against the bias of who was looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.training.risk.world import LABEL, Numbers, scenario
from training.risk.matrix import Matrix
from training.risk.weights import CLIP, weigh


def changed(matrix: Matrix, folder: Path, *columns: pl.Expr | pl.Series) -> Matrix:
    path = folder / "changed.parquet"
    matrix.frame.with_columns(columns).write_parquet(path)
    return replace(matrix, path=path)


def test_without_ipw_every_row_weighs_the_same(numbers: Matrix) -> None:
    plain = replace(numbers, scenario=scenario(label=LABEL.replace("ipw", "none")))
    rows, how = weigh(plain)
    assert (rows["weight"] == 1).all()
    assert how.effective == rows.height
    assert "signal" not in rows.columns


def test_a_recorded_probability_weighs_its_inverse(numbers: Matrix, tmp_path: Path) -> None:
    chance = pl.when(pl.col("signal") > 0).then(0.5).otherwise(0.1)
    drawn = changed(numbers, tmp_path, chance.alias("inclusion_probability"))
    rows, how = weigh(drawn)
    signal = numbers.frame["signal"]
    often, seldom = rows["weight"].filter(signal > 0), rows["weight"].filter(signal <= 0)
    assert often.n_unique() == seldom.n_unique() == 1
    assert seldom[0] / often[0] == pytest.approx(5)
    assert rows["weight"].mean() == pytest.approx(1)
    assert (how.recorded, how.fitted, how.unweighted) == (rows.height, 0, 0)
    assert how.least == pytest.approx(often[0])
    assert how.effective < rows.height


def test_one_row_does_not_decide(numbers: Matrix, tmp_path: Path) -> None:
    chance = pl.when(pl.int_range(pl.len()) == 7).then(1e-9).otherwise(0.5)
    rows, how = weigh(changed(numbers, tmp_path, chance.alias("inclusion_probability")))
    assert rows["weight"][7] / rows["weight"][0] == pytest.approx(CLIP)
    assert how.most == rows["weight"][7]
    assert how.clipped == pytest.approx(1 / rows.height)


def selected(tmp_path: Path) -> tuple[Matrix, float]:
    """Return rows of which the risky are looked at ten times as often, and the true rate."""
    made = Numbers(rows=20_000, strength=2.0).matrix(tmp_path)
    whole = made.frame
    random = np.random.default_rng(5).random(whole.height)
    looked = pl.Series(random < np.where(whole["signal"].to_numpy() > 0.5, 0.5, 0.05))
    unseen = ["positive", "observed_on", "event_on"]
    hidden = [pl.when(looked).then(name).alias(name) for name in unseen]
    biased = changed(made, tmp_path, looked.alias("observed"), *hidden)
    return biased, float(whole["positive"].mean())  # pyright: ignore[reportArgumentType]


def test_a_fitted_propensity_brings_the_true_rate_back(tmp_path: Path) -> None:
    biased, true = selected(tmp_path)
    rows, how = weigh(biased)
    seen = rows.filter("observed")
    naive = seen["positive"].mean()
    weighed = np.average(seen["positive"].to_numpy(), weights=seen["weight"].to_numpy())
    assert isinstance(naive, float)
    assert naive > true + 0.15
    assert abs(weighed - true) < 0.03
    assert how.fitted == seen.height
    assert how.effective < 0.9 * seen.height
    assert (rows.filter(~pl.col("observed"))["weight"] == 1).all()
    again, _ = weigh(biased)
    assert (again["weight"] == rows["weight"]).all()


def test_kinds_stand_for_the_whole_cohort_each(tmp_path: Path) -> None:
    biased, _ = selected(tmp_path)
    drawn = pl.when(pl.col("observed") & (pl.int_range(pl.len()) % 2 == 0)).then(0.3)
    rows, how = weigh(changed(biased, tmp_path, drawn.alias("inclusion_probability")))
    seen = rows.filter("observed")
    recorded = seen["inclusion_probability"].is_not_null()
    assert seen["weight"].filter(recorded).mean() == pytest.approx(1)
    assert seen["weight"].filter(~recorded).mean() == pytest.approx(1, abs=1e-6)
    assert how.recorded + how.fitted == seen.height


def test_the_future_teaches_no_propensity(tmp_path: Path) -> None:
    """What happens to later rows changes the weights of the last period only."""
    biased, _ = selected(tmp_path)
    frame = biased.frame
    late = frame["as_of"] >= frame["as_of"].unique().sort()[-3]
    flipped = pl.when(late).then(-pl.col("signal")).otherwise("signal").alias("signal")
    other = changed(biased, tmp_path, flipped)
    before, after = weigh(biased)[0], weigh(other)[0]
    days = frame["as_of"].unique().sort()
    early = frame["as_of"] < days[len(days) // 2]
    assert np.allclose(_relative(before.filter(early)), _relative(after.filter(early)), rtol=1e-9)


def _relative(rows: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    weights = rows.filter("observed")["weight"].to_numpy()
    return weights / weights.mean()


def test_visits_without_a_population_are_unweighted(numbers: Matrix) -> None:
    rows, how = weigh(numbers)
    assert (rows["weight"] == 1).all()
    assert how.unweighted == rows.height


def test_the_test_tells_nothing_of_the_scale(numbers: Matrix, tmp_path: Path) -> None:
    days = numbers.frame["as_of"].unique().sort()
    before = days[-8]
    first = pl.when(pl.col("signal") > 0).then(0.5).otherwise(0.1)
    late = pl.when(pl.col("as_of") >= before).then(0.001).otherwise(first)
    one, other = (
        weigh(changed(numbers, tmp_path, c.alias("inclusion_probability")), before=before)[0]
        for c in (first, late)
    )
    early = pl.col("as_of") < before
    assert one.filter(early)["weight"].equals(other.filter(early)["weight"])
    known = one.filter(pl.col("complete_on") < before)
    assert known["weight"].mean() == pytest.approx(1)
    assert not one.filter(~early)["weight"].equals(other.filter(~early)["weight"])


def test_a_kind_that_only_the_test_has_is_scaled_by_itself(numbers: Matrix) -> None:
    drawn = pl.lit(0.25).alias("inclusion_probability")
    path = numbers.path.with_name("only.parquet")
    numbers.frame.with_columns(drawn).write_parquet(path)
    rows, _ = weigh(replace(numbers, path=path), before=numbers.frame["as_of"][0])
    assert rows["weight"].to_numpy() == pytest.approx(1)
