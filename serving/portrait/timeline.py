"""The time line of a portrait: records that count as of a day, newest first, page by page."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from models.records.countable import publicity_end
from models.records.lake.layout import KEY
from models.supervision.clocks import CLOCKS, LICENCE, TABLES, clocks, ordered, with_status
from models.supervision.portrait import HAPPENED, Place, as_known, events, needed, page
from models.supervision.repair import Status
from models.time import AsOf
from serving.portrait.view import View

NOT_EVENTS: Final = frozenset({"subject", "person_role", "relation"})
"""Tables that tell who a subject is and to whom it is tied."""
_BOOKS: Final = frozenset(
    {
        *("record_id", "subject_id", "happened_on", "known_at", "known_assumed", "authority"),
        *("authority_code", "region", "source_ref", "findings", "severity"),
    }
)
"""Columns that an entry tells apart from its fields, or that are our own bookkeeping."""
_ENDING: Final = frozenset({"severity", "max_months", "kind"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page that is asked for; no ``tables`` are all."""

    limit: int
    after: Place | None = None
    tables: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What counts of a subject, by table as :data:`models.supervision.portrait.EVENTS`.

    ``disputed`` are table and id of records whose truth is disputed: they are marked and never
    shown as counting. ``withheld`` is how many are of departments that the caller may not see.
    """

    parts: Mapping[str, pl.DataFrame]
    disputed: frozenset[tuple[str, str]]
    withheld: int

    def counts(self) -> dict[str, int]:
        """Return how many records of each table count, disputed ones left out."""
        found: dict[str, int] = {}
        for table, part in self.parts.items():
            ids = [record for where, record in self.disputed if where == table]
            hidden = part.filter(pl.col(KEY).is_in(ids)).height if ids else 0
            if part.height > hidden:
                found[table] = part.height - hidden
        return found


def counted(view: View, disputed: Collection[tuple[str, str]]) -> Counted:
    """Return what counts of the subject as of the day, from narrow columns alone."""
    parts: dict[str, pl.DataFrame] = {}
    withheld = 0
    for table in view.own.tables:
        if table in NOT_EVENTS:
            continue
        rows = view.own.narrow(table, needed(view.own.columns(table)))
        if rows.is_empty():
            continue
        part = events(rows, table, view.on)
        seen = part.filter(_of_departments(view, rows))
        withheld += part.height - seen.height
        parts[table] = seen
    return Counted(parts, frozenset(disputed), withheld)


def timeline(view: View, found: Counted, wanted: Wanted) -> dict[str, object]:
    """Return a page of the time line."""
    parts = [p for t, p in found.parts.items() if not wanted.tables or t in wanted.tables]
    one = page(
        parts, limit=wanted.limit, after=wanted.after, since=wanted.since, until=wanted.until
    )
    shown: dict[tuple[str, str], dict[str, object]] = {}
    titles: dict[str, dict[str, str]] = {}
    for table in sorted(one.events["table"].unique()):
        mine = one.events.filter(pl.col("table") == table)
        entries = _entries(view, table, mine, found.disputed)
        shown |= {(table, str(entry[KEY])): {**entry, "fields": told} for entry, told in entries}
        names = {name for _, told in entries for name in told}
        contract = view.own.contracts[table]
        titles[table] = {name: contract.title_of(name) for name in sorted(names)}
    keys = one.events.select("table", KEY).iter_rows()
    return {
        "records": [shown[key] for key in keys if key in shown],
        "titles": titles,
        "counts": found.counts(),
        "withheld": found.withheld,
        "next": one.next.token() if one.next else None,
    }


def clocks_of(
    view: View, found: Counted, statuses: Mapping[tuple[str, str], Status], *, limit: int
) -> dict[str, object]:
    """Return the clocks of what counts; ``statuses`` are those of records with a case."""
    made = [CLOCKS.to_frame()]
    made += [
        clocks(_rows_of(view, table, found.parts[table]), table, view.on)
        for table in (*TABLES, LICENCE)
        if table in found.parts and found.parts[table].height
    ]
    every = ordered(with_status(pl.concat(made), statuses, view.on))
    states = dict(every.group_by("kind", "state").len().select(
        pl.concat_str("kind", "state", separator="."), "len").iter_rows())  # fmt: skip
    rows = every.head(limit).iter_rows(named=True)
    return {
        "clocks": [
            {
                **row,
                "days_left": _left(row["next_on"], view.on),
                "disputed": (row["table"], row[KEY]) in found.disputed,
            }
            for row in rows
        ],
        "counts": dict(sorted(states.items())),
        "more": max(0, every.height - limit),
    }


def ending(found: Counted) -> int:
    """Return how many records count that an application could be about."""
    return sum(found.parts[table].height for table in TABLES if table in found.parts)


_CLOCK_COLUMNS: Final = (
    *(KEY, HAPPENED, "known_at", "void_from", "void_reason", "severity", "published"),
    *("max_months", "restrict_until", "corrected", "kind", "removed_on", "authority"),
    *("penalty_kinds", "reason_code", "document_number", "valid_to", "valid_from"),
    *("certificate_name", "document_name"),
)


def _rows_of(view: View, table: str, part: pl.DataFrame) -> pl.DataFrame:
    columns = [name for name in _CLOCK_COLUMNS if name in view.own.columns(table)]
    rows = view.own.narrow(table, columns)
    return rows if rows.height == part.height else rows.join(part, on=KEY, how="semi")


def _left(day: date | None, on: date) -> int | None:
    return None if day is None else (day - on).days


def _of_departments(view: View, rows: pl.DataFrame) -> pl.Expr:
    """Return which events are of departments that the caller may see."""
    departments = view.caller.departments
    if not departments or "authority" not in rows.columns:
        return pl.lit(value=True)
    seen = rows.filter(pl.col("authority").is_in(list(departments)))[KEY]
    return pl.col(KEY).is_in(seen.implode())


def _entries(
    view: View, table: str, mine: pl.DataFrame, disputed: Collection[tuple[str, str]]
) -> list[tuple[dict[str, object], dict[str, object]]]:
    """Return entries of one table, each with its fields."""
    contract = view.own.contracts[table]
    rows = view.own.whole(table, mine[KEY].to_list(), days=mine[HAPPENED])
    columns = rows.columns
    if set(columns) & _ENDING:
        ends = publicity_end(AsOf(view.on), columns=columns).alias("_ends")
        rows = rows.with_columns(ends)
    told = view.masked(as_known(rows, view.on), contract)
    return [
        (_entry(row, table, contract.title, disputed), _fields(row))
        for row in told.iter_rows(named=True)
    ]


def _entry(
    row: Mapping[str, object], table: str, title: str, disputed: Collection[tuple[str, str]]
) -> dict[str, object]:
    marked = (table, str(row[KEY])) in disputed
    return {
        "table": table,
        "title": title,
        "record_id": row[KEY],
        "happened_on": row[HAPPENED],
        "known_at": row["known_at"],
        "authority": row.get("authority"),
        "region": row.get("region"),
        "severity": row.get("severity"),
        "counts": not marked,
        "disputed": marked,
        "ends_on": row.get("_ends"),
    }


def _fields(row: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value
        for name, value in row.items()
        if value is not None and name not in _BOOKS and name != "_ends"
    }
