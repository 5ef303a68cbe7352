"""Logistic regression on all features: numbers filled in and scaled, categories as flags."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from models.features.spec import FeatureSpec
from models.risk.encode import FloatArray
from training.risk.baseline.scorer import Scorer
from training.risk.baseline.sklearn import logistic_regression
from training.risk.sample import Sample

STRENGTH: Final = 0.01
COMMON: Final = 50
"""Rows that a category has at least to have a flag of its own."""
_ROWS: Final = 200_000


def fit_logistic(train: Sample, features: tuple[FeatureSpec, ...], *, seed: int) -> Scorer:
    """Return a logistic regression, as log-odds.

    Numbers x become sign(x)·ln(1 + |x|), missing ones the median, with a flag where any were
    missing; then all have mean 0 and deviation 1.
    """
    sample = train.some(_ROWS, seed)
    expressions = _numbers(sample.frame, features) + _flags(sample.frame, features)
    plain = _matrix(sample.frame, expressions)
    mean, spread = plain.mean(axis=0), plain.std(axis=0)
    kept = spread > 1e-9

    def scaled(frame: pl.DataFrame) -> FloatArray:
        return (_matrix(frame, expressions)[:, kept] - mean[kept]) / spread[kept]

    if not kept.any():
        base = sample.rate
        return lambda frame: np.full(frame.height, np.log(base / (1 - base)))
    model = logistic_regression(scaled(sample.frame), sample, strength=STRENGTH)
    return lambda frame: model(scaled(frame))


def _matrix(frame: pl.DataFrame, expressions: list[pl.Expr]) -> FloatArray:
    return np.ascontiguousarray(frame.select(expressions).to_numpy(), np.float64)


def _numbers(frame: pl.DataFrame, features: tuple[FeatureSpec, ...]) -> list[pl.Expr]:
    made: list[pl.Expr] = []
    for spec in features:
        if spec.dtype != "number":
            continue
        values = frame[spec.name].fill_nan(None)
        if values.null_count() == len(values):
            continue
        middle = values.median()
        column = pl.col(spec.name).fill_nan(None)
        filled = column.fill_null(middle)
        made.append((filled.sign() * filled.abs().log1p()).alias(spec.name))
        if values.null_count():
            made.append(column.is_null().cast(pl.Float64).alias(f"{spec.name} missing"))
    return made


def _flags(frame: pl.DataFrame, features: tuple[FeatureSpec, ...]) -> list[pl.Expr]:
    made: list[pl.Expr] = []
    for spec in features:
        if spec.dtype != "category":
            continue
        counts = frame[spec.name].drop_nulls().value_counts()
        common = counts.filter(pl.col("count") >= COMMON)[spec.name].sort().to_list()
        made += [
            pl.col(spec.name)
            .eq_missing(pl.lit(value))
            .cast(pl.Float64)
            .alias(f"{spec.name}={value}")
            for value in common
        ]
    return made
