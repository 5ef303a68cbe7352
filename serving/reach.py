"""How far a post reaches: no row may alter a record, or move a subject, of somebody else's scope.

A row says itself what region and authority it is of. What it corrects may be of others; and the
region of a subject follows from its records, so that a row of the own region could make a subject
of elsewhere one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

import polars as pl

from models.records.reading import MemoryRecords
from models.scenarios.cohort import REGISTER
from serving import fates
from serving.auth.caller import Caller
from serving.jobs.intake import ROW
from serving.ledger import inbox
from serving.ledger.engine import Connection
from serving.ledger.overlay import overlay
from serving.runtime.gather import regions_of, stored
from serving.service import Service

_KEY = "record_id"
_SUBJECT = "subject_id"


class OfRecord(Protocol):
    """What is about one record, in the order of its numbers."""

    @property
    def id(self) -> int:
        """Return its number."""
        ...

    @property
    def table_name(self) -> str:
        """Return the record's table."""
        ...

    @property
    def subject_id(self) -> str:
        """Return the record's subject."""
        ...

    @property
    def record_id(self) -> str:
        """Return the record's id."""
        ...


Kept = TypeVar("Kept", bound=OfRecord)


def beyond(service: Service, caller: Caller, table: str, good: pl.DataFrame) -> list[int]:
    """Return the places of rows that correct what is not the caller's, or move a subject to them.

    ``good`` are records of a table with their places as ``__row``. A subject that nobody knows yet
    is anybody's to report.
    """
    subjects = good[_SUBJECT].unique().sort().to_list()
    known = _known(service, subjects, [table, REGISTER])
    registered = set(known[REGISTER][_SUBJECT].to_list()) if REGISTER in known else set[str]()
    loose = [one for one in subjects if one not in registered]
    if table == REGISTER or loose:
        others = sorted(set(service.runtime.contracts) - {table, REGISTER})
        known |= _known(service, subjects, others)
    moved = _moved(caller, table, good.drop(ROW), known)
    foreign = _foreign(caller, known[table]) if table in known else set[str]()
    hit = pl.col(_SUBJECT).is_in(sorted(moved)) | pl.col(_KEY).is_in(sorted(foreign))
    return good.filter(hit)[ROW].to_list()


def unseen(service: Service, caller: Caller, subjects: Sequence[str]) -> list[str]:
    """Return those of subjects whose region the caller does not see, or of whom nobody knows."""
    regions = regions_now(service, subjects)
    return [one for one in subjects if not caller.sees_region(regions.get(one))]


def regions_now(service: Service, subjects: Sequence[str]) -> dict[str, str | None]:
    """Return the regions of subjects of whom anything is known, live records included."""
    asked = sorted(set(subjects))
    regions = regions_of(MemoryRecords(_known(service, asked, [REGISTER])))
    if loose := [one for one in asked if one not in regions]:
        others = sorted(set(service.runtime.contracts) - {REGISTER})
        regions |= regions_of(MemoryRecords(_known(service, loose, others)))
    return regions


def page(
    service: Service,
    connection: Connection,
    caller: Caller,
    read: Callable[[int | None], list[Kept]],
    *,
    before: int | None,
    limit: int,
) -> list[Kept]:
    """Return a page of what is about records of the departments that the caller sees.

    ``read`` gives up to ``limit`` of those with numbers below another, the newest first.
    """
    if not caller.departments:
        return read(before)
    found: list[Kept] = []
    while len(found) < limit:
        part = read(before)
        found += [one for one in part if _of_department(service, connection, caller, one)]
        if len(part) < limit:
            break
        before = part[-1].id
    return found[:limit]


def evidence_within(
    service: Service, caller: Caller, content: Mapping[str, object] | None
) -> Mapping[str, object] | None:
    """Return an explanation without the records of neighbours of regions that are not seen."""
    if content is None or caller.everywhere:
        return content
    told = cast("Mapping[str, list[dict[str, Any]]]", content)
    reasons = [*told["reasons"], *told["mitigating"]]
    through = {
        one["neighbour"]
        for reason in reasons
        for one in reason["evidence"] or ()
        if one["neighbour"]
    }
    if not through:
        return content
    hidden = set(unseen(service, caller, sorted(through)))

    def within(reason: dict[str, Any]) -> dict[str, Any]:
        cited = reason["evidence"]
        kept = cited and [one for one in cited if one["neighbour"] not in hidden]
        return {**reason, "evidence": kept}

    return {
        **content,
        **{name: list(map(within, told[name])) for name in ("reasons", "mitigating")},
    }


def _of_department(service: Service, connection: Connection, caller: Caller, one: OfRecord) -> bool:
    found = fates.find(
        service, connection, one.table_name, subject=one.subject_id, record_id=one.record_id
    )
    authority = None if found is None else found.record.get("authority")
    return caller.sees_department(authority if isinstance(authority, str) else None)


def _known(
    service: Service, subjects: Sequence[str], tables: Sequence[str]
) -> dict[str, pl.DataFrame]:
    """Return the subjects' records as they are now, live ones included, of tables that have any."""
    runtime = service.runtime
    with service.ledger.begin() as connection:  # the inbox first, as whoever decides does
        fresh = inbox.pending(connection, subjects, contracts=runtime.contracts)
    there = runtime.lake.tables()
    versions = {name: runtime.lake.version(name) for name in set(tables) if name in there}
    found = stored(runtime.lake, subjects, versions)
    for name in set(tables) & fresh.keys():
        found[name] = overlay(found.get(name, pl.DataFrame()), fresh[name])
    return {name: frame for name, frame in found.items() if frame.height}


def _moved(
    caller: Caller, table: str, rows: pl.DataFrame, known: Mapping[str, pl.DataFrame]
) -> set[str]:
    before = regions_of(MemoryRecords(dict(known)))
    now = overlay(known.get(table, pl.DataFrame()), rows)
    after = regions_of(MemoryRecords({**known, table: now}))
    return {
        one
        for one, region in before.items()
        if not caller.sees_region(region) and after[one] != region
    }


def _foreign(caller: Caller, known: pl.DataFrame) -> set[str]:
    return {
        number
        for number, region, authority in known.select(_KEY, "region", "authority").iter_rows()
        if not (caller.sees_region(region) and caller.sees_department(authority))
    }
