"""Whose results depend on a subject's: all that are tied to it, in the lake or in the inbox.

Wider than what the features count (:mod:`models.features.relation`): a tie that has ended, or that
the next reference alone will know, is one here. To decide somebody anew in vain is harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from models.features.network import plain_address
from models.features.spec import SUBJECT
from models.records.lake import Lake
from models.scenarios.cohort import REGISTER
from serving.ledger import voids
from serving.ledger.engine import Connection
from serving.service import Service

_NODES: Final = {"person_role": "person_id", REGISTER: "address"}
"""Tables of what subjects share, and the column that names it."""
_RELATION: Final = "relation"
_OTHER: Final = "other_id"


def neighbours(service: Service, connection: Connection, *subjects: str) -> list[str]:
    """Return whose relation features may count one of the subjects, sorted, and none of these.

    They share a person or an address with it, or are tied to it either way round; where a model
    that is live counts two steps, so are those one step further.
    """
    waiting = _waiting(voids.ties(connection))
    hops = max((one.scenario.features.hops for one in service.runtime.all()), default=1)
    found = set(subjects)
    for _ in range(hops):
        found |= _beside(service.runtime.lake, waiting, sorted(found))
    return sorted(found - set(subjects))


def _waiting(rows: Sequence[tuple[str, str, str | None, str | None, str | None]]) -> pl.DataFrame:
    """Return the ties that the lake does not have: ``table``, both sides, person and address."""
    columns = ("table", SUBJECT, _OTHER, "person_id", "address")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
    return frame.with_columns(plain_address().alias("address"))


def _beside(lake: Lake, waiting: pl.DataFrame, subjects: Sequence[str]) -> set[str]:
    parts = [*_related(lake, waiting, subjects), *_sharing(lake, waiting, subjects)]
    return {one for part in parts for one in part.to_list() if one is not None}


def _related(lake: Lake, waiting: pl.DataFrame, subjects: Sequence[str]) -> Iterator[pl.Series]:
    """Yield the other sides of direct ties."""
    both = [waiting.filter(pl.col("table") == _RELATION).select(SUBJECT, _OTHER).lazy()]
    if _RELATION in lake.tables():
        both.append(lake.scan(_RELATION, columns=[SUBJECT, _OTHER]))
    for one, other in ((SUBJECT, _OTHER), (_OTHER, SUBJECT)):
        mine = pl.concat(both).filter(pl.col(one).is_in(subjects))
        yield mine.select(pl.col(other).unique()).collect().to_series()


def _sharing(lake: Lake, waiting: pl.DataFrame, subjects: Sequence[str]) -> Iterator[pl.Series]:
    """Yield who is of the same person, or at the same address."""
    there = lake.tables()
    for table, node in _NODES.items():
        held = [waiting.filter(pl.col("table") == table).select(SUBJECT, node).lazy()]
        if table in there and node in lake.schema(table):
            rows = lake.scan(table, columns=[SUBJECT, node])
            held.append(rows.with_columns(plain_address()) if node == "address" else rows)
        whole = pl.concat(held).filter(pl.col(node).is_not_null())
        own = whole.filter(pl.col(SUBJECT).is_in(subjects)).select(pl.col(node).unique())
        shared = whole.join(own, on=node, how="semi").select(pl.col(SUBJECT).unique())
        yield shared.collect().to_series()
