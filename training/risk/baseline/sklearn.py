"""scikit-learn, typed at the one place that takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, cast

import numpy as np

from models.risk.encode import FloatArray
from training.risk.sample import Sample

LogOdds: TypeAlias = Callable[[FloatArray], FloatArray]


class _Model(Protocol):
    def fit(self, matrix: FloatArray, target: object, *, sample_weight: FloatArray) -> object: ...

    def decision_function(self, matrix: FloatArray) -> FloatArray: ...


def logistic_regression(matrix: FloatArray, sample: Sample, *, strength: float) -> LogOdds:
    """Fit a logistic regression with an L2 penalty; ``strength`` is the inverse of its weight.

    Columns are to be of like scale and without missing values.
    """
    import sklearn.linear_model

    model = cast(
        "_Model",
        sklearn.linear_model.LogisticRegression(C=strength, max_iter=500, tol=1e-5),
    )
    model.fit(matrix, sample.positive.astype(np.int64), sample_weight=sample.weight)
    return model.decision_function
