"""What is judged is checked first, and refused with the reason."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from models.errors import FitError, ModelError
from tests.training.evaluate.foretold import predictions
from training.evaluate.predictions import (
    Sample,
    at_visits,
    check_probability,
    checked,
    folds,
    weight_column,
)

FRAME = predictions(60)


def test_the_judged_model_comes_first() -> None:
    assert checked(FRAME) == ("lightgbm", "logistic", "rules")
    assert checked(FRAME, main="rules") == ("rules", "lightgbm", "logistic")


def test_missing_columns_are_named() -> None:
    with pytest.raises(ModelError, match=r"lack group, p_lightgbm"):
        checked(FRAME.drop("group", "p_lightgbm"))


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -0.1, 1.1, None])
def test_what_is_no_probability_is_refused(odd: float | None) -> None:
    first = pl.int_range(pl.len()) == 0
    bad = FRAME.with_columns(pl.when(first).then(odd).otherwise("p_rules").alias("p_rules"))
    with pytest.raises(ModelError, match=r"p_rules has 1 values.*s00000"):
        checked(bad)


def test_words_are_no_probabilities() -> None:
    with pytest.raises(ModelError, match="String"):
        check_probability(FRAME.with_columns(p_rules=pl.lit("high")), "p_rules")


def test_a_null_cluster_is_refused() -> None:
    with pytest.raises(ModelError, match="nulls in group"):
        checked(FRAME.with_columns(group=pl.lit(None, pl.String)))


@pytest.mark.parametrize("outcome", [True, False])
def test_both_outcomes_must_occur(outcome: bool) -> None:
    same = FRAME.with_columns(positive=pl.when("observed").then(outcome))
    with pytest.raises(FitError, match="both outcomes"):
        checked(same)
    with pytest.raises(FitError, match="of 0 observed rows"):
        checked(FRAME.with_columns(observed=pl.lit(value=False)))


def test_weights_that_say_nothing_are_not_used() -> None:
    assert weight_column(FRAME) == "weight"
    assert weight_column(FRAME.with_columns(weight=pl.lit(2.0))) is None
    assert weight_column(FRAME.drop("weight")) is None
    assert weight_column(FRAME, None) is None


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -1.0, None, 0.0])
def test_weights_must_weigh(odd: float | None) -> None:
    with pytest.raises(ModelError, match="weight of"):
        weight_column(FRAME.with_columns(weight=pl.lit(odd, pl.Float64)))


def test_only_rows_that_somebody_saw_are_judged() -> None:
    sample = Sample.of(FRAME, ("rules",), weight="weight")
    seen = FRAME.filter("observed")
    assert len(sample.positive) == seen.height < FRAME.height
    assert sample.groups == seen["group"].n_unique()
    assert sample.positive.sum() == seen["positive"].sum()


def test_clusters_do_not_depend_on_the_order_of_rows() -> None:
    sample = Sample.of(FRAME, ("rules",), weight=None)
    names = FRAME.filter("observed")["group"].to_numpy()
    mixed = FRAME.sample(fraction=1.0, shuffle=True, seed=3)
    again = Sample.of(mixed, ("rules",), weight=None)
    there = dict(zip(names, sample.group, strict=True))
    mixed_names = mixed.filter("observed")["group"].to_numpy()
    assert [there[name] for name in mixed_names] == again.group.tolist()
    assert np.unique(sample.group).tolist() == list(range(sample.groups))


def test_folds_come_in_order() -> None:
    assert list(folds(FRAME.reverse())) == [0, 1]
    assert sum(part.height for part in folds(FRAME).values()) == FRAME.height


def test_visits_are_told_from_dates_of_view() -> None:
    assert not at_visits(FRAME)
    assert at_visits(predictions(60, visits=True))
    assert not at_visits(FRAME.drop("observed_on"))
    never = pl.lit(None, pl.Date()).alias("observed_on")
    assert not at_visits(FRAME.with_columns(never))
    assert FRAME["as_of"].min() == date(2023, 1, 1)
