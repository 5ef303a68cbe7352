"""A transformer of one layer, for tests of what surrounds it."""

from __future__ import annotations

from functools import cache

import numpy as np

from models.text.bundle import Answering, EncoderPart, TextBundle
from models.text.encoder import EncoderShape, character_tokenizer, new_masked_model, vocabulary_of
from models.text.engine import packed
from models.text.heads import Head, network
from models.text.linear import Linear
from models.text.untyped import seed_all

TEXTS = ("销售超过保质期的食品", "废气超标排放", "未建立进货台账记录", "食品标签不合规定")
HEADS = (
    Head(name="leaf", labels=("E02", "F04", "F09"), parents=("E", "F", "F")),
    Head(name="department", labels=("市场监管", "生态环境")),
)
ANSWERING = tuple(Answering(head=head, share=0.5) for head in HEADS)
TINY = EncoderShape(layers=1, hidden=32, heads=2, inner=32, positions=64, dropout=0)


@cache
def encoder_part() -> EncoderPart:
    seed_all(11)
    vocabulary = vocabulary_of(TEXTS, at_least=1)
    encoder = new_masked_model(TINY, len(vocabulary)).bert
    return packed(network(encoder, 5), character_tokenizer(vocabulary), length=32)


def linear_part() -> Linear:
    rng = np.random.default_rng(2)
    return Linear(
        ("食品", "排放"),
        (2, 2),
        np.ones(2, dtype=np.float32),
        rng.normal(size=(2, 5)).astype(np.float32),
        np.zeros(5, dtype=np.float32),
    )


def ensemble() -> TextBundle:
    return TextBundle(ANSWERING, encoder=encoder_part(), linear=linear_part())
