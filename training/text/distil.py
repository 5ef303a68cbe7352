"""Distillation: a small encoder learns to answer as a large one, or an ensemble, does.

The teacher's calibrated probabilities are the targets (Hinton et al., Distilling the Knowledge in
a Neural Network, 2015), on labelled texts mixed half and half with the truth. Unlabelled texts
cost nothing and help most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from models.errors import FitError
from models.text.bundle import Answering, TextBundle, TextManifest
from models.text.calibrate import calibrated
from models.text.classifier import Classifier
from models.text.engine import Wanted
from models.text.heads import Floats, places
from training.text.learn import HERE, Course
from training.text.network import FitPlan, Network, fit_network
from training.text.targets import (
    Targets,
    digest_of,
    held_out,
    part_of,
    picked,
    targets_of,
    texts_of,
)

TRUTH: Final = 0.5
"""Share of the truth in the target of a text whose label is known."""


def distil(
    teacher: TextBundle,
    frame: pl.DataFrame,
    base: str,
    *,
    unlabelled: Sequence[str] = (),
    plan: FitPlan | None = None,
    engine: Wanted = "auto",
    course: Course = HERE,
) -> TextBundle:
    """Return a bundle of the student, calibrated on held out labelled texts.

    Args:
        teacher: The bundle to learn from.
        frame: ``text`` and label columns; its part ``test`` is left alone.
        base: The student's pretrained encoder.
        unlabelled: Further texts, for the teacher to answer.
        plan: How the student is fine-tuned; smoothing is not used, the targets are soft already.
        engine: What runs the teacher.
        course: Where it runs, and what it keeps and tells.

    Raises:
        BundleError: The table has a label that the teacher does not know.
    """
    plan = (plan or FitPlan()).model_copy(update={"smoothing": 0.0})
    frame = part_of(frame, "train")
    if not frame.height:
        raise FitError("there is no labelled text; the student's confidence needs some")
    truth, texts = targets_of(frame, teacher.heads), texts_of(frame)
    learn, hold = held_out(frame, share=plan.validation, seed=plan.seed, group=plan.group)
    read = [*picked(texts, learn), *unlabelled]
    told = _joined(teacher, Classifier(teacher, engine=engine).probabilities(read))
    soft = _softened(truth.rows(learn), told)
    made = fit_network(read, soft, base, plan=plan, course=course)
    answering = _calibrated(made, picked(texts, hold), truth.rows(hold))
    manifest = TextManifest(
        kind="encoder",
        rows=len(read),
        data_digest=digest_of(frame),
        taxonomy_digest=teacher.manifest.taxonomy_digest,
        params={**plan.model_dump(exclude_none=True), "base": base, "teacher": teacher.digest},
    )
    return TextBundle(answering, encoder=made.part(), manifest=manifest)


def _joined(teacher: TextBundle, told: dict[str, Floats]) -> Floats:
    return np.concatenate([told[head.name] for head in teacher.heads], axis=1)


def _softened(truth: Targets, told: Floats) -> Targets:
    """Return the teacher's answers, mixed with the truth where a head's truth is known."""
    values = told.copy()
    for number, columns in enumerate(places(truth.heads).values()):
        rows = np.flatnonzero(truth.known[:, number])
        given, right = values[rows, columns], truth.values[rows, columns]
        values[rows, columns] = TRUTH * right + (1 - TRUTH) * given
    return Targets(truth.heads, values, np.ones((len(told), len(truth.heads)), dtype=np.bool_))


def _calibrated(made: Network, texts: Sequence[str], truth: Targets) -> tuple[Answering, ...]:
    scores = made.scores(texts)
    out: list[Answering] = []
    for head, columns in zip(truth.heads, places(truth.heads).values(), strict=True):
        rows, answers = truth.of(head)
        out.append(
            Answering(head=head, calibration=calibrated(head, scores[rows][:, columns], answers))
        )
    return tuple(out)
