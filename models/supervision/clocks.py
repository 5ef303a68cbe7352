"""Clocks of records: from when repair or exit may be applied for, and when what ends by itself.

The days come from the same rules as everywhere else: publicity and repair from
:mod:`models.records.publicity`, remedies and refusals from :mod:`models.risk.remedies`
(信用修复管理办法, and the rules of each list). Whether the conditions of an application are met is
for the authority to see; a clock tells of days alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

import polars as pl

from models.records.countable import publicity_end, repairable_from
from models.records.lake.layout import KEY
from models.records.publicity import Rules
from models.risk.remedies import remedies
from models.scenarios.known import counting, known
from models.supervision.repair import State, Status
from models.time import AsOf

TABLES: Final = ("penalty", "listing")
"""Tables whose records can be ended by an application."""
LICENCE: Final = "licence"
SOON: Final = 60
"""Days before its end from which a licence is told to end soon."""
LATELY: Final = 365
"""Days after its end for which an ended licence is still told of."""
CLOCKS: Final = pl.Schema(
    {
        "kind": pl.String(),
        "table": pl.String(),
        KEY: pl.String(),
        "happened_on": pl.Date(),
        "what": pl.String(),
        "state": pl.String(),
        "opens_on": pl.Date(),
        "ends_on": pl.Date(),
        "next_on": pl.Date(),
        "why": pl.String(),
    }
)
"""The columns of clocks.

