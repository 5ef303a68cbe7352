"""What a portrait shows of records as of a day: what counts, in pages, and nothing of later days.

A time line is read newest first. A place in it is told by the last record that was shown, so that
what arrives meanwhile moves no page.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Self, cast

import polars as pl

from models.errors import ConfigError
from models.records.countable import DTYPES
from models.records.lake.layout import KEY
from models.scenarios.known import counting
from models.time import AsOf

HAPPENED: Final = "happened_on"
EVENTS: Final = pl.Schema({"table": pl.String(), KEY: pl.String(), HAPPENED: pl.Date()})
"""The columns of :func:`events`."""
_ENDS: Final = {
    "void_from": ("void_reason",),
    "removed_on": ("remove_reason",),
    "settled_on": ("fulfilment",),
    "closed_on": ("outcome",),
    "ended_on": (),
    "revoked_on": (),
    "concluded_on": (),
}
"""Days on which a record ended, each with what was written down on that day."""

_counts: Final = lru_cache(maxsize=256)(counting)
"""The counting rule, kept for each date and table: laying it out takes longer than using it."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a time line: behind this record."""

    happened_on: date
    table: str
    record_id: str

    def token(self) -> str:
        """Return the place as an opaque text."""
        told = json.dumps([str(self.happened_on), self.table, self.record_id])
        return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")

    @classmethod
    def of(cls, token: str) -> Self:
        """Read what :meth:`token` wrote; :class:`ConfigError` for anything else."""
        try:
            told: object = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            on, table, record = cast("list[str]", told)
            for one in (table, record):
                one.encode()  # raises for what is no text, or only half a character
            return cls(date.fromisoformat(on), table, record)
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise ConfigError(
                f"cursor {token[:80]!r} is none of ours; leave it out to begin with the newest"
            ) from None


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Records of one page, newest first; ``next`` is null on the last."""

    events: pl.DataFrame
    next: Place | None


def needed(columns: Collection[str]) -> list[str]:
    """Return which of a table's columns :func:`events` reads: few, and no long texts."""
    wanted = (KEY, HAPPENED, "authority", *(name for name in DTYPES if name != HAPPENED))
    return [name for name in wanted if name in columns]


def events(rows: pl.DataFrame, table: str, on: date) -> pl.DataFrame:
    """Return the records of one subject and table that count as of a day, as :data:`EVENTS`.

    ``rows`` has what :func:`needed` names. A record that was repaired, has expired, was annulled or
    became known later is not there.
    """
    return rows.filter(_counts(AsOf(on), frozenset(rows.columns))).select(
        pl.lit(table).alias("table"), KEY, HAPPENED
    )


def page(
    parts: Sequence[pl.DataFrame],
    *,
    limit: int,
    after: Place | None = None,
    since: date | None = None,
    until: date | None = None,
) -> Page:
    """Return a page of what :func:`events` gave for each table, newest first.

    ``after`` begins behind a record; only what happened from ``since`` to ``until``, both included.
    """
    frame = pl.concat([EVENTS.to_frame(), *parts])
    if since is not None:
        frame = frame.filter(pl.col(HAPPENED) >= since)
    if until is not None:
        frame = frame.filter(pl.col(HAPPENED) <= until)
    if after is not None:
        frame = frame.filter(_behind(after))
    found = _newest(frame, limit + 1)
    kept = found.head(limit)
    more = found.height > limit
    return Page(kept, _place(kept) if more else None)


def as_known(rows: pl.DataFrame, on: date) -> pl.DataFrame:
    """Return records without what had not come yet on a day: ends and outcomes after it.

    Days that no rule dates (a fault's correction) stay as they are told now.
    """
    made: list[pl.Expr] = []
    for end, told in _ENDS.items():
        if end in rows.columns:
            later = pl.col(end) > on
            made += [
                pl.when(later).then(None).otherwise(name).alias(name)
                for name in (end, *told)
                if name in rows.columns
            ]
    return rows.with_columns(made)


def _newest(frame: pl.DataFrame, many: int) -> pl.DataFrame:
    """Return the first rows in the order of a time line, sorting no more than these and ties."""
    if frame.height > 4 * many:
        last = frame[HAPPENED].top_k(many).min()
        frame = frame.filter(pl.col(HAPPENED) >= last)
    return frame.sort(HAPPENED, "table", KEY, descending=[True, False, False]).head(many)


def _behind(place: Place) -> pl.Expr:
    same_day = pl.col(HAPPENED) == place.happened_on
    same_table = pl.col("table") == place.table
    return (
        (pl.col(HAPPENED) < place.happened_on)
        | (same_day & (pl.col("table") > place.table))
        | (same_day & same_table & (pl.col(KEY) > place.record_id))
    )


def _place(kept: pl.DataFrame) -> Place:
    table, record, on = kept.select(EVENTS.names()).row(-1)
    return Place(on, table, record)
