"""Plans of inspections and how far each of their periods has come; nothing goes back.

A plan is drafted and approved as a whole; from the freeze on every period goes its own way. An edit
of a draft is a new edition, a step is a row, and whoever takes one holds the plan's first edition
locked until the commit: of two officers at once one is told what the other did.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Connection, func, insert, literal, or_, select, text
from sqlalchemy.orm import Mapped, aliased, mapped_column

from models.errors import TransitionError
from models.inspection.plan import Plan, parse_plan
from models.inspection.progress import Progress, State, Step, advance
from serving.ledger.base import Base
from serving.ledger.rows import add_once
from serving.ledger.scope import in_regions

WHOLE: Final = ""
"""What steps of the whole plan have for their period."""
_YEARS: Final = 0x9C4A
"""The class of the locks of years, told from other locks of the ledger by it."""
_LONG: Final = "10min"
_OF_PLAN: Final = frozenset({State.DRAFT, State.APPROVED})


class PlanRow(Base):
    """An edition of a plan, counted from 1; ``declaration`` is canonical JSON."""

    __tablename__ = "inspection_plan"

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    edition: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    region: Mapped[str]
    declaration: Mapped[str]
    digest: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]


class StepRow(Base):
    """A state that a period of a plan has reached; ``evidence`` is the SHA-256 that it rests on."""

    __tablename__ = "inspection_step"

    plan_id: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    evidence: Mapped[str | None]
    by: Mapped[str]
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Declared:
    """A plan as it was last edited; ``region`` is the prefix of region codes that it is of."""

    plan: Plan
    edition: int
    region: str
    digest: str
    by: str
    at: datetime


def declare(
    connection: Connection, plan: Plan, *, region: str, edition: int, by: str, at: datetime
) -> bool:
    """Keep an edition of a plan; false where there is one of its number."""
    values = {
        "plan_id": plan.id,
        "edition": edition,
        "region": region,
        "declaration": plan.canonical,
        "digest": plan.digest,
        "by": by,
        "at": at,
    }
    made = add_once(connection, PlanRow, values)
    if made and edition == 1:
        _keep(connection, plan.id, WHOLE, Step(State.DRAFT, by, at))
    return made


def find(connection: Connection, plan_id: str, *, lock: bool = False) -> Declared | None:
    """Return a plan; ``lock`` keeps others from taking a step until the transaction ends."""
    row = PlanRow
    if lock:
        first = select(row.edition).where(row.plan_id == plan_id, row.edition == 1)
        connection.execute(first.with_for_update())
    query = select(row).where(row.plan_id == plan_id).order_by(row.edition.desc()).limit(1)
    found = connection.execute(query.with_only_columns(*_TOLD)).first()
    return None if found is None else _declared(*found)


def listing(
    connection: Connection, *, regions: tuple[str, ...], limit: int = 100
) -> list[Declared]:
    """Return the plans of regions within, or around, one of these prefixes, the newest first."""
    row, later = PlanRow, aliased(PlanRow)
    newest = (
        ~select(later.edition)
        .where(later.plan_id == row.plan_id, later.edition > row.edition)
        .exists()
    )
    query = select(*_TOLD).where(
        newest,
        or_(
            in_regions(row.region, regions),
            *(literal(one).startswith(row.region) for one in regions),
        ),
    )
    found = connection.execute(query.order_by(row.at.desc(), row.plan_id).limit(limit))
    return [_declared(*one) for one in found] if regions else []


def of_year(connection: Connection, year: int) -> list[Declared]:
    """Return the plans of a year, of whatever region, that are approved."""
    row, later = PlanRow, aliased(PlanRow)
    newest = (
        ~select(later.edition)
        .where(later.plan_id == row.plan_id, later.edition > row.edition)
        .exists()
    )
    approved = (
        select(StepRow.plan_id)
        .where(StepRow.plan_id == row.plan_id, StepRow.state == State.APPROVED.value)
        .exists()
    )
    query = select(*_TOLD).where(newest, approved).order_by(row.plan_id)
    found = [_declared(*one) for one in connection.execute(query)]
    return [one for one in found if one.plan.year == year]


def undrawn(connection: Connection, year: int) -> list[tuple[str, str]]:
    """Return the plan and period of each pool of a year that is frozen and not drawn."""
    row, later = StepRow, aliased(StepRow)
    drawn = (
        select(later.plan_id)
        .where(
            later.plan_id == row.plan_id,
            later.period == row.period,
            later.state == State.DRAWN.value,
        )
        .exists()
    )
    query = select(row.plan_id, row.period).where(row.state == State.FROZEN.value, ~drawn)
    found = connection.execute(query.order_by(row.plan_id, row.period))
    years = {one.plan.id for one in of_year(connection, year)}
    return [(plan_id, period) for plan_id, period in found if plan_id in years]


def hold_year(connection: Connection, year: int) -> None:
    """Keep others from freezing, drawing or scheduling in a year until the transaction ends.

    The annual cap is of all plans together: two officers who each saw room for one more visit would
    make it two. Called after a plan is locked, and nothing else is locked after it.
    """
    connection.execute(select(func.pg_advisory_xact_lock(_YEARS, year)))
    # What follows may be rows by the million, for which a statement's usual time is short.
    connection.execute(text(f"set local statement_timeout = '{_LONG}'"))


def progress(connection: Connection, declared: Declared, period: str = WHOLE) -> Progress:
    """Return how far a period has come; without one, the plan as a whole."""
    plan_id = declared.plan.id
    row = StepRow
    asked = select(row.state, row.by, row.at, row.evidence).where(
        row.plan_id == plan_id, row.period.in_({WHOLE, period})
    )
    found = [
        Step(State(one.state), one.by, one.at, one.evidence) for one in connection.execute(asked)
    ]
    order = list(State)
    steps = tuple(sorted(found, key=lambda step: order.index(step.state)))
    editions = select(PlanRow.by).where(PlanRow.plan_id == plan_id, PlanRow.edition > 1)
    editors = tuple(connection.execute(editions.order_by(PlanRow.edition)).scalars())
    return Progress(plan_id, declared.digest, steps, editors)


def step(
    connection: Connection,
    so_far: Progress,
    to: State,
    *,
    period: str,
    by: str,
    at: datetime,
    evidence: str | None = None,
) -> Progress:
    """Take a step of a plan that is locked, and return where it stands then.

    Raises:
        TransitionError: It is not the next step.
        InspectionError: As :func:`models.inspection.progress.advance`.
    """
    refuse_early(so_far, to)
    made = advance(so_far, to, by=by, at=at, evidence=evidence)
    _keep(connection, so_far.plan_id, WHOLE if to in _OF_PLAN else period, made.steps[-1])
    return made


def refuse_early(so_far: Progress, to: State) -> None:
    """Raise :class:`TransitionError` where ``to`` is not the next state."""
    order = list(State)
    following = order[order.index(so_far.state) + 1 :][:1]
    if [to] != following:
        raise TransitionError(
            f"plan {so_far.plan_id} is {so_far.state}, so that it cannot become {to}; "
            + (f"the next is {following[0]}" if following else "nothing follows"),
            state=so_far.state.value,
            allowed=tuple(one.value for one in following),
        )


def _keep(connection: Connection, plan_id: str, period: str, made: Step) -> None:
    values = {
        "plan_id": plan_id,
        "period": period,
        "state": made.state.value,
        "evidence": made.evidence,
        "by": made.by,
        "at": made.at,
    }
    connection.execute(insert(StepRow).values(values))


_TOLD: Final = (
    *(PlanRow.declaration, PlanRow.edition, PlanRow.region),
    *(PlanRow.digest, PlanRow.by, PlanRow.at),
)


def _declared(
    declaration: str, edition: int, region: str, digest: str, by: str, at: datetime
) -> Declared:
    return Declared(parse_plan(declaration, "the ledger"), edition, region, digest, by, at)
