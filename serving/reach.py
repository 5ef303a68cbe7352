"""How far a post reaches: no row may alter a record, or move a subject, of somebody else's scope.

A row says itself what region and authority it is of. What it corrects may be of others; and the
region of a subject follows from its records, so that a row of the own region could make a subject
of elsewhere one's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from models.records.reading import MemoryRecords
from models.scenarios.cohort import REGISTER
from serving.auth.caller import Caller
from serving.jobs.intake import ROW
from serving.ledger import inbox
from serving.ledger.overlay import overlay
from serving.runtime.gather import regions_of, stored
from serving.service import Service

_KEY = "record_id"
_SUBJECT = "subject_id"


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
