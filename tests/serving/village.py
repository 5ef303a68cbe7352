"""A made-up village in a service's lake, with a model of it: what decisions are tested on."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import polars as pl

from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.risk.bundle import Bundle
from serving.ledger import inbox
from serving.ledger.inbox import Posted
from serving.service import Service
from serving.settings import ServeSettings
from tests.models.features.firms import AS_OF, FIRMS, Row, frame
from tests.models.risk import town

SCENARIO: Final = "town"
NOON: Final = datetime(2025, 1, 1, 4, tzinfo=UTC)
"""Midday at the date of view, in Shanghai."""
LEFT_OUT: Final = 5
"""Of the firms, the last of them are known to nobody."""
KNOWN: Final = FIRMS[:-LEFT_OUT]


class Clock:
    """Tells the instant that a test says."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def on(self, day: date) -> None:
        """Go to midday of a day."""
        self.at = NOON + timedelta(days=(day - AS_OF).days)


def settings(home: Path, database: str, **more: object) -> ServeSettings:
    """Return settings of a village of its own."""
    return ServeSettings.model_validate(
        {"home": home, "database_url": database, "model_poll": 3600, **more}
    )


def furnish(home: Path) -> None:
    """Put the village's lake and its model under a service's home."""
    shutil.copytree(_lake(), home / "lake")
    place(bundle(), home)


@contextmanager
def running(
    home: Path, database: str, *, clock: Clock | None = None, **more: object
) -> Generator[Service]:
    """Yield a service over a village of its own, whose model is live; ``more`` are settings."""
    furnish(home)
    made = Service.open(settings(home, database, **more), clock=clock or Clock())
    made.runtime.refresh()
    yield made
    made.close()


def place(made: Bundle, home: Path, role: str = "champion") -> Path:
    """Put a bundle where an operator would, instead of what is there."""
    folder = home / "serving" / "bundles" / SCENARIO / role
    shutil.rmtree(folder, ignore_errors=True)
    made.save(folder)
    return folder


@cache
def bundle() -> Bundle:
    """Return the village's model, which has learnt who is risky."""
    return town.bundle()


@cache
def other_bundle() -> Bundle:
    """Return a model of the same features that has learnt the opposite."""
    return town.fitted(town.features(), 1.0 - town.risk())


def post(service: Service, table: str, *rows: Row) -> int:
    """Write rows into the inbox as a caller's, and return the number of the last."""
    made = frame(table, rows)
    records = [
        Posted(
            table=table,
            record_id=row["record_id"],
            subject_id=row["subject_id"],
            region=row["region"],
            record=made[n : n + 1].select(pl.struct(pl.all()).struct.json_encode()).item(),
        )
        for n, row in enumerate(made.iter_rows(named=True))
    ]
    with service.ledger.begin() as connection:
        return inbox.write(connection, records, caller="test", at=service.clock())


def stored(number: int, table: str) -> pl.DataFrame:
    """Return a firm's rows of a table as the lake has them at first."""
    return town.everyone().frames[table].filter(pl.col("subject_id") == FIRMS[number])


def rows_of(number: int) -> Mapping[str, pl.DataFrame]:
    """Return a firm's rows of all tables."""
    return {table: stored(number, table) for table in CONTRACTS}


@cache
def _lake() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="xj-village-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    lake = Lake.open(folder / "lake", buckets=4)
    for table, rows in town.everyone().frames.items():
        if rows.height:
            lake.merge(table, rows.filter(pl.col("subject_id").is_in(KNOWN)))
    return folder / "lake"
