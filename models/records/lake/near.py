"""Small files of a lake as they were read last: one subject's rows are then a slice.

A file of a lake never changes, so what was read of it stays true; a later version of a table names
other files. Large files are left to Parquet's own statistics, which find one subject without
decoding the rest.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import polars as pl

from models.records.lake.layout import SUBJECT

if TYPE_CHECKING:
    from models.records.lake.snapshot import DataFile, Snapshot

SMALL: Final = 2**19
"""Bytes of a file up to which it is kept whole."""
ROOM: Final = 128 * 2**20
"""Bytes in memory that all kept files take together at most."""


class Near:
    """Files of one lake; may be shared by threads."""

    def __init__(self, *, small: int = SMALL, room: int = ROOM) -> None:
        """Start empty."""
        self._small = small
        self._room = room
        self._lock = threading.Lock()
        self._frames: OrderedDict[str, tuple[pl.DataFrame, int]] = OrderedDict()
        self.taken = 0
        """Bytes that the kept files take."""

    def rows(self, snapshot: Snapshot, file: DataFile, subject_id: str) -> pl.DataFrame | None:
        """Return a subject's rows of a file; null where the file is not kept.

        Raises LakeError where the file cannot be read.
        """
        if file.size > self._small:
            return None
        frame = self._frame(snapshot, file)
        if frame is None:
            return None
        subjects = frame[SUBJECT]
        begin = int(subjects.search_sorted(subject_id, "left"))
        return frame.slice(begin, int(subjects.search_sorted(subject_id, "right")) - begin)

    def _frame(self, snapshot: Snapshot, file: DataFile) -> pl.DataFrame | None:
        path = snapshot.path(file)
        with self._lock:
            held = self._frames.get(path)
            # A table that has grown a column since shows it of old files too.
            if held is not None and held[0].schema == snapshot.schema:
                self._frames.move_to_end(path)
                return held[0]
        frame = snapshot.read([file])
        if frame[SUBJECT].null_count() or not frame[SUBJECT].is_sorted():
            return None  # written by another hand: its order says nothing
        self._keep(path, frame.rechunk())
        return frame

    def _keep(self, path: str, frame: pl.DataFrame) -> None:
        size = int(frame.estimated_size())
        with self._lock:
            if (before := self._frames.pop(path, None)) is not None:
                self.taken -= before[1]
            self._frames[path] = (frame, size)
            self.taken += size
            while self.taken > self._room:
                self.taken -= self._frames.popitem(last=False)[1][1]
