from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BundleError
from models.text.bundle import Answering, EncoderPart, TextBundle
from models.text.classifier import Classifier
from models.text.encoder import (
    EncoderShape,
    character_tokenizer,
    new_masked_model,
    vocabulary_of,
)
from models.text.evidence import (
    MOST,
    Faithfulness,
    Finder,
    Weights,
    by_both_ends,
    by_characters,
    by_deletion,
    evidence_of,
    faithfulness,
    find_evidence,
    most_faithful,
    pieces,
    scorer_of,
)
from models.text.heads import Head
from models.text.linear import Linear

TEXTS = ("销售超过保质期的食品", "废气超标排放", "未建立进货台账记录")
TINY = EncoderShape(layers=1, hidden=32, heads=2, inner=32, positions=64, dropout=0)
TELLING = {"超过保质期": 3.0, "销售": 1.0, "未": -1.0}


def _score(texts: Sequence[str]) -> Weights:
    """Score as a linear model of known words does: a sum through a logistic curve."""
    sums = [sum(weight for word, weight in TELLING.items() if word in text) - 1 for text in texts]
    return 1 / (1 + np.exp(-np.array(sums, dtype=np.float64)))


def _attribute(text: str) -> Weights:
    out = np.zeros(len(text), dtype=np.float64)
    for word, weight in TELLING.items():
        at = text.find(word)
        if at >= 0:
            out[at : at + len(word)] += weight / len(word)
    return out


METHODS = {
    "deletion": by_deletion(_score),
    "both_ends": by_both_ends(_score),
    "gradients": by_characters(_attribute),
}
TEXT = "2024年3月5日，执法人员到场，货架上有超过保质期的酸奶，当事人在场。"


@pytest.mark.parametrize("method", METHODS)
def test_the_telling_clause_is_found(method: str) -> None:
    (span, *others) = find_evidence(TEXT, _score, METHODS[method])
    assert TEXT[span.start : span.end] == "货架上有超过保质期的酸奶"
    assert span.drop == pytest.approx(_score([TEXT])[0] - _score([""])[0])
    assert others == []


def test_a_clause_that_another_repeats_is_found_by_what_it_says_alone() -> None:
    text = "货架上有超过保质期的酸奶，柜台里有超过保质期的面包"
    assert find_evidence(text, _score, METHODS["deletion"]) == ()
    (span,) = find_evidence(text, _score, METHODS["both_ends"])
    assert (span.start, span.end) == (0, len(text))


def test_what_speaks_against_the_answer_is_no_evidence() -> None:
    text = "未见异常，销售酸奶"
    spans = find_evidence(text, _score, METHODS["deletion"])
    assert [text[span.start : span.end] for span in spans] == ["销售酸奶"]


@pytest.mark.parametrize("text", ["", " \n", "，。；", "天气晴朗", "12345", "😀"])
def test_a_text_that_tells_nothing_has_no_evidence(text: str) -> None:
    assert find_evidence(text, _score, METHODS["both_ends"]) == ()


@given(st.text(alphabet="超过保质期销售未，。 \n甲乙", max_size=80))
def test_pieces_cover_every_word_once(text: str) -> None:
    places = pieces(text)
    assert all(start < end for start, end in places)
    covered = "".join(text[start:end] for start, end in places)
    gone = str.maketrans("", "", "，。 \n")
    assert covered.translate(gone) == text.translate(gone)


@given(st.text(alphabet="超过保质期销售未，。甲", max_size=80), st.sampled_from(list(METHODS)))
def test_spans_lie_in_the_text_and_drop_what_they_say(text: str, method: str) -> None:
    for span in find_evidence(text, _score, METHODS[method]):
        assert 0 <= span.start < span.end <= len(text)
        left = text[: span.start] + text[span.end :]
        assert span.drop == pytest.approx(_score([text])[0] - _score([left])[0])


def test_a_long_text_has_a_bounded_number_of_pieces() -> None:
    assert len(pieces("超过保质期，" * 20_000)) <= MOST
    assert len(pieces("甲" * 100_000)) <= MOST


def _measured(finder: Finder) -> Faithfulness:
    long = "接到来信后依法立案。" * 6
    texts = [TEXT + long, f"经查，{long}{TEXT}", f"{long}销售超过保质期的肉。{long}", "单句"]
    return faithfulness(texts, [_score] * 4, [finder] * 4)


