"""What the lake will say of a subject once the inbox's rows are in it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Final

import polars as pl

from models.records.lake.layout import FATE, KEY, KNOWN, NOT_CONTENT

REF: Final = "source_ref"
POSTED: Final = "api:"
"""How ``source_ref`` begins of what came in live; these follow each other as they came."""
VOID: Final = ("void_from", "void_reason")
"""What became of a record by a live act, which no import takes back."""
_NEW: Final = "__new"
_WAVE: Final = "__wave"


def overlay(stored: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """Return the records of a table as merging ``fresh`` into ``stored`` would leave them.

    Both have at most one row a record. A null of ``fresh`` says nothing, so what is stored stays; a
    record that nothing contradicts stays as it is; one that was corrected is known since its
    correction; one of which only the fate changed, since its first day. Where an import has
    corrected the record since, what is live only fills in: see :func:`outdated`.
    """
    if fresh.is_empty():
        return stored
    if not stored.width:
        return fresh
    if not fresh[KEY].is_in(stored[KEY].implode()).any():
        return pl.concat([stored, fresh], how="diagonal_relaxed")
    told = fresh.select(KEY, pl.exclude(KEY).name.suffix(_NEW))
    pairs = stored.join(told, on=KEY, how="left", maintain_order="left")
    shared = [name for name in stored.columns if name in fresh.columns and name != KEY]
    content = [name for name in shared if name not in NOT_CONTENT]
    added = [name for name in fresh.columns if name not in stored.columns]
    changed = _any([*map(_differs, content), *(pl.col(n + _NEW).is_not_null() for n in added)])
    corrected = _any(
        [
            *(_differs(name) for name in content if name not in FATE),
            *(pl.col(name + _NEW).is_not_null() for name in added if name not in FATE),
        ]
    )
    later = pl.col(KNOWN[0] + _NEW) > pl.col(KNOWN[0])
    dated = {KNOWN[0], REF} <= set(shared)
    old = outdated(pl.col(KNOWN[0] + _NEW), pl.col(REF + _NEW)) if dated else pl.lit(value=False)
    values = [
        pl.when(old if name not in {*VOID, *KNOWN} else pl.lit(value=False))
        .then(pl.coalesce(name, name + _NEW))
        .when(corrected & later if name in KNOWN else changed)
        .then(pl.coalesce(name + _NEW, name))
        .otherwise(name)
        .alias(name)
        for name in shared
    ]
    kept = pairs.with_columns(*values, *(pl.col(name + _NEW).alias(name) for name in added))
    new = fresh.join(stored, on=KEY, how="anti", maintain_order="left")
    return pl.concat([kept.select(*stored.columns, *added), new], how="diagonal_relaxed")


def outdated(known_at: pl.Expr, ref: pl.Expr) -> pl.Expr:
    """Return whether a live row is older than the stored one, beside whose columns it stands.

    An import that is known as late as the live row, or later, has corrected it: what was posted
    before must not be put back, neither while it waits nor by a compaction that is done again. Live
    rows themselves follow each other by their numbers, whatever a clock said.
    """
    imported = ~pl.col(REF).str.starts_with(POSTED) & pl.col(REF).ne_missing(ref)
    return (imported & (pl.col(KNOWN[0]) >= known_at)).fill_null(value=False)


def fold(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row a record of ``rows`` in the order of their coming, as the last left it."""
    if rows[KEY].is_unique().all():
        return rows
    waves = rows.with_columns(pl.int_range(pl.len()).over(KEY).alias(_WAVE))
    parts = waves.partition_by(_WAVE, include_key=False, maintain_order=True)
    return reduce(overlay, parts)


def _differs(name: str) -> pl.Expr:
    return pl.col(name + _NEW).is_not_null() & pl.col(name + _NEW).ne_missing(pl.col(name))


def _any(conditions: Iterable[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(pl.lit(value=False), *conditions)
