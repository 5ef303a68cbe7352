"""Judging: everything that is told about the models of one run of a scenario."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import cast

import numpy as np
import polars as pl

from models.scenarios.scenario import Scenario
from training.evaluate.bootstrap import RESAMPLES, draws, once
from training.evaluate.capacity import capacity_share
from training.evaluate.evaluation import POOLED, Difference, Evaluation, Figures, Share, Slice
from training.evaluate.fairness import fairness
from training.evaluate.metrics import (
    Measured,
    Ranked,
    compared,
    curve,
    measure,
    reliability,
    shares_with,
    summarised,
)
from training.evaluate.predictions import (
    MAIN,
    Sample,
    Weighting,
    at_visits,
    checked,
    folds,
    weight_column,
)
from training.evaluate.replay import replays
from training.evaluate.stability import stability
from training.progress import progress


def evaluate(
    predictions: pl.DataFrame,
    scenario: Scenario,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    model: str = MAIN,
) -> Evaluation:
    """Judge ``model`` against all other models of ``predictions`` (see :mod:`.predictions`).

    Intervals resample subjects; the same seed gives the same evaluation. A fold in which only one
    outcome was seen is kept, and its figures are None.

    Raises:
        ModelError: The frame does not hold predictions.
        FitError: Both outcomes do not occur among all rows that were observed.
    """
    models = checked(predictions, main=model)
    weight = weight_column(predictions)
    headline: Weighting = "ipw" if weight and scenario.label.weight == "ipw" else "plain"
    column = weight if headline == "ipw" else None
    parts = {str(fold): part for fold, part in folds(predictions).items()}
    with progress("评估模型", total=len(parts) + 4) as advance:
        slices: list[Slice] = []
        for name, part in parts.items():
            slices.append(
                _slice(name, part, scenario, models, weight, seed=seed, resamples=resamples)
            )
            advance(1)
        pooled = _slice(
            POOLED, predictions, scenario, models, weight, seed=seed, resamples=resamples
        )
        advance(1)
        replayed = replays(predictions, models, seed=seed, resamples=resamples)
        advance(1)
        quarters = stability(predictions, model, weight=column, seed=seed, resamples=resamples)
        advance(1)
        fair = fairness(
            predictions,
            model,
            share=pooled.capacity,
            weight=column,
            seed=seed,
            resamples=resamples,
        )
        advance(1)
    return Evaluation(
        scenario=scenario.id,
        scenario_digest=scenario.digest,
        model=model,
        models=models,
        kind="visits" if at_visits(predictions) else "snapshots",
        weighting=headline,
        seed=seed,
        resamples=resamples,
        slices=(*slices, pooled),
        replays=replayed,
        stability=quarters,
        fairness=fair,
    )


def _slice(
    name: str,
    part: pl.DataFrame,
    scenario: Scenario,
    models: tuple[str, ...],
    weight: str | None,
    *,
    seed: int,
    resamples: int,
) -> Slice:
    sample = Sample.of(part, models, weight=weight)
    capacity = capacity_share(part, scenario)
    trials = _trials(sample, models, shares_with(capacity), seed, resamples)
    return Slice(
        name=name,
        first=cast("date", part["as_of"].min()),
        last=cast("date", part["as_of"].max()),
        rows=part.height,
        judged=len(sample.positive),
        subjects=sample.groups,
        positives=int(sample.positive.sum()),
        base_rate={
            weighting: float(np.average(sample.positive, weights=by))
            for weighting, by in sample.weights.items()
            if by.any()
        },
        capacity=capacity,
        figures=tuple(_figures(trial, drawn=name == POOLED) for trial in trials.values()),
        differences=tuple(
            _difference(trials[models[0], weighting], trials[other, weighting])
            for weighting in sample.weights
            for other in models[1:]
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """One model under one weighting, measured on the sample and on each resample."""

    model: str
    weighting: Weighting
    ranked: Ranked
    point: Measured
    resampled: list[Measured]


def _trials(
    sample: Sample, models: tuple[str, ...], shares: dict[Share, float], seed: int, resamples: int
) -> dict[tuple[str, Weighting], _Trial]:
    trials: dict[tuple[str, Weighting], _Trial] = {}
    for weighting in sample.weights:
        for model in models:
            ranked = Ranked.of(sample, model, weighting)
            point = measure(ranked, once(sample.groups), shares)
            trials[model, weighting] = _Trial(model, weighting, ranked, point, [])
    for counts in draws(sample.groups, resamples, seed):
        for trial in trials.values():
            trial.resampled.append(measure(trial.ranked, counts, shares))
    return trials


def _figures(trial: _Trial, *, drawn: bool) -> Figures:
    return Figures(
        model=trial.model,
        weighting=trial.weighting,
        metrics=summarised(trial.point, trial.resampled),
        reliability=reliability(trial.ranked, trial.point, trial.resampled),
        curve=curve(trial.ranked) if drawn else None,
    )


def _difference(main: _Trial, other: _Trial) -> Difference:
    return Difference(
        other=other.model,
        weighting=other.weighting,
        metrics=compared((main.point, other.point), (main.resampled, other.resampled)),
    )
