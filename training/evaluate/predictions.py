"""The predictions that are judged: checked once, cut into folds, and as arrays.

One row is a subject at a date of view, or a visit: ``fold``, ``subject_id``, ``as_of``, ``group``,
``observed``, ``positive``, ``weight``, ``inclusion_probability``, ``observed_on``, ``event_on``,
``audit_*``, and one probability ``p_<model>`` for each model. The frame holds the whole cohort of
its dates: rows that nobody looked at (``positive`` null) are not judged, and count as candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import FitError, ModelError

Bytes: TypeAlias = NDArray[np.uint8]
Ints: TypeAlias = NDArray[np.int32]
Floats: TypeAlias = NDArray[np.float64]
Weighting: TypeAlias = Literal["plain", "ipw"]

PREFIX: Final = "p_"
AUDIT: Final = "audit_"
MAIN: Final = "lightgbm"
"""The model that is judged; all other columns are what it must beat."""

_NEEDED: Final = ("fold", "subject_id", "as_of", "group", "observed", "positive")
JUDGED: Final = pl.col("observed") & pl.col("positive").is_not_null()
"""The rows whose outcome somebody saw."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The judged rows of a slice as arrays: outcome, cluster and weights by row.

    ``group`` numbers the clusters 0 … ``groups`` − 1, in the order of their names.
    """

    positive: Bytes
    group: Ints
    groups: int
    scores: dict[str, Floats]
    weights: dict[Weighting, Floats]

    @classmethod
    def of(cls, frame: pl.DataFrame, models: tuple[str, ...], *, weight: str | None) -> Sample:
        """Take the judged rows of ``frame``; ``weight`` names the column of inverse chances."""
        judged = frame.filter(JUDGED)
        group = (judged["group"].cast(pl.String).rank("dense").cast(pl.Int32) - 1).to_numpy()
        weights: dict[Weighting, Floats] = {"plain": np.ones(judged.height)}
        if weight is not None:
            weights["ipw"] = judged[weight].cast(pl.Float64).to_numpy()
        return cls(
            judged["positive"].cast(pl.UInt8).to_numpy(),
            group,
            int(group.max(initial=-1)) + 1,
            {name: judged[PREFIX + name].cast(pl.Float64).to_numpy() for name in models},
            weights,
        )


def checked(frame: pl.DataFrame, *, main: str = MAIN) -> tuple[str, ...]:
    """Return the models of a frame of predictions, ``main`` first.

    Raises:
        ModelError: A column is missing, or holds what cannot be judged.
        FitError: Nobody was seen, or all that were seen came out the same.
    """
    models = sorted(c.removeprefix(PREFIX) for c in frame.columns if c.startswith(PREFIX))
    missing = [name for name in (*_NEEDED, PREFIX + main) if name not in frame.columns]
    if missing:
        raise ModelError(
            f"the predictions lack {', '.join(missing)}; give one row a subject and date with "
            f"{', '.join(_NEEDED)} and a column {PREFIX}<model> for each model"
        )
    empty = [name for name in ("fold", "subject_id", "as_of", "group") if frame[name].has_nulls()]
    if empty:
        raise ModelError(f"the predictions have nulls in {', '.join(empty)}; fill or drop the rows")
    for name in models:
        check_probability(frame, PREFIX + name)
    judged = frame.filter(JUDGED)
    positives = int(judged["positive"].sum())
    if positives in {0, judged.height}:
        raise FitError(
            f"of {judged.height:,} observed rows {positives:,} are positive; a model is judged "
            "where both outcomes occur: take a longer period, or a wider cohort"
        )
    return (main, *(name for name in models if name != main))


def check_probability(frame: pl.DataFrame, column: str) -> None:
    """Raise :class:`ModelError` unless a column holds numbers from 0 to 1 in every row."""
    if column not in frame.columns:
        raise ModelError(f"the predictions have no column {column}; name a model that they hold")
    if not frame[column].dtype.is_numeric():
        raise ModelError(f"{column} is {frame[column].dtype}; give probabilities as Float64")
    values = pl.col(column)
    odd = frame.filter(~(values.is_between(0, 1) & values.is_not_nan()).fill_null(value=False))
    if not odd.is_empty():
        raise ModelError(
            f"{column} has {odd.height:,} values that are no probability, the first "
            f"{odd[column][0]} for subject {odd['subject_id'][0]}; they lie from 0 to 1"
        )


def weight_column(frame: pl.DataFrame, column: str | None = "weight") -> str | None:
    """Return the column to weigh by; None where there is none, or its weights are all alike.

    Raises:
        ModelError: A judged row has a weight that is null, not finite or negative.
    """
    if column is None or column not in frame.columns:
        return None
    weights = frame.filter(JUDGED)[column].cast(pl.Float64)
    odd = int((~(weights.is_finite() & (weights >= 0)).fill_null(value=False)).sum())
    if odd or (len(weights) and not weights.sum()):
        raise ModelError(
            f"{column} of {odd or len(weights):,} judged rows is no weight; weights are finite "
            "and positive: fit the propensity again"
        )
    return None if weights.n_unique() <= 1 else column


def folds(frame: pl.DataFrame) -> dict[int, pl.DataFrame]:
    """Return the rows of each fold, in the order of the folds."""
    parts = frame.partition_by("fold", as_dict=True)
    return {int(str(key)): parts[key,] for (key,) in sorted(parts)}


def at_visits(frame: pl.DataFrame) -> bool:
    """Return whether a row is a visit, foretold as of its own day."""
    if "observed_on" not in frame.columns:
        return False
    seen = frame.filter(JUDGED & pl.col("observed_on").is_not_null())
    return not seen.is_empty() and bool((seen["observed_on"] == seen["as_of"]).all())
