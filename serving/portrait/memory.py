"""What portraits of one process keep between requests: the register's index, and how fresh data is.

All of it follows from versions of the lake's tables, which never change, so that nothing kept can
be wrong; the index alone may be some minutes old, which costs a newly registered subject its name.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np
import polars as pl

from models.codes import industries
from models.features.digest import Keys, keyed
from models.features.network import Network
from models.features.spec import SUBJECT
from models.records.lake import Lake
from models.records.reading import LakeRecords
from models.scenarios.cohort import REGISTER
from models.time import AsOf
from serving.runtime.runtime import Runtime

_OLD: Final = 300.0
"""Seconds for which an index serves though the register has changed."""
_KEPT: Final = 512


@dataclass(frozen=True, slots=True, eq=False)
class Register:
    """Who is registered: ``frame`` (``subject_id, region, division, key``) sorted by ``key``."""

    version: int
    made: float
    frame: pl.DataFrame

    def ids(self, keys: Keys) -> pl.DataFrame:
        """Return ``key, subject_id, region`` of those with these digests; others are left out."""
        wanted = pl.DataFrame({"key": pl.Series(np.unique(keys), dtype=pl.UInt64)})
        return self.frame.join(wanted, on="key", how="semi").select("key", SUBJECT, "region")

    def peers(self, division: str, district: str) -> list[str]:
        """Return who is of an industry division and a district, in no order that favours any."""
        mine = (pl.col("division") == division) & (pl.col("region") == district)
        return self.frame.filter(mine)[SUBJECT].to_list()


@dataclass(frozen=True, slots=True)
class Extent:
    """What a table holds as known on a day: its days, and when rows were last brought in.

    ``begins`` is the first day of any of its records, whenever it became known.
    """

    begins: date | None
    last: date | None
    imported_at: datetime | None


class Memory:
    """What one process keeps for portraits; may be shared by threads."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._tables: frozenset[str] = frozenset()
        self._register: Register | None = None
        self._network: tuple[Mapping[str, int], Network] | None = None
        self._extents: OrderedDict[tuple[str, int, date], Extent] = OrderedDict()

    def tables(self, lake: Lake, wanted: Collection[str]) -> list[str]:
        """Return which of these tables there are; one that was there is not looked for again."""
        if not self._tables.issuperset(wanted):
            self._tables = frozenset(lake.tables())
        return sorted(self._tables.intersection(wanted))

    def register(self, lake: Lake) -> Register | None:
        """Return the index of the register; null where there is none."""
        if not self.tables(lake, [REGISTER]):
            return None
        version, held = lake.version(REGISTER), self._register
        now = time.monotonic()
        if held is not None and (held.version == version or now - held.made < _OLD):
            return held
        with self._lock:
            if (again := self._register) is not held and again is not None:
                return again
            self._register = _indexed(lake, version, now)
            return self._register

    def network(self, lake: Lake) -> Network:
        """Return the network of a lake that is small enough to be read at once."""
        versions = lake.versions()
        held = self._network
        if held is not None and held[0] == versions:
            return held[1]
        with self._lock:
            made = Network.of([LakeRecords(lake, versions=versions)], outcomes=False)
            self._network = (versions, made)
            return made

    def extents(self, lake: Lake, versions: Mapping[str, int], on: date) -> dict[str, Extent]:
        """Return the extents of tables at these versions as known on a day."""
        found = {t: self._extents.get((t, v, on)) for t, v in versions.items()}
        lacking = {t: versions[t] for t, one in found.items() if one is None}
        made = _measured(lake, lacking, on)
        with self._lock:
            for table, one in made.items():
                self._extents[table, versions[table], on] = one
            while len(self._extents) > _KEPT:
                self._extents.popitem(last=False)
        return {**{t: one for t, one in found.items() if one is not None}, **made}


_memories: weakref.WeakKeyDictionary[Runtime, Memory] = weakref.WeakKeyDictionary()
_making: Final = threading.Lock()


def memory(runtime: Runtime) -> Memory:
    """Return what is kept beside a running service's models."""
    with _making:
        return _memories.setdefault(runtime, Memory())


def _indexed(lake: Lake, version: int, now: float) -> Register:
    schema = lake.schema(REGISTER, version=version)
    columns = [name for name in (SUBJECT, "region", "industry") if name in schema]
    rows = lake.scan(REGISTER, version=version, columns=columns).collect()
    for name in ("region", "industry"):
        if name not in rows.columns:
            rows = rows.with_columns(pl.lit(None, pl.String).alias(name))
    made = rows.select(
        SUBJECT,
        "region",
        industries.division_of_expr("industry").alias("division"),
        keyed(rows[SUBJECT]).alias("key"),
    )
    return Register(version, now, made.unique("key", keep="first").sort("key"))


def _measured(lake: Lake, versions: Mapping[str, int], on: date) -> dict[str, Extent]:
    if not versions:
        return {}
    view = AsOf(on)
    known = (pl.col("happened_on") <= on) & (pl.col("known_at") < view.known_before)
    frames = pl.collect_all(
        [
            lake.scan(t, version=v, columns=["happened_on", "known_at"]).select(
                pl.col("happened_on").min().alias("begins"),
                pl.col("happened_on").filter(known).max().alias("last"),
            )
            for t, v in versions.items()
        ]
    )
    return {
        table: Extent(
            begins=frame["begins"][0],
            last=frame["last"][0],
            imported_at=_imported(lake, table, version, view.known_before),
        )
        for (table, version), frame in zip(versions.items(), frames, strict=True)
    }


def _imported(lake: Lake, table: str, version: int, before: datetime) -> datetime | None:
    """Return when rows were last brought into a table before an instant."""
    merges = lake.history(table).filter(
        pl.col("version") <= version, pl.col("operation") == "merge", pl.col("at") < before
    )
    found = merges["at"].max()
    return found if isinstance(found, datetime) else None
