"""Fitting: LightGBM with few leaves, stopped early and calibrated on slices later than its own.

Directions that a scenario's model declares always hold; the catalogue's hints hold too unless they
are switched off. Rare outcomes get more weight while the booster learns, which calibration, fitted
on rows weighed only for who was observed, undoes.

How many trees there are is settled by the loss on the stopping slice and on every subject left out
in turn: where outcomes are few, one slice alone stops by chance. What log-odds mean is learnt from
the calibration slice, which is later than anything that the trees have seen.

With ``regrow`` the trees are grown on everything that was known before the test, the later slices
too. Then each row of the calibration slice is foretold by trees that were grown without any row of
its subject, but not without its days: ranks gain from the latest outcomes, and probabilities may
lose where the level of the outcome moves with time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import FitError
from models.features.spec import FeatureSpec
from models.risk.booster import Booster
from models.risk.calibrate import Calibrator, Kind, logit, sigmoid
from models.risk.encode import Encoder, FloatArray
from models.scenarios.scenario import Scenario
from training.risk.boosting import Grown, Loss, grow
from training.risk.calibration import calibrate
from training.risk.sample import BoolArray, Sample

CROSSED: Final = 4
"""Parts into which subjects are cut, each left out in turn."""
_LEAST: Final = 1e-15
_NEWTON: Final = 4


@dataclass(frozen=True, slots=True)
class Params:
    """How LightGBM learns.

    ``rounds`` is the most there are, ``patience`` how many may pass without improvement.
    ``extra``: split at random places, steadier where rows are few. ``balance`` is the power of
    negatives over positives by which positives weigh more: 0 not at all, 1 until both classes are
    even. ``hints``: whether the catalogue's directions hold beside the declared ones. ``regrow``:
    whether the trees are grown again on all that was known before the test. ``threads`` of 0 are
    all there are.
    """

    leaves: int = 8
    learning_rate: float = 0.02
    rounds: int = 1500
    patience: int = 100
    min_rows: int = 20
    l2: float = 10.0
    feature_share: float = 0.25
    row_share: float = 0.8
    extra: bool = False
    balance: float = 0.5
    hints: bool = True
    regrow: bool = False
    calibrate: Kind = "isotonic"
    seed: int = 7
    threads: int = 1

    @classmethod
    def of(cls, scenario: Scenario) -> Params:
        """Return the defaults with what the scenario declares."""
        model = scenario.model
        return cls(leaves=model.leaves, calibrate=model.calibrate, seed=model.seed)

    def to_json(self) -> dict[str, str | float | int | bool]:
        """Return the parameters by name."""
        return asdict(self)

    def lightgbm(self, constraints: list[int]) -> dict[str, object]:
        """Return what LightGBM calls these."""
        return {
            "objective": "binary",
            "metric": "none",
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_rows,
            "lambda_l2": self.l2,
            "extra_trees": self.extra,
            "feature_fraction": self.feature_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1 if self.row_share < 1 else 0,
            "monotone_constraints": constraints,
            "monotone_constraints_method": "intermediate",
            "seed": self.seed,
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": self.threads,
            "verbose": -1,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A booster with its encoder and calibrator, and how it came about.

    ``auc`` is that of the stopping slice, ``dropped`` the features that were constant.
    """

    encoder: Encoder
    booster: Booster
    calibrator: Calibrator
    params: Params
    rounds: int
    auc: float
    dropped: tuple[str, ...]

    def raw(self, frame: pl.DataFrame) -> FloatArray:
        """Return the log-odds of rows of features."""
        return self.booster.raw(self.encoder.matrix(frame), self.params.threads)

    def probability(self, frame: pl.DataFrame) -> FloatArray:
        """Return the calibrated probability of rows of features."""
        return self.calibrator.apply(self.raw(frame))