def test_faithfulness_tells_a_good_method_from_a_bad_one() -> None:
    def wrong(text: str, places: Sequence[tuple[int, int]]) -> Weights:
        return -METHODS["deletion"](text, places)

    good, bad = _measured(METHODS["deletion"]), _measured(wrong)
    assert good.texts == bad.texts == 3
    assert good.gain > 0.3
    assert bad.gain < 0.1
    assert most_faithful({"wrong": bad, "deletion": good}) == "deletion"


def test_nothing_to_measure_is_no_gain() -> None:
    assert faithfulness(["单句"], [_score], [METHODS["deletion"]]) == Faithfulness(0, 0, 0)


def _classifier() -> Classifier:
    head = Head(name="leaf", labels=("E02", "F04"))
    weights = np.array([[9, 0], [0, 9]], dtype=np.float32)
    nothing = np.zeros(2, dtype=np.float32)
    linear = Linear(("排放", "食品"), (2, 2), np.ones(2, dtype=np.float32), weights, nothing)
    return Classifier(TextBundle((Answering(head=head, share=0),), linear=linear))


def test_a_classifier_gives_a_scorer() -> None:
    score = scorer_of(_classifier(), "leaf", "F04")
    text = "锅炉运行正常，仓库存放过期食品"
    (span,) = find_evidence(text, score, by_both_ends(score))
    assert text[span.start : span.end] == "仓库存放过期食品"


def test_a_classifiers_answer_has_evidence() -> None:
    text = "锅炉运行正常，仓库存放过期食品，当事人在场"
    (span,) = evidence_of(_classifier(), text, "leaf")
    assert text[span.start : span.end] == "仓库存放过期食品"
    assert span.drop > 0.4
    again = "仓库存放食品，仓库存放食品"
    assert evidence_of(_classifier(), again, "leaf")
    for nothing in ("", "12345", "，。"):
        assert evidence_of(_classifier(), nothing, "leaf") == ()
    with pytest.raises(BundleError, match="no head severity; the model answers leaf"):
        evidence_of(_classifier(), text, "severity")


def _part() -> EncoderPart:
    """Return a transformer of one layer whose weights are random."""
    from models.text.engine import packed
    from models.text.heads import network
    from models.text.untyped import encoder_of, seed_all

    seed_all(11)
    vocabulary = vocabulary_of(TEXTS, at_least=1)
    made = new_masked_model(TINY, len(vocabulary)).config.to_json_string(use_diff=False)
    config = cast("dict[str, object]", json.loads(made))
    return packed(network(encoder_of(config), 2), character_tokenizer(vocabulary), length=64)


@pytest.mark.slow
def test_integrated_gradients_add_up_to_the_difference_of_scores() -> None:
    pytest.importorskip("torch")
    from tokenizers import Tokenizer

    from models.text.engine import open_engine
    from models.text.gradients import integrated_gradients

    part = _part()
    attribute = integrated_gradients(part, steps=200)
    run = open_engine(part, want="torch").run
    for text in TEXTS:
        ids = np.array([Tokenizer.from_str(part.tokenizer).encode(text).ids])
        bare = ids.copy()
        bare[0, 1:-1] = 0  # padding between the special tokens
        whole = run(ids, np.ones_like(ids)) - run(bare, np.ones_like(ids))
        weights = attribute(text, 1)
        assert weights.shape == (len(text),)
        assert weights.sum() == pytest.approx(whole[0, 1], abs=0.01)
    assert attribute("", 1).shape == (0,)
    assert attribute("食" * 100_000, 1)[200:].sum() == 0


@pytest.mark.slow
def test_integrated_gradients_give_evidence_of_a_transformer() -> None:
    pytest.importorskip("torch")
    from models.text.gradients import integrated_gradients

    part = _part()
    attribute = integrated_gradients(part, steps=8)
    bundle = TextBundle((Answering(head=Head(name="leaf", labels=("E02", "F04"))),), encoder=part)
    finder = by_characters(lambda text: attribute(text, 1))
    text = "，".join(TEXTS)
    found = find_evidence(
        text, scorer_of(Classifier(bundle, engine="torch"), "leaf", "F04"), finder
    )
    assert all(0 <= span.start < span.end <= len(text) for span in found)


def test_markup_is_no_evidence_and_hides_none() -> None:
    text = "<p style='a'> </p>" * 500 + "销售过期食品，<b>已改正</b>"
    assert [text[start:end] for start, end in pieces(text)] == ["销售过期食品", "已改正"]
