"""The identity family: what the code and the name of a subject say by themselves.

A unified code tells who registered the subject, where, and, by its organisation code, about when:
codes are given out in ascending blocks, digits first and ``MA…`` since 2015 (GB 32100, GB 11714).
So these are known of everybody, whatever tables there are. A name tells the kind of business
(:mod:`.kinds`).

The name is that of the register, once that row is known, or else the newest that an inspection or a
licence gave before the date. Which name that was is settled by day, then by the record's id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Final

import polars as pl

from models.codes import regions, uscc
from models.features.interval import day_number
from models.features.kinds import kind_expr, kinds, says_expr
from models.features.spec import SUBJECT, FeatureSpec, FeatureType
from models.features.wording import wording
from models.records.contract import Contract
from models.records.publicity import VoidReason
from models.records.reading import Records
from models.scenarios.scenario import Scenario

REGION: Final = "_region"
KIND: Final = "_kind"
GROUPS: Final = (REGION, KIND)
"""Columns beside the features, by which the area family finds those alike."""

NAMING: Final = ("inspection", "licence")
"""Tables whose names are used before the register's is known; their rows count until voided."""

_REGISTER: Final = "subject"
_DTYPES: Final[Mapping[str, FeatureType]] = MappingProxyType(
    {
        "identity_code_kind": "category",
        "identity_code_region": "category",
        "identity_code_serial": "number",
        "identity_name_kind": "category",
        "identity_name_length": "number",
        "identity_name_branch": "number",
        "identity_name_platform": "number",
    }
)
_FIRST_LETTERS: Final = 10**8
"""Serials of codes of digits alone lie below, those of codes with letters above."""


def specs(scenario: Scenario, contracts: Mapping[str, Contract]) -> tuple[FeatureSpec, ...]:
    """Return the features of the family."""
    del scenario, contracts
    words = wording()
    return tuple(
        FeatureSpec(
            name=name,
            title=words.identity[name].title,
            unit=words.identity[name].unit,
            family="identity",
            dtype=dtype,
            monotone=words.hint(name),
            reason=words.identity[name].reason,
            table=None,
            window=None,
        )
        for name, dtype in _DTYPES.items()
    )


def build(
    records: Records,
    wanted: tuple[FeatureSpec, ...],
    *,
    subjects: pl.Series,
    dates: Sequence[date],
) -> pl.DataFrame:
    """Return the columns of ``wanted`` and :data:`GROUPS`, by date and, within it, subject."""
    codes = subjects.alias(SUBJECT).to_frame().select(SUBJECT, *_of_code())
    grid = pl.concat([codes.with_columns(_day=pl.lit(day_number(on))) for on in dates])
    named = grid.with_columns(_name_at(records, grid))
    told = named.with_columns(kind_expr("_name").alias(KIND))
    made = told.with_columns(
        pl.col(KIND).alias("identity_name_kind"),
        pl.col("_name").str.len_chars().cast(pl.Float64).alias("identity_name_length"),
        says_expr("_name", kinds().branches).alias("identity_name_branch"),
        says_expr("_name", kinds().platforms).alias("identity_name_platform"),
    )
    return made.select(*(spec.name for spec in wanted), *GROUPS)


def region_expr(code: str) -> pl.Expr:
    """Return the region, as it is called by code today, in which a subject was registered."""
    return regions.current_expr(uscc.registering_region_expr(code))


def _of_code() -> list[pl.Expr]:
    serial = uscc.organisation_code_expr(SUBJECT).str.slice(0, 8)
    digits = serial.str.to_integer(strict=False).cast(pl.Float64)
    letters = serial.str.slice(2).str.to_integer(base=36, strict=False).cast(pl.Float64)
    region = region_expr(SUBJECT)
    return [
        region.alias(REGION),
        uscc.prefix_expr(SUBJECT).alias("identity_code_kind"),
        pl.when(regions.resolve_expr(region) == region)
        .then(regions.full_name_expr(region))
        .otherwise(region)
        .alias("identity_code_region"),
        pl.when(serial.str.contains(r"^\d+$"))
        .then(digits)
        .when(serial.str.starts_with("MA"))
        .then(letters + _FIRST_LETTERS)
        .alias("identity_code_serial"),
    ]


def _name_at(records: Records, grid: pl.DataFrame) -> pl.Series:
    """Return the name of each row of ``grid`` (``subject_id``, ``_day``) as of its day."""
    mine = grid[SUBJECT].unique()
    registered = _registered(records, mine)
    given = pl.concat([registered.clear(), *(_given(records, t, mine) for t in NAMING)])
    rows = grid.select(SUBJECT, "_day").with_row_index("_row").sort("_day", maintain_order=True)
    for name, told in (("_registered", registered), ("_given", given)):
        newest = told.sort("_day", "_happened", "_id", nulls_last=False)
        rows = rows.join_asof(
            newest.select(SUBJECT, "_day", pl.col("_name").alias(name)),
            on="_day",
            by=SUBJECT,
            check_sortedness=False,
        )
    return rows.sort("_row").select(pl.coalesce("_registered", "_given").alias("_name")).to_series()


_NAMES: Final = pl.Schema(
    {
        SUBJECT: pl.String(),
        "_day": pl.Int32(),
        "_happened": pl.Int32(),
        "_id": pl.String(),
        "_name": pl.String(),
    }
)


def _registered(records: Records, subjects: pl.Series) -> pl.DataFrame:
    known = _known_on()
    return _named(records, _REGISTER, "name", subjects).select(
        SUBJECT, known.alias("_day"), known.alias("_happened"), "_id", "_name"
    )


def _given(records: Records, table: str, subjects: pl.Series) -> pl.DataFrame:
    day = pl.col("happened_on").to_physical()
    since = pl.when(day.is_not_null()).then(pl.max_horizontal(day + 1, _known_on()))
    rows = _named(records, table, "subject_name", subjects)
    told = rows.select(SUBJECT, since.alias("_day"), day.alias("_happened"), "_id", "_name")
    return told.drop_nulls("_day").match_to_schema(_NAMES)


def _named(records: Records, table: str, column: str, subjects: pl.Series) -> pl.DataFrame:
    """Return the rows of a table that name these subjects and were not annulled."""
    if table not in records.tables() or column not in records.columns(table):
        return pl.DataFrame(
            schema={
                SUBJECT: pl.String(),
                "happened_on": pl.Date(),
                "known_at": pl.Datetime("us", "UTC"),
                "_id": pl.String(),
                "_name": pl.String(),
            }
        )
    columns = (SUBJECT, "happened_on", "known_at", "void_reason", "record_id", column)
    return (
        records.frame(table, columns)
        .filter(
            pl.col(SUBJECT).is_in(subjects.implode()),
            pl.col("void_reason").ne_missing(VoidReason.ANNULLED.value),
            pl.col(column).is_not_null(),
            pl.col("known_at").is_not_null(),
        )
        .rename({"record_id": "_id", column: "_name"})
        .collect()
    )


def _known_on() -> pl.Expr:
    return pl.col("known_at").dt.convert_time_zone("Asia/Shanghai").dt.date().to_physical()
