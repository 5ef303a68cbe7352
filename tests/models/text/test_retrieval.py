from __future__ import annotations

import itertools
from collections import Counter
from math import log1p
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.text.retrieval import K1, B, Index

TEXTS = ["销售超过保质期的食品", "废气超标排放", "未建立食品进货台账", ""]
words = st.lists(st.text(alphabet="食品废气超标排放 。aB1", max_size=12), max_size=6)


def _pairs(text: str) -> list[str]:
    kept = [char for char in text if char.isalnum()]
    return [left + right for left, right in itertools.pairwise(kept)]


def _bm25(texts: list[str], asked: str) -> list[float]:
    """Return what the formula says, word by word."""
    counts = [Counter(_pairs(text)) for text in texts]
    lengths = [sum(count.values()) for count in counts]
    usual = max(sum(lengths) / len(lengths), 1) if lengths else 1
    scores = [0.0] * len(texts)
    for word in set(_pairs(asked)):
        many = sum(word in count for count in counts)
        rarity = log1p((len(texts) - many + 0.5) / (many + 0.5))
        for place, count in enumerate(counts):
            damp = K1 * (1 - B + B * lengths[place] / usual)
            scores[place] += rarity * count[word] * (K1 + 1) / (count[word] + damp)
    return scores


@given(words, st.text(alphabet="食品废气超标排放x", max_size=12))
def test_scores_are_those_of_the_formula(texts: list[str], asked: str) -> None:
    made = Index.of(texts).scores(asked)
    np.testing.assert_allclose(made, _bm25(texts, asked), rtol=1e-5)


def test_many_chunks_are_one_index(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Index.of(TEXTS * 5).scores("食品超标")
    monkeypatch.setattr("models.text.retrieval._CHUNK", 8)
    np.testing.assert_array_equal(Index.of(TEXTS * 5).scores("食品超标"), whole)


@pytest.mark.parametrize("text", ["", "🙂", "食", "zz", "\0\0", "\ud83d", "x" * 100_000])
def test_odd_questions_are_near_to_nothing(text: str) -> None:
    assert Index.of(TEXTS).scores(text).tolist() == [0, 0, 0, 0]


def test_full_width_and_punctuation_make_no_difference() -> None:
    index = Index.of(["ＧＳＰ 认证，过期"])
    assert index.scores("GSP认证。过期")[0] == index.scores("ＧＳＰ认证过期")[0] > 0


def test_a_gap_inside_a_text_does_not_shift_the_others() -> None:
    assert Index.of(["食\0品", "废气"]).scores("废气").tolist()[0] == 0


def test_nothing_indexed_answers_nothing() -> None:
    assert Index.of([]).scores("食品").size == 0


def test_kept_and_read_it_is_the_same(tmp_path: Path) -> None:
    index = Index.of(TEXTS)
    index.save(tmp_path / "a.npz", of="abc")
    again = Index.load(tmp_path / "a.npz", of="abc")
    np.testing.assert_array_equal(again.scores("食品"), index.scores("食品"))


def test_an_index_of_something_else_is_refused(tmp_path: Path) -> None:
    Index.of(TEXTS).save(tmp_path / "a.npz", of="abc")
    with pytest.raises(ConfigError, match="index of other texts"):
        Index.load(tmp_path / "a.npz", of="abd")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04broken"])
def test_a_damaged_index_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ConfigError, match="no index of texts"):
        Index.load(tmp_path / "a.npz", of="abc")


def test_pickles_are_refused(tmp_path: Path) -> None:
    kept = {"digest": np.array([object()], dtype=object)}
    np.savez(tmp_path / "a.npz", allow_pickle=True, **kept)
    with pytest.raises(ConfigError, match="no index of texts"):
        Index.load(tmp_path / "a.npz", of="abc")
