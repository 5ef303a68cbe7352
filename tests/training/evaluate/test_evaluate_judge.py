"""The whole evaluation: folds and pooled, both weightings, kept as JSON, the same each time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from models.errors import FitError, ModelError
from tests.training.evaluate.foretold import logistic, peer, predictions, scenario
from training.evaluate import Evaluation, evaluate
from training.evaluate.evaluation import POOLED

FRAME = predictions()


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluate(FRAME, scenario(), seed=7, resamples=60)


def test_folds_and_pooled_are_judged(found: Evaluation) -> None:
    assert [one.name for one in found.slices] == ["0", "1", POOLED]
    assert found.pooled.rows == FRAME.height == sum(one.rows for one in found.slices[:-1])
    assert found.pooled.judged == FRAME["observed"].sum()
    assert found.models == ("lightgbm", "logistic", "rules")
    assert {(one.model, one.weighting) for one in found.pooled.figures} == {
        (model, weighting) for model in found.models for weighting in ("plain", "ipw")
    }
    assert {one.other for one in found.pooled.differences} == {"logistic", "rules"}


def test_figures_are_those_of_the_rows_that_were_seen(found: Evaluation) -> None:
    seen = FRAME.filter("observed")
    plain = found.pooled.of("lightgbm", "plain").metrics["auc"]
    weighted = found.pooled.of("lightgbm", "ipw").metrics["auc"]
    assert plain.value == pytest.approx(peer("auc", seen["positive"], seen["p_lightgbm"]))
    assert weighted.value == pytest.approx(
        peer("auc", seen["positive"], seen["p_lightgbm"], seen["weight"])
    )
    for one in (plain, weighted):
        assert (one.low or 1) < (one.value or 0) < (one.high or 0)


def test_weights_undo_the_choice_of_whom_to_look_at(found: Evaluation) -> None:
    mean_risk = logistic(np.random.default_rng(0).normal(size=100_000) - 1.5).mean()
    rate = found.pooled.base_rate
    assert abs(rate["ipw"] - mean_risk) < 0.5 * abs(rate["plain"] - mean_risk)


def test_the_headline_follows_the_scenario(found: Evaluation) -> None:
    assert found.weighting == "ipw"
    assert found.weightings == ("ipw", "plain")
    auc = found.pooled.of("lightgbm", "ipw").metrics["auc"]
    assert found.headline["auc"] == auc.value
    assert found.headline["auc_low"] == auc.low
    plain = evaluate(FRAME, scenario(weight="none"), seed=7, resamples=5)
    assert plain.weighting == "plain"
    assert evaluate(FRAME.drop("weight"), scenario(), seed=7, resamples=5).weighting == "plain"


def test_it_is_kept_as_json_to_the_bit(found: Evaluation) -> None:
    assert Evaluation.from_json(found.to_json()) == found
    assert "NaN" not in found.to_json()


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}', "[1"])
def test_what_is_no_evaluation_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="no evaluation can be read"):
        Evaluation.from_json(text)


def test_the_same_seed_gives_the_same_and_the_order_of_rows_does_not_matter(
    found: Evaluation,
) -> None:
    again = evaluate(FRAME, scenario(), seed=7, resamples=60)
    assert again == found
    mixed = evaluate(
        FRAME.sample(fraction=1.0, shuffle=True, seed=2), scenario(), seed=7, resamples=60
    )
    for name, one in mixed.headline.items():
        assert one == pytest.approx(found.headline[name], abs=1e-9), name
    other = evaluate(FRAME, scenario(), seed=8, resamples=60)
    assert other.headline["auc_low"] != found.headline["auc_low"]


def test_a_fold_with_one_outcome_is_kept_without_a_ranking() -> None:
    late = pl.col("positive") & (pl.col("fold") == 1)
    frame = FRAME.with_columns(positive=late)
    found = evaluate(frame, scenario(), seed=7, resamples=10)
    first = found.slices[0].of("lightgbm", "ipw").metrics
    assert (first["auc"].value, first["recall_10"].value) == (None, None)
    assert first["ece"].value is not None
    assert found.pooled.of("lightgbm", "ipw").metrics["auc"].value is not None
    assert Evaluation.from_json(found.to_json()) == found


def test_a_fold_that_nobody_looked_at_is_kept() -> None:
    frame = FRAME.with_columns(observed=pl.col("observed") & (pl.col("fold") == 1))
    first = evaluate(frame, scenario(), seed=7, resamples=5).slices[0]
    assert (first.judged, first.base_rate) == (0, {})
    assert first.of("rules", "plain").metrics["brier"].value is None
    assert first.of("rules", "plain").reliability == ()


def test_visits_are_judged_as_visits() -> None:
    found = evaluate(predictions(visits=True), scenario(), seed=7, resamples=10)
    assert found.kind == "visits"
    assert {one.window for one in found.replays} == {30, 90}


def test_one_fold_is_pooled_too() -> None:
    found = evaluate(predictions(folds=1), scenario(), seed=7, resamples=5)
    assert [one.name for one in found.slices] == ["0", POOLED]
    assert found.pooled.of("rules", "plain").curve is not None
    assert found.slices[0].of("rules", "plain").curve is None


def test_a_model_that_is_not_there_is_named(found: Evaluation) -> None:
    with pytest.raises(ModelError, match="forest"):
        found.pooled.of("forest", "plain")
    with pytest.raises(ModelError, match="p_forest"):
        evaluate(FRAME, scenario(), seed=7, model="forest")


def test_nothing_to_judge_is_said() -> None:
    with pytest.raises(FitError, match="both outcomes"):
        evaluate(FRAME.clear(), scenario(), seed=7)


def test_importing_the_package_is_cheap() -> None:
    heavy = "numba|sklearn|matplotlib|shap|fairlearn|jinja2|pandas"
    code = (
        "import sys, training.evaluate, training.evaluate.card, training.evaluate.plots\n"
        f"print([m for m in '{heavy}'.split('|') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8"
    )
    assert done.stdout.strip() == "[]"
