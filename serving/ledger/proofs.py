"""What became of an act of repair: everything that was made anew, and everybody who was told.

Nothing of it is written down for the proof: it is read from what was really done, the decisions,
the reports, the draws and the deliveries, so that it cannot say more than happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, and_, func, select, text

from serving.ledger.changes import ChangeRow
from serving.ledger.decisions import DecisionRow
from serving.ledger.hooks import DeliveryRow, HookRow
from serving.ledger.inbox import InboxRow
from serving.ledger.jobs import JobRow
from serving.ledger.repairs import Case, Effect, effects
from serving.ledger.reports import ReportRow
from serving.ledger.scope import in_regions

MOST: Final = 10_000
"""Changes and deliveries that one proof names at most; how many there are is told beside."""


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery to a partner of a change after an act."""

    hook: str
    position: int
    status: str
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Redecided:
    """A subject's decision in a scenario: the one that stood before an act, and the first after.

    Either is null where there is none: nothing was decided before, or the new one is still to come.
    """

    subject_id: str
    scenario: str
    before: UUID | None
    grade_before: str | None
    score_before: float | None
    after: UUID | None
    grade: str | None
    score: float | None
    made_at: datetime | None


@dataclass(frozen=True, slots=True)
class Superseded:
    """A report that was issued while the record still stood otherwise."""

    code: str
    kind: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class FrozenIn:
    """A draw whose pool was frozen with the subject; ``drawn`` is null where none was drawn yet."""

    plan_id: str
    period: str
    frozen_at: datetime
    drawn: bool | None


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of an act's effect until now.

    ``merged_at`` is null while the lake does not have the record; ``jobs`` are numbers with their
    states; ``changes`` are positions in the feed, null where none has been given yet, and
    ``changed`` how many there are.
    """

    effect: Effect
    merged_at: datetime | None
    lake_version: int | None
    jobs: Sequence[tuple[int, str]]
    decided: Sequence[Redecided]
    reports: Sequence[Superseded]
    draws: Sequence[FrozenIn]
    changed: int
    changes: Sequence[tuple[str, int | None]]
    told: Sequence[Told]


def proofs(
    connection: Connection,
    case: Case,
    *,
    known_at: datetime | None,
    regions: Sequence[str] = ("",),
) -> list[Proof]:
    """Return what became of the effects of a case's acts, in their order.

    ``known_at`` is when the record became known: no report before can have shown it. ``regions``
    are prefixes that the reader may see: of the subjects around the case's own, only those of whom
    a decision is of these regions are told, and nothing of the others.
    """
    return [
        _proof(connection, case, _within(connection, one, case, regions), regions, known_at)
        for one in effects(connection, case)
    ]


def _within(connection: Connection, effect: Effect, case: Case, regions: Sequence[str]) -> Effect:
    """Return an effect with those of its subjects whom a reader may know of."""
    if "" in regions:
        return effect
    asked = select(DecisionRow.subject_id).where(
        DecisionRow.subject_id.in_(effect.subjects), in_regions(DecisionRow.region, regions)
    )
    seen = {case.subject_id, *connection.execute(asked.distinct()).scalars()}
    return replace(effect, subjects=[one for one in effect.subjects if one in seen])


def _proof(
    connection: Connection,
    case: Case,
    effect: Effect,
    regions: Sequence[str],
    known_at: datetime | None,
) -> Proof:
    stored = select(InboxRow.merged_at, InboxRow.lake_version).where(
        InboxRow.seq == effect.inbox_seq
    )
    merged_at, version = connection.execute(stored).one()
    queued = select(JobRow.id, JobRow.status).where(JobRow.id.in_(effect.jobs))
    concerns = and_(
        ChangeRow.subject_id.in_(effect.subjects),
        ChangeRow.at >= effect.at,
        in_regions(ChangeRow.region, regions),
    )
    changed = select(ChangeRow.kind, ChangeRow.position).where(concerns)
    return Proof(
        effect,
        merged_at,
        version,
        [(number, status) for number, status in connection.execute(queued.order_by(JobRow.id))],
        _redecided(connection, effect, regions),
        _superseded(connection, case, effect, known_at),
        _frozen_in(connection, case, effect),
        connection.execute(
            select(func.count()).select_from(ChangeRow).where(concerns)
        ).scalar_one(),
        [
            (kind, position)
            for kind, position in connection.execute(changed.order_by(ChangeRow.id).limit(MOST))
        ],
        _told(connection, effect),
    )


def _redecided(connection: Connection, effect: Effect, regions: Sequence[str]) -> list[Redecided]:
    """Return the decisions around an effect in the order of its subjects."""
    asked = {"subjects": list(effect.subjects), "seq": effect.inbox_seq, "regions": list(regions)}
    return [Redecided(*row) for row in connection.execute(_REDECIDED, asked)]


_ONE: Final = """
left join lateral (
    select d.id, d.grade, d.risk_score, d.made_at, d.region from decision d
    where d.scenario = b.scenario and d.subject_id = s.id and d.inbox_mark {which} :seq
    order by {order} limit 1) as {name} on true