def fit(
    features: tuple[FeatureSpec, ...],
    scenario: Scenario,
    params: Params,
    *,
    train: Sample,
    stop: Sample,
    calibration: Sample | None = None,
    learn: Sample | None = None,
) -> Fitted:
    """Fit a booster on ``train``, stopped by ``stop`` and calibrated on ``calibration``.

    The same samples, parameters and seed give the same bits. Without ``calibration`` the
    probability is the booster's own. With ``learn``, if the parameters say ``regrow``, the trees
    are grown on it, and the calibration is cross-fitted.

    Raises :class:`FitError` where every feature is constant.
    """
    whole = learn if learn is not None and params.regrow else train
    kept, dropped = varying(whole.frame, features)
    if not kept:
        raise FitError(
            f"all {len(features)} features are constant over the {whole.frame.height} rows to "
            "learn from; import the tables that the scenario names under features"
        )
    encoder = Encoder.of(whole.frame, kept)
    task = _Task(encoder, _constraints(kept, scenario, params), params)
    held = _Rows.of(encoder, stop)
    own = _Rows.of(encoder, train)
    known = own if whole is train else _Rows.of(encoder, whole)
    stopped, curve = task.grow(own, params.rounds, held=held)
    crossed = None if calibration is None else _Crossed.of(task, known)
    rounds = _best(curve, held, crossed)
    raw = stopped.predict(held.matrix, num_iteration=rounds, raw_score=True)
    # grown anew even on the same rows: the best rounds of all may be more than it was stopped at
    grown, _ = task.grow(known, rounds)
    fitted = Fitted(
        encoder,
        Booster.from_text(grown.model_to_string(num_iteration=rounds), features=encoder.features),
        Calibrator(),
        params,
        rounds,
        area(raw, held.positive, held.weight),
        dropped,
    )
    if calibration is None:
        return fitted
    foretold = (
        fitted.raw(calibration.frame)
        if crossed is None or whole is train
        else crossed.raw(_Rows.of(encoder, calibration), rounds)
    )
    calibrator = calibrate(params.calibrate, foretold, calibration.positive, calibration.weight)
    return replace(fitted, calibrator=calibrator)


def _best(curve: FloatArray, stop: _Rows, crossed: _Crossed | None) -> int:
    """Return the rounds of the least loss, over all curves by how many positives each has."""
    curves = [(curve, stop), *(() if crossed is None else crossed.curves)]
    known = min(len(one) for one, _ in curves)
    total = sum((one[:known] * held.positive.sum() for one, held in curves), np.zeros(known))
    return int(np.argmin(total)) + 1


def varying(
    frame: pl.DataFrame, features: tuple[FeatureSpec, ...]
) -> tuple[tuple[FeatureSpec, ...], tuple[str, ...]]:
    """Return the features with more than one value (null is one), and the names of the others."""
    names = [spec.name for spec in features]
    many = cast("Mapping[str, int]", frame.select(pl.col(names).n_unique()).row(0, named=True))
    kept = tuple(spec for spec in features if many[spec.name] > 1)
    return kept, tuple(name for name in names if many[name] <= 1)


def balanced(sample: Sample | _Rows, power: float) -> FloatArray:
    """Return the weights of a sample with positives raised; they sum to its rows."""
    rate = float(np.average(sample.positive, weights=sample.weight))
    odds = (1 - rate) / rate
    raised = np.where(sample.positive, sample.weight * odds**power, sample.weight)
    return raised * (len(raised) / raised.sum())


