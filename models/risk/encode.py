"""From the feature frame to the matrix of numbers that a booster reads, and never otherwise.

A missing value is NaN. A category is its place in the list of categories that the training data
had, a category that it did not have is missing. The order of the columns is the encoder's, whatever
the order of the frame's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import BundleError
from models.features.spec import FeatureSpec

FloatArray: TypeAlias = npt.NDArray[np.float64]

Order: TypeAlias = Literal["c", "fortran"]

_PLAIN: Final = frozenset({float, int, bool, type(None)})
_SHOWN: Final = 5
"""Names that an error lists before it counts the rest."""
_NUMBERS: Final = (pl.Boolean, pl.Null)
_TEXTS: Final = (pl.String, pl.Null, pl.Categorical, pl.Enum)


@dataclass(frozen=True)
class Encoder:
    """The columns of a matrix, in order, and the categories of those that are not numbers.

    ``categories`` maps a feature to its values; the place of a value is its code. A feature that it
    does not name is a number.
    """

    features: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def __post_init__(self) -> None:
        twice = sorted({name for name in self.features if self.features.count(name) > 1})
        if twice or not self.features:
            raise BundleError(f"an encoder needs features, each named once; twice: {shown(twice)}")
        unknown = sorted(self.categories.keys() - set(self.features))
        if unknown:
            raise BundleError(f"categories of features that there are not: {shown(unknown)}")
        for name, values in self.categories.items():
            if len(set(values)) != len(values):
                raise BundleError(f"feature '{name}' lists a category twice; list each once")

    @classmethod
    def of(cls, frame: pl.DataFrame, specs: Sequence[FeatureSpec]) -> Encoder:
        """Learn the encoder of ``specs`` from ``frame``: the categories it has, sorted.

        Raises :class:`BundleError` for a column that the frame lacks.
        """
        names = tuple(spec.name for spec in specs)
        _check_there(frame, names)
        categories = {
            spec.name: tuple(_texts(frame[spec.name]).drop_nulls().unique().sort().to_list())
            for spec in specs
            if spec.dtype == "category"
        }
        return cls(names, categories)

    @property
    def categorical(self) -> tuple[int, ...]:
        """Return the places of the columns that hold codes of categories."""
        return tuple(i for i, name in enumerate(self.features) if name in self.categories)

    def matrix(self, frame: pl.DataFrame, *, order: Order = "c") -> FloatArray:
        """Return rows × features, NaN where a value is missing or its category new.

        Rows lie one after the other, or columns do (``fortran``), which is made faster. Further
        columns of the frame are not looked at. Raises :class:`BundleError` naming the
        columns that are missing, of a wrong type, or infinite.
        """
        _check_there(frame, self.features)
        matrix = self._row(frame) if frame.height == 1 else None
        if matrix is None:
            columns = [self._numbers(frame.get_column(name)) for name in self.features]
            matrix = pl.DataFrame(columns).to_numpy(order=order)
        if np.isinf(matrix).any():
            bad = [self.features[i] for i in np.flatnonzero(np.isinf(matrix).any(axis=0))]
            raise BundleError(
                f"infinite values in {shown(bad)}; a feature is a finite number, or null where "
                "it is not known"
            )
        return matrix

    def to_json(self) -> str:
        """Return the encoder as JSON."""
        data = {"features": self.features, "categories": dict(self.categories)}
        return json.dumps(data, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Encoder:
        """Read what :meth:`to_json` wrote; :class:`BundleError` for anything else."""
        try:
            data = cast("dict[str, object]", json.loads(text))
            features = cast("list[str]", data["features"])
            categories = cast("dict[str, list[str]]", data["categories"])
            return cls(tuple(features), {k: tuple(v) for k, v in categories.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"this is no encoder: {error!r}") from None

    def _row(self, frame: pl.DataFrame) -> FloatArray | None:
        """Return the matrix of one row, ten times faster; None for types that need a closer look.

        A hundred columns of one value each cost Polars far more than the values themselves.
        """
        row = dict(zip(frame.columns, frame.row(0), strict=True))
        for name, codes in self._codes.items():
            value = row[name]
            if value is not None and not isinstance(value, str):
                return None
            row[name] = codes.get(value)
        values = [row[name] for name in self.features]
        if not _PLAIN.issuperset(map(type, values)):
            return None
        return np.array([values], np.float64)

    @cached_property
    def _codes(self) -> Mapping[str, Mapping[str | None, int]]:
        return {
            name: {value: code for code, value in enumerate(values)}
            for name, values in self.categories.items()
        }

    @cached_property
    def _enums(self) -> Mapping[str, pl.Enum]:
        return {name: pl.Enum(values) for name, values in self.categories.items()}

    def _numbers(self, column: pl.Series) -> pl.Series:
        kind = self._enums.get(column.name)
        if kind is not None:
            return _texts(column).cast(kind, strict=False).to_physical().cast(pl.Float64)
        if column.dtype == pl.Float64:
            return column
        if _is_one_of(column, _NUMBERS) or column.dtype.is_numeric():
            return column.cast(pl.Float64)
        raise BundleError(
            f"column '{column.name}' holds {column.dtype}, but the model reads numbers"
        )


def shown(names: Sequence[str]) -> str:
    """Return some of the names and how many more there are."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _check_there(frame: pl.DataFrame, names: Sequence[str]) -> None:
    there = set(frame.columns)
    missing = [name for name in names if name not in there]
    if missing:
        raise BundleError(
            f"the features lack {len(missing)} of the columns that the model reads: "
            f"{shown(missing)}; build them with the scenario that the model was fitted for"
        )


def _is_one_of(column: pl.Series, kinds: Sequence[type[pl.DataType]]) -> bool:
    return any(column.dtype == kind for kind in kinds)


def _texts(column: pl.Series) -> pl.Series:
    if _is_one_of(column, _TEXTS):
        return column.cast(pl.String)
    raise BundleError(f"column '{column.name}' holds {column.dtype}, but the model reads texts")
