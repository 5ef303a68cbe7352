"""Whom a subject is tied to, and who of them is flagged.

Ties are those that relation features count, from the network that decisions are made with. Whom the
caller may see is named; all others are only counted. Flags of the nearest are read afresh, so that
a record that was repaired a moment ago flags nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from models.features import relation
from models.features.digest import Keys, keyed
from models.features.network import FLAGS, VIAS, Network
from models.features.spec import SUBJECT
from models.records.reading import MemoryRecords
from models.scenarios.cohort import REGISTER
from serving.auth import masks
from serving.ledger import inbox
from serving.ledger.engine import Connection
from serving.ledger.overlay import overlay
from serving.portrait.memory import memory
from serving.portrait.view import View
from serving.runtime.gather import stored

SHOWN: Final = 50
"""Neighbours that are named at most."""
AFRESH: Final = 64
"""Neighbours whose flags are read afresh, those that the network flags first."""
_NONE: Final = np.array([], np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """The network there is, and the day that its records are of; null: as they are now."""

    network: Network
    made_on: date | None


def relations(view: View, connection: Connection) -> dict[str, object]:
    """Return the neighbours of the subject as of the day; flagged ones first."""
    known = _network(view)
    if known is None:
        return {"known": False, "neighbours": [], "elsewhere": {"count": 0, "flagged": 0}}
    found = relation.neighbours(known.network, view.subject, view.on)
    keys = found.get("relation_count", _NONE)
    people = _people(view, keys)
    flags = _flags(view, connection, known.network, people)
    rows = people.join(_vias(found), on="key", how="left").join(flags, on="key", how="left")
    regions = rows["region"].to_list()
    seen = pl.Series([view.caller.sees_region(one) for one in regions], dtype=pl.Boolean)
    mine = rows.filter(seen).sort("flagged", SUBJECT, descending=[True, False])
    unnamed = len(keys) - people.height  # whom no register names belongs to nobody's region
    others = rows.filter(~seen)
    return {
        "known": True,
        "made_on": known.made_on,
        "count": len(keys),
        "flagged": int(rows["flagged"].sum()),
        "neighbours": _named(view, mine.head(SHOWN)),
        "more": max(0, mine.height - SHOWN),
        "elsewhere": {
            "count": others.height + unnamed,
            "flagged": int(others["flagged"].sum()),
        },
    }


def _network(view: View) -> _Known | None:
    """Return the network of the newest reference, or of the whole lake where it is small."""
    runtime, today = view.service.runtime, view.service.today()
    for live in runtime.all():
        if live.role != "champion" or not live.pipeline.family("relation"):
            continue
        name = runtime.references.newest(live.pipeline, today)
        if name is not None:
            reference = runtime.references.named(live.pipeline, name, today)
            return _Known(reference.network, date.fromisoformat(name[:10]))
    lake = runtime.lake
    small = runtime.settings.reference_inline
    if REGISTER in lake.tables() and lake.rows(REGISTER) <= small:
        return _Known(memory(runtime).network(lake), None)
    return None


def _people(view: View, keys: Keys) -> pl.DataFrame:
    """Return ``key, subject_id, region`` of neighbours, by the register or the subject's ties."""
    index = memory(view.service.runtime).register(view.own.lake)
    schema = {"key": pl.UInt64, SUBJECT: pl.String, "region": pl.String}
    named = index.ids(keys) if index is not None and len(keys) else pl.DataFrame(schema=schema)
    others = pl.Series(SUBJECT, [], dtype=pl.String)
    if "relation" in view.own.tables:
        others = view.own.narrow("relation", ["other_id"])["other_id"].drop_nulls().unique()
    tied = pl.DataFrame({"key": keyed(others), SUBJECT: others}).with_columns(
        pl.lit(None, pl.String).alias("region")
    )
    wanted = pl.Series(keys, dtype=pl.UInt64).implode()
    more = tied.filter(pl.col("key").is_in(wanted)).join(named, on="key", how="anti")
    return pl.concat([named, more.select(named.columns)])


def _vias(found: Mapping[str, Keys]) -> pl.DataFrame:
    """Return ``key`` and the kinds of tie."""
    parts = [
        pl.DataFrame({"key": pl.Series(found.get(f"relation_{via}_count", _NONE), dtype=pl.UInt64)})
        .with_columns(pl.lit(via).alias("ties"))
        .unique()
        for via in VIAS
    ]
    return pl.concat(parts).group_by("key").agg(pl.col("ties").sort())


def _flags(
    view: View, connection: Connection, network: Network, people: pl.DataFrame
) -> pl.DataFrame:
    """Return ``key``, ``flags`` and whether there are any."""
    told = people.with_columns(
        pl.Series("bits", network.flags_of(people["key"].to_numpy(), view.on), dtype=pl.UInt8)
    ).sort("bits", SUBJECT, descending=[True, False])
    near = told.head(AFRESH)[SUBJECT].to_list()
    fresh = Network.of([_records(view, connection, near)], outcomes=False)
    first = told.head(AFRESH)
    bits = [
        *fresh.flags_of(first["key"].to_numpy(), view.on).tolist(),
        *told.slice(AFRESH)["bits"].to_list(),
    ]
    names = [[flag for n, flag in enumerate(FLAGS) if one >> n & 1] for one in bits]
    return told.select("key").with_columns(
        pl.Series("flags", names, dtype=pl.List(pl.String)),
        pl.Series("flagged", [one > 0 for one in bits], dtype=pl.Boolean),
    )


def _records(view: View, connection: Connection, subjects: Sequence[str]) -> MemoryRecords:
    """Return the records of neighbours that may flag them, live ones included."""
    fresh = inbox.pending(connection, subjects, contracts=view.own.contracts) if subjects else {}
    versions = {table: at for table, at in view.own.versions.items() if table in FLAGS}
    frames = stored(view.own.lake, subjects, versions) if subjects else {}
    for table in set(FLAGS) & fresh.keys():
        frames[table] = overlay(frames.get(table, pl.DataFrame()), fresh[table])
    return MemoryRecords({name: frame for name, frame in frames.items() if frame.height})


def _named(view: View, rows: pl.DataFrame) -> list[dict[str, object]]:
    """Return neighbours with their names as the register had them on the day."""
    names: dict[str, str] = {}
    if REGISTER in view.own.versions and rows.height:
        at = {REGISTER: view.own.versions[REGISTER]}
        register = stored(view.own.lake, rows[SUBJECT].to_list(), at)[REGISTER]
        known = register.filter(pl.col("known_at") < view.before)
        names = dict(known.select(SUBJECT, "name").iter_rows())
    return [
        {
            "subject_id": row[SUBJECT],
            "name": _name(view, row[SUBJECT], names),
            "region": row["region"],
            "ties": row["ties"] or [],
            "flags": row["flags"],
        }
        for row in rows.iter_rows(named=True)
    ]


def _name(view: View, subject: str, names: Mapping[str, str]) -> str | None:
    """Return a neighbour's name; a natural person's only where persons' fields are shown."""
    name = names.get(subject)
    person = subject.startswith("P_")
    return masks.STARS if name is not None and person and not view.open else name
