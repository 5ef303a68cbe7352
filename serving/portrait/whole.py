"""A portrait put together: only the sections that were asked for, each read once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

from models.features.spec import KEYS
from models.risk.explain import Explanation
from models.supervision.repair import Status, status
from serving import fates
from serving.handling import rulebook
from serving.ledger import portraits, repairs
from serving.ledger.engine import Connection
from serving.ledger.portraits import Grades
from serving.portrait import around, standing
from serving.portrait.freshness import begins, freshness
from serving.portrait.timeline import Counted, Wanted, clocks_of, counted, ending, timeline
from serving.portrait.view import View

CLOCKS: Final = 100
"""Clocks that are shown at most, those that are due first."""
_CASES: Final = 1000
_WHY: Final = tuple(one.name for one in fields(Explanation) if one.name not in KEYS)


class Section(StrEnum):
    """A section of a portrait."""

    IDENTITY = "identity"
    GRADES = "grades"
    DIMENSIONS = "dimensions"
    REASONS = "reasons"
    TIMELINE = "timeline"
    RELATIONS = "relations"
    PEERS = "peers"
    GUIDANCE = "guidance"
    CLOCKS = "clocks"
    FRESHNESS = "freshness"


OF_RECORDS: Final = frozenset(
    {Section.TIMELINE, Section.RELATIONS, Section.CLOCKS, Section.IDENTITY, Section.GUIDANCE}
)
"""Sections that show records themselves."""
OF_PERSONS: Final = frozenset({Section.IDENTITY, Section.TIMELINE, Section.RELATIONS})
"""Sections that may show fields of persons."""
_COUNTING: Final = frozenset(
    {Section.DIMENSIONS, Section.TIMELINE, Section.CLOCKS, Section.GUIDANCE, Section.FRESHNESS}
)
_DECIDED: Final = frozenset({Section.GRADES, Section.DIMENSIONS, Section.REASONS, Section.PEERS})
_EXPLAINED: Final = frozenset({Section.REASONS, Section.DIMENSIONS})


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A portrait by section, with its notes; ``ending`` is what guidance has to know.

    It is how many records count that an application could be about, 0 where nobody asked.
    """

    sections: Mapping[str, object]
    ending: int


def portrait(
    view: View, connection: Connection, sections: Collection[Section], wanted: Wanted
) -> Made:
    """Return a portrait but for its guidance, which asks the ledger on its own."""
    asked = frozenset(sections)
    disputed = portraits.disputed(connection, view.subject, view.on)
    found = counted(view, disputed) if asked & _COUNTING else None
    made: dict[str, object] = {"notes": notes(view)}
    if Section.IDENTITY in asked:
        made["identity"] = standing.identity(view)
    if asked & _DECIDED:
        made |= _decided(view, connection, asked, found)
    if found is not None:
        if Section.TIMELINE in asked:
            made["timeline"] = timeline(view, found, wanted)
        if Section.CLOCKS in asked:
            cases = _cases(view, connection, found)
            made["clocks"] = clocks_of(view, found, cases, limit=CLOCKS)
    if Section.RELATIONS in asked:
        made["relations"] = around.relations(view, connection)
    if Section.FRESHNESS in asked:
        made["freshness"] = freshness(view, connection, found)
    return Made(made, ending(found) if found is not None else 0)


def notes(view: View) -> list[dict[str, str]]:
    """Return what has to be said first: that the data begin later than the day."""
    first = begins(view)
    if first is None:
        return [{"kind": "no-data", "text": "数据湖尚无记录，以下各节不能说明任何情况"}]
    if view.on < first:
        return [
            {
                "kind": "before-the-data",
                "text": f"所查日期早于最早的数据（{first}），各节为空不代表没有记录",
            }
        ]
    return []


def _decided(
    view: View, connection: Connection, asked: Collection[Section], found: Counted | None
) -> dict[str, object]:
    """Return the sections that stored decisions tell of."""
    known: Grades = portraits.grades(connection, view.subject, view.on, before=view.before)
    points = standing.standing(view, known)
    told = standing.reasons(connection, points) if _EXPLAINED & set(asked) else {}
    made: dict[str, object] = {}
    if Section.GRADES in asked:
        made["grades"] = standing.grades(view, known)
    if Section.REASONS in asked:
        made["reasons"] = {
            "scenarios": [
                {
                    "scenario": name,
                    "decision": points[name].id,
                    "as_of": points[name].as_of,
                    "explanation": None if why is None else {n: why[n] for n in _WHY},
                }
                for name, why in told.items()
            ]
        }
    if Section.DIMENSIONS in asked and found is not None:
        made["dimensions"] = standing.dimensions(view, found.counts(), told)
    if Section.PEERS in asked:
        made["peers"] = standing.peers(view, connection, points)
    return made


def _cases(view: View, connection: Connection, found: Counted) -> Mapping[tuple[str, str], Status]:
    """Return where the records stand that something was done to."""
    made: dict[tuple[str, str], Status] = {}
    steps = rulebook.procedures(connection)
    cases = repairs.listing(connection, regions=("",), subject=view.subject, limit=_CASES)
    for case in cases:
        key = (case.table_name, case.record_id)
        if case.table_name not in found.parts:
            continue
        rows = view.own.whole(case.table_name, [case.record_id])
        if rows.is_empty():
            continue
        acts = fates.acts_of(repairs.acts(connection, case.id))
        made[key] = status(rows.row(0, named=True), acts, view.on, steps=steps)
    return made
