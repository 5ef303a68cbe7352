"""Which text model reads: a registered version against the champion, on the same texts.

The first champion is what won its fit, where the linear baseline is always a contender. After that
a version replaces the champion only where it proves better on texts that neither has learnt from:
ahead in macro-F1 in at least :data:`training.text.verdict.SURE` of the resamples, by at least
:data:`training.text.verdict.WORTH` where it is dearer to run, and no worse calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict

from models import published
from models.errors import BundleError, ConfigError
from models.records.lake import Lake
from models.text.bundle import TextBundle
from models.text.classifier import Classifier
from models.text.engine import Wanted
from models.text.heads import Floats, Head
from training.publication import Registered
from training.retrain.promotion import champion_of, write
from training.text.measure import Bools, Measured, bootstrap_gain, measure, truths
from training.text.registry import TextRegistry
from training.text.targets import part_of, targets_of, texts_of
from training.text.verdict import BY_COST, SURE, WORTH

LOOSER: Final = 0.02
"""Calibration error by which a new champion may be worse, on average over the heads."""

Decision = Literal["promote", "keep"]
Numbers = npt.NDArray[np.float64]


class Replacement(BaseModel):
    """The verdict on a version: whether it replaces the champion, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: Decision
    reasons: tuple[str, ...]
    challenger: str
    """Digest of the bundle that is judged."""
    champion: str | None
    """Digest of the one in force; null where there was none."""
    rows: int
    measured: Mapping[str, Mapping[str, Measured]]
    """By digest, then head; empty where there was nothing to compare."""
    decided_at: AwareDatetime

    @property
    def summary(self) -> str:
        """Return the reasons as one line."""
        return "; ".join(self.reasons)


def compare(
    challenger: TextBundle,
    champion: TextBundle,
    frame: pl.DataFrame,
    *,
    now: datetime,
    engine: Wanted = "auto",
    seed: int = 7,
) -> Replacement:
    """Judge a bundle against the champion on the ``test`` part of a table, or on all of it.

    Raises:
        ConfigError: The table has no text to judge by, or no label for a question of both.
        BundleError: The table has a label that one of them does not know.
    """
    asked = part_of(frame, "test")
    texts = texts_of(asked)
    if not texts:
        raise ConfigError("the table has no text in part 'test'; nothing can be compared")
    told = {
        one.digest: Classifier(one, engine=engine).probabilities(texts)
        for one in (challenger, champion)
    }
    measured: dict[str, dict[str, Measured]] = {challenger.digest: {}, champion.digest: {}}
    gains: list[Numbers] = []
    for head in _shared(challenger, champion):
        rows, answers = targets_of(asked, (head,)).of(head)
        if not rows.size:
            continue
        said: dict[str, Bools] = {}
        for one in (challenger, champion):
            p = _answers(one, head, told[one.digest][head.name][rows])
            measured[one.digest][head.name] = measure(
                head, p, answers, threshold=_threshold(one, head)
            )
            truth, said[one.digest] = truths(head, p, answers)
        gains.append(
            bootstrap_gain(truth, said[challenger.digest], said[champion.digest], seed=seed)
        )
    if not gains:
        raise ConfigError("the table has no label for a question that both models answer")
    decision, reasons = _decided(challenger, champion, measured, np.mean(np.stack(gains), axis=0))
    return Replacement(
        decision=decision,
        reasons=reasons,
        challenger=challenger.digest,
        champion=champion.digest,
        rows=len(texts),
        measured=measured,
        decided_at=now,
    )


def _shared(challenger: TextBundle, champion: TextBundle) -> list[Head]:
    """Return the champion's questions as the challenger has them: it must know every answer."""
    new = {head.name: head for head in challenger.heads}
    for head in champion.heads:
        if head.name not in new or head.kind != new[head.name].kind:
            raise BundleError(
                f"the challenger does not answer {head.name} as the champion does; fit it on a "
                "table with that column, or promote it by hand with --reason"
            )
        if lost := sorted(set(head.labels) - set(new[head.name].labels)):
            raise BundleError(
                f"the challenger does not know {', '.join(lost[:5])} of head {head.name}, which "
                "the champion answers; fit it with these labels, or promote it by hand with "
                "--reason"
            )
    return [new[head.name] for head in champion.heads]


