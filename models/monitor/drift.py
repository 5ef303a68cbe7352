"""Drift of a model in use: its inputs, its score, its calibration and its ranking, with a verdict.

Limits are data. A figure counts only where it exceeds its limit *and* what chance does on as many
rows, so that a small month alarms nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Final, Literal, TypeAlias, cast

import polars as pl

from models.errors import BundleError
from models.monitor.calibration import Calibration, calibration
from models.monitor.expected import Performance, expected, measured
from models.monitor.psi import FREEZE, WATCH, Histogram, chance, psi

Level: TypeAlias = Literal["stable", "watch", "freeze"]

SCORE: Final = "risk_score"


@dataclass(frozen=True, slots=True)
class DriftLimits:
    """From where on a change is watched, and from where on the model must answer it."""

    watch: float = WATCH
    freeze: float = FREEZE
    features_share: float = 0.05
    """The share of features beyond ``freeze`` that is borne."""
    calibration: float = 0.2
    """By which part of the expected rate the observed one may differ."""
    ece: float = 0.05
    """By how much the calibration error may exceed what chance makes of as many rows."""
    performance: float = 0.2
    """By which part the precision at capacity may fall below that at the fit."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Precision at capacity when the model was fitted, on rows that it had not learnt from.

    ``expected`` by the probabilities of all candidates, ``measured`` on those whose outcome was
    seen; who was looked at differs from the others, so one is not held against the other.
    """

    expected: float | None = None
    measured: float | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """How far one feature, or the score, has moved; ``by_chance`` is exceeded once in a hundred."""

    name: str
    psi: float
    by_chance: float
    null_share_then: float
    null_share_now: float
    level: Level


@dataclass(frozen=True, slots=True)
class Drift:
    """What has changed since the fit; ``reasons`` are the limits that were passed, in words.

    ``expected`` is the performance by the probabilities alone, ``measured`` and ``calibration``
    that on rows whose label has arrived, null where there are none.
    """

    rows: int
    score: Moved | None
    features: tuple[Moved, ...]
    expected: Performance | None
    measured: Performance | None
    calibration: Calibration | None
    reasons: tuple[str, ...]

    @property
    def drifted(self) -> bool:
        """Tell whether any limit was passed."""
        return bool(self.reasons)

    def to_json(self) -> dict[str, object]:
        """Return plain values; a figure without meaning is null."""
        return {"drifted": self.drifted, **cast("dict[str, object]", _plain(asdict(self)))}


def reference(
    frame: pl.DataFrame, names: Sequence[str], *, weight: pl.Series | None = None
) -> dict[str, Histogram]:
    """Return the histogram of each column of ``names``, to be kept with the bundle."""
    return {name: Histogram.of(frame[name], weight=weight) for name in names}


def moved(
    frame: pl.DataFrame, then: Mapping[str, Histogram], *, limits: DriftLimits | None = None
) -> tuple[Moved, ...]:
    """Return how far each column of ``then`` has moved in ``frame``, the farthest first.

    Raises:
        BundleError: The frame lacks a column that the model was fitted on.
    """
    missing = [name for name in then if name not in frame.columns]
    if missing:
        raise BundleError(
            f"the frame lacks {', '.join(missing)}, which the model was fitted on; build the "
            "features with the bundle's own scenario"
        )
    within = limits or DriftLimits()
    found = [_moved(name, old, old.again(frame[name]), within) for name, old in then.items()]
    return tuple(sorted(found, key=lambda one: (-one.psi, one.name)))


def drift(
    frame: pl.DataFrame,
    then: Mapping[str, Histogram],
    *,
    capacity: float | None = None,
    labelled: pl.DataFrame | None = None,
    fitted: Fitted | None = None,
    limits: DriftLimits | None = None,
    seed: int = 0,
) -> Drift:
    """Judge what a model sees and says now against its fit.

    ``frame`` has a row for each subject scored lately: the columns of ``then`` (features, and
    ``risk_score``) and ``probability``. ``labelled`` has rows whose label has arrived since:
    ``probability``, ``positive`` (null rows do not count), and where there are such columns
    ``weight`` and ``subject_id``. ``capacity`` (a share of rows) asks for performance, which
    ``fitted`` is held against.

    Raises:
        BundleError: As :func:`moved`.
    """
    within = limits or DriftLimits()
    all_moved = moved(frame, then, limits=within)
    score = next((one for one in all_moved if one.name == SCORE), None)
    features = tuple(one for one in all_moved if one.name != SCORE)
    guessed = seen = None
    if capacity is not None:
        guessed = expected(frame["probability"], capacity=capacity, seed=seed)
    known = labelled is not None and labelled["positive"].is_not_null().any()
    seen_calibration = _calibration(labelled) if known else None
    if labelled is not None and known and capacity is not None:
        seen = measured(
            labelled["probability"],
            labelled["positive"],
            capacity=capacity,
            weight=_column(labelled, "weight"),
            seed=seed,
        )
    reasons = (
        *_of_histograms(score, features, within),
        *_of_calibration(seen_calibration, within),
        *_of_performance(guessed, seen, fitted or Fitted(), within),
    )
    return Drift(frame.height, score, features, guessed, seen, seen_calibration, reasons)


def _calibration(labelled: pl.DataFrame | None) -> Calibration | None:
    if labelled is None:
        return None
    return calibration(
        labelled["probability"],
        labelled["positive"],
        weight=_column(labelled, "weight"),
        subject=_column(labelled, "subject_id"),
    )


def _column(frame: pl.DataFrame, name: str) -> pl.Series | None:
    return frame[name] if name in frame.columns else None


def _moved(name: str, then: Histogram, now: Histogram, limits: DriftLimits) -> Moved:
    index, by_chance = psi(then, now), chance(then, now)
    level: Level = "stable"
    if index > max(limits.watch, by_chance):
        level = "freeze" if index > max(limits.freeze, by_chance) else "watch"
    return Moved(name, index, by_chance, then.null_share, now.null_share, level)


def _of_histograms(
    score: Moved | None, features: Sequence[Moved], limits: DriftLimits
) -> list[str]:
    reasons: list[str] = []
    if score is not None and score.level == "freeze":
        reasons.append(f"风险分 PSI {score.psi:.3f}，超过 {limits.freeze:.2f}")
    far = [one for one in features if one.level == "freeze"]
    if features and len(far) > limits.features_share * len(features):
        worst = "、".join(f"{one.name} {one.psi:.2f}" for one in far[:3])
        reasons.append(
            f"{len(far)}/{len(features)} 个特征 PSI 超过 {limits.freeze:.2f}"
            f"（容许 {limits.features_share:.0%}），如 {worst}"
        )
    return reasons


def _of_calibration(seen: Calibration | None, limits: DriftLimits) -> list[str]:
    if seen is None:
        return []
    reasons: list[str] = []
    if seen.drifted and abs(seen.gap) > limits.calibration * seen.expected:
        rates = f"实际发生率 {seen.observed:.4f}，预期 {seen.expected:.4f}，相差 {seen.gap:+.4f}"
        between = f"95% 区间 {seen.low:+.4f} 至 {seen.high:+.4f}"
        reasons.append(f"校准偏移：{rates}（{between}），超过预期的 {limits.calibration:.0%}")
    if seen.ece - seen.ece_by_chance > max(limits.ece, seen.ece_by_chance):
        reasons.append(
            f"校准偏移：校准误差 {seen.ece:.4f}，其中偶然约 {seen.ece_by_chance:.4f}，"
            f"超出 {limits.ece:.4f}"
        )
    return reasons


def _of_performance(
    guessed: Performance | None, seen: Performance | None, fitted: Fitted, limits: DriftLimits
) -> list[str]:
    reasons: list[str] = []
    told = (("无标签估计", guessed, fitted.expected), ("已到标签实测", seen, fitted.measured))
    for how, performance, then in told:
        if performance is None or then is None:
            continue
        one, borne = performance["precision"], 1 - limits.performance
        if one.high < then * borne:
            between = f"95% 区间 {one.low:.4f} 至 {one.high:.4f}"
            reasons.append(
                f"{how}：检查能力内命中率 {one.value:.4f}（{between}），低于建模时 {then:.4f} 的 "
                f"{borne:.0%}"
            )
    return reasons


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return {name: _plain(one) for name, one in items}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in cast("Sequence[object]", value)]
    return value
