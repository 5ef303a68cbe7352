"""Rows of records that a scenario means, as they are known at a date of view."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl

from models.records.countable import DTYPES, countable
from models.records.publicity import Purpose
from models.records.reading import Records
from models.scenarios.label import Rows
from models.time import AsOf

SUBJECT: Final = "subject_id"
HAPPENED: Final = "happened_on"
BASE: Final = (SUBJECT, HAPPENED, "known_at", "void_from", "void_reason")
_COUNTING: Final = tuple(name for name in DTYPES if name not in BASE)


def read(records: Records, rows: Rows, *also: str) -> pl.DataFrame:
    """Return the rows' table with what the condition, the counting rule and ``also`` need.

    The condition itself is not applied: it may depend on the date of view.
    """
    there = records.columns(rows.table)
    named = rows.condition.columns if rows.condition else frozenset[str]()
    counted = [name for name in _COUNTING if name in there]
    columns = dict.fromkeys((*BASE, *counted, *sorted(named), *also))
    return records.frame(rows.table, list(columns)).collect()


def known(as_of: AsOf) -> pl.Expr:
    """Return the Boolean expression of rows that had happened, were known and were not annulled.

    What was repaired, has expired or is not published is still known: these are facts of the past,
    for eligibility and labels and never for a score.
    """
    return countable(as_of, purpose=Purpose.STATISTICS, columns=BASE)


def counting(as_of: AsOf, columns: Collection[str]) -> pl.Expr:
    """Return the Boolean expression of rows that count against a subject at a date."""
    return countable(as_of, purpose=Purpose.RISK_CLASS, columns=columns)