def _constraints(kept: tuple[FeatureSpec, ...], scenario: Scenario, params: Params) -> list[int]:
    """Return 1, -1 or 0 for each feature; a category has no direction."""
    ways = {"up": 1, "down": -1, None: 0}
    return [
        ways[spec.monotone if params.hints else scenario.model.monotone.get(spec.name)]
        if spec.dtype == "number"
        else 0
        for spec in kept
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """A sample encoded."""

    matrix: FloatArray
    positive: BoolArray
    weight: FloatArray
    group: pl.Series

    @classmethod
    def of(cls, encoder: Encoder, sample: Sample) -> _Rows:
        """Encode a sample."""
        return cls(encoder.matrix(sample.frame), sample.positive, sample.weight, sample.group)

    def where(self, mine: BoolArray) -> _Rows:
        """Return some of the rows."""
        return _Rows(
            self.matrix[mine],
            self.positive[mine],
            self.weight[mine],
            self.group.filter(pl.Series(mine)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """What stays the same however often trees are grown."""

    encoder: Encoder
    constraints: list[int]
    params: Params

    def grow(
        self, rows: _Rows, rounds: int, *, held: _Rows | None = None
    ) -> tuple[Grown, FloatArray]:
        """Grow trees on rows, with ``held`` as long as the loss there falls, and that loss."""
        own = (rows.matrix, rows.positive, balanced(rows, self.params.balance))
        told = self.params.lightgbm(self.constraints)
        if held is None:
            return grow(told, self.encoder, own, rounds=rounds)
        return grow(
            told,
            self.encoder,
            own,
            rounds=rounds,
            held=(held.matrix, held.positive, held.weight),
            loss=_surprise(held),
            patience=self.params.patience,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Crossed:
    """Trees grown without a part of the subjects each, and their loss on that part."""

    parts: Mapping[str, int]
    grown: tuple[Grown, ...]
    curves: tuple[tuple[FloatArray, _Rows], ...]

    @classmethod
    def of(cls, task: _Task, known: _Rows) -> _Crossed:
        """Grow them; a part in which only one outcome occurs has no curve."""
        parts = {str(name): n % CROSSED for n, name in enumerate(known.group.unique().sort())}
        own = _parts(known, parts)
        grown: list[Grown] = []
        curves: list[tuple[FloatArray, _Rows]] = []
        for part in range(CROSSED):
            held = known.where(own == part)
            both = held.positive.any() and not held.positive.all()
            rest = known.where(own != part)
            made, curve = task.grow(rest, task.params.rounds, held=held if both else None)
            grown.append(made)
            if both:
                curves.append((curve, held))
        return cls(parts, tuple(grown), tuple(curves))

    def raw(self, rows: _Rows, rounds: int) -> FloatArray:
        """Return log-odds, each by the trees that do not know the row's subject."""
        own = _parts(rows, self.parts)
        raw = np.zeros(len(own))
        for part, one in enumerate(self.grown):
            mine = own == part
            if mine.any():
                raw[mine] = one.predict(rows.matrix[mine], num_iteration=rounds, raw_score=True)
        return raw


def _parts(rows: _Rows, parts: Mapping[str, int]) -> npt.NDArray[np.int64]:
    return rows.group.replace_strict(parts, return_dtype=pl.Int64).to_numpy()


def area(raw: FloatArray, positive: BoolArray, weight: FloatArray) -> float:
    """Return the weighted area under the ROC curve; ties count half."""
    place = np.unique(raw, return_inverse=True)[1]
    good = np.bincount(place, weight * ~positive)
    bad = np.bincount(place, weight * positive, minlength=len(good))
    below = np.cumsum(good) - good / 2
    return float((bad * below).sum() / (bad.sum() * good.sum()))


def _surprise(stop: _Rows) -> Loss:
    """Return the loss by which boosting stops: log loss with the intercept set free.

    How common the outcome is changes from slice to slice and is calibration's to settle; what
    counts here is how well the trees tell rows apart, which log loss shows with less noise than
    ranks do.
    """
    target = stop.positive.astype(np.float64)
    weights = stop.weight / stop.weight.sum()
    wanted = float((weights * target).sum())
    shift = 0.0

    def loss(predicted: FloatArray, _: object) -> tuple[str, float, bool]:
        nonlocal shift
        raw = logit(np.clip(predicted, _LEAST, 1 - _LEAST))
        for _step in range(_NEWTON):
            p = sigmoid(raw + shift)
            step = float((wanted - (weights * p).sum()) / (weights * p * (1 - p)).sum())
            shift += float(np.clip(step, -2.0, 2.0))
        moved = raw + shift
        return "loss", float((weights * (np.logaddexp(0.0, moved) - target * moved)).sum()), False

    return loss
