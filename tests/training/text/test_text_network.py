from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from models.text.encoder import EncoderShape, new_masked_model
from models.text.engine import restored
from models.text.heads import Head, network, places, width
from models.text.untyped import tensor
from tests.training.text.conftest import CPU, world
from training.text import network as fitting
from training.text.network import FitPlan, fit_network
from training.text.targets import learn_heads, targets_of, texts_of

LEAF = Head(name="leaf", labels=("a", "b", "c"), parents=("x", "x", "y"))
MANY = Head(name="department", labels=("p", "q"), kind="many")
PLAIN = FitPlan(smoothing=0, parents=0)
SCORES = torch.tensor([[2.0, 0.0, -1.0, 1.0, -1.0]])
TRUTH = torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0]])


def _loss(known: list[list[bool]], *, plan: FitPlan = PLAIN, truth: torch.Tensor = TRUTH) -> float:
    scores = SCORES.expand(len(known), -1)
    told = fitting._loss(
        (LEAF, MANY), scores, truth.expand(len(known), -1), torch.tensor(known), plan=plan
    )
    return told.item()


def test_one_label_is_learnt_by_its_likelihood() -> None:
    told = torch.softmax(SCORES[0, :3], 0)[0].log().item()
    assert _loss([[True, False]]) == pytest.approx(-told)


def test_many_labels_are_learnt_each_by_itself() -> None:
    each = torch.nn.functional.softplus(torch.tensor([-1.0, -1.0])).sum().item()
    assert _loss([[False, True]]) == pytest.approx(each / 2**0.5)


def test_heads_add_up_and_unknown_ones_do_not_count() -> None:
    alone = _loss([[True, False]]) + _loss([[False, True]])
    assert _loss([[True, True]]) == pytest.approx(alone)
    assert _loss([[True, False], [False, True]]) == pytest.approx(alone)
    assert _loss([[False, False]]) == 0


def test_the_parent_is_learnt_beside_the_leaf() -> None:
    p = torch.softmax(SCORES[0, :3], 0)
    above = -(p[0] + p[1]).log().item()
    plan = PLAIN.model_copy(update={"parents": 0.5})
    assert _loss([[True, False]], plan=plan) == pytest.approx(_loss([[True, False]]) + above / 2)


def test_smoothing_asks_a_little_of_every_label() -> None:
    logs = torch.log_softmax(SCORES[0, :3], 0)
    expected = -(0.7 * logs[0] + 0.3 * logs.mean()).item()
    plan = PLAIN.model_copy(update={"smoothing": 0.3})
    assert _loss([[True, False]], plan=plan) == pytest.approx(expected)


def test_a_teachers_doubt_is_learnt_too() -> None:
    soft = torch.tensor([[0.6, 0.4, 0.0, 0.5, 0.5]])
    logs = torch.log_softmax(SCORES[0, :3], 0)
    expected = -(0.6 * logs[0] + 0.4 * logs[1]).item()
    assert _loss([[True, False]], truth=soft) == pytest.approx(expected)


def test_columns_stand_side_by_side() -> None:
    assert width((LEAF, MANY)) == 5
    assert places((LEAF, MANY)) == {"leaf": slice(0, 3), "department": slice(3, 5)}


def test_what_comes_after_the_end_of_a_text_is_not_heard() -> None:
    shape = EncoderShape(layers=1, hidden=16, heads=2, inner=16, positions=16, dropout=0)
    model = network(new_masked_model(shape, 20).bert, 3, dropout=0).eval()
    ids = np.array([[2, 6, 7, 3, 0, 0], [2, 6, 7, 3, 9, 9]])
    mask = np.array([[1, 1, 1, 1, 0, 0]] * 2)
    with torch.no_grad():
        one, two = model(tensor(ids), tensor(mask))
    assert torch.allclose(one, two, atol=1e-6)


def test_many_labels_are_learnt_end_to_end(base: Path, quick: FitPlan) -> None:
    frame = world(80).select(
        "text",
        department=pl.when(pl.col("leaf") == "F09")
        .then(pl.concat_list("department", "leaf"))
        .otherwise(pl.concat_list("department")),
    )
    targets = targets_of(frame, learn_heads(frame))
    made = fit_network(texts_of(frame), targets, str(base), plan=quick, course=CPU)
    said = made.scores(texts_of(frame)) > 0
    assert (said == (targets.values > 0)).all(axis=1).mean() > 0.9


def test_a_network_goes_on_reading_after_it_was_packed(base: Path, quick: FitPlan) -> None:
    frame = world(30)
    plan = quick.model_copy(update={"epochs": 1})
    targets, texts = targets_of(frame, learn_heads(frame)), texts_of(frame)
    made = fit_network(texts, targets, str(base), plan=plan, course=CPU)
    before = made.scores(texts)
    part = made.part()
    np.testing.assert_array_equal(made.scores(texts), before)
    kept = restored(part).state_dict()
    assert all(torch.equal(kept[name], one) for name, one in made.model.state_dict().items())


def test_the_length_is_what_the_base_can_read_at_most(base: Path, quick: FitPlan) -> None:
    frame = world(30)
    plan = quick.model_copy(update={"epochs": 1, "length": 4096})
    targets = targets_of(frame, learn_heads(frame))
    made = fit_network(texts_of(frame), targets, str(base), plan=plan, course=CPU)
    assert made.length == 64
    assert made.scores(["食" * 500]).shape == (1, width(targets.heads))
