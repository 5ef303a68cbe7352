"""From a table of labelled texts to four bundles and a verdict: which of them should read."""

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
from models.text.encoder import load_base
from models.text.heads import Floats, Head, places
from models.text.linear import EVEN, Lead, Linear
from models.text.taxonomy import Taxonomy
from training.text.baseline import Counted, count, fit_linear
from training.text.learn import HERE, Course
from training.text.measure import Measured, bootstrap_gain, macro_f1, measure, truths
from training.text.network import FitPlan, Network, fit_network
from training.text.targets import (
    Targets,
    digest_of,
    folds,
    held_out,
    learn_heads,
    part_of,
    picked,
    targets_of,
    texts_of,
)
from training.text.verdict import Gains, Model, Verdict, judge

STRENGTHS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Regularisation strengths tried for the linear models, by cross-validation."""
FOLDS: Final = 4
LEADS: Final[tuple[Lead, ...]] = ((20, 8),)
"""How much more the beginning of a text counts, tried beside the baseline, which counts evenly."""
READERS: Final[tuple[Model, ...]] = ("encoder", "ensemble")
"""The models that have a transformer."""
Rows = npt.NDArray[np.int64]
_SHARES: Final = tuple(step / 10 for step in range(1, 10))


@dataclass(frozen=True, eq=False)
class FittedText:
    """What a fit came to: a bundle for each kind of model, and which of them won."""

    bundles: Mapping[Model, TextBundle]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Setting:
    """What is chosen of a linear model."""

    lead: Lead
    strength: float

    @property
    def params(self) -> dict[str, str | float]:
        """Return the setting as a manifest keeps it."""
        return {"strength": self.strength, "lead": "×".join(map(str, self.lead))}


@dataclass(frozen=True, eq=False)
class _Tried:
    """A linear model's chosen setting, all texts as it counts them, and its score on folds."""

    setting: Setting
    counted: Counted
    macro: float

    def fitted(self, targets: Targets, *, seed: int) -> Linear:
        """Return the model of all rows."""
        return fit_linear(self.counted, targets, c=self.setting.strength, seed=seed)


@dataclass(frozen=True, eq=False)
class _Held:
    """The validation slice: what was held out, and each model's raw scores there."""

    targets: Targets
    parts: Mapping[Model, tuple[Floats | None, Floats | None]]
    """By model, the scores of its transformer and of its linear part."""


def fit(
    frame: pl.DataFrame,
    *,
    base: str | None,
    plan: FitPlan | None = None,
    taxonomy: Taxonomy | None = None,
    course: Course = HERE,
) -> FittedText:
    """Fit the linear models, the transformer and their mix, and judge between them.

    Cross-validation over the rows to learn from chooses the linear models' settings; a validation
    slice of them sets temperatures, thresholds and mix, and gives the verdict. A part named
    ``test`` in column ``split`` is never looked at. The linear models are fitted once more on all
    rows afterwards; the transformer is not.

    Args:
        frame: ``text``, label columns (see :mod:`training.text.targets`), maybe ``split``.
        base: Pretrained encoder; without one only the linear models are fitted.
        plan: How the transformer is fine-tuned, and what is held out.
        taxonomy: The leaves that column ``leaf`` may name; any, without one.
        course: Where it runs, and what it keeps and tells.

    Raises:
        ConfigError: The table or the base cannot be used.
        FitError: There is too little to learn from, or a label that its taxonomy does not know.
    """
    plan = plan or FitPlan()
    if base is not None:
        load_base(base)  # one that cannot be used is said before the search begins
    frame = part_of(frame, "train")
    heads = learn_heads(frame, parents=_parents(taxonomy))
    targets, texts = targets_of(frame, heads), texts_of(frame)
    learn, hold = held_out(frame, share=plan.validation, seed=plan.seed, group=plan.group)
    held_texts = picked(texts, hold)
    pairs = folds(frame, FOLDS, seed=plan.seed, group=plan.group)
    tried: dict[Model, _Tried] = {
        "baseline": _linear_at((EVEN,), texts, targets, pairs, seed=plan.seed),
        "linear": _linear_at(LEADS, texts, targets, pairs, seed=plan.seed),
    }
    best = max(tried, key=lambda kind: tried[kind].macro)
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
    parts: dict[Model, tuple[Floats | None, Floats | None]] = {
        kind: (None, _sliced(one.setting, texts, targets, learn, seed=plan.seed).scores(held_texts))
        for kind, one in tried.items()
    }
    if made is not None:
        read = made.scores(held_texts)
        parts |= {"encoder": (read, None), "ensemble": (read, parts[best][1])}
    held = _Held(targets.rows(hold), parts)
    answering: dict[Model, tuple[Answering, ...]] = {
        kind: tuple(_answering(head, held, kind) for head in heads) for kind in parts
    }
    verdict = _judged(answering, held, seed=plan.seed)
    manifest = TextManifest(
        rows=frame.height,
        data_digest=digest_of(frame),
        taxonomy_digest=taxonomy.digest if taxonomy else "",
        params={**plan.model_dump(exclude_none=True), "base": base or ""},
    )
    linear: dict[Model, tuple[Setting, Linear]] = {
        kind: (each.setting, each.fitted(targets, seed=plan.seed)) for kind, each in tried.items()
    }
    if made is not None:
        linear["ensemble"] = linear[best]
    bundles = _bundles(answering, linear, made, manifest, verdict)
    return FittedText(bundles, verdict)


