"""Fitting: few leaves, directions, later slices to stop and to calibrate by."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import FitError
from tests.training.risk.world import Numbers, scenario
from training.risk.fit import Fitted, Params, area, balanced, fit, varying
from training.risk.folds import Fold, Span, final
from training.risk.matrix import Matrix
from training.risk.sample import Sample, batches, read_sample

PARAMS = Params(rounds=200, patience=20, calibrate="platt")


def samples(matrix: Matrix) -> tuple[Fold, dict[str, Sample]]:
    rows = matrix.rows
    fold = final(rows)
    read = {name: read_sample(matrix, rows, span) for name, span in fold.spans().items()}
    return fold, {**read, "learn": read_sample(matrix, rows, fold.learn)}


def fitted(matrix: Matrix, params: Params = PARAMS) -> tuple[Fitted, Sample]:
    _, read = samples(matrix)
    made = fit(
        matrix.features,
        matrix.scenario,
        params,
        train=read["train"],
        stop=read["stop"],
        calibration=read["calibrate"],
        learn=read["learn"],
    )
    return made, read["test"]


@cache
def usual(matrix: Matrix) -> tuple[Fitted, Sample]:
    return fitted(matrix)


def test_it_tells_risk(numbers: Matrix) -> None:
    model, test = usual(numbers)
    p = model.probability(test.frame)
    assert area(p, test.positive, test.weight) > 0.75
    assert abs(p.mean() - test.rate) < 0.05
    assert 1 <= model.rounds <= PARAMS.rounds
    assert 0.5 < model.auc < 1


def test_the_same_seed_gives_the_same_bits(numbers: Matrix) -> None:
    first, _ = usual(numbers)
    again, _ = fitted(numbers)
    assert again.booster.text == first.booster.text
    assert again.calibrator == first.calibrator
    other, _ = fitted(numbers, replace(PARAMS, seed=8))
    assert other.booster.text != first.booster.text


def test_constant_features_are_left_out(numbers: Matrix) -> None:
    model, _ = usual(numbers)
    assert model.dropped == ("constant",)
    assert model.encoder.features == ("signal", "noise", "place")
    assert model.encoder.categories["place"] == ("p0", "p1", "p2")


@pytest.mark.parametrize("regrow", [True, False])
def test_directions_hold(numbers: Matrix, regrow: bool) -> None:
    model, test = fitted(numbers, replace(PARAMS, regrow=regrow))
    row = test.frame[:1].select(pl.all().exclude("signal"))
    grid = row.join(pl.DataFrame({"signal": np.linspace(-5, 5, 60)}), how="cross")
    assert (np.diff(model.raw(grid)) >= 0).all()


def test_hints_can_be_switched_off_and_declared_directions_not(tmp_path: Path) -> None:
    """The hint on ``signal`` is up; here it lowers the risk."""
    upside = Numbers(rows=3000, strength=-1.5).matrix(tmp_path)
    hinted, test = fitted(upside)
    free, _ = fitted(upside, replace(PARAMS, hints=False))
    weight = test.weight
    assert area(free.raw(test.frame), test.positive, weight) > 0.7
    assert area(hinted.raw(test.frame), test.positive, weight) < 0.7
    declared = scenario(calibrate="platt")
    model = declared.model.model_copy(update={"monotone": {"signal": "up"}})
    bound = replace(upside, scenario=declared.model_copy(update={"model": model}))
    still, _ = fitted(bound, replace(PARAMS, hints=False))
    assert area(still.raw(test.frame), test.positive, weight) < 0.7


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_calibration_undoes_the_weights_of_classes(numbers: Matrix, balance: float) -> None:
    model, test = fitted(numbers, replace(PARAMS, balance=balance))
    assert abs(model.probability(test.frame).mean() - test.rate) < 0.05


def test_balance_evens_the_classes(numbers: Matrix) -> None:
    sample = samples(numbers)[1]["train"]
    even = balanced(sample, 1.0)
    assert even[sample.positive].sum() == pytest.approx(even[~sample.positive].sum())
    assert even.sum() == pytest.approx(len(even))
    assert balanced(sample, 0.0) == pytest.approx(sample.weight)


def test_missing_values_are_no_obstacle(tmp_path: Path) -> None:
    gaps = pl.Series([None if n % 3 else float("nan") if n % 5 else 1.0 for n in range(2000)])
    matrix = Numbers(rows=2000, more={"gaps": gaps}).matrix(tmp_path)
    model, test = fitted(matrix)
    assert "gaps" in model.encoder.features
    assert np.isfinite(model.probability(test.frame)).all()


def test_infinite_values_are_named(tmp_path: Path) -> None:
    bad = pl.Series([float("inf") if n == 5 else 0.0 for n in range(2000)])
    matrix = Numbers(rows=2000, more={"bad": bad}).matrix(tmp_path)
    with pytest.raises(FitError, match="infinite values in bad"):
        samples(matrix)


def test_features_that_are_all_constant_are_said(numbers: Matrix) -> None:
    _, read = samples(numbers)
    only = tuple(spec for spec in numbers.features if spec.name == "constant")
    with pytest.raises(FitError, match="all 1 features are constant"):
        fit(only, numbers.scenario, PARAMS, train=read["train"], stop=read["stop"])


def test_null_is_a_value_of_its_own() -> None:
    frame = pl.DataFrame({"a": [1.0, None], "b": [None, None], "c": [1.0, 1.0]})
    from tests.training.risk.world import number

    kept, dropped = varying(frame, (number("a"), number("b"), number("c")))
    assert [spec.name for spec in kept] == ["a"]
    assert dropped == ("b", "c")


def test_batches_give_every_row_of_a_slice(
    numbers: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.risk.sample.BATCH", 150)
    span = final(numbers.rows).test
    parts = list(batches(numbers, span))
    assert len(parts) > 2
    assert sum(part.height for part in parts) == numbers.rows.filter(span.rows).height
    nobody = Span(span.last.replace(year=2090), span.last.replace(year=2091))
    assert read_sample(numbers, numbers.rows, nobody).frame.height == 0


@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.booleans(), st.floats(0.1, 5)), min_size=2, max_size=30
    )
)
def test_area_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool, float]]) -> None:
    raw, positive, weight = (np.array(column) for column in zip(*rows, strict=True))
    if positive.all() or not positive.any():
        return
    pairs = won = 0.0
    for r, p, w in rows:
        for other, found, v in rows:
            if p and not found:
                pairs += w * v
                won += w * v * (1.0 if r > other else 0.5 if r == other else 0.0)
    assert area(raw.astype(np.float64), positive, weight) == pytest.approx(won / pairs)
