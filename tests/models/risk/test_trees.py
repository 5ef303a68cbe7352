"""A text that would end the process is an error before LightGBM sees it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError
from models.risk.booster import Booster
from models.risk.trees import check
from tests.models.risk.small import NAMES, text


def changed(old: str, new: str, tree: int | None = None) -> str:
    """Return the text with the first match of ``old`` changed, and sizes that fit again."""
    whole = text()
    start = 0 if tree is None else whole.index(f"\nTree={tree}\n")
    made = whole[:start] + re.sub(old, new, whole[start:], count=1, flags=re.MULTILINE)
    assert made != whole
    return resized(made) if tree is not None else made


def resized(model: str) -> str:
    """Return the text with the sizes that its trees have."""
    body = model[model.index("Tree=0\n") : model.index("end of trees\n")]
    trees = re.split(r"^(?=Tree=\d)", body, flags=re.MULTILINE)[1:]
    sizes = " ".join(str(len(tree.encode())) for tree in trees)
    return re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", model, count=1, flags=re.MULTILINE)


def test_a_fitted_booster_is_sound() -> None:
    check(text(), NAMES)
    assert resized(text()) == text()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"^objective=.*$", "objective=regression", "objective 'regression'"),
        (r"sigmoid:1$", "sigmoid:2", "sigmoid 1"),
        (r"^num_class=1$", "num_class=2", "boosted trees of 'binary'"),
        (r"^objective=", "average_output\nobjective=", "boosted trees"),
        (r"\Atree$", "wood", "no LightGBM model with trees"),
        (r"^Tree=0$", "Baum=0", "no LightGBM model with trees"),
        (r"^end of trees$", "end", "no LightGBM model with trees"),
        (r"^version=", "Tree=3\nversion=", "no LightGBM model with trees"),
        (r"^version=", " version=", "no LightGBM model with trees"),
        (r"^num_class=1$", "num_class=1\nnum_class=2", "no LightGBM model with trees"),
        (r"^num_class=1$", "num_class=1\0", "no LightGBM model with trees"),
        (NAMES[0], "another", "differ in another, inspection_count_30d"),
        (r"^max_feature_idx=5$", "max_feature_idx=900", "max_feature_idx"),
        (r"^tree_sizes=", "tree_sizes=9", "tree_sizes"),
        (r"^tree_sizes=", "tree_sizes=x", "tree_sizes"),
        (r"^leaf_value=", "leaf_value=1", "tree_sizes"),
    ],
)
def test_other_texts_are_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        check(changed(old, new), NAMES)


@pytest.mark.parametrize("model", ["", "tree\n", "\nTree=0\n\nend of trees\n", "树"])
def test_what_is_no_model_is_refused(model: str) -> None:
    with pytest.raises(BundleError, match="no LightGBM model"):
        check(model, NAMES)


def test_columns_in_another_order_are_refused() -> None:
    with pytest.raises(BundleError, match="their order"):
        check(text(), NAMES[::-1])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"^num_leaves=8$", "num_leaves=x"),
        (r"^num_leaves=8$", "num_leaves=9"),
        (r"^num_leaves=8$", "num_leaves=0"),
        (r"^num_leaves=8$", "num_leaves=1"),
        (r"^num_leaves=8\n", ""),
        (r"^left_child=\S+", "left_child=99"),
        (r"^left_child=\S+", "left_child=0"),
        (r"^left_child=\S+", "left_child=-99"),
        (r"^right_child=\S+ ", "right_child="),
        (r"^split_feature=\S+", "split_feature=6"),
        (r"^split_feature=\S+", "split_feature=-1"),
        (r"^leaf_value=\S+", "leaf_value=nan"),
        (r"^leaf_value=\S+", "leaf_value=inf"),
        (r"^leaf_count=\S+ ", "leaf_count="),
        (r"^internal_count=\S+", "internal_count=0"),
        (r"^threshold=\S+ ", "threshold="),
        (r"^internal_value=.*$", "internal_value="),
        (r"^is_linear=0$", "is_linear=1"),
        (r"^num_cat=1$", "num_cat=0"),
        (r"^num_cat=1$", "num_cat=2"),
        (r"^cat_boundaries=0 1$", "cat_boundaries=0 9"),
        (r"^cat_boundaries=0 1$", "cat_boundaries=1 1"),
        (r"^cat_threshold=.*$", "cat_threshold="),
        (r"^decision_type=\S+", "decision_type=x"),
        (r"^split_feature=\S+", "split_feature=1.5"),
        (r"^split_feature=\S+", "split_feature=0_1"),
        (r"^split_feature=", "split_feature= "),
        (r"^leaf_value=\S+", "leaf_value=1_0"),
        (r"^shrinkage=", "shrinkage=="),
        (r"^shrinkage=.*$", "shrinkage="),
        (r"^(split_gain=\S+) ", "\\1\n"),
        (r"^leaf_value=\S+", "leaf_value=1e999"),
        (r"^num_cat=1$", "num_cat=1\nnum_cat=9"),
        (r"^num_cat=1$", "num_cat=1\n num_cat=9"),
        (r"^leaf_weight=", "\nleaf_weight="),
        (r"^num_leaves=", "\nnum_leaves="),
    ],
)
def test_a_damaged_tree_is_named(old: str, new: str) -> None:
    tree = text().split("\nTree=")[1:]
    number = next(i for i, one in enumerate(tree) if "num_cat=1" in one)
    with pytest.raises(BundleError, match=f"^tree {number} of the booster is damaged"):
        check(changed(old, new, number), NAMES)


def test_a_category_beyond_the_sets_is_refused() -> None:
    tree = text().split("\nTree=")[1:]
    number, place = next(
        (i, words.index("1"))
        for i, one in enumerate(tree)
        for kinds in re.findall(r"^decision_type=(.*)$", one, re.MULTILINE)
        if "1" in (words := kinds.split())
    )
    before = r"\S+ " * place
    with pytest.raises(BundleError, match=f"tree {number} "):
        check(changed(rf"^threshold=({before})\S+", r"threshold=\g<1>7", number), NAMES)


@given(st.data())
def test_whatever_passes_can_be_applied(data: st.DataObject) -> None:
    """Change one character of the trees: refused, or harmless; never the end of the process."""
    whole = text()
    start, end = whole.index("Tree=0\n") + 7, whole.index("end of trees") - 1
    place = data.draw(st.integers(start, end))
    mark = data.draw(st.sampled_from("0123456789-. =e\nx"))
    model = resized(whole[:place] + mark + whole[place + 1 :])
    try:
        booster = Booster.from_text(model, features=NAMES)
    except BundleError:
        return
    assert np.isfinite(booster.raw(np.zeros((2, len(NAMES))))).all()