def _parents(taxonomy: Taxonomy | None) -> dict[str, dict[str, str]] | None:
    return None if taxonomy is None else {"leaf": {one.code: one.group for one in taxonomy.leaves}}


def _linear_at(
    leads: Sequence[Lead],
    texts: Sequence[str],
    targets: Targets,
    pairs: Sequence[tuple[Rows, Rows]],
    *,
    seed: int,
) -> _Tried:
    """Return the setting whose answers to texts outside its own fold are best."""
    found: list[_Tried] = []
    for lead in leads:
        counted = count(texts, lead=lead)
        for strength in STRENGTHS:
            scores = np.zeros(targets.values.shape, dtype=np.float32)
            for learn, hold in pairs:
                part = counted.part(learn)
                model = fit_linear(part, targets.rows(learn), c=strength, seed=seed)
                scores[hold] = counted.part(hold).scores(model)
            macro = mean_macro(targets, scores)
            found.append(_Tried(Setting(lead, strength), counted, macro))
            logger(__name__).info(
                "linear model tried", lead=lead, strength=strength, macro_f1=round(macro, 4)
            )
    return max(found, key=lambda one: one.macro)


def _sliced(
    setting: Setting, texts: Sequence[str], targets: Targets, learn: Rows, *, seed: int
) -> Linear:
    """Return a linear model of the rows to learn from alone, for the validation slice to judge."""
    part = count(picked(texts, learn), lead=setting.lead)
    return fit_linear(part, targets.rows(learn), c=setting.strength, seed=seed)


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


def _answering(head: Head, held: _Held, kind: Model) -> Answering:
    """Return temperatures, mix and threshold of one head for one kind of model."""
    encoder, linear = held.parts[kind]
    share = 0.5 if encoder is not None and linear is not None else float(linear is None)
    rows, answers = held.targets.of(head)
    if not rows.size:
        return Answering(head=head, share=share)
    columns = places(held.targets.heads)[head.name]

    def cooled(scores: Floats | None) -> tuple[float, Floats | None]:
        if scores is None:
            return 1.0, None
        some = scores[rows][:, columns]
        temperature = fitted_temperature(head, some, answers)
        return temperature, (some / temperature).astype(np.float32)

    (warm, read), (cold, added) = cooled(encoder), cooled(linear)
    if read is not None and added is not None:
        share = _share(head, read, added, answers)
    parts = [(share, read), (1 - share, added)]
    scores = np.sum([weight * one for weight, one in parts if one is not None], axis=0)
    return Answering(
        head=head,
        share=share,
        encoder_temperature=warm,
        linear_temperature=cold,
        calibration=calibrated(head, scores.astype(np.float32), answers),
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
        kind: calibrated_probabilities(each, mixed(each, *held.parts[kind]))
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


def _bundles(
    answering: Mapping[Model, tuple[Answering, ...]],
    linear: Mapping[Model, tuple[Setting, Linear]],
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
        setting, weights = linear.get(kind, (None, None))
        chosen = {} if setting is None else setting.params
        out[kind] = TextBundle(
            each,
            encoder=part if kind in READERS else None,
            linear=weights,
            manifest=manifest.model_copy(
                update={"metrics": metrics, "params": {**manifest.params, **chosen}}
            ),
        )
    return out