``kind``: repair, exit or licence. ``state``: open (may be applied for), waiting (not yet), applied,
fixed (nothing ends it early); of licences valid, soon, expired. ``ends_on``: the first day on which
the record ends by itself, of a licence its last day; null for none. ``next_on``: the next day on
which anything changes by itself. ``why``: what refuses an early end.
"""


def clocks(rows: pl.DataFrame, table: str, on: date, *, rules: Rules | None = None) -> pl.DataFrame:
    """Return the clocks of one subject's records of a table as of a day, as :data:`CLOCKS`.

    ``rows`` has the columns that the counting rule and the remedies read; a record that does not
    count has no clock. Other tables than penalties, listings and licences have none.
    """
    if rows.is_empty():
        return CLOCKS.to_frame()
    if table == LICENCE:
        return _licences(rows, on)
    return _ending(rows, table, on, rules) if table in TABLES else CLOCKS.to_frame()


def with_status(
    found: pl.DataFrame, statuses: Mapping[tuple[str, str], Status], on: date
) -> pl.DataFrame:
    """Return clocks with what was done to the records laid over: applications, bars after fraud."""
    told = [
        {
            "table": table,
            KEY: record,
            "_applied": status.state is State.APPLIED,
            "_barred": status.barred_until,
        }
        for (table, record), status in statuses.items()
    ]
    schema = {"table": pl.String, KEY: pl.String, "_applied": pl.Boolean, "_barred": pl.Date}
    joined = found.join(
        pl.DataFrame(told, schema=schema), on=["table", KEY], how="left", maintain_order="left"
    )
    barred = pl.max_horizontal("opens_on", "_barred")
    moved = joined.with_columns(
        pl.when(pl.col("opens_on").is_not_null()).then(barred).alias("opens_on")
    )
    fixed = pl.col("state") == "fixed"
    state = (
        pl.when(pl.col("_applied").fill_null(value=False))
        .then(pl.lit("applied"))
        .when(pl.col("_barred").is_not_null() & ~fixed)
        .then(_state(on))
        .otherwise("state")
    )
    made = moved.with_columns(state.alias("state")).drop("_applied", "_barred")
    return made.with_columns(_next(on).alias("next_on"))


def ordered(found: pl.DataFrame) -> pl.DataFrame:
    """Return clocks in the order in which somebody looks at them: what is due first."""
    urgent = pl.col("state").replace_strict(_ORDER, return_dtype=pl.Int8)
    return found.sort(urgent, "next_on", "table", KEY, nulls_last=True)


_ORDER: Final = {
    state: place
    for place, state in enumerate(
        ("expired", "soon", "applied", "open", "waiting", "fixed", "valid"),
    )
}


def _ending(rows: pl.DataFrame, table: str, on: date, rules: Rules | None) -> pl.DataFrame:
    """Return the clocks of records that an application may end."""
    view, columns = AsOf(on), rows.columns
    counted = rows.filter(counting(view, columns))
    if counted.is_empty():
        return CLOCKS.to_frame()
    book = remedies()
    restricted = [pl.col("restrict_until")] if "restrict_until" in columns else []
    first = repairable_from(view, columns=columns, rules=rules)
    opens = pl.when(first.is_not_null()).then(pl.max_horizontal(first, *restricted))
    kinds = _first(counted, [(one.kind, one.fits(counted)) for one in book.remedies
                             if one.table == table])  # fmt: skip
    whys = _first(counted, [(one.why, one.fits(counted)) for one in book.refusals
                            if one.table == table])  # fmt: skip
    whole = counted.with_columns(
        pl.Series("_kind", kinds, dtype=pl.String), pl.Series("why", whys, dtype=pl.String)
    ).filter(pl.col("_kind").is_not_null() | pl.col("why").is_not_null())
    refused = pl.col("why").is_not_null() | pl.col("_kind").is_null()
    made = whole.select(
        pl.col("_kind").fill_null("exit" if table == "listing" else "repair").alias("kind"),
        pl.lit(table).alias("table"),
        KEY,
        "happened_on",
        _said("kind" if table == "listing" else "document_number", columns).alias("what"),
        pl.when(~refused).then(opens).alias("opens_on"),
        publicity_end(view, columns=columns, rules=rules).alias("ends_on"),
        pl.coalesce("why", pl.when(opens.is_null()).then(pl.lit(book.words["no_early_end"]))).alias(
            "why"
        ),
    )
    stated = made.with_columns(_state(on).alias("state"))
    return stated.with_columns(_next(on).alias("next_on")).select(CLOCKS.names())


def _licences(rows: pl.DataFrame, on: date) -> pl.DataFrame:
    """Return the last licence of each name that is valid, or ended lately."""
    if "valid_to" not in rows.columns:
        return CLOCKS.to_frame()
    name = pl.coalesce(
        *(c for c in ("certificate_name", "document_name") if c in rows.columns), KEY
    )
    last = (
        rows.filter(known(AsOf(on)), pl.col("valid_to").is_not_null())
        .filter(pl.col("void_from").is_null() | (pl.col("void_from") > on))
        .with_columns(name.alias("_name"))
        .sort("valid_to", KEY)
        .unique("_name", keep="last", maintain_order=True)
        .filter(pl.col("valid_to") >= on - timedelta(days=LATELY))
    )
    end = pl.col("valid_to")
    state = (
        pl.when(end < on)
        .then(pl.lit("expired"))
        .when(end <= on + timedelta(days=SOON))
        .then(pl.lit("soon"))
        .otherwise(pl.lit("valid"))
    )
    return last.select(
        pl.lit("licence").alias("kind"),
        pl.lit(LICENCE).alias("table"),
        KEY,
        "happened_on",
        pl.when(pl.col("_name") != pl.col(KEY)).then("_name").alias("what"),
        state.alias("state"),
        pl.lit(None, pl.Date).alias("opens_on"),
        end.alias("ends_on"),
        pl.when(end >= on).then(end).alias("next_on"),
        pl.lit(None, pl.String).alias("why"),
    )


def _first(rows: pl.DataFrame, told: list[tuple[str, pl.Series]]) -> list[str | None]:
    """Return for each row the first value whose mask holds."""
    found: list[str | None] = [None] * rows.height
    for value, fits in reversed(told):
        found = [value if hit else old for hit, old in zip(fits, found, strict=True)]
    return found


def _said(column: str, columns: list[str]) -> pl.Expr:
    return pl.col(column) if column in columns else pl.lit(None, pl.String)


def _state(on: date) -> pl.Expr:
    return (
        pl.when(pl.col("opens_on").is_null())
        .then(pl.lit("fixed"))
        .when(pl.col("opens_on") > on)
        .then(pl.lit("waiting"))
        .otherwise(pl.lit("open"))
    )


def _next(on: date) -> pl.Expr:
    """Return the next day on which anything changes by itself."""
    opens = pl.when(pl.col("opens_on") > on).then("opens_on")
    ends = pl.when(pl.col("ends_on") >= on).then("ends_on")
    return pl.min_horizontal(opens, ends)
