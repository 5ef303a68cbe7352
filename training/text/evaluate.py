"""All models on the same texts in one run: answers, calibration, coverage, speed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import BundleError, ConfigError, MissingExtraError
from models.text.bundle import MANIFEST, TextBundle
from models.text.classifier import (
    EncoderReader,
    calibrated_probabilities,
    mixed,
)
from models.text.encoder import clean
from models.text.engine import ENGINES, EngineName, Wanted, open_engine
from models.text.heads import Floats, by_head
from training.text.measure import Bools, Measured, measure, near_duplicates
from training.text.targets import Targets, part_of, targets_of, texts_of
from training.text.verdict import BY_COST, Model

RESULT = "evaluation.json"


class EngineSpeed(BaseModel):
    """How fast an engine reads, and whether it says what the reference says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: EngineName
    batch: int
    texts_per_second: float
    times_eager: float
    """Speed as a multiple of torch in float32, at the same batch, in the same run."""
    agreement: float
    """Share of answers that are the reference's, over all heads."""
    apart: float
    """Largest difference of a score from the reference's."""


class Evaluation(BaseModel):
    """What each model came to on texts that it has not learnt from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    near: int | None
    """Texts that are near copies of one learnt from; null where that was not looked at."""
    digests: Mapping[Model, str]
    measured: Mapping[Model, Mapping[str, Measured]]
    """By model, then head."""
    apart_from_near: Mapping[Model, Mapping[str, Measured]]
    """The same without near copies; empty where that was not looked at."""
    texts_per_second: Mapping[Model, float]
    engines: tuple[EngineSpeed, ...] = ()

    def save(self, path: Path) -> None:
        """Write the evaluation as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Evaluation:
        """Read what :meth:`save` wrote; :class:`BundleError` for anything else."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise BundleError(f"{path}: is not an evaluation of text models") from error


def load_bundles(folder: Path) -> dict[Model, TextBundle]:
    """Return the bundles that a fit wrote under ``folder``, or the one that it is, by kind.

    Raises:
        ConfigError: There is none.
    """
    if (folder / MANIFEST).is_file():
        one = TextBundle.load(folder)
        return {one.kind: one}
    there: list[Model] = [kind for kind in BY_COST if (folder / kind).is_dir()]
    if not there:
        raise ConfigError(
            f"{folder}: holds none of {', '.join(BY_COST)}; name what xinjian text fit wrote, "
            "or a single bundle"
        )
    return {kind: TextBundle.load(folder / kind) for kind in there}


def result_of(folder: Path) -> Path:
    """Return where an evaluation is kept: a bundle's folder holds nothing but the bundle."""
    if (folder / MANIFEST).is_file():
        return folder.with_name(f"{folder.name}.{RESULT}")
    return folder / RESULT


def evaluate(
    bundles: Mapping[Model, TextBundle],
    frame: pl.DataFrame,
    *,
    engine: Wanted = "auto",
    near: float | None = None,
) -> Evaluation:
    """Measure every bundle on the ``test`` part of a table, or on all of it without parts.

    Args:
        bundles: By kind of model.
        frame: ``text``, label columns, maybe ``split``.
        engine: What runs the transformer.
        near: Cosine from which a text counts as a near copy of one of the part ``train``.

    Raises:
        BundleError: The table has a label that a bundle does not know.
        ConfigError: It has no text to measure by, or no label.
    """
    asked = part_of(frame, "test")
    if not asked.height:
        raise ConfigError("the table has no text in part 'test'; nothing can be measured")
    texts = [clean(text) for text in texts_of(asked)]
    heads = next(iter(bundles.values())).heads
    if not targets_of(asked, heads).known.any():
        names = ", ".join(head.name for head in heads)
        raise ConfigError(f"no text has a label for {names}; nothing can be measured")
    copies = None if near is None else _copies(frame, texts, near)
    measured: dict[Model, dict[str, Measured]] = {}
    rest: dict[Model, dict[str, Measured]] = {}
    speed: dict[Model, float] = {}
    parts: dict[str, tuple[Floats, float]] = {}
    for kind, bundle in bundles.items():
        targets = targets_of(asked, bundle.heads)
        scores, seconds = _scores(bundle, texts, engine, parts)
        told = calibrated_probabilities(bundle.answering, scores)
        measured[kind] = _measured(bundle, targets, told, None)
        if copies is not None:
            rest[kind] = _measured(bundle, targets, told, copies)
        speed[kind] = round(len(texts) / seconds, 1)
    return Evaluation(
        rows=asked.height,
        near=None if copies is None else int(copies.sum()),
        digests={kind: bundle.digest for kind, bundle in bundles.items()},
        measured=measured,
        apart_from_near=rest,
        texts_per_second=speed,
    )


