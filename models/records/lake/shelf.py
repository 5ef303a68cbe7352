"""What is known of a lake's tables: the latest snapshot of each, and older ones asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import LakeMissingError
from models.records.lake.layout import check_table_name
from models.records.lake.place import Place, log_entry, translated
from models.records.lake.snapshot import Snapshot, open_delta, take_snapshot

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from models.records.lake.catalogue import Catalogue

_PINNED = 64


@dataclass(slots=True)
class _Handle:
    """One table: ``lock`` guards what is known, ``writing`` orders this process's own writes."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    writing: threading.Lock = field(default_factory=threading.Lock)
    delta: DeltaTable | None = None
    snapshot: Snapshot | None = None


class Shelf:
    """Snapshots of the tables at ``place``, shared by the threads that read them."""

    def __init__(self, place: Place, catalogue: Catalogue) -> None:
        self._place = place
        self._catalogue = catalogue
        self._handles: dict[str, _Handle] = {}
        self._pinned: OrderedDict[tuple[str, int], Snapshot] = OrderedDict()
        self._lock = threading.Lock()

    def tables(self) -> list[str]:
        """Give the names of the tables that exist, sorted."""
        return [table for table in self._catalogue.tables() if self.current(table) is not None]

    def writing(self, table: str) -> threading.Lock:
        """Give the lock under which this process writes ``table``."""
        return self._handle(table).writing

    def _handle(self, table: str) -> _Handle:
        with self._lock:
            return self._handles.setdefault(table, _Handle())

    def current(self, table: str, *, fresh: bool = True) -> Snapshot | None:
        """Give the latest snapshot of ``table``, None when there is no such table."""
        check_table_name(table)
        handle = self._handle(table)
        known = handle.snapshot
        if known is not None and not (fresh and self._may_be_newer(table, known.version)):
            return known
        with handle.lock:
            if handle.delta is None:
                handle.delta = open_delta(self._place, table)
                if handle.delta is None:
                    return None
            else:
                with translated("read the log of", self._place.at(table)):
                    handle.delta.update_incremental()
            if handle.snapshot is None or handle.snapshot.version != handle.delta.version():
                handle.snapshot = take_snapshot(self._place, table, handle.delta)
            return handle.snapshot

    def _may_be_newer(self, table: str, version: int) -> bool:
        # Locally one look for the next log entry is a hundred times cheaper than asking Delta.
        return self._place.remote or Path(log_entry(self._place, table, version + 1)).exists()

    def snapshot(self, table: str, version: int | None, *, fresh: bool = True) -> Snapshot:
        """Give ``table`` at ``version``, or the latest (LakeMissingError when there is none)."""
        if version is not None and (pinned := self._pinned.get((table, version))) is not None:
            return pinned
        latest = self.current(table, fresh=fresh)
        if latest is None:
            raise self._missing(table)
        if version is None or version == latest.version:
            return latest
        if not 0 <= version < latest.version:
            raise LakeMissingError(
                f"table {table!r} has no version {version}; it has 0 to {latest.version}"
            )
        return self._pin(table, version)

    def _pin(self, table: str, version: int) -> Snapshot:
        delta = open_delta(self._place, table, version)
        if delta is None:
            raise self._missing(table)
        snapshot = take_snapshot(self._place, table, delta)
        with self._lock:
            self._pinned[table, version] = snapshot
            while len(self._pinned) > _PINNED:
                self._pinned.popitem(last=False)
        return snapshot

    def opened(self, table: str) -> DeltaTable:
        """Open ``table`` at its latest version, for work that commits or reads its log."""
        check_table_name(table)
        delta = open_delta(self._place, table)
        if delta is None:
            raise self._missing(table)
        return delta

    def _missing(self, table: str) -> LakeMissingError:
        tables = self.tables()
        if not tables:
            return LakeMissingError(
                f"the lake at {self._place.root} has no table {table!r}: it is empty; "
                "import records first"
            )
        return LakeMissingError(
            f"the lake at {self._place.root} has no table {table!r}; it has {', '.join(tables)}"
        )
