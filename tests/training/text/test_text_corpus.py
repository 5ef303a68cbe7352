from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError, SourceError
from models.text.encoder import PAD, character_tokenizer, vocabulary_of
from training.text.corpus import (
    Order,
    batches,
    chunks,
    encode,
    pieces,
    read_table,
    read_texts,
)

LAW = "第一条 为了规范市场。第二条 违反本条例的，处罚款！\n第三条"


def test_a_text_is_cut_where_sentences_end() -> None:
    assert pieces(LAW, 16) == ["第一条 为了规范市场。", "第二条 违反本条例的，处罚款！", "第三条"]
    assert pieces(LAW, 100) == [LAW.replace("\n", "")]


@given(st.text(st.sampled_from("甲乙，。！\n "), max_size=80), st.integers(1, 20))
def test_cutting_loses_nothing_but_white_space(text: str, length: int) -> None:
    cut = pieces(text, length)
    assert all(0 < len(piece) <= length for piece in cut)
    kept = "".join(sentence for sentence in cut)
    assert kept.replace(" ", "") == text.replace("\n", "").replace(" ", "")


def test_each_sixth_text_is_cut_into_long_pieces() -> None:
    cut = chunks(["甲" * 20] * 6, length=10, long=20)
    assert [len(piece) for piece in cut] == [10] * 10 + [20]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(50, 400))
def test_every_text_is_in_one_batch_and_no_batch_is_too_large(
    lengths: list[int], tokens: int
) -> None:
    sizes = np.array(lengths)
    made = batches(sizes, tokens=tokens, rng=np.random.default_rng(0))
    assert sorted(np.concatenate(made).tolist()) == list(range(len(lengths)))
    assert all(sizes[rows].max() * rows.size <= tokens for rows in made)


def test_batches_of_like_lengths_waste_little_on_padding() -> None:
    sizes = np.random.default_rng(4).integers(5, 250, 4000)
    made = batches(sizes, tokens=2048, rng=np.random.default_rng(0))
    padded = sum(int(sizes[rows].max()) * rows.size for rows in made)
    assert padded < 1.05 * sizes.sum()


def test_the_order_goes_on_epoch_after_epoch_and_is_repeatable() -> None:
    sizes = np.full(10, 8)
    one, two = (Order(sizes, tokens=16, seed=3) for _ in range(2))
    steps = one.steps(2)
    assert steps == 10
    first = [[int(row) for row in one.at(step)] for step in range(steps)]
    assert sorted(chain(*first[:5])) == sorted(chain(*first[5:])) == list(range(10))
    assert first[:5] != first[5:]
    assert two.at(7).tolist() == first[7]


def test_token_matrices_are_padded_at_the_right() -> None:
    tokenizer = character_tokenizer(vocabulary_of(["甲乙丙"], at_least=1))
    data = encode(tokenizer, ["甲", "甲乙丙", ""], longest=4)
    assert len(data) == 3
    assert data.lengths.tolist() == [3, 4, 2]
    wide = data.padded(np.array([1, 0]), pad=PAD)
    assert wide.shape == (2, 8)
    assert (wide[1, 3:] == PAD).all()


def test_no_texts_are_no_tokens() -> None:
    tokenizer = character_tokenizer(vocabulary_of(["甲"], at_least=1))
    assert len(encode(tokenizer, [], longest=4)) == 0


def test_texts_come_from_a_column_or_from_lines(tmp_path: Path) -> None:
    pl.DataFrame({"t": ["甲", None, " ", "乙"]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"t": ["甲", "乙"]}).write_csv(tmp_path / "a.csv")
    (tmp_path / "a.txt").write_text("甲\n\n乙\n", encoding="utf-8")
    for source in ("a.parquet:t", "a.csv:t", "a.txt"):
        assert read_texts(str(tmp_path / source)) == ["甲", "乙"]


def test_a_source_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    pl.DataFrame({"t": ["甲"]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(ConfigError, match="name one of its columns: t"):
        read_texts(f"{tmp_path}/a.parquet:x")
    with pytest.raises(ConfigError, match="name one of its columns: t"):
        read_texts(f"{tmp_path}/a.parquet")
    with pytest.raises(SourceError, match="no such file"):
        read_texts(f"{tmp_path}/none.parquet:t")
    with pytest.raises(SourceError, match="cannot be read"):
        read_table(tmp_path / "bad.parquet")
    with pytest.raises(SourceError, match=r"neither \.parquet nor \.csv"):
        read_table(tmp_path / "a.xlsx")