def _copies(frame: pl.DataFrame, texts: Sequence[str], near: float) -> Bools:
    learnt = texts_of(part_of(frame, "train"))
    return near_duplicates(learnt, texts, at=near)


def _scores(
    bundle: TextBundle,
    texts: Sequence[str],
    engine: Wanted,
    parts: dict[str, tuple[Floats, float]],
) -> tuple[Floats, float]:
    """Return mixed scores and the seconds they took; a part that was run before is not again."""
    found: dict[str, tuple[Floats, float] | None] = {"encoder": None, "linear": None}
    if bundle.encoder is not None:
        key = hashlib.sha256(bundle.encoder.weights).hexdigest()
        if key not in parts:
            reader = EncoderReader.of(bundle.encoder, open_engine(bundle.encoder, want=engine))
            begun = time.perf_counter()
            parts[key] = reader.scores(texts), time.perf_counter() - begun
        found["encoder"] = parts[key]
    if bundle.linear is not None:
        key = hashlib.sha256(bundle.linear.weights.tobytes()).hexdigest()
        if key not in parts:
            begun = time.perf_counter()
            parts[key] = bundle.linear.scores(texts), time.perf_counter() - begun
        found["linear"] = parts[key]
    encoder, linear = (None if one is None else one[0] for one in found.values())
    seconds = sum(one[1] for one in found.values() if one is not None)
    return mixed(bundle.answering, encoder, linear), max(seconds, 1e-9)


def _measured(
    bundle: TextBundle, targets: Targets, told: Mapping[str, Floats], copies: Bools | None
) -> dict[str, Measured]:
    out: dict[str, Measured] = {}
    for each in bundle.answering:
        rows, answers = targets.of(each.head)
        if copies is not None:
            kept = ~copies[rows]
            rows, answers = rows[kept], answers[kept]
        if rows.size:
            p = told[each.head.name][rows]
            out[each.head.name] = measure(
                each.head, p, answers, threshold=each.calibration.threshold
            )
    return out


def race(
    bundle: TextBundle,
    texts: Sequence[str],
    *,
    batches: Sequence[int] = (1, 32),
    threads: int | None = None,
) -> tuple[EngineSpeed, ...]:
    """Run every engine that is installed over the same texts, torch in float32 first.

    Raises:
        ConfigError: The bundle has no transformer.
    """
    part = bundle.encoder
    if part is None:
        raise ConfigError("this bundle has no transformer, so there are no engines to compare")
    out: list[EngineSpeed] = []
    eager: dict[int, float] = {}
    reference: Floats | None = None
    for name in ENGINES:
        try:
            reader = EncoderReader.of(part, open_engine(part, want=name, threads=threads))
        except MissingExtraError:
            continue
        reader.scores(texts[:32])
        for batch in batches:
            begun = time.perf_counter()
            scores = np.concatenate(
                [reader.scores(texts[at : at + batch]) for at in range(0, len(texts), batch)]
            )
            speed = len(texts) / (time.perf_counter() - begun)
            reference = scores if reference is None else reference
            eager.setdefault(batch, speed)
            out.append(
                EngineSpeed(
                    engine=name,
                    batch=batch,
                    texts_per_second=round(speed, 1),
                    times_eager=round(speed / eager[batch], 2),
                    agreement=_agreement(bundle, reference, scores),
                    apart=float(np.abs(scores - reference).max()),
                )
            )
    return tuple(out)


def _agreement(bundle: TextBundle, reference: Floats, scores: Floats) -> float:
    """Return the share of equal answers: the likeliest label, or each label's yes or no."""
    same: list[float] = []
    for head in bundle.heads:
        old, new = (
            by_head(bundle.heads, reference)[head.name],
            by_head(bundle.heads, scores)[head.name],
        )
        equal = (old > 0) == (new > 0) if head.kind == "many" else old.argmax(1) == new.argmax(1)
        same.append(float(cast("Bools", equal).mean()))
    return float(np.mean(same))
