"""Inspectors and tasks for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TypeAlias

import polars as pl

from models.inspection.inspectors import Inspectors
from models.inspection.tasks import Tasks

Column: TypeAlias = Sequence[object] | pl.Series

STARTS, ENDS = date(2026, 3, 2), date(2026, 3, 6)


def people(count: int, **columns: Column) -> pl.DataFrame:
    """Return inspectors who may go anywhere for the matter 食品; ``columns`` replace some."""
    made = pl.DataFrame(
        {
            "inspector_id": [f"i{n:03d}" for n in range(count)],
            "certificate": [f"执法{n:03d}" for n in range(count)],
            "valid_until": [date(2027, 12, 31)] * count,
            "matters": [["食品"]] * count,
        }
    )
    return made.with_columns(pl.Series(name, values) for name, values in columns.items())


def visits(count: int, **columns: Column) -> pl.DataFrame:
    """Return tasks of one week; ``columns`` replace some."""
    made = pl.DataFrame(
        {
            "task_id": [f"t{n:03d}" for n in range(count)],
            "subject_id": [f"s{n:03d}" for n in range(count)],
            "matters": [["食品"]] * count,
            "starts": [STARTS] * count,
            "ends": [ENDS] * count,
        }
    )
    return made.with_columns(pl.Series(name, values) for name, values in columns.items())


def inspectors(count: int, **columns: Column) -> Inspectors:
    """Return checked inspectors."""
    return Inspectors.of(people(count, **columns))


def tasks(count: int, **columns: Column) -> Tasks:
    """Return checked tasks."""
    return Tasks.of(visits(count, **columns))


def pairs(rows: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """Return conflicts."""
    return pl.DataFrame(rows, {"inspector_id": pl.String, "subject_id": pl.String}, orient="row")
