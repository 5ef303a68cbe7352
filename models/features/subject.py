"""The subject family: what the register says of a subject, as far as it was known.

Age and status come from dated columns and are exact at every date. The register has one row a
subject, which is overwritten: capital, employees, industry and the like are as registered now (what
changed, and when, is in the table ``change``). A subject that the register does not know, or does
not know yet, has nulls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import Final

import polars as pl

from models.codes import enterprise_types, industries, regions
from models.features.spec import SUBJECT, FeatureSpec, FeatureType
from models.features.wording import wording
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.publicity import VoidReason
from models.records.reading import Records
from models.scenarios.scenario import Scenario
from models.time import AsOf

REGISTER: Final = "subject"
GROUPS: Final = ("_division", "_section", "_city", "_province")
"""Columns beside the features, by which subjects are peers."""

_TIMES: Final = ("known_at", "void_reason")
_SOURCES: Final[Mapping[str, tuple[FeatureType, tuple[str, ...]]]] = MappingProxyType(
    {
        "subject_age_days": ("number", ("happened_on",)),
        "subject_registered_capital": ("number", ("registered_capital",)),
        "subject_paid_capital": ("number", ("paid_capital",)),
        "subject_paid_share": ("number", ("registered_capital", "paid_capital")),
        "subject_employees": ("number", ("employees",)),
        "subject_industry_section": ("category", ("industry",)),
        "subject_industry_division": ("category", ("industry",)),
        "subject_city": ("category", ("region",)),
        "subject_enterprise_type": ("category", ("enterprise_type",)),
        "subject_ownership": ("category", ("ownership", "enterprise_type")),
        "subject_subject_type": ("category", ("subject_type",)),
        "subject_status": ("category", ("closed_on", "revoked_on")),
    }
)
_READ: Final = tuple(dict.fromkeys(c for _, columns in _SOURCES.values() for c in columns))


def specs(scenario: Scenario, contracts: Mapping[str, Contract]) -> tuple[FeatureSpec, ...]:
    """Return the features of the family, without those made of a column that is left out."""
    register = contracts.get(REGISTER, CONTRACTS[REGISTER])
    out = {*scenario.features.exclude, *register.personal, *register.outcome}
    words = wording()
    return tuple(
        FeatureSpec(
            name=name,
            title=words.subject[name].title,
            unit=words.subject[name].unit,
            family="subject",
            dtype=dtype,
            monotone=words.hint(name),
            reason=words.subject[name].reason,
            table=REGISTER,
            window=None,
            column=columns[0],
        )
        for name, (dtype, columns) in _SOURCES.items()
        if not any(c in out or f"{REGISTER}.{c}" in out for c in columns)
    )


def build(records: Records, *, subjects: pl.Series, dates: Sequence[date]) -> pl.DataFrame:
    """Return every feature of the family and :data:`GROUPS`, by date and, within it, subject."""
    register = _register(records, subjects)
    wanted = subjects.alias(SUBJECT).to_frame()
    columns = _expressions()
    parts = [
        wanted.join(
            _known(register, AsOf(on)), on=SUBJECT, how="left", maintain_order="left"
        ).select(*columns[:1], *_dated(on), *columns[1:])
        for on in dates
    ]
    made = pl.concat(parts) if parts else pl.DataFrame(schema=_schema())
    return made.select(*_SOURCES, *GROUPS)


def _schema() -> dict[str, pl.DataType]:
    return {
        **{n: pl.Float64() if d == "number" else pl.String() for n, (d, _) in _SOURCES.items()},
        **dict.fromkeys(GROUPS, pl.String()),
    }


def _register(records: Records, subjects: pl.Series) -> pl.DataFrame:
    """Return the rows of these subjects with every column; what the records lack is null."""
    there: Collection[str] = ()
    if REGISTER in records.tables():
        there = records.columns(REGISTER)
    dtypes = CONTRACTS[REGISTER].dtypes
    wanted = [SUBJECT, *_TIMES, *_READ]
    if there:
        frame = records.frame(REGISTER, [name for name in wanted if name in there])
        rows = frame.filter(pl.col(SUBJECT).is_in(subjects.implode())).collect()
    else:
        rows = pl.DataFrame(schema={SUBJECT: pl.String()})
    lacking = [pl.lit(None, dtypes[n]).alias(n) for n in wanted if n not in rows.columns]
    whole = rows.with_columns(lacking) if lacking else rows
    return whole.with_columns(_derived())


@cache
def _derived() -> tuple[pl.Expr, ...]:
    """Return what codes of the register tell, kept: laying it out takes longer than it."""
    return (
        industries.division_of_expr("industry").alias("_division"),
        industries.section_of_expr("industry").alias("_section"),
        pl.coalesce(regions.city_expr("region"), regions.province_expr("region")).alias("_city"),
        regions.province_expr("region").alias("_province"),
        pl.coalesce("ownership", enterprise_types.ownership_expr("enterprise_type")).alias(
            "_owner"
        ),
    )


def _known(register: pl.DataFrame, as_of: AsOf) -> pl.DataFrame:
    known = pl.col("known_at") < as_of.known_before
    annulled = pl.col("void_reason").eq_missing(VoidReason.ANNULLED.value)
    rows = register.filter(known, ~annulled)
    return rows.unique(SUBJECT, keep="first", maintain_order=True).with_columns(_in=True)


def _dated(on: date) -> list[pl.Expr]:
    """Return age (null before it was established) and status at a date."""
    age = (pl.lit(on, pl.Date) - pl.col("happened_on")).dt.total_days().cast(pl.Float64)
    status = (
        pl.when(pl.col("closed_on") <= on)
        .then(pl.lit("closed"))
        .when(pl.col("revoked_on") <= on)
        .then(pl.lit("revoked"))
        .when("_in")
        .then(pl.lit("open"))
    )
    return [
        pl.when(age >= 0).then(age).alias("subject_age_days"),
        status.alias("subject_status"),
    ]


@cache
def _expressions() -> tuple[pl.Expr, ...]:
    registered, paid = (pl.col(c).cast(pl.Float64) for c in ("registered_capital", "paid_capital"))
    return (
        registered.alias("subject_registered_capital"),
        paid.alias("subject_paid_capital"),
        pl.when(registered > 0).then(paid / registered).alias("subject_paid_share"),
        pl.col("employees").cast(pl.Float64).alias("subject_employees"),
        pl.col("_section").alias("subject_industry_section"),
        pl.col("_division").alias("subject_industry_division"),
        pl.col("_city").alias("subject_city"),
        pl.col("enterprise_type").alias("subject_enterprise_type"),
        pl.col("_owner").alias("subject_ownership"),
        pl.col("subject_type").alias("subject_subject_type"),
        *map(pl.col, GROUPS),
    )
