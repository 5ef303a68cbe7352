"""LightGBM's training, typed at the one place that takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias, cast

import numpy as np

from models.risk.encode import Encoder, FloatArray
from training.risk.sample import BoolArray

Rows: TypeAlias = tuple[FloatArray, BoolArray, FloatArray]
"""Matrix, outcome and weight."""
Loss: TypeAlias = Callable[[FloatArray, object], tuple[str, float, bool]]
"""From predicted probabilities to the name of a loss, its value, and false: less is better."""


class Grown(Protocol):
    """What is taken of a booster."""

    best_iteration: int

    def current_iteration(self) -> int:
        """Return how many rounds it has."""
        ...

    def model_to_string(self, *, num_iteration: int | None = None) -> str:
        """Return its text, of so many rounds."""
        ...

    def predict(
        self,
        data: FloatArray,
        *,
        num_iteration: int | None = None,
        raw_score: bool = False,
        num_threads: int = 1,
    ) -> FloatArray:
        """Return probabilities, or log-odds."""
        ...


class _Module(Protocol):
    Dataset: Callable[..., object]
    train: Callable[..., Grown]
    early_stopping: Callable[..., object]
    record_evaluation: Callable[..., object]


def grow(
    params: Mapping[str, object],
    encoder: Encoder,
    data: Rows,
    *,
    rounds: int,
    held: Rows | None = None,
    loss: Loss | None = None,
    patience: int = 0,
) -> tuple[Grown, FloatArray]:
    """Grow trees on the rows of an encoder's matrix.

    With ``held``, other rows, and ``loss``, growing ends when the loss there has not fallen for
    ``patience`` rounds; the second of the result is that loss after each round.
    """
    import lightgbm

    module = cast("_Module", lightgbm)

    def dataset(some: Rows, **more: object) -> object:
        matrix, positive, weight = some
        return module.Dataset(matrix, positive.astype(np.float64), weight=weight, **more)

    names: dict[str, object] = {
        "feature_name": list(encoder.features),
        "categorical_feature": list(encoder.categorical),
    }
    own = dataset(data, **names)
    if held is None:
        return module.train(dict(params), own, num_boost_round=rounds), np.zeros(0)
    told: dict[str, dict[str, list[float]]] = {}
    grown = module.train(
        dict(params),
        own,
        num_boost_round=rounds,
        valid_sets=[dataset(held, reference=own)],
        valid_names=["stop"],
        feval=loss,
        callbacks=[
            module.early_stopping(patience, verbose=False),
            module.record_evaluation(told),
        ],
    )
    return grown, np.array(next(iter(told["stop"].values())))
