"""Evidence: the records behind the value of a feature, so that whoever reads a reason can look.

Which records these are follows from what a :class:`~models.features.spec.FeatureSpec` says of
itself. Behind a value stand the subject's rows of ``table`` that count as of the date
(:mod:`models.records.countable`) and happened in ``[as_of − window, as_of)``:

* count, trend: all of them (a trend: of its long window), or those with the ``level``;
* share: those with the level; where none has it, all that the share is of;
* sum, distinct: those that have a value; max: those with the largest value;
* recency: those of the newest day, whatever their age;
* a percentile among peers: those behind the value compared;
* what the register, a code or a name says: the register's row;
* neighbours: the rows that tie each neighbour counted, and where the feature asks for flags, the
  neighbour's own rows that flag it.

So a count is the number of its records, and a sum their sum. What is null or 0 has no records, and
neither has what is known of others in general (how checks of those alike turned out).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

import polars as pl

from models.errors import ConfigError
from models.features import neighbourhood
from models.features.interval import Counting, cut, day_number
from models.features.network import Network
from models.features.spec import AS_OF, SUBJECT, FeatureSpec
from models.features.subject import REGISTER
from models.features.text import GROUPS, LEAF, SEVERITIES, SEVERITY
from models.records.countable import DTYPES
from models.records.publicity import Purpose, VoidReason
from models.records.reading import MemoryRecords, Records
from models.scenarios.known import counting
from models.time import AsOf
from models.yaml import nearest

SCHEMA: Final = pl.Schema(
    {
        SUBJECT: pl.String(),
        AS_OF: pl.Date(),
        "feature": pl.String(),
        "table": pl.String(),
        "record_id": pl.String(),
        "happened_on": pl.Date(),
        "neighbour": pl.String(),
    }
)

_REGISTERED: Final = frozenset({"subject", "identity"})
"""Families that the register's row tells of."""
_ROW: Final = ("record_id", SUBJECT, "happened_on")
_counts: Final = lru_cache(maxsize=256)(counting)
"""The counting rule, kept for each date and table: laying it out takes longer than using it."""
_LONG: Final = re.compile(r"_trend_\d+d_(\d+)d$")


@dataclass(frozen=True, slots=True)
class Cited:
    """A record behind a value; ``neighbour``: through whom it concerns the subject, null if own."""

    table: str
    record_id: str
    happened_on: date | None
    neighbour: str | None = None


def evidence(
    records: Records,
    specs: Sequence[FeatureSpec],
    wanted: pl.DataFrame,
    *,
    around: Records | None = None,
    network: Network | None = None,
) -> pl.DataFrame:
    """Return the records behind each feature in ``wanted`` (``subject_id, as_of, feature``).

    Columns: :data:`SCHEMA`; rows by subject, date, feature and then newest first. ``happened_on``
    is null for a register row without a day, ``neighbour`` for the subject's own records.
    ``around`` are records of everybody, by which neighbours are told (default: ``records``);
    ``network`` spares making one of them. A table that the records lack gives nothing.

    Raises :class:`ConfigError` for a feature that ``specs`` do not have.
    """
    by_name = {spec.name: spec for spec in specs}
    lines = wanted.select(SUBJECT, AS_OF, "feature").unique().rows()
    for name in sorted({feature for _, _, feature in lines}):
        if name not in by_name:
            raise ConfigError(f"there is no feature '{name}'{nearest(name, by_name)}")
    parts = [SCHEMA.to_frame().lazy()]
    for on in sorted({on for _, on, _ in lines}):
        asked: dict[str, list[str]] = {}
        for subject, when, feature in lines:
            if when == on:
                asked.setdefault(feature, []).append(subject)
        parts += _as_of(records, [by_name[name] for name in asked], asked, on)
        related = {name: asked[name] for name in asked if by_name[name].family == "relation"}
        if related:
            parts.append(neighbourhood.evidence(around or records, related, on, network=network))
    by = [SUBJECT, AS_OF, "feature", "happened_on", "table", "record_id"]
    return (
        pl.concat(part.select(SCHEMA.names()) for part in parts)
        .join(wanted.lazy(), on=by[:3], how="semi")
        .sort(by, descending=[name == "happened_on" for name in by], nulls_last=True)
        .collect()
    )


def cited(found: pl.DataFrame) -> dict[tuple[str, date, str], tuple[Cited, ...]]:
    """Return the rows of :func:`evidence` as values, by subject, date and feature."""
    made: dict[tuple[str, date, str], list[Cited]] = {}
    for subject, on, feature, *rest in found.select(SCHEMA.names()).iter_rows():
        made.setdefault((subject, on, feature), []).append(Cited(*rest))
    return {key: tuple(values) for key, values in made.items()}


def _as_of(
    records: Records, specs: Sequence[FeatureSpec], asked: Mapping[str, Sequence[str]], on: date
) -> list[pl.LazyFrame]:
    """Return the records behind the features that tables tell of, as of one date."""
    by_table: dict[tuple[str, bool], list[FeatureSpec]] = {}
    for spec in specs:
        register = spec.family in _REGISTERED
        table = REGISTER if register else spec.table
        if table and table in records.tables() and spec.family != "relation":
            by_table.setdefault((table, register), []).append(spec)
    return [
        (_registered if register else _counted)(
            records, table, some, sorted({s for spec in some for s in asked[spec.name]}), on
        )
        for (table, register), some in by_table.items()
    ]


