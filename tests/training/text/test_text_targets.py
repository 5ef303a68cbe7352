from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError, ConfigError, FitError
from models.text.encoder import clean
from models.text.heads import Floats, Head
from tests.training.text.conftest import PARENTS, world
from training.text.baseline import count, fit_linear
from training.text.targets import (
    digest_of,
    folds,
    held_out,
    learn_heads,
    part_of,
    targets_of,
    texts_of,
)

MANY = pl.DataFrame(
    {
        "text": ["食品问题", "排污问题", "食品排污", "无", None],
        "department": [["市场监管"], ["生态环境"], ["市场监管", "生态环境"], [], None],
    }
)


def test_heads_are_the_label_columns_there_are() -> None:
    heads = learn_heads(world(), parents={"leaf": PARENTS})
    assert [head.name for head in heads] == ["leaf", "severity", "department"]
    assert heads[0].parents == ("E", "F", "F")
    assert heads[1].labels == ("minor", "general", "major")
    assert {head.kind for head in heads} == {"one"}


def test_a_list_of_labels_means_many_may_hold() -> None:
    (head,) = learn_heads(MANY)
    told = targets_of(MANY, [head])
    assert head.kind == "many"
    assert told.values.tolist() == [[1, 0], [0, 1], [1, 1], [0, 0], [0, 0]]
    assert told.known[:, 0].tolist() == [True, True, True, True, False]


def test_an_unknown_label_is_masked_not_guessed() -> None:
    frame = world(6).with_columns(leaf=pl.when(pl.int_range(6) % 2 == 0).then("leaf"))
    heads = (
        Head(name="leaf", labels=("E02", "F04", "F09")),
        Head(name="severity", labels=("minor", "general", "major")),
    )
    told = targets_of(frame, heads)
    assert told.known[:, 0].tolist() == [True, False] * 3
    assert told.known[:, 1].all()
    assert told.of(heads[0])[0].tolist() == [0, 2, 4]


def test_a_head_whose_column_is_missing_is_unknown_everywhere() -> None:
    heads = learn_heads(world())
    assert not targets_of(world().drop("leaf"), heads).known[:, 0].any()


@pytest.mark.parametrize("column", ["leaf", "severity"])
def test_a_label_unknown_to_the_taxonomy_is_named(column: str) -> None:
    frame = world().with_columns(
        pl.when(pl.int_range(60) == 3).then(pl.lit("Z99")).otherwise(column).alias(column)
    )
    with pytest.raises(FitError, match=f"column {column}: Z99 is no label"):
        learn_heads(frame, parents={"leaf": PARENTS})


def test_a_label_that_came_later_is_named() -> None:
    heads = learn_heads(world().filter(pl.col("leaf") != "F09"))
    with pytest.raises(BundleError, match="unknown label F09"):
        targets_of(world(), heads)


def test_one_label_is_nothing_to_learn() -> None:
    with pytest.raises(FitError, match="at least two"):
        learn_heads(world().with_columns(leaf=pl.lit("E02")))


@pytest.mark.parametrize("columns", [["text"], ["leaf"]])
def test_a_table_without_text_or_labels_is_refused(columns: list[str]) -> None:
    with pytest.raises(ConfigError, match="it needs 'text'"):
        learn_heads(world().select(columns))


@given(st.integers(4, 60), st.integers(2, 12), st.integers(0, 99))
def test_no_group_is_on_both_sides(rows: int, groups: int, seed: int) -> None:
    frame = pl.DataFrame({"group": np.random.default_rng(seed).integers(0, groups, rows)})
    if frame["group"].n_unique() < 2:
        return
    learn, hold = held_out(frame, share=0.5, seed=seed, group="group")
    assert sorted([*learn.tolist(), *hold.tolist()]) == list(range(rows))
    assert not {*frame["group"].gather(learn)} & {*frame["group"].gather(hold)}


@given(st.integers(0, 60), st.integers(1, 9), st.integers(2, 5), st.integers(0, 9))
def test_every_row_is_tried_once_and_groups_stay_whole(
    rows: int, groups: int, count_: int, seed: int
) -> None:
    frame = pl.DataFrame({"group": np.random.default_rng(seed).integers(0, groups, rows)})
    there = frame["group"].n_unique()
    pairs = folds(frame, count_, seed=seed, group="group")
    assert len(pairs) == (min(count_, there) if there > 1 else 0)
    for learn, hold in pairs:
        assert learn.size
        assert sorted([*learn.tolist(), *hold.tolist()]) == list(range(rows))
        assert not {*frame["group"].gather(learn)} & {*frame["group"].gather(hold)}
    if pairs:
        assert sorted(np.concatenate([hold for _, hold in pairs]).tolist()) == list(range(rows))


def test_counted_texts_score_as_the_model_does() -> None:
    frame = world(40)
    heads = learn_heads(frame)
    for lead in ((0, 0), (6, 3)):
        counted = count(texts_of(frame), lead=lead)
        part = counted.part(np.arange(30))
        model = fit_linear(part, targets_of(frame.head(30), heads))
        assert model.lead == lead
        told = counted.part(np.arange(30, 40)).scores(model)
        np.testing.assert_allclose(told, model.scores(texts_of(frame)[30:]), atol=1e-4)


def test_too_few_texts_to_hold_some_out() -> None:
    with pytest.raises(FitError, match="too few to hold 10% out"):
        held_out(world(3), share=0.1, seed=1)
    with pytest.raises(ConfigError, match="--group law"):
        held_out(world(), share=0.1, seed=1, group="law")


def test_parts_and_digest() -> None:
    assert part_of(world(16), "test").height == 2
    assert part_of(world(16).drop("split"), "test").height == 16
    assert digest_of(world()) == digest_of(world())
    assert digest_of(world()) != digest_of(world(seed=4))
    assert digest_of(world()) == digest_of(world().drop("split"))