"""
_REDECIDED: Final = text(
    f"""
select s.id, b.scenario, before.id, before.grade, before.risk_score,
       now.id, now.grade, now.risk_score, now.made_at
from unnest(cast(:subjects as text[])) with ordinality as s(id, place)
cross join (select distinct scenario from basis) as b
{_ONE.format(name="before", which="<", order="d.as_of desc, d.inbox_mark desc, d.seq desc")}
{_ONE.format(name="now", which=">=", order="d.seq")}
where (before.id is not null or now.id is not null)
  and exists (select from unnest(cast(:regions as text[])) as r(prefix)
              where starts_with(coalesce(now.region, before.region, ''), r.prefix))
order by s.place, b.scenario
"""  # noqa: S608 - of constants alone
)


def _superseded(
    connection: Connection, case: Case, effect: Effect, known_at: datetime | None
) -> list[Superseded]:
    """Return the reports of the case's subject that were issued of what the act has changed."""
    row = ReportRow
    asked = select(row.code, row.kind, row.issued_at).where(
        row.subject_id == case.subject_id, row.issued_at < effect.at
    )
    if known_at is not None:
        asked = asked.where(row.issued_at >= known_at)
    return [Superseded(*one) for one in connection.execute(asked.order_by(row.issued_at, row.code))]


def _frozen_in(connection: Connection, case: Case, effect: Effect) -> list[FrozenIn]:
    """Return the pools of draws that were frozen with the case's subject before an act."""
    asked = {"subject": case.subject_id, "line": f"{case.subject_id},".encode(), "at": effect.at}
    return [FrozenIn(*row) for row in connection.execute(_FROZEN_IN, asked)]


_FROZEN_IN: Final = text(
    """
select p.plan_id, p.period, f.at, l.drawn
from inspection_pool p
cross join lateral (
    select cast(cast(p.commitment as json) ->> 'frozen_at' as timestamptz) as at) as f
left join inspection_line l
    on l.plan_id = p.plan_id and l.period = p.period and l.subject_id = :subject
where f.at < :at and (l.subject_id is not null or (
    not exists (select from inspection_draw d where d.plan_id = p.plan_id and d.period = p.period)
    and position(:line in p.content) > 0))
order by f.at, p.plan_id, p.period
"""
)


def _told(connection: Connection, effect: Effect) -> list[Told]:
    """Return the deliveries that carry changes of the effect's subjects since."""
    prefixes = func.unnest(HookRow.regions).table_valued("value").render_derived()
    inside = (
        select(1)
        .select_from(prefixes)
        .where(func.starts_with(func.coalesce(ChangeRow.region, ""), prefixes.c.value))
        .exists()
    )
    asked = (
        select(HookRow.title, ChangeRow.position, DeliveryRow.status, DeliveryRow.ended_at)
        .join(
            DeliveryRow,
            and_(DeliveryRow.after < ChangeRow.position, DeliveryRow.upto >= ChangeRow.position),
        )
        .join(HookRow, HookRow.id == DeliveryRow.hook_id)
        .where(
            ChangeRow.subject_id.in_(effect.subjects),
            ChangeRow.at >= effect.at,
            ChangeRow.kind == func.any(HookRow.kinds),
            inside,
        )
        .order_by(ChangeRow.position, HookRow.id)
        .limit(MOST)
    )
    return [Told(*row) for row in connection.execute(asked)]
