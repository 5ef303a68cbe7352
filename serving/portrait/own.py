"""One subject's records at one moment, lake and live rows together, read no wider than is asked.

A subject may have tens of thousands of records. What counts is told from a few narrow columns; the
whole rows are read of those alone that are shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from models.features.spec import SUBJECT
from models.records.contract import Contract
from models.records.lake import Lake
from models.records.lake.layout import KEY, bucket_of
from models.records.reading import MemoryRecords
from models.scenarios.cohort import REGISTER
from serving.ledger import inbox
from serving.ledger.engine import Connection
from serving.ledger.overlay import overlay
from serving.portrait.memory import memory
from serving.runtime.gather import regions_of
from serving.runtime.runtime import Runtime

_PLACED: Final = (SUBJECT, "region", "happened_on")


@dataclass(frozen=True, slots=True, eq=False)
class Own:
    """A subject's records; ``fresh`` are live ones as the lake will have them, whole, by table."""

    lake: Lake
    contracts: Mapping[str, Contract]
    subject: str
    versions: Mapping[str, int]
    fresh: Mapping[str, pl.DataFrame]

    @classmethod
    def of(cls, runtime: Runtime, connection: Connection, subject: str) -> Own:
        """Fix the moment: the live records and the versions of the lake's tables."""
        # The inbox first: what moves into the lake meanwhile is seen twice, and twice is once.
        posted = inbox.pending(connection, [subject], contracts=runtime.contracts)
        lake = runtime.lake
        there = memory(runtime).tables(lake, runtime.contracts)
        versions = {table: lake.version(table) for table in there}
        own = cls(lake, runtime.contracts, subject, versions, {})
        fresh = {
            table: overlay(own.whole(table, rows[KEY].to_list()), rows)
            for table, rows in posted.items()
        }
        return cls(lake, runtime.contracts, subject, versions, fresh)

    @property
    def tables(self) -> list[str]:
        """Return the tables that may have records of the subject."""
        return sorted({*self.versions, *self.fresh})

    def columns(self, table: str) -> list[str]:
        """Return the columns of a table that can be asked for."""
        return list(self.contracts[table].columns)

    def narrow(self, table: str, columns: Sequence[str]) -> pl.DataFrame:
        """Return some columns of all the subject's records of a table, ``record_id`` among them."""
        wanted = list(dict.fromkeys((KEY, *columns)))
        found = self._stored(table, wanted)
        fresh = self.fresh.get(table)
        if fresh is None:
            return found
        kept = found.filter(~pl.col(KEY).is_in(fresh[KEY].implode()))
        return pl.concat([kept, self._shaped(table, fresh, wanted)])

    def whole(
        self, table: str, ids: Collection[str], *, days: pl.Series | None = None
    ) -> pl.DataFrame:
        """Return a few of the subject's records whole; ``days`` are those on which they happened.

        An id that is none of the subject's is passed over.
        """
        names = self.columns(table)
        wanted = pl.col(KEY).is_in(list(ids))
        found = pl.DataFrame(schema=self.contracts[table].dtypes)
        if table in self.versions and ids:
            found = self._shaped(table, self._found(table, wanted, days), names)
        fresh = self.fresh.get(table)
        if fresh is None:
            return found
        live = self._shaped(table, fresh, names).filter(wanted)
        return pl.concat([found.filter(~pl.col(KEY).is_in(live[KEY].implode())), live])

    def region(self) -> tuple[bool, str | None]:
        """Return whether anything is known of the subject at all, and its region code."""
        register = self._placed([REGISTER])
        found = regions_of(register)
        if found.get(self.subject) is None:
            found = regions_of(self._placed(self.tables))
        return self.subject in found, found.get(self.subject)

    def _placed(self, tables: Sequence[str]) -> MemoryRecords:
        frames = {t: self.narrow(t, _PLACED).select(_PLACED) for t in tables if t in self.tables}
        return MemoryRecords({name: frame for name, frame in frames.items() if frame.height})

    def _found(self, table: str, wanted: pl.Expr, days: pl.Series | None) -> pl.DataFrame:
        """Read stored records by their day, which Parquet has statistics of, and id."""
        version = self.versions[table]
        if days is None or days.is_empty():
            return self.lake.subject(table, self.subject, version=version).filter(wanted)
        bucket = bucket_of(self.subject, self.lake.buckets)
        within = pl.col("happened_on").is_between(pl.lit(days.min()), pl.lit(days.max()))
        mine = pl.col(SUBJECT) == self.subject
        rows = self.lake.scan(table, version=version, bucket=bucket)
        return rows.filter(mine, within, wanted).collect()

    def _stored(self, table: str, wanted: Sequence[str]) -> pl.DataFrame:
        if table not in self.versions:
            return self._shaped(table, pl.DataFrame(), wanted)
        version = self.versions[table]
        there = self.lake.schema(table, version=version)
        columns = [name for name in wanted if name in there]
        rows = self.lake.subject(table, self.subject, version=version, columns=columns)
        return self._shaped(table, rows, wanted)

    def _shaped(self, table: str, rows: pl.DataFrame, wanted: Sequence[str]) -> pl.DataFrame:
        """Return the wanted columns in their types; what an old table lacks is null."""
        dtypes = self.contracts[table].dtypes
        if not rows.width:
            return pl.DataFrame(schema={name: dtypes[name] for name in wanted})
        return rows.select(
            pl.col(name).cast(dtypes[name])
            if name in rows.columns
            else pl.lit(None, dtypes[name]).alias(name)
            for name in wanted
        )