def _answers(bundle: TextBundle, head: Head, p: Floats) -> Floats:
    """Return probabilities in the columns of ``head``; 0 for a label the bundle does not know."""
    own = next(one for one in bundle.heads if one.name == head.name)
    out = np.zeros((len(p), len(head.labels)), dtype=np.float32)
    out[:, [head.labels.index(label) for label in own.labels]] = p
    return out


def _threshold(bundle: TextBundle, head: Head) -> float:
    (own,) = (one for one in bundle.answering if one.head.name == head.name)
    return own.calibration.threshold


def _decided(
    challenger: TextBundle,
    champion: TextBundle,
    measured: Mapping[str, Mapping[str, Measured]],
    drawn: Numbers,
) -> tuple[Decision, tuple[str, ...]]:
    new, old = (list(measured[one.digest].values()) for one in (challenger, champion))
    gain = _mean(new, "macro_f1") - _mean(old, "macro_f1")
    ahead = float((drawn > 0).mean())
    looser = _mean(new, "ece") - _mean(old, "ece")
    dearer = BY_COST.index(challenger.kind) > BY_COST.index(champion.kind)
    asked = WORTH if dearer else 0.0
    checks = (
        (gain >= asked, f"macro-F1 {gain:+.4f} against the champion, {asked:+.3f} is asked"),
        (ahead >= SURE, f"ahead in {ahead:.0%} of resamples, {SURE:.0%} is asked"),
        (looser <= LOOSER, f"calibration error {looser:+.4f}, at most {LOOSER:+.2f} is allowed"),
    )
    passed = all(held for held, _ in checks)
    reasons = tuple(f"{'yes' if held else 'no'}: {said}" for held, said in checks)
    return ("promote" if passed else "keep"), reasons


def _mean(found: list[Measured], field: Literal["macro_f1", "ece"]) -> float:
    return float(np.mean([getattr(one, field) for one in found]))


def first(version: Registered, *, now: datetime) -> Replacement:
    """Return the verdict on a version where there is no champion: that of its own fit.

    Raises:
        ConfigError: It was registered without a verdict.
    """
    told = version.tags.get(published.VERDICT_TEXT, "")
    if not told:
        raise ConfigError(
            f"version {version.version} of text '{version.scenario}' was registered without a "
            "fit's verdict and there is no champion to hold it against; say why by --reason"
        )
    return Replacement(
        decision="promote",
        reasons=("there is no champion; this one won its fit", told),
        challenger=version.digest,
        champion=None,
        rows=0,
        measured={},
        decided_at=now,
    )


def replace(
    lake: Lake, registry: TextRegistry, version: Registered, verdict: Replacement
) -> Registered:
    """Write a verdict on a version and in the lake; make it champion where the verdict says so."""
    tags = {
        published.VERDICT: verdict.decision,
        published.VERDICT_TEXT: verdict.summary,
        published.VERDICT_JSON: verdict.model_dump_json(),
    }
    registry.tag(version, tags)
    promoted = verdict.decision == "promote"
    model, number = version.scenario, version.version
    end = (
        registry.promote(model, number)
        if promoted
        else registry.name(model, number, published.CHALLENGER)
    )
    write(
        lake,
        end,
        champion=verdict.champion,
        promoted=promoted,
        reasons=verdict.summary,
        verdict=verdict.model_dump_json(),
        decided_at=verdict.decided_at,
    )
    return end


def judged(
    registry: TextRegistry,
    version: Registered,
    frame: pl.DataFrame | None,
    *,
    now: datetime,
    engine: Wanted = "auto",
) -> Replacement:
    """Return the verdict on a registered version: against the champion, or its fit's own.

    Raises:
        ConfigError: There is a champion, and no table to compare them on; or the version is it.
    """
    champion = champion_of(registry, version.scenario)
    if champion is None:
        return first(version, now=now)
    if champion.version == version.version:
        raise ConfigError(
            f"version {version.version} of text '{version.scenario}' is the champion already"
        )
    if frame is None:
        raise ConfigError(
            f"text '{version.scenario}' has a champion, version {champion.version}; name a table "
            "of labelled texts by --data to compare them on, or say why by --reason"
        )
    model = version.scenario
    return compare(
        registry.load(model, version.version),
        registry.load(model, champion.version),
        frame,
        now=now,
        engine=engine,
    )
