"""From a table of labelled texts to three bundles and a verdict: which of them should read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import FitError
from models.logs import logger
from models.text.bundle import Answering, TextBundle, TextManifest
from models.text.calibrate import calibrated, fitted_temperature
from models.text.classifier import calibrated_probabilities, mixed
from models.text.heads import Floats, Head, places
from models.text.linear import Linear
from models.text.taxonomy import Taxonomy
from training.text.baseline import Counted, count, fit_linear
from training.text.learn import HERE, Course
from training.text.measure import Measured, bootstrap_gain, macro_f1, measure, truths
from training.text.network import FitPlan, Network, fit_network
from training.text.targets import (
    Targets,
    digest_of,
    held_out,
    learn_heads,
    part_of,
    picked,
    targets_of,
    texts_of,
)
from training.text.verdict import Gains, Model, Verdict, judge

STRENGTHS: Final = (0.25, 0.5, 1.0, 2.0)
"""Regularisation strengths tried for the linear model, on the validation slice."""
_SHARES: Final = tuple(step / 10 for step in range(1, 10))


@dataclass(frozen=True, eq=False)
class FittedText:
    """What a fit came to: a bundle for each kind of model, and which of them won."""

    bundles: Mapping[Model, TextBundle]
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class _Held:
    """The validation slice: what was held out, and each part's raw scores there."""

    targets: Targets
    linear: Floats
    encoder: Floats | None


def fit(
    frame: pl.DataFrame,
    *,
    base: str | None,
    plan: FitPlan | None = None,
    taxonomy: Taxonomy | None = None,
    course: Course = HERE,
) -> FittedText:
    """Fit the linear model, the transformer and their mix, and judge between them.

    A validation slice of the rows to learn from sets strengths, temperatures, thresholds and mix,
    and gives the verdict; a part named ``test`` in column ``split`` is never looked at. The linear
    model is fitted once more on all rows afterwards; the transformer is not.

    Args:
        frame: ``text``, label columns (see :mod:`training.text.targets`), maybe ``split``.
        base: Pretrained encoder; without one only the linear model is fitted.
        plan: How the transformer is fine-tuned, and what is held out.
        taxonomy: The leaves that column ``leaf`` may name; any, without one.
        course: Where it runs, and what it keeps and tells.

    Raises:
        ConfigError: The table or the base cannot be used.
        FitError: There is too little to learn from, or a label that its taxonomy does not know.
    """
    plan = plan or FitPlan()
    frame = part_of(frame, "train")
    heads = learn_heads(frame, parents=_parents(taxonomy))
    targets, texts = targets_of(frame, heads), texts_of(frame)
    learn, hold = held_out(frame, share=plan.validation, seed=plan.seed, group=plan.group)
    held_texts = picked(texts, hold)
    counted, strength, linear_scores = _linear_on(texts, targets, learn, hold, seed=plan.seed)
    made = None
    if base is not None:
        made = fit_network(
            picked(texts, learn),
            targets.rows(learn),
            base,
            plan=plan,
            course=course,
            watch=lambda epoch, net: _watch(epoch, net, held_texts, targets.rows(hold)),
        )
    encoder_scores = None if made is None else made.scores(held_texts)
    held = _Held(targets.rows(hold), linear_scores, encoder_scores)
    answering: dict[Model, tuple[Answering, ...]] = {
        kind: _answering(heads, held, kind) for kind in _kinds(held)
    }
    verdict = _judged(answering, held, seed=plan.seed)
    manifest = TextManifest(
        rows=frame.height,
        data_digest=digest_of(frame),
        taxonomy_digest=taxonomy.digest if taxonomy else "",
        params={
            **plan.model_dump(exclude_none=True),
            "base": base or "",
            "strength": strength,
        },
    )
    linear = fit_linear(counted, targets, c=strength, seed=plan.seed)
    return FittedText(_bundles(answering, linear, made, manifest, verdict), verdict)


def _parents(taxonomy: Taxonomy | None) -> dict[str, dict[str, str]] | None:
    return None if taxonomy is None else {"leaf": {one.code: one.group for one in taxonomy.leaves}}


def _linear_on(
    texts: Sequence[str],
    targets: Targets,
    learn: npt.NDArray[np.int64],
    hold: npt.NDArray[np.int64],
    *,
    seed: int,
) -> tuple[Counted, float, Floats]:
    """Choose the strength on the held rows; return all texts' counts, it, and its scores there."""
    part = count(picked(texts, learn))
    held_texts, held = picked(texts, hold), targets.rows(hold)
    tried: dict[float, tuple[float, Floats]] = {}
    for c in STRENGTHS:
        model = fit_linear(part, targets.rows(learn), c=c, seed=seed)
        scores = model.scores(held_texts)
        tried[c] = (mean_macro(held, scores), scores)
    best = max(tried, key=lambda c: tried[c][0])
    return count(texts), best, tried[best][1]


