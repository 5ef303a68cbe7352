"""Tasks and inspectors as arrays: who may take what, and in which random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from models.errors import InspectionError
from models.features.arrays import Bytes, Longs
from models.inspection.draw import digests

if TYPE_CHECKING:
    from models.inspection.inspectors import Flags, Inspectors
    from models.inspection.tasks import Tasks

BOUNDLESS: Final = 1 << 40
_KIND: Final = ("matters", "region", "starts", "ends")
REQUIREMENTS: Final = {
    "uncertified": "hold no certificate",
    "expired": "hold one that is not valid throughout the period",
    "unqualified": "are not qualified for the matters",
    "elsewhere": "are of other regions",
    "on_leave": "are on leave",
    "in_conflict": "must keep away from the target",
}
"""What a person may lack for a task, in the order in which it is looked at, as messages word it."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Inspectors listed by task: those of task ``t`` are ``of[starts[t]:starts[t + 1]]``."""

    of: Longs
    starts: Longs

    def at(self, task: int) -> Longs:
        """Return the inspectors of one task."""
        return self.of[self.starts[task] : self.starts[task + 1]]


@dataclass(frozen=True, eq=False)
class Board:
    """Inspectors and tasks by place, in the order of their ids.

    ``able`` tells by kind of task (``kind`` of each task) who meets all that is asked but for what
    concerns the single target: ``barred`` and ``last``, those of the last team. ``room`` is the
    most tasks of each inspector.
    """

    size: int
    inspectors: pl.Series
    tasks: pl.Series
    kind: Longs
    able: Bytes
    barred: Pairs
    last: Pairs
    room: Longs
    bits: Longs
    task_bits: Longs
    lacking: pl.DataFrame
    """By kind: how many inspectors lack each of ``REQUIREMENTS`` first."""

    @property
    def order(self) -> Longs:
        """Return the tasks in the order of their random bits."""
        return np.argsort(self.task_bits.view(np.uint64), kind="stable").astype(np.int64)

    def may(self, task: int) -> Flags:
        """Tell who may take ``task``, whatever their load."""
        able = self.able[self.kind[task]].astype(np.bool_)
        able[self.barred.at(task)] = False
        return able


def board(
    inspectors: Inspectors, tasks: Tasks, seed: str, *, size: int, recused: pl.DataFrame
) -> Board:
    """Return the board for teams of ``size``; ``recused`` are pairs of task_id and inspector_id."""
    if size < 2:
        raise InspectionError(f"a team of {size}: an inspection needs two inspectors or more")
    ids, frame = inspectors.frame["inspector_id"], tasks.frame
    kinds = frame.select(_KIND).unique(maintain_order=True).with_row_index("kind")
    kind = frame.join(kinds, on=_KIND, how="left", nulls_equal=True, maintain_order="left")["kind"]
    able, lacking = _able(inspectors, kinds)
    room = inspectors.frame["capacity"].fill_null(BOUNDLESS)
    return Board(
        size=size,
        inspectors=ids,
        tasks=frame["task_id"],
        kind=kind.cast(pl.Int64).to_numpy(),
        able=able,
        barred=_pairs(_barred(inspectors, frame, recused), frame, ids),
        last=_pairs(
            frame.select("task_id", pl.col("last_team").alias("inspector_id"))
            .explode("inspector_id", empty_as_null=True)
            .drop_nulls(),
            frame,
            ids,
        ),
        room=room.to_numpy(),
        bits=digests(seed, ",inspector," + ids).view(np.int64),
        task_bits=digests(seed, ",task," + frame["task_id"]).view(np.int64),
        lacking=lacking,
    )


def _able(inspectors: Inspectors, kinds: pl.DataFrame) -> tuple[Bytes, pl.DataFrame]:
    """Return who meets what each kind asks, and how many fail at which requirement."""
    able = np.empty((kinds.height, inspectors.size), np.uint8)
    certified = inspectors.certified()
    parts: dict[str, dict[object, Flags]] = {
        name: {} for name in ("valid", "matters", "near", "in")
    }
    lacking: list[list[int]] = []
    for row, (_, matters, region, starts, ends) in enumerate(kinds.iter_rows()):
        key, days = tuple(matters), (starts, ends)
        if days not in parts["valid"]:
            parts["valid"][days] = inspectors.valid(starts, ends)
            parts["in"][days] = inspectors.present(starts, ends)
        if key not in parts["matters"]:
            parts["matters"][key] = inspectors.qualified(matters)
        if region not in parts["near"]:
            parts["near"][region] = inspectors.near(region)
        left = np.ones(inspectors.size, np.bool_)
        counts: list[int] = []
        for step in (
            certified,
            parts["valid"][days],
            parts["matters"][key],
            parts["near"][region],
            parts["in"][days],
        ):
            counts.append(int((left & ~step).sum()))
            left = left & step
        able[row] = left
        lacking.append(counts)
    names = list(REQUIREMENTS)[:-1]
    return able, pl.DataFrame(lacking, dict.fromkeys(names, pl.Int64), orient="row")


def _barred(inspectors: Inspectors, frame: pl.DataFrame, recused: pl.DataFrame) -> pl.DataFrame:
    kept = ("task_id", "inspector_id")
    away = frame.select("task_id", "subject_id").join(inspectors.conflicts, on="subject_id")
    return pl.concat([away.select(kept), recused.select(kept)]).unique()


def _pairs(pairs: pl.DataFrame, frame: pl.DataFrame, ids: pl.Series) -> Pairs:
    people = pl.DataFrame({"inspector_id": ids}).with_row_index("person")
    places = frame.select("task_id").with_row_index("task")
    known = pairs.join(people, on="inspector_id").join(places, on="task_id").sort("task", "person")
    counts = np.bincount(known["task"].to_numpy(), minlength=frame.height)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Pairs(known["person"].cast(pl.Int64).to_numpy().copy(), starts)
