"""The tasks of a draw (抽查任务): visits that each want a team."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import polars as pl

from models.errors import InspectionError
from models.inspection.inspectors import refuse_blanks, refuse_null, refuse_repeated, typed
from models.inspection.pool import refuse_texts

TASK: Final = pl.Schema(
    {
        "task_id": pl.String,
        "subject_id": pl.String,
        "matters": pl.List(pl.String),
        "region": pl.String,
        "starts": pl.Date,
        "ends": pl.Date,
        "last_team": pl.List(pl.String),
    }
)
_OPTIONAL: Final = frozenset({"region", "last_team"})
_FILLED: Final = ("task_id", "subject_id", "matters", "starts", "ends")


@dataclass(frozen=True, eq=False)
class Tasks:
    """Checked tasks, sorted by id.

    A task is one visit to ``subject_id`` on a day from ``starts`` to ``ends`` (both included) for
    all of its ``matters``, merged: each member of its team is qualified for every one. A joint
    visit of departments is one task for each department. ``region`` is the target's region code;
    ``last_team`` are the inspectors who were there last time. Both may be null.
    """

    frame: pl.DataFrame

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Self:
        """Check ``frame``; ``region`` and ``last_team`` may be left out.

        Raises :class:`InspectionError` for missing columns or values, duplicates, ids that a line
        cannot hold, tasks without a matter, and periods that end before they begin.
        """
        kept = typed(frame, TASK, _OPTIONAL, "the tasks").sort("task_id")
        refuse_texts(kept, "task_id", "subject_id")
        refuse_null(kept, _FILLED, "the tasks")
        refuse_repeated(kept, "task_id")
        refuse_blanks(kept, "matters")
        backwards = pl.col("starts") > pl.col("ends")
        wrong = kept.filter(backwards | (pl.col("matters").list.len() == 0))
        if not wrong.is_empty():
            raise InspectionError(
                f"task '{wrong['task_id'][0]}': must have a matter, and not end before it starts"
            )
        sets = pl.col("matters", "last_team").list.unique().list.sort()
        return cls(kept.with_columns(sets))
