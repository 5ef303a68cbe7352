"""Rows as the compiled pass reads them: in runs of one subject, ascending by day, with codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from models.errors import RecordError
from models.features.arrays import Days, Longs, roomy
from models.features.views import numbers, runs

KEY: Final = "record_id"
SUBJECT: Final = "subject_id"
_FEW: Final = 256
"""Subjects up to which a dictionary finds places faster than a join does."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Records in order, their days, and that ``starts[s]`` to ``stops[s]`` are of subject ``s``."""

    events: pl.DataFrame
    day: Days
    starts: Longs
    stops: Longs


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """The values of all categories as numbers, one after another; −1 is null.

    ``entries`` has a line for each category: where its values begin, where its offsets begin (−1:
    one value a row), how many codes come before its own, its levels, its codes.
    """

    values: Days
    offsets: Longs
    entries: Longs


def in_order(events: pl.DataFrame, day: Days, subjects: pl.Series) -> Rows | None:
    """Return the rows of each subject; null where they must be sorted first."""
    from models.features import kernel

    begins, texts = runs(events[SUBJECT])
    if texts.n_unique() < texts.len():
        return None
    starts, stops = _places(begins, np.append(begins[1:], events.height), texts, subjects)
    if kernel.day_order(starts, stops, day):
        return None
    return Rows(events, day, starts, stops)


def in_any_order(events: pl.DataFrame, subjects: pl.Series) -> pl.DataFrame:
    """Return the events of the subjects sorted as :func:`in_order` wants them."""
    known = events.filter(pl.col(SUBJECT).is_in(subjects.implode()))
    return known.sort(SUBJECT, "happened_on")


def check_types(events: pl.DataFrame, table: str, *, measures: Sequence[str]) -> None:
    """Refuse times, ids and measures of a type that the pass would misread."""
    wanted = {
        SUBJECT: pl.String(),
        "happened_on": pl.Date(),
        "known_at": pl.Datetime("us", "UTC"),
    }
    for name, dtype in wanted.items():
        if events.schema[name] != dtype:
            raise RecordError(f"{table}.{name} is {events.schema[name]}; cast it to {dtype}")
    for name in measures:
        if not (events.schema[name].is_numeric() or events.schema[name] == pl.Null()):
            raise RecordError(
                f"{table}.{name} is {events.schema[name]}; a measure is a number, cast it"
            )


def encoded(events: pl.DataFrame, categories: Sequence[tuple[str, Sequence[str]]]) -> Codes:
    """Give every value of the categories (column and levels) a code, the levels first."""
    flat = [_flat(events[column]) for column, _ in categories]
    codes = roomy((sum(texts.len() for texts, _ in flat),), np.int32)
    offsets: list[Longs] = [np.empty(0, np.int64)]
    entries: list[tuple[int, int, int, int, int]] = []
    begun = numbered = bounded = 0
    for (_, levels), (texts, bounds) in zip(categories, flat, strict=True):
        end = begun + texts.len()
        many = len(numbers(texts, codes[begun:end], known=levels))
        entries.append((begun, bounded if len(bounds) else -1, numbered, len(levels), many))
        offsets.append(bounds)
        begun, numbered, bounded = end, numbered + many, bounded + len(bounds)
    return Codes(codes, np.concatenate(offsets), np.array(entries, np.int64).reshape(-1, 5))


def _flat(column: pl.Series) -> tuple[pl.Series, Longs]:
    """Return a category as texts, and where the list of each row begins; empty where no lists."""
    if not isinstance(column.dtype, pl.List):
        return _texts(column), np.empty(0, np.int64)
    lengths = column.list.len().fill_null(0).to_numpy().astype(np.int64)
    flat = column.explode(empty_as_null=False, keep_nulls=False)
    return _texts(flat), np.concatenate([[0], np.cumsum(lengths)])


def _texts(column: pl.Series) -> pl.Series:
    return column if column.dtype == pl.String() else column.cast(pl.String)


def _places(
    begins: Longs, ends: Longs, texts: pl.Series, subjects: pl.Series
) -> tuple[Longs, Longs]:
    """Return where each subject's rows start and stop: both 0 for a subject without rows."""
    if texts.equals(subjects):
        return begins, ends
    place = _found(texts, subjects)
    here = place >= 0
    starts, stops = np.zeros(subjects.len(), np.int64), np.zeros(subjects.len(), np.int64)
    starts[place[here]] = begins[here]
    stops[place[here]] = ends[here]
    return starts, stops


def _found(runs: pl.Series, subjects: pl.Series) -> Longs:
    """Return the place of each run's subject among ``subjects``, −1 where it is none of them."""
    if max(runs.len(), subjects.len()) <= _FEW:
        place = {subject: i for i, subject in enumerate(subjects.to_list())}
        return np.array([place.get(subject, -1) for subject in runs.to_list()], np.int64)
    index = pl.DataFrame({SUBJECT: subjects, "place": pl.int_range(subjects.len(), eager=True)})
    joined = (
        runs.alias(SUBJECT).to_frame().join(index, on=SUBJECT, how="left", maintain_order="left")
    )
    return np.ascontiguousarray(joined["place"].fill_null(-1).to_numpy(), np.int64)