def mean_macro(targets: Targets, scores: Floats) -> float:
    """Return macro-F1, the mean over the heads that are known for any row."""
    found: list[float] = []
    for head, columns in zip(targets.heads, places(targets.heads).values(), strict=True):
        rows, answers = targets.of(head)
        if rows.size:
            told = head.probabilities(scores[rows][:, columns])
            found.append(macro_f1(*truths(head, told, answers)))
    return float(np.mean(found)) if found else 0.0


def _watch(epoch: int, net: Network, texts: Sequence[str], targets: Targets) -> None:
    macro = mean_macro(targets, net.scores(texts))
    logger(__name__).info("epoch", number=epoch, validation_macro_f1=round(macro, 4))


def _kinds(held: _Held) -> tuple[Model, ...]:
    return ("linear",) if held.encoder is None else ("linear", "encoder", "ensemble")


def _answering(heads: Sequence[Head], held: _Held, kind: Model) -> tuple[Answering, ...]:
    return tuple(_answering_of(head, held, kind) for head in heads)


def _answering_of(head: Head, held: _Held, kind: Model) -> Answering:
    """Return temperatures, mix and threshold of one head for one kind of model."""
    rows, answers = held.targets.of(head)
    if not rows.size:
        return Answering(head=head, share={"linear": 0.0, "encoder": 1.0}.get(kind, 0.5))
    columns = places(held.targets.heads)[head.name]
    linear = held.linear[rows][:, columns]
    cold = fitted_temperature(head, linear, answers)
    if held.encoder is None or kind == "linear":
        end = calibrated(head, linear / cold, answers)
        return Answering(head=head, share=0.0, linear_temperature=cold, calibration=end)
    encoder = held.encoder[rows][:, columns]
    warm = fitted_temperature(head, encoder, answers)
    share = 1.0 if kind == "encoder" else _share(head, encoder / warm, linear / cold, answers)
    scores = (share * encoder / warm + (1 - share) * linear / cold).astype(np.float32)
    return Answering(
        head=head,
        share=share,
        encoder_temperature=warm,
        linear_temperature=cold,
        calibration=calibrated(head, scores, answers),
    )


def _share(head: Head, encoder: Floats, linear: Floats, answers: Floats) -> float:
    """Return the transformer's share of the mix that makes the truth likeliest."""

    def loss(share: float) -> float:
        scores = (share * encoder + (1 - share) * linear).astype(np.float32)
        told = head.probabilities(scores, fitted_temperature(head, scores, answers))
        return measure(head, told, answers, threshold=0).nll

    return min(_SHARES, key=loss)


def _judged(answering: Mapping[Model, tuple[Answering, ...]], held: _Held, *, seed: int) -> Verdict:
    told = {
        kind: calibrated_probabilities(each, _scores(each, held, kind))
        for kind, each in answering.items()
    }
    known = [head for head in held.targets.heads if held.targets.of(head)[0].size]
    if not known:
        raise FitError("no held out text has a label; add labelled texts")
    measured: dict[Model, dict[str, Measured]] = {}
    said: dict[tuple[Model, str], tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]] = {}
    for kind, each in answering.items():
        measured[kind] = {}
        for head, one in zip(held.targets.heads, each, strict=True):
            if head not in known:
                continue
            rows, answers = held.targets.of(head)
            p = told[kind][head.name][rows]
            measured[kind][head.name] = measure(
                head, p, answers, threshold=one.calibration.threshold
            )
            said[kind, head.name] = truths(head, p, answers)
    gains: dict[tuple[Model, Model], list[Gains]] = {
        (new, old): [
            bootstrap_gain(
                said[new, head.name][0], said[new, head.name][1], said[old, head.name][1], seed=seed
            )
            for head in known
        ]
        for new in answering
        for old in answering
        if new != old
    }
    return judge(measured, gains)


def _scores(each: tuple[Answering, ...], held: _Held, kind: Model) -> Floats:
    return mixed(
        each,
        None if kind == "linear" else held.encoder,
        None if kind == "encoder" else held.linear,
    )


def _bundles(
    answering: Mapping[Model, tuple[Answering, ...]],
    linear: Linear,
    made: Network | None,
    manifest: TextManifest,
    verdict: Verdict,
) -> dict[Model, TextBundle]:
    part = None if made is None else made.part()
    out: dict[Model, TextBundle] = {}
    for kind, each in answering.items():
        metrics = {
            f"{head}.{name}": value
            for head, one in verdict.measured[kind].items()
            for name, value in one.model_dump(include={"macro_f1", "micro_f1", "ece"}).items()
        }
        out[kind] = TextBundle(
            each,
            encoder=None if kind == "linear" else part,
            linear=None if kind == "encoder" else linear,
            manifest=manifest.model_copy(update={"kind": kind, "metrics": metrics}),
        )
    return out