def _counted(
    records: Records, table: str, specs: Sequence[FeatureSpec], subjects: Sequence[str], on: date
) -> pl.LazyFrame:
    """Return the rows of one table behind its features."""
    there = records.columns(table)
    columns = [name for name in (*_ROW, *DTYPES) if name in there]
    columns += [s.column for s in specs if s.column and s.column in there]
    columns = list(dict.fromkeys(columns))
    rows = _counting_rows(records, table, columns, subjects, on)
    if rows.is_empty():
        return SCHEMA.to_frame().lazy()
    masks = [
        _mask(spec, rows.schema, on)
        for spec in specs
        if spec.column is None or spec.column in there
    ]
    return _melted(rows.lazy().select(*_ROW, *masks), table, on)


def _counting_rows(
    records: Records, table: str, columns: Sequence[str], subjects: Sequence[str], on: date
) -> pl.DataFrame:
    """Return the subjects' rows before a date that count as of it."""
    mine, before = pl.col(SUBJECT).is_in(subjects), pl.col("happened_on") < on
    rule = Counting.of(columns, purpose=Purpose.RISK_CLASS)
    if not (isinstance(records, MemoryRecords) and rule.exact):
        frame = records.frame(table, columns)
        return frame.filter(mine, _counts(AsOf(on), frozenset(columns)), before).collect()
    rows = records.at_once(table, columns).filter(mine, before)
    if rows.is_empty():
        return rows
    known, until = rule.times(rows.select(*rule.expressions))
    counts = (known < cut(AsOf(on))) & (until > day_number(on))
    return rows if counts.all() else rows.filter(pl.Series(counts))


def _registered(
    records: Records, table: str, specs: Sequence[FeatureSpec], subjects: Sequence[str], on: date
) -> pl.LazyFrame:
    """Return the register's rows of the subjects, behind every one of ``specs``."""
    there = records.columns(table)
    columns = [name for name in (*_ROW, "known_at", "void_reason") if name in there]
    rows = records.frame(table, columns).filter(
        pl.col(SUBJECT).is_in(subjects), pl.col("known_at") < AsOf(on).known_before
    )
    if "void_reason" in there:
        rows = rows.filter(pl.col("void_reason").ne_missing(VoidReason.ANNULLED.value))
    first = rows.unique(SUBJECT, keep="first", maintain_order=True)
    masks = [pl.lit(value=True).alias(spec.name) for spec in specs]
    return _melted(first.select(*_ROW, *masks), table, on)


def _melted(marked: pl.LazyFrame, table: str, on: date) -> pl.LazyFrame:
    """Return a line for each row and each feature it stands behind."""
    long = marked.unpivot(index=_ROW, variable_name="feature", value_name="_behind")
    return long.filter("_behind").with_columns(
        pl.lit(on, pl.Date()).alias(AS_OF),
        pl.lit(table).alias("table"),
        pl.lit(None, pl.String()).alias("neighbour"),
    )


def _mask(spec: FeatureSpec, schema: pl.Schema, on: date) -> pl.Expr:
    """Return which rows, all of them before the date and countable, stand behind a feature."""
    days = looked_back(spec)
    inside = pl.lit(value=True)
    if days is not None:
        inside = pl.col("happened_on") >= on - timedelta(days=days)
    column = str(spec.column)
    match "text" if spec.family == "text" else spec.stat:
        case "text":
            mask = _text(spec, inside)
        case "recency":
            mask = pl.col("happened_on") == pl.col("happened_on").max().over(SUBJECT)
        case "max":
            value = pl.when(inside).then(_number(column))
            mask = value == value.max().over(SUBJECT)
        case "sum":
            mask = inside & _number(column).is_not_null()
        case "distinct":
            mask = inside & _any_value(column, schema)
        case "share":
            has = (inside & _has(spec, schema)).fill_null(value=False)
            mask = pl.when(has.any().over(SUBJECT)).then(has).otherwise(inside)
        case _:
            mask = inside if spec.level is None else inside & _has(spec, schema)
    return mask.fill_null(value=False).alias(spec.name)


def looked_back(spec: FeatureSpec) -> int | None:
    """Return the days looked back on; a trend looks back on the longer of the two it compares."""
    longer = _LONG.search(spec.name) if spec.stat == "trend" else None
    return int(longer[1]) if longer else spec.window


def _number(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64).fill_nan(None)


def _any_value(column: str, schema: pl.Schema) -> pl.Expr:
    if isinstance(schema[column], pl.List):
        return pl.col(column).list.drop_nulls().list.len() > 0
    return pl.col(column).is_not_null()


def _has(spec: FeatureSpec, schema: pl.Schema) -> pl.Expr:
    """Return whether a row's category has the feature's level, a value as Polars writes it."""
    column = pl.col(str(spec.column))
    if isinstance(schema[str(spec.column)], pl.List):
        return column.cast(pl.List(pl.String)).list.contains(spec.level)
    return column.cast(pl.String) == spec.level


def _text(spec: FeatureSpec, inside: pl.Expr) -> pl.Expr:
    """Return which penalties a feature of the violation text counts, or is the gravest of."""
    if spec.column == LEAF:
        letters = [letter for letter, group in GROUPS.items() if group == spec.level]
        return inside & pl.col(LEAF).str.slice(0, 1).is_in(letters)
    if spec.stat == "max":
        grade = pl.col(SEVERITY).cast(pl.Enum(SEVERITIES), strict=False).to_physical()
        grade = pl.when(inside).then(grade)
        return grade == grade.max().over(SUBJECT)
    return inside & (pl.col(SEVERITY) == SEVERITIES[-1])
