"""The gate: rows that keep their contract pass, every broken rule of the others is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from models.errors import RecordError
from models.records.contract import Contract
from models.records.rules import rule_of

PROBLEM_SCHEMA: Final = {
    "source_ref": pl.String(),
    "rule": pl.String(),
    "column": pl.String(),
    "value": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Gated:
    """Rows that passed, with their findings, and one line per broken rule of those that did not."""

    good: pl.DataFrame
    problems: pl.DataFrame


def check(frame: pl.DataFrame, contract: Contract, *, strict: bool = False) -> Gated:
    """Check ``frame`` (the contract's columns, one row per ``source_ref``) against ``contract``.

    ``strict`` applies the publication standard where the contract has one. Good rows keep their
    order; ids of the warn rules they trip are appended to ``findings``. ``problems`` has the
    columns of :data:`PROBLEM_SCHEMA`. Raises :class:`RecordError` when columns are missing.
    """
    missing = [c for c in contract.columns if c not in frame.columns]
    if missing:
        raise RecordError(
            f"records of table {contract.name!r} lack the columns {', '.join(missing)}; "
            "a frame must carry every column of its contract, null where unknown"
        )
    schema = contract.strict if strict and contract.strict is not None else contract.schema
    good, failures = schema.filter(frame.select(contract.columns))
    problems = _problems(failures.details(), contract) if len(failures) else empty_problems()
    return Gated(good=_with_findings(good.select(contract.columns), contract), problems=problems)


def empty_problems() -> pl.DataFrame:
    """Return a frame of no problems."""
    return pl.DataFrame(schema=PROBLEM_SCHEMA)


def _problems(details: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    found: list[pl.DataFrame] = []
    for name in details.columns[len(contract.columns) :]:
        broken = details.filter(pl.col(name) == "invalid")
        if broken.is_empty():
            continue
        rule, column = rule_of(name)
        shown = column if column in contract.columns else None
        value = _shown(pl.col(shown), contract.dtypes[shown]) if shown else pl.lit(None, pl.String)
        found.append(
            broken.select(
                "source_ref",
                rule=pl.lit(rule),
                column=pl.lit(column, pl.String),
                value=value.str.head(200),
            )
        )
    return pl.concat(found) if found else empty_problems()


def _shown(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return column.list.join(";") if isinstance(dtype, pl.List) else column.cast(pl.String)


def _with_findings(good: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    if not contract.warnings or good.is_empty():
        return good
    tripped = [
        pl.when(~warning.holds()).then(pl.lit(warning.rule)) for warning in contract.warnings
    ]
    return good.with_columns(
        findings=pl.col("findings").list.concat(pl.concat_list(tripped).list.drop_nulls())
    )
