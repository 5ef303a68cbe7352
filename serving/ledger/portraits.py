"""What the ledger says of one subject as it stood at a moment: grades over time, peers, disputes.

Everything is read as it was known: what was decided or recorded after the moment is not there, even
where it is about a day before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import Connection, text

from serving.ledger import reviews
from serving.ledger.reviews import Conclusion

POINTS: Final = 100
"""Days of one scenario's grades that are shown at most."""


@dataclass(frozen=True, slots=True)
class Point:
    """The decision of a day that stood in the end, as far as it was known.

    ``reviewed`` is what a person made of it, whenever that was: nobody is to take for current what
    is annulled by now.
    """

    id: UUID
    scenario: str
    as_of: date
    grade: str
    previous_grade: str | None
    probability: float
    risk_score: float
    vetoes: tuple[str, ...]
    warn: bool
    valid_until: date
    action: str | None
    region: str | None
    made_at: datetime
    reviewed: Conclusion | None = None

    @property
    def annulled(self) -> bool:
        """Tell whether a review annulled it."""
        return self.reviewed is not None and self.reviewed.outcome == "annulled"


@dataclass(frozen=True, slots=True)
class Grades:
    """Points by scenario and then day, the newest first; ``later`` were made after the moment."""

    points: tuple[Point, ...]
    later: int


def grades(
    connection: Connection, subject: str, on: date, *, before: datetime, limit: int = POINTS
) -> Grades:
    """Return the grades of a subject in every scenario up to a day, as known before an instant."""
    asked = {"subject": subject, "on": on, "before": before, "limit": limit}
    rows = connection.execute(_GRADES, asked).mappings()
    found = [_point({str(name): value for name, value in row.items()}) for row in rows]
    said = reviews.concluded(connection, [one.id for one in found])
    later = connection.execute(_LATER, asked).scalar_one()
    return Grades(tuple(replace(one, reviewed=said.get(one.id)) for one in found), later)


def cohort(
    connection: Connection,
    scenario: str,
    subjects: Sequence[str],
    on: date,
    *,
    valid_on: date,
    before: datetime,
) -> list[tuple[float, str]]:
    """Return risk score and grade of the decisions that stood of subjects on a day.

    A subject is left out whose decision was no longer valid on ``valid_on`` or is annulled, or who
    has none.
    """
    asked = {
        "scenario": scenario,
        "subjects": list(subjects),
        "on": on,
        "valid_on": valid_on,
        "before": before,
    }
    return [(score, grade) for score, grade in connection.execute(_COHORT, asked)]


def explained(
    connection: Connection, decisions: Sequence[UUID], *, evidence: int
) -> dict[UUID, Mapping[str, object]]:
    """Return stored explanations by decision, each reason with the newest of its records alone.

    ``evidence_count`` of a reason is how many there are: behind one there may be tens of thousands.
    """
    found = connection.execute(_EXPLAINED, {"decisions": list(decisions), "few": evidence})
    return {one: cast("Mapping[str, object]", content) for one, content in found}


def disputed(connection: Connection, subject: str, on: date) -> set[tuple[str, str]]:
    """Return table and id of a subject's records that were disputed at the end of a day."""
    newest = {
        (table, record): kind
        for table, record, kind in connection.execute(_MARKS, {"subject": subject, "on": on})
    }
    return {record for record, kind in newest.items() if kind == "dispute"}


def waiting_tables(connection: Connection) -> dict[str, tuple[int, datetime]]:
    """Return how many live records of each table the lake lacks, and when the newest arrived."""
    return {table: (count, at) for table, count, at in connection.execute(_WAITING)}


def _point(row: dict[str, Any]) -> Point:
    row["vetoes"] = tuple(row["vetoes"])
    return Point(**row)


_COLUMNS: Final = (
    "d.id, d.scenario, d.as_of, d.grade, d.previous_grade, d.probability, d.risk_score, d.vetoes, "
    "d.warn, d.valid_until, d.action, d.region, d.made_at"
)
_KNOWN: Final = """
from (select distinct scenario from declaration) as s
cross join lateral (
    select distinct on (d.as_of) {columns} from decision d
    where d.scenario = s.scenario and d.subject_id = :subject and d.as_of <= :on
      and d.made_at < :before
    order by d.as_of desc, d.inbox_mark desc, d.seq desc
    limit :limit
) as d
"""
# Declarations are few, and each scenario that ever decided has one: the index begins with it.
_GRADES: Final = text(
    f"select {_COLUMNS} {_KNOWN.format(columns=_COLUMNS)} order by d.scenario, d.as_of desc"
)
_LATER: Final = text(
    """
select count(*) from (select distinct scenario from declaration) as s
join decision d on d.scenario = s.scenario and d.subject_id = :subject and d.as_of <= :on
where d.made_at >= :before
"""
)
_SHORT: Final = """
(select coalesce(jsonb_agg(
    case when jsonb_typeof(r -> 'evidence') = 'array'
    then r || jsonb_build_object(
        'evidence', jsonb_path_query_array(
            r, '$.evidence[0 to $last]', jsonb_build_object('last', cast(:few as int) - 1)),
        'evidence_count', jsonb_array_length(r -> 'evidence'))
    else r end order by place), '[]')
 from jsonb_array_elements(content -> '{side}') with ordinality as told(r, place))
"""
_EXPLAINED: Final = text(
    f"""
select decision_id, content || jsonb_build_object(
    'reasons', {_SHORT.format(side="reasons")}, 'mitigating', {_SHORT.format(side="mitigating")})
from explanation where decision_id = any(:decisions)
"""  # noqa: S608 - of constants alone
)
_COHORT: Final = text(
    """
select d.risk_score, d.grade
from unnest(cast(:subjects as text[])) as s(id)
cross join lateral (
    select d.id, d.risk_score, d.grade, d.valid_until from decision d
    where d.scenario = :scenario and d.subject_id = s.id and d.as_of <= :on
      and d.made_at < :before
    order by d.as_of desc, d.inbox_mark desc, d.seq desc
    limit 1
) as d
where d.valid_until >= :valid_on
  and not exists (select from review r join review_act a on a.review_id = r.id
                  where r.decision = d.id and a.outcome = 'annulled')
"""
)
_MARKS: Final = text(
    """
select c.table_name, c.record_id, a.kind
from repair_case c join repair_act a on a.case_id = c.id
where c.subject_id = :subject and a.kind in ('dispute', 'settle', 'annul') and a.on <= :on
order by a.id
"""
)
_WAITING: Final = text(
    "select table_name, count(*), max(received_at) from inbox where merged_at is null "
    "group by table_name"
)
