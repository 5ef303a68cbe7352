"""Rows as the compiled pass reads them: in runs of one subject, ascending by day, with codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import RecordError
from models.features.interval import Days, Longs

KEY: Final = "record_id"
SUBJECT: Final = "subject_id"
_FEW: Final = 256
"""Subjects up to which a dictionary finds places faster than a join does."""
_MOST: Final = 0.8
"""Share of rows from which on it is faster to take all."""

Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Records in order, their days, and that ``starts[s]`` to ``stops[s]`` are of subject ``s``."""

    events: pl.DataFrame
    day: Days
    starts: Longs
    stops: Longs

    def within(self, first: int, last: int) -> Mask | None:
        """Return which rows lie in [first, last) days; null where most do, as well as all."""
        inside = (self.day >= first) & (self.day < last)
        return None if np.count_nonzero(inside) > _MOST * len(inside) else inside


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

    runs = _runs(events)
    if runs["value"].n_unique() < runs.height:
        return None
    starts, stops = _places(runs, subjects)
    ordered = np.zeros(1, np.uint8)
    kernel.day_order(starts, stops, day, ordered)
    return Rows(events, day, starts, stops) if ordered[0] else None


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


def encoded(
    events: pl.DataFrame,
    categories: Sequence[tuple[str, Sequence[str]]],
    *,
    rows: Mask | None = None,
) -> Codes:
    """Give every value of the categories (column and levels) a code, the levels first.

    Rows outside ``rows`` are left without codes.
    """
    wanted = [column for column, _ in categories]
    some = (events if rows is None else events.filter(pl.Series(rows))).select(wanted)
    kept = None if rows is None else np.flatnonzero(rows)
    coded = _coded(some, [c for c in categories if not _is_list(events, c[0])])
    parts: list[tuple[int, Longs | None, Days]] = []
    offsets: list[Longs] = []
    entries: list[tuple[int, int, int, int, int]] = []
    begun = codes = bounds = 0
    for column, levels in categories:
        if column in coded:
            (numbers, many), place, offset, length = coded[column], kept, -1, events.height
        else:
            numbers, many, listed = _coded_lists(some[column], levels)
            place, offset, length = None, bounds, len(numbers)
            offsets.append(_bounds(listed, kept, events.height))
            bounds += len(offsets[-1])
        entries.append((begun, offset, codes, len(levels), many))
        parts.append((begun, place, numbers))
        begun, codes = begun + length, codes + many
    return Codes(
        values=_laid_out(parts, begun),
        offsets=np.concatenate(offsets) if offsets else np.empty(0, np.int64),
        entries=np.array(entries, np.int64).reshape(-1, 5),
    )


def _laid_out(parts: Sequence[tuple[int, Longs | None, Days]], length: int) -> Days:
    """Lay parts of codes one after another: where each begins, its rows (null: all), its codes."""
    values = np.full(length, -1, np.int32)
    for begin, rows, numbers in parts:
        if rows is None:
            values[begin : begin + len(numbers)] = numbers
        else:
            values[begin:][rows] = numbers
    return values


def _bounds(lengths: Longs, rows: Longs | None, height: int) -> Longs:
    """Return where the list of each of ``height`` rows begins, given the lengths of some rows'."""
    bounds = np.zeros(height + 1, np.int64)
    bounds[1:][slice(None) if rows is None else rows] = lengths
    return np.cumsum(bounds)


def _is_list(events: pl.DataFrame, column: str) -> bool:
    return isinstance(events.schema[column], pl.List)


def _coded_lists(values: pl.Series, levels: Sequence[str]) -> tuple[Days, int, Longs]:
    """Return the codes of the values of all lists, how many codes there are, and list lengths."""
    lengths = values.list.len().fill_null(0)
    flat = values.filter(lengths > 0).explode().to_frame()
    numbers, many = _coded(flat, [(values.name, levels)])[values.name]
    return numbers, many, lengths.to_numpy().astype(np.int64)


def _coded(
    frame: pl.DataFrame, categories: Sequence[tuple[str, Sequence[str]]]
) -> dict[str, tuple[Days, int]]:
    """Return, by column, the code of each value and how many codes there are."""
    listed = {column: tuple(levels) for column, levels in categories}
    found = frame.select(
        _code(column, _enum(levels)) if levels else pl.col(column).cast(pl.String)
        for column, levels in listed.items()
    )
    coded: dict[str, tuple[Days, int]] = {}
    for column, levels in listed.items():
        values, known = found[column], levels
        if not levels or values.eq(-1).sum() > frame[column].null_count():
            # values that are no level get codes after the levels
            texts = frame[column].cast(pl.String)
            known = tuple(dict.fromkeys([*levels, *texts.unique().drop_nulls().to_list()]))
            values = texts.to_frame().select(_code(column, pl.Enum(known)))[column]
        coded[column] = np.ascontiguousarray(values.to_numpy(), np.int32), len(known)
    return coded


def _code(column: str, kind: pl.Enum) -> pl.Expr:
    codes = pl.col(column).cast(pl.String).cast(kind, strict=False).to_physical()
    return codes.cast(pl.Int32).fill_null(-1)


@lru_cache(maxsize=256)
def _enum(levels: tuple[str, ...]) -> pl.Enum:
    return pl.Enum(levels)


def _runs(events: pl.DataFrame) -> pl.DataFrame:
    """Return ``len`` and ``value`` of each run of rows with one subject."""
    return events[SUBJECT].rle().struct.unnest()


def _places(runs: pl.DataFrame, subjects: pl.Series) -> tuple[Longs, Longs]:
    """Return where each subject's rows start and stop: both 0 for a subject without rows."""
    lengths = runs["len"].to_numpy().astype(np.int64)
    after = np.cumsum(lengths)
    place = _found(runs["value"], subjects)
    here = place >= 0
    starts, stops = np.zeros(subjects.len(), np.int64), np.zeros(subjects.len(), np.int64)
    starts[place[here]] = (after - lengths)[here]
    stops[place[here]] = after[here]
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
