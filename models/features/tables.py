"""The window family over the tables that a scenario declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

import polars as pl

from models.codes.penalty_kinds import label
from models.errors import ConfigError
from models.features.rows import KEY
from models.features.spec import SUBJECT, FeatureSpec
from models.features.window import Category, WindowFeature, WindowSpec, build_windows
from models.features.wording import wording
from models.records.contract import Contract
from models.records.reading import MemoryRecords, Records
from models.scenarios.inputs import inputs
from models.scenarios.scenario import Features, Scenario
from models.yaml import nearest

_TREND: Final = (90, 365)
"""Days whose rates a trend compares, where the scenario has such windows."""
_FEW: Final = 64
"""Subjects up to which only their own rows are read of a lake."""


def window_specs(scenario: Scenario, contracts: Mapping[str, Contract]) -> tuple[WindowSpec, ...]:
    """Return what is made of each table, in the order of the declaration.

    Columns written after the outcome, personal ones and those that the scenario leaves out give no
    feature. Raises :class:`ConfigError` for a table that has no contract.
    """
    return tuple(
        _spec(scenario.features, _contract(t, contracts)) for t in scenario.features.tables
    )


def specs(scenario: Scenario, contracts: Mapping[str, Contract]) -> tuple[FeatureSpec, ...]:
    """Return the features of the family."""
    return tuple(
        _described(spec.table, feature, contracts[spec.table])
        for spec in window_specs(scenario, contracts)
        for feature in spec.features
    )


def build(
    records: Records,
    spec: WindowSpec,
    *,
    subjects: pl.Series,
    dates: Sequence[date],
    check_ids: bool = True,
) -> pl.DataFrame:
    """Return the columns of ``spec.features`` for every date and, within it, every subject.

    A table that the records lack, or a column of it, gives nulls: nothing is known of it. With
    ``check_ids`` a record id that occurs twice is a :class:`RecordError`.
    """
    names = [feature.name for feature in spec.features]
    if spec.table not in records.tables():
        return _nothing(names, subjects.len() * len(dates))
    columns = records.columns(spec.table)
    known = _narrowed(spec, columns)
    frame = read(records, known, columns, subjects=subjects, check_ids=check_ids)
    built = build_windows(frame, known, subjects=subjects, dates=dates)
    unknown = [name for name in names if name not in built.columns]
    if unknown:
        built = built.hstack(_nothing(unknown, built.height))
    return built[names]


def read(
    records: Records,
    spec: WindowSpec,
    columns: Sequence[str],
    *,
    subjects: pl.Series,
    check_ids: bool,
) -> pl.DataFrame:
    """Return what ``spec`` needs of its table; of few subjects only their own rows."""
    ids = [KEY] * (check_ids and KEY in columns)
    wanted = [*ids, *spec.reads(columns)]
    if isinstance(records, MemoryRecords):
        return records.at_once(spec.table, wanted)
    frame = records.frame(spec.table, wanted)
    if subjects.len() <= _FEW:
        frame = frame.filter(pl.col(SUBJECT).is_in(subjects.implode()))
    return frame.collect()


def _nothing(names: Sequence[str], height: int) -> pl.DataFrame:
    nulls = pl.Series([None], dtype=pl.Float64).new_from_index(0, height)
    return pl.DataFrame([nulls.alias(name) for name in names])


def _contract(table: str, contracts: Mapping[str, Contract]) -> Contract:
    if table not in contracts:
        raise ConfigError(f"unknown table '{table}'{nearest(table, contracts)}")
    return contracts[table]


def _spec(features: Features, table: Contract) -> WindowSpec:
    kept = inputs(features, table)
    levels = features.levels.get(table.name, {})
    return WindowSpec(
        table=table.name,
        windows=tuple(window.days for window in features.windows),
        measures=tuple(c for c in kept.measures if c not in table.personal),
        categories=tuple(
            Category(c, levels.get(c, ())) for c in kept.categories if c not in table.personal
        ),
        trends=_trends(tuple(window.days for window in features.windows)),
    )


def _trends(windows: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Compare 90 with 365 days where both are windows, else the shortest with the longest."""
    short, long = (
        preferred if preferred in windows else windows[end]
        for preferred, end in zip(_TREND, (0, -1), strict=True)
    )
    return ((short, long),) if short < long else ()


def _narrowed(spec: WindowSpec, columns: Sequence[str]) -> WindowSpec:
    """Return the part of ``spec`` that a table with these columns can give."""
    measures = tuple(name for name in spec.measures if name in columns)
    categories = tuple(c for c in spec.categories if c.column in columns)
    if (measures, categories) == (spec.measures, spec.categories):
        return spec
    return replace(spec, measures=measures, categories=categories)


def _described(table: str, feature: WindowFeature, contract: Contract) -> FeatureSpec:
    words = wording()
    column, level = feature.column or "", feature.level or ""
    name = contract.glossary.get(column)
    unit = (name.unit if name else None) or ""
    stat = "level_count" if feature.level and feature.stat == "count" else feature.stat
    phrase = words.window[stat].said(
        table=contract.title,
        column=contract.title_of(column) if column else "",
        level=level_name(table, column, level),
        days=feature.days,
        over=feature.over,
        unit=unit,
    )
    return FeatureSpec(
        name=feature.name,
        title=phrase.title,
        unit=phrase.unit or unit or None,
        family="window",
        dtype="number",
        monotone=words.hint(
            feature.name, table=table, stat=feature.stat, column=column, level=level
        ),
        reason=phrase.reason,
        table=table,
        window=feature.days,
        stat=feature.stat,
        column=feature.column,
        level=feature.level,
    )


def level_name(table: str, column: str, level: str) -> str:
    """Return what a value of a category is called."""
    if column == "penalty_kinds":
        return label(level) or level
    return wording().value(table, column, level)
