"""The groups by which results are compared: what the register says of a subject as of a date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from models.codes import enterprise_types, industries, regions
from models.features.spec import AS_OF, SUBJECT
from models.records.contracts import CONTRACTS
from models.records.publicity import VoidReason
from models.records.reading import Records
from models.scenarios.cohort import REGISTER
from models.scenarios.scenario import AuditBy
from models.time import SHANGHAI

PREFIX: Final = "audit_"
UNKNOWN: Final = "unknown"
"""The group of those of whom the register says nothing."""

SIZES: Final = ((10, "micro"), (100, "small"), (300, "medium"))
"""Employees below which a subject is of a size, by the limits most common in
统计上大中小微型企业划分办法 (2017); turnover and assets, which it also uses, are in no register."""
AGES: Final = ((365, "0-1y"), (1096, "1-3y"), (1826, "3-5y"))
"""Days since establishment below which a subject is of an age band."""

_READ: Final = (
    "happened_on",
    "known_at",
    "void_reason",
    "region",
    "industry",
    "ownership",
    "enterprise_type",
    "subject_type",
    "employees",
)


def groups(records: Records, keys: pl.DataFrame, by: Sequence[AuditBy]) -> pl.DataFrame:
    """Return ``keys`` with a column ``audit_<by>`` String for each of ``by``, rows in their order.

    ``keys`` has ``subject_id`` and ``as_of``. A subject that the register does not know, or did not
    know yet, is of the group :data:`UNKNOWN`, and so is one whose entry is empty.
    """
    register = _register(records)
    known_before = (
        (pl.col(AS_OF) + pl.duration(days=1))
        .cast(pl.Datetime("us"))
        .dt.replace_time_zone(str(SHANGHAI))
        .dt.convert_time_zone("UTC")
    )
    known = (pl.col("known_at") < known_before).fill_null(value=False)
    told = _expressions()
    return (
        keys.join(register, on=SUBJECT, how="left", maintain_order="left")
        .with_columns(
            pl.when(known).then(told[name]).fill_null(UNKNOWN).alias(f"{PREFIX}{name}")
            for name in by
        )
        .select(*keys.columns, *(f"{PREFIX}{name}" for name in by))
    )


def _register(records: Records) -> pl.DataFrame:
    """Return the register's rows that were not annulled; a column that it lacks is null."""
    dtypes = CONTRACTS[REGISTER].dtypes
    if REGISTER not in records.tables():
        return pl.DataFrame(schema={name: dtypes[name] for name in (SUBJECT, *_READ)})
    there = records.columns(REGISTER)
    rows = records.frame(REGISTER, [n for n in (SUBJECT, *_READ) if n in there]).collect()
    lacking = [pl.lit(None, dtypes[n]).alias(n) for n in _READ if n not in rows.columns]
    return (
        rows.with_columns(lacking)
        .filter(pl.col("void_reason").ne_missing(VoidReason.ANNULLED.value))
        .unique(SUBJECT, keep="first", maintain_order=True)
    )


def _expressions() -> dict[AuditBy, pl.Expr]:
    age = (pl.col(AS_OF) - pl.col("happened_on")).dt.total_days()
    return {
        "region": pl.col("region"),
        "city": pl.coalesce(regions.city_expr("region"), regions.province_expr("region")),
        "industry": industries.section_of_expr("industry"),
        "ownership": pl.coalesce("ownership", enterprise_types.ownership_expr("enterprise_type")),
        "subject_type": pl.col("subject_type"),
        "size": _banded(pl.col("employees"), SIZES, above="large"),
        "age_band": pl.when(age >= 0).then(_banded(age, AGES, above="5y+")),
    }


def _banded(value: pl.Expr, bands: Sequence[tuple[int, str]], *, above: str) -> pl.Expr:
    """Return the name of the first band whose limit lies above ``value``; null stays null."""
    named = pl.when(value >= bands[-1][0]).then(pl.lit(above))
    for limit, name in reversed(bands):
        named = pl.when(value < limit).then(pl.lit(name)).otherwise(named)
    return pl.when(value.is_not_null()).then(named)
