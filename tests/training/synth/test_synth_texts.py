from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.records.amounts import fines_in, parse_amount
from training.synth import texts
from training.synth.arrays import Random, stream
from training.synth.grammar import Leaf, grammar
from training.synth.mix import mix

LEAVES = grammar().leaves
LAW = re.compile("《[^》]+》.*第.+条")


def rng() -> Random:
    return stream(1, 0, "test")


def test_facts_and_complaints_hardly_ever_repeat(tables: dict[str, pl.DataFrame]) -> None:
    for table, column in (("penalty", "violation_fact"), ("complaint", "content")):
        text = tables[table][column]
        assert text.n_unique() / text.len() > 0.97


def test_wording_varies_beyond_names_and_numbers(tables: dict[str, pl.DataFrame]) -> None:
    bare = tables["penalty"]["violation_fact"].str.replace_all(r"[0-9]+", "#")
    bare = bare.str.replace_all(r"[一-龥]{2,4}市[一-龥]{1,12}?(?:路|街|市场)#号(?:#门)?", "@")
    assert bare.n_unique() / bare.len() > 0.9


def test_more_than_forty_leaves_are_met(tables: dict[str, pl.DataFrame]) -> None:
    assert len(LEAVES) >= 60
    assert tables["penalty"]["_leaf"].n_unique() >= 40
    assert tables["complaint"]["_leaf"].n_unique() >= 30


@pytest.mark.parametrize("code", LEAVES)
def test_every_pattern_of_a_leaf_finds_its_words(code: str) -> None:
    leaf = LEAVES[code]
    place = list(LEAVES).index(code)
    rows = np.full(200, place)
    given_ = {
        "date": texts.dates(np.full(200, 19_000)),
        "place": np.full(200, "某处", dtype=object),
    }
    written = [*texts.facts(rng(), rows, given_), *texts.problems(rng(), rows, given_)]
    written += list(texts.bases(rng(), rows)) + list(texts.types(rng(), rows))
    if leaf.complaints:
        written += list(texts.complaints(rng(), rows, given_))
    assert all(text and not re.search("[{}<>&]", text) for text in written)
    assert all(LAW.search(text) for text in texts.bases(rng(), rows))


@pytest.mark.parametrize("code", LEAVES)
def test_a_leaf_is_met_in_known_groups_by_a_known_department(code: str) -> None:
    leaf, layout = LEAVES[code], mix()
    assert set(leaf.groups) <= {*layout.group_names, "any"}
    assert leaf.department in layout.departments
    assert {kind for kinds in leaf.kinds for kind in kinds} <= set(grammar().sanctions)
    assert leaf.fine[0] < leaf.fine[1]


def test_every_group_has_leaves_and_complaints() -> None:
    assert (texts.leaf_weights(mix(), complained=False).sum(axis=1) > 0).all()
    assert (texts.leaf_weights(mix(), complained=True).sum(axis=1) > 0).all()


@given(st.integers(1, 99_999_999))
def test_capital_numerals_read_back(number: int) -> None:
    assert parse_amount(texts.capital_numeral(number)) == number


@given(st.integers(50, 9_000_000))
def test_amounts_in_every_form_read_back(number: int) -> None:
    yuan = number // 100 * 100 or 100
    for text in set(texts.amounts(rng(), np.full(60, yuan))):
        assert parse_amount(text) == yuan


def test_sanctions_name_the_fine_and_nothing_else_as_one() -> None:
    kinds = np.array(["05;03", "03", "04;05;03", "01", "03;08", "03;12", "06"] * 40, dtype=object)
    size = len(kinds)
    written = texts.sanctions(
        rng(),
        kinds,
        fine=np.full(size, "2000元", dtype=object),
        gain=np.full(size, "700元", dtype=object),
        permit=np.full(size, "《营业执照》", dtype=object),
    )
    for joined, text in zip(kinds, written, strict=True):
        assert fines_in(text) == ((2000.0,) if "03" in joined else ())


def test_words_may_be_patterns_themselves() -> None:
    made = texts.compose(rng(), ("{a}。",), 50, words={"a": ("退{n:3-4}元",)})
    assert set(made) == {"退3元。", "退4元。"}


def test_given_values_go_before_words() -> None:
    given_ = {"date": np.array(["今日", "昨日"], dtype=object)}
    made = texts.compose(rng(), ("{date}查",), 2, words={"date": ("x",)}, given=given_)
    assert made.tolist() == ["今日查", "昨日查"]


def test_leaves_are_checked_data() -> None:
    assert all(isinstance(leaf, Leaf) and leaf.acts and leaf.types for leaf in LEAVES.values())
