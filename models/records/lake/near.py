"""Small files of a lake as they were read last: one subject's rows are then a slice.

A file of a lake never changes, so what was read of it stays true; a later version of a table names
other files. Large files are left to Parquet's own statistics, which find one subject without
decoding the rest.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from models.records.lake.layout import SUBJECT

if TYPE_CHECKING:
    from models.records.lake.snapshot import DataFile, Snapshot

SMALL: Final = 2**19
"""Bytes of a file up to which it is kept whole."""
ROOM: Final = 128 * 2**20
"""Bytes in memory that all kept files take together at most."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A file's rows, the bytes they take, and where each subject's begin and how many they are."""

    frame: pl.DataFrame
    size: int
    places: dict[str, tuple[int, int]]


class Near:
    """Files of one lake; may be shared by threads."""

    def __init__(self, *, small: int = SMALL, room: int = ROOM) -> None:
        """Start empty."""
        self._small = small
        self._room = room
        self._lock = threading.Lock()
        self._files: OrderedDict[str, _Held] = OrderedDict()
        self.taken = 0
        """Bytes that the kept files take."""

    def rows(self, snapshot: Snapshot, file: DataFile, subject_id: str) -> pl.DataFrame | None:
        """Return a subject's rows of a file; null where the file is not kept.

        Raises LakeError where the file cannot be read.
        """
        if file.size > self._small:
            return None
        held = self._held(snapshot, file)
        return None if held is None else held.frame.slice(*held.places.get(subject_id, (0, 0)))

    def _held(self, snapshot: Snapshot, file: DataFile) -> _Held | None:
        path = snapshot.path(file)
        with self._lock:
            held = self._files.get(path)
            # A table that has grown a column since shows it of old files too.
            if held is not None and held.frame.columns == snapshot.schema.names():
                self._files.move_to_end(path)
                return held
        frame = snapshot.read([file])
        if frame[SUBJECT].null_count() or not frame[SUBJECT].is_sorted():
            return None  # written by another hand: its order says nothing
        held = _Held(frame.rechunk(), int(frame.estimated_size()), _places(frame[SUBJECT]))
        self._keep(path, held)
        return held

    def _keep(self, path: str, held: _Held) -> None:
        with self._lock:
            if (before := self._files.pop(path, None)) is not None:
                self.taken -= before.size
            self._files[path] = held
            self.taken += held.size
            while self.taken > self._room:
                self.taken -= self._files.popitem(last=False)[1].size


def _places(subjects: pl.Series) -> dict[str, tuple[int, int]]:
    """Return where each subject begins in a sorted column, and how many rows it has."""
    runs = subjects.rle().struct.unnest()
    begins = (runs["len"].cum_sum() - runs["len"]).to_list()
    return dict(zip(runs["value"], zip(begins, runs["len"], strict=True), strict=True))
