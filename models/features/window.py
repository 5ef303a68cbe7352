"""The window family: what one table's records say of a subject in the days before a date.

Over each window ``[as_of − days, as_of)`` on ``happened_on``: how many records, the sum and maximum
of each measure, how many records have each listed level of a category and which share that is, and
how many distinct values a category has; besides, days since the last record and how the rate of a
short window compares with that of a long one. Only records that count as of the date exist
(:mod:`models.records.countable`).

Rows are read once, sorted by subject and day, and one compiled pass serves all windows and dates.
A sum adds the newest day first and, within a day, the smallest value first, starting from 0, so
that it does not depend on the order of rows or on rows outside the window: one subject in memory
gives the bits that the whole province gives.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib import import_module
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from models.errors import ConfigError, RecordError
from models.features import interval
from models.features.arrays import Days, Floats, Longs, roomy
from models.features.interval import Counting, cut, day_number
from models.features.rows import (
    KEY,
    SUBJECT,
    Codes,
    Rows,
    check_types,
    encoded,
    in_any_order,
    in_order,
)
from models.records.contract import Contract
from models.records.publicity import Purpose, Rules
from models.time import AsOf, Span
from models.yaml import nearest

Stat: TypeAlias = Literal["count", "sum", "distinct", "recency", "trend", "max", "share"]


@dataclass(frozen=True, slots=True)
class Category:
    """A column of values, or of lists of values; each of ``levels`` is counted by itself.

    Values that are no text are levels as Polars writes them: ``true``, ``12``.
    """

    column: str
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowFeature:
    """One column of the family, and what it tells.

    ``days`` is the window, null for recency; ``over`` the long window of a trend.
    """

    name: str
    stat: Stat
    column: str | None = None
    level: str | None = None
    days: int | None = None
    over: int | None = None


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """The window features of one table.

    ``windows`` are days, ascending; ``trends`` pairs of a short and a longer one of them.
    Raises :class:`ConfigError` for a declaration that cannot be meant.
    """

    table: str
    windows: tuple[int, ...]
    measures: tuple[str, ...] = ()
    categories: tuple[Category, ...] = ()
    trends: tuple[tuple[int, int], ...] = ()
    purpose: Purpose = Purpose.RISK_CLASS

    def __post_init__(self) -> None:
        """Refuse windows out of order, trends without windows, and names that meet."""
        for days in self.windows:
            Span(days)
        if not self.windows or any(after <= before for before, after in pairwise(self.windows)):
            raise ConfigError(
                f"windows of {self.table} are {list(self.windows)}; give each once, shortest first"
            )
        for short, long in self.trends:
            if short not in self.windows or long not in self.windows or short >= long:
                raise ConfigError(
                    f"trend {short}d over {long}d of {self.table}: give a short and a longer "
                    f"window out of {', '.join(f'{days}d' for days in self.windows)}"
                )
        names = [feature.name for feature in self.features]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(
                f"{len(twice)} features of {self.table} have one name, such as {twice[0]!r}; "
                "name every column and level once"
            )

    @classmethod
    def of(
        cls,
        contract: Contract,
        *,
        windows: Sequence[Span],
        columns: Collection[str] | None = None,
        levels: Mapping[str, Sequence[str]] | None = None,
        trends: Sequence[tuple[Span, Span]] = (),
    ) -> WindowSpec:
        """Derive the features of a contract's measures and categories, or those in ``columns``.

        ``levels`` names, by category, the values counted each by itself. Columns written after the
        outcome are left out; :class:`ConfigError` where one is asked for by name.
        """
        named = [*(columns or ()), *(levels or ())]
        _check_named(contract, named, list(levels or ()))
        wanted = set((*contract.measures, *contract.categories) if columns is None else named)
        wanted -= contract.outcome
        listed = levels or {}
        return cls(
            table=contract.name,
            windows=tuple(window.days for window in windows),
            measures=tuple(name for name in contract.measures if name in wanted),
            categories=tuple(
                Category(name, tuple(listed.get(name, ())))
                for name in contract.categories
                if name in wanted
            ),
            trends=tuple((short.days, long.days) for short, long in trends),
        )

    @property
    def features(self) -> tuple[WindowFeature, ...]:
        """Return the features in the order of the columns: first those never null."""
        return _features(self)

    def reads(self, columns: Collection[str]) -> list[str]:
        """Return what must be read of a table that has ``columns``.

        It holds every column of the counting rule: to leave one out would change what counts.
        ``record_id`` may be read besides, to have its uniqueness checked; the lake keeps it unique.
        """
        own = [*self.measures, *(category.column for category in self.categories)]
        counting = [name for name in interval.COLUMNS if name in columns]
        return list(dict.fromkeys([SUBJECT, *counting, *own]))


def build_windows(
    events: pl.DataFrame,
    spec: WindowSpec,
    *,
    subjects: pl.Series,
    dates: Sequence[date],
    rules: Rules | None = None,
) -> pl.DataFrame:
    """Return one row per date and subject, in the order of ``dates``, then of ``subjects``.

    ``events`` are whole records (at least :meth:`WindowSpec.reads`) of these or more subjects,
    whatever their age, in any order; sorted by subject and day they need no sort. ``subjects`` are
    the wanted ids. ``rules`` default to the package's.

    Columns: ``subject_id`` String, ``as_of`` Date, then Float64. Counts and sums are 0 where there
    is nothing; recency, trends, maxima and shares are null. A measure that is null or NaN takes no
    part, and −0 is 0. Values of a category that are no level take part in distinct counts alone.

    Raises:
        RecordError: a column is missing or of a wrong type, or a record id or subject is repeated.
        ConfigError: a date is repeated.
    """
    views = _views(dates)
    _check_subjects(subjects)
    size = len(views) * subjects.len()
    written = roomy((len(spec.features), size), np.float64)
    full, partial = written[: _never_null(spec)], written[_never_null(spec) :]
    if size and not events.is_empty():
        _check_events(events, spec)
        _fill(events, spec, subjects=subjects, views=views, rules=rules, into=(full, partial))
    else:
        full.fill(0.0)
        partial.fill(np.nan)
    return _frame(spec, subjects, views, (full, partial))


def warm() -> None:
    """Load the compiled code now, or compile it where no cache has it, and not at the first call.

    Without it the first call of :func:`build_windows` in a process takes that time.
    """
    for compiled in ("kernel", "ends", "texts"):
        import_module(f"models.features.{compiled}")


def _fill(
    events: pl.DataFrame,
    spec: WindowSpec,
    *,
    subjects: pl.Series,
    views: Sequence[AsOf],
    rules: Rules | None,
    into: tuple[Floats, Floats],
) -> None:
    """Run the pass: once for all dates, or once a date where the counting rule needs the date."""
    counting = Counting.of(events.columns, purpose=spec.purpose, rules=rules)
    selected = events.select(*counting.expressions, *_measures(spec.measures))
    rows = in_order(events, interval.array(selected, "_day", np.int32), subjects)
    if rows is None:
        events = in_any_order(events, subjects)
        selected = events.select(*counting.expressions, *_measures(spec.measures))
        rows = in_order(events, interval.array(selected, "_day", np.int32), subjects)
        assert rows is not None  # noqa: S101 - they are sorted now
    codes = encoded(rows.events, [(c.column, c.levels) for c in spec.categories])
    if counting.exact:
        _pass(spec, rows, codes, selected, counting.times(selected), list(enumerate(views)), into)
        return
    for place, view in enumerate(views):
        times = counting.times_on(rows.events, view)
        _pass(spec, rows, codes, selected, times, [(place, view)], into)


def _pass(
    spec: WindowSpec,
    rows: Rows,
    codes: Codes,
    selected: pl.DataFrame,
    times: tuple[Longs, Days],
    views: Sequence[tuple[int, AsOf]],
    into: tuple[Floats, Floats],
) -> None:
    from models.features import kernel

    known, until = times
    wide = {days: place for place, days in enumerate(spec.windows)}
    kernel.windows(
        rows.starts,
        rows.stops,
        rows.day,
        known,
        until,
        _together([selected[name] for name in spec.measures], selected.height),
        codes.values,
        codes.offsets,
        codes.entries,
        np.array([day_number(view.on) for _, view in views], np.int32),
        np.array([cut(view) for _, view in views], np.int64),
        np.array([place * len(rows.starts) for place, _ in views], np.int64),
        np.array(spec.windows, np.int32),
        np.array([(wide[s], wide[long]) for s, long in spec.trends], np.int64).reshape(-1, 2),
        *into,
    )


def _together(columns: list[pl.Series], height: int) -> Floats:
    """Return columns as the lines of one array."""
    if not columns:
        return np.empty((0, height))
    return pl.concat(columns, rechunk=True).to_numpy().reshape(-1, height)


@lru_cache(maxsize=256)
def _measures(names: tuple[str, ...]) -> tuple[pl.Expr, ...]:
    return tuple(pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in names)


@lru_cache(maxsize=256)
def _features(spec: WindowSpec) -> tuple[WindowFeature, ...]:
    """Name the features in the order in which the compiled pass writes them."""
    table, windows = spec.table, spec.windows

    def listed(stat: Stat) -> list[WindowFeature]:
        return [
            WindowFeature(f"{table}_{c.column}_{level}_{stat}_{w}d", stat, c.column, level, w)
            for c in spec.categories
            for w in windows
            for level in c.levels
        ]

    def of_columns(stat: Stat, columns: Sequence[str]) -> list[WindowFeature]:
        return [
            WindowFeature(f"{table}_{column}_{stat}_{w}d", stat, column, days=w)
            for column in columns
            for w in windows
        ]

    return (
        *(WindowFeature(f"{table}_count_{w}d", "count", days=w) for w in windows),
        *of_columns("sum", spec.measures),
        *listed("count"),
        *of_columns("distinct", [c.column for c in spec.categories]),
        WindowFeature(f"{table}_recency", "recency"),
        *(
            WindowFeature(f"{table}_trend_{short}d_{long}d", "trend", days=short, over=long)
            for short, long in spec.trends
        ),
        *of_columns("max", spec.measures),
        *listed("share"),
    )


@lru_cache(maxsize=256)
def _never_null(spec: WindowSpec) -> int:
    return sum(f.stat in {"count", "sum", "distinct"} for f in spec.features)


def _frame(
    spec: WindowSpec,
    subjects: pl.Series,
    views: Sequence[AsOf],
    written: tuple[Floats, Floats],
) -> pl.DataFrame:
    """Return the frame over what the pass wrote; its columns are slices of two arrays.

    Polars may take the arrays as they are: nothing may write to them afterwards.
    """
    full, partial = written
    size = full.shape[1]
    ids = pl.concat([subjects] * len(views)) if views else subjects.clear()
    days = np.array([day_number(view.on) for view in views], np.int32)
    dates = pl.Series("as_of", np.repeat(days, subjects.len())).cast(pl.Date)
    keys = [ids.alias(SUBJECT), dates]
    series = [pl.Series(array.ravel(), nan_to_null=array is partial) for array in written]
    if size == 1:
        return pl.DataFrame(keys).hstack(_row(spec, pl.concat(series)))
    values = [
        column.slice(place * size, size)
        for array, column in zip(written, series, strict=True)
        for place in range(len(array))
    ]
    named = [c.alias(f.name) for c, f in zip(values, spec.features, strict=True)]
    return pl.DataFrame([*keys, *named])


def _row(spec: WindowSpec, values: pl.Series) -> pl.DataFrame:
    """Return one row of features: turned over at once, faster than a column at a time."""
    return values.to_frame().transpose(column_names=[feature.name for feature in spec.features])


def _views(dates: Sequence[date]) -> list[AsOf]:
    twice = sorted({on for on in dates if list(dates).count(on) > 1})
    if twice:
        raise ConfigError(f"the date {twice[0]} is given twice; a subject has one row for a date")
    return [AsOf(on) for on in dates]


def _check_subjects(subjects: pl.Series) -> None:
    if subjects.dtype != pl.String():
        raise RecordError(f"subjects are {subjects.dtype}; give their ids as text (String)")
    if subjects.null_count() or subjects.n_unique() != subjects.len():
        raise RecordError("a subject is null or given twice; give every wanted id once")


def _check_events(events: pl.DataFrame, spec: WindowSpec) -> None:
    """Refuse events that lack a column, have one of a wrong type, or repeat a record."""
    needed = spec.reads(("happened_on", "known_at"))
    missing = [name for name in needed if name not in events.columns]
    if missing:
        raise RecordError(
            f"records of {spec.table} have no column {missing[0]!r}"
            f"{nearest(missing[0], events.columns)}; read all of {', '.join(needed)}"
        )
    check_types(events, spec.table, measures=spec.measures)
    if KEY in events.columns:
        ids = events[KEY]
        if ids.n_unique() != events.height:
            first = ids.filter(ids.is_duplicated())[0]
            raise RecordError(
                f"record {first} of {spec.table} occurs more than once; one row of each counts, so "
                "remove the other before features are made"
            )


def _check_named(contract: Contract, named: Sequence[str], levels: Sequence[str]) -> None:
    own = (*contract.measures, *contract.categories)
    for name in named:
        if name in contract.outcome:
            raise ConfigError(
                f"{contract.name}.{name} is written after the outcome is known; leave it out, a "
                "feature of it would tell the future"
            )
        if name not in own:
            raise ConfigError(
                f"{contract.name} has no measure or category {name!r}{nearest(name, own)}"
            )
    for name in levels:
        if name not in contract.categories:
            raise ConfigError(f"{contract.name}.{name} is a measure; only a category has levels")
