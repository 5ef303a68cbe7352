"""A text model that fits on a page: each leaf has a word that names it, and some are never sure."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.text.bundle import Answering, TextBundle, TextManifest
from models.text.calibrate import HeadCalibration
from models.text.heads import Head
from models.text.linear import Linear
from models.text.taxonomy import taxonomy
from serving.service import Service
from serving.texts.texts import Texts

WORDS: Final = {"F04": "过期", "E02": "排放", "L01": "欠薪", "M25": "垄断", "F02": "病死"}
"""Leaves, and the word by which each is known."""


def bundle(weight: float = 9.0, *, threshold: float = 0.4) -> TextBundle:
    """Return a model that is as sure of a word as its weight says."""
    labels = tuple(sorted(WORDS))
    head = Head(name="leaf", labels=labels, parents=tuple(one[0] for one in labels))
    grams = tuple(WORDS[one] for one in labels)
    linear = Linear(
        grams=grams,
        lengths=(2, 2),
        idf=np.ones(len(grams), dtype=np.float32),
        weights=(weight * np.eye(len(grams))).astype(np.float32),
        intercepts=np.zeros(len(grams), dtype=np.float32),
    )
    answering = Answering(head=head, share=0.0, calibration=HeadCalibration(threshold=threshold))
    manifest = TextManifest(taxonomy_digest=taxonomy().digest)
    return TextBundle((answering,), linear=linear, manifest=manifest)


def place(service: Service, made: TextBundle | None = None) -> Texts:
    """Put a model where an operator would, let it live, and return what holds it."""
    folder = service.texts.shelf.place
    if folder.exists():
        for one in folder.iterdir():
            one.unlink()
        folder.rmdir()
    (made or bundle()).save(folder)
    service.texts.refresh()
    return service.texts
