"""How fresh the data behind a portrait are, by table, and where they begin."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import polars as pl

from models.time import SHANGHAI
from serving.ledger import portraits
from serving.ledger.engine import Connection
from serving.portrait.memory import Extent, memory
from serving.portrait.timeline import NOT_EVENTS, Counted
from serving.portrait.view import View


def freshness(view: View, connection: Connection, found: Counted | None) -> dict[str, object]:
    """Return for each table the last record and import as known on the day, and their age in days.

    ``own_last_on`` is the day of the subject's own last record that counts.
    """
    waiting = {} if view.past else portraits.waiting_tables(connection)
    extents = _extents(view)
    return {
        "tables": [
            _table(view, table, extents.get(table), waiting.get(table), found)
            for table in sorted({*extents, *waiting}.intersection(view.own.contracts))
        ]
    }


def begins(view: View) -> date | None:
    """Return the first day of which any table of events has a record; null for an empty lake."""
    days = [
        one.begins
        for table, one in _extents(view).items()
        if one.begins is not None and table not in NOT_EVENTS
    ]
    return min(days) if days else None


def _extents(view: View) -> Mapping[str, Extent]:
    return memory(view.service.runtime).extents(view.own.lake, view.own.versions, view.on)


def _table(
    view: View,
    table: str,
    extent: Extent | None,
    waiting: tuple[int, datetime] | None,
    found: Counted | None,
) -> dict[str, object]:
    last = extent.last if extent else None
    imported = extent.imported_at if extent else None
    own = found.parts.get(table, pl.DataFrame()) if found else pl.DataFrame()
    return {
        "table": table,
        "title": view.own.contracts[table].title,
        "last_record_on": last,
        "last_record_age_days": (view.on - last).days if last else None,
        "imported_at": imported,
        "import_age_days": (view.on - imported.astimezone(SHANGHAI).date()).days
        if imported
        else None,
        "live_waiting": waiting[0] if waiting else 0,
        "live_last_at": waiting[1] if waiting else None,
        "own_last_on": own["happened_on"].max() if own.height else None,
    }
