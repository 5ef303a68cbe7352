"""What a feature is: its name, its meaning in words, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import polars as pl

from models.scenarios.scenario import Direction, Family

FeatureType: TypeAlias = Literal["number", "category"]

AS_OF: Final = "as_of"
SUBJECT: Final = "subject_id"
KEYS: Final = (SUBJECT, AS_OF)
"""The columns before the features: one row for a subject and a date of view."""

_DTYPES: Final[dict[FeatureType, pl.DataType]] = {"number": pl.Float64(), "category": pl.String()}


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One column of the feature frame.

    ``monotone`` hints in which direction a larger value moves the risk, null where it is not clear.
    ``reason`` is a sentence with ``{value}`` to be filled in. ``window`` is in days. ``stat``,
    ``column`` and ``level`` tell which records of ``table`` lie behind a value.
    """

    name: str
    title: str
    unit: str | None
    family: Family
    dtype: FeatureType
    monotone: Direction | None
    reason: str
    table: str | None
    window: int | None
    stat: str | None = None
    column: str | None = None
    level: str | None = None

    @property
    def polars(self) -> pl.DataType:
        """Return the column's type."""
        return _DTYPES[self.dtype]


def empty(specs: tuple[FeatureSpec, ...], rows: int) -> pl.DataFrame:
    """Return the columns of ``specs`` with ``rows`` nulls: what is not known at all."""
    nothing = {d: pl.repeat(None, rows, dtype=d, eager=True) for d in {s.polars for s in specs}}
    return pl.DataFrame([nothing[spec.polars].alias(spec.name) for spec in specs])