def test_the_linear_model_is_what_scikit_learn_computes() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import Pipeline
    from sklearn.svm import LinearSVC

    frame = world(80)
    texts, heads = texts_of(frame), learn_heads(frame)
    plain = [text.replace("，", ",") for text in texts]
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)
    pipeline = cast(
        "_Pipeline", Pipeline([("count", vectors), ("fit", LinearSVC(C=1, random_state=7))])
    )
    expected = pipeline.fit(plain, frame["leaf"].to_list()).decision_function(plain)
    model = fit_linear(count(texts), targets_of(frame, heads))
    np.testing.assert_allclose(model.scores(texts)[:, :3], expected, atol=1e-3)


class _Pipeline(Protocol):
    def fit(self, texts: list[str], labels: list[str]) -> _Pipeline: ...
    def decision_function(self, texts: list[str]) -> Floats: ...


def test_two_labels_lean_apart_and_a_label_unseen_is_never_the_answer() -> None:
    frame = world(80).filter(pl.col("leaf") != "F09")
    two = learn_heads(frame.select("text", "leaf"))
    scores = fit_linear(count(texts_of(frame)), targets_of(frame, two)).scores(texts_of(frame))
    np.testing.assert_allclose(scores[:, 0], -scores[:, 1], atol=1e-6)
    three = (Head(name="leaf", labels=("E02", "F04", "F09")),)
    told = fit_linear(count(texts_of(frame)), targets_of(frame, three)).scores(texts_of(frame))
    assert (told.argmax(axis=1) != 2).all()


def test_many_labels_are_machines_of_their_own() -> None:
    frame = MANY.head(4)
    heads = learn_heads(frame)
    model = fit_linear(count(texts_of(frame), at_least=1), targets_of(frame, heads), c=100)
    said = model.scores(texts_of(frame)) > 0
    assert said.tolist() == [[True, False], [False, True], [True, True], [False, False]]


def test_one_label_alone_is_always_the_answer() -> None:
    frame = world(40).with_columns(leaf=pl.lit("E02"))
    head = (Head(name="leaf", labels=("E02", "F04")),)
    told = fit_linear(count(texts_of(frame)), targets_of(frame, head)).scores(["别的"])
    assert told.argmax() == 0


def test_texts_with_nothing_in_them_cannot_be_counted() -> None:
    with pytest.raises(FitError, match="no character n-gram"):
        count([clean(None), " "])


def test_no_gram_of_a_person_is_learnt() -> None:
    texts = [f"当事人欧阳建国，电话13812345678，销售{n}次过期食品" for n in range(4)]
    grams = set(count(texts).grams)
    assert {"过期食", "当事人"} <= grams
    assert not {gram for gram in grams if set(gram) & set("阳建国") or gram in {"234", "456"}}
    assert not {gram for gram in grams if "*" in gram}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("text", pl.concat_list("text")),
        ("text", pl.lit(b"\xff")),
        ("text", pl.struct("text")),
        ("leaf", pl.struct("leaf")),
        ("leaf", pl.lit(0.5)),
        ("leaf", pl.concat_list(pl.struct("leaf"))),
        ("severity", pl.lit(b"x")),
    ],
)
def test_a_column_of_another_kind_is_named(column: str, value: pl.Expr) -> None:
    heads = learn_heads(world())
    frame = world().with_columns(value.alias(column))
    with pytest.raises(ConfigError, match=f"column {column}: holds "):
        learn_heads(frame)
    with pytest.raises(ConfigError, match=f"column {column}: holds "):
        _read(frame, heads)


def _read(frame: pl.DataFrame, heads: Sequence[Head]) -> None:
    texts_of(frame)
    targets_of(frame, heads)


def test_labels_may_be_whole_numbers_or_categories() -> None:
    for kind in (pl.Int64, pl.Categorical):
        frame = world().with_columns(
            leaf=pl.when(pl.col("leaf") == "E02")
            .then(pl.lit("1"))
            .otherwise(pl.lit("2"))
            .cast(kind)
        )
        assert learn_heads(frame)[0].labels == ("1", "2")


def test_a_blank_label_is_refused() -> None:
    with pytest.raises(ConfigError, match="column department: a label is blank"):
        learn_heads(world().with_columns(department=pl.lit(" ")))


def test_two_labels_where_one_holds_are_refused() -> None:
    heads = learn_heads(world())
    frame = world().with_columns(leaf=pl.concat_list("leaf", pl.lit("F04")))
    with pytest.raises(BundleError, match="head leaf: row 1 has 2 labels"):
        targets_of(frame.filter(pl.col("leaf").list.first() != "F04"), heads)


def test_a_label_that_is_a_whole_text_is_not_shown_in_full() -> None:
    heads = learn_heads(world())
    with pytest.raises(BundleError) as raised:
        targets_of(world().with_columns(leaf=pl.lit("投诉人的话" * 30)), heads)
    assert len(str(raised.value)) < 300
    assert "correct it" in str(raised.value)


def test_a_split_that_names_no_part_is_said() -> None:
    with pytest.raises(ConfigError, match="column split: holds Int32"):
        part_of(world().with_columns(split=1), "train")
    with pytest.raises(ConfigError, match=r"no text in part 'train'.*it names dev"):
        part_of(world().with_columns(split=pl.lit("dev")), "train")


def test_a_group_that_is_a_list_is_named() -> None:
    with pytest.raises(ConfigError, match="--group text: holds List"):
        held_out(world().with_columns(pl.concat_list("text")), share=0.5, seed=1, group="text")


def test_a_table_without_text_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match="it needs 'text'"):
        texts_of(world().drop("text"))
