"""Repair of one record of dishonesty: its state on a day, from the record and what was done to it.

Nothing is kept but acts with their days; the state of a day follows from them. So acts may arrive
in any order and end in the same state, and an act that came after another had made it void is told
and left out rather than lost.

Sources: 信用修复管理办法 (发展改革委令第36号), the state machine of its procedure; 行政处罚法
第四十八条 for decisions that are annulled. The days of each step are data in ``repair.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from pydantic import Field

from models import yaml
from models.codes import calendar
from models.records.countable import publicity_end_record, repairable_from_record
from models.records.fact import Fact, add_months
from models.records.publicity import Certainty, Rules, VoidReason, default_rules
from models.supervision.dated import Frozen, Grounded
from models.supervision.machine import Machine, Step
from models.time import AsOf

FILE: Final = Path(__file__).with_name("repair.yaml")
"""The procedure that comes with the package."""


class State(StrEnum):
    """Where a record stands on a day."""

    HIDDEN = "hidden"
    PUBLISHED = "published"
    ELIGIBLE = "eligible"
    APPLIED = "applied"
    REPAIRED = "repaired"
    EXPIRED = "expired"
    ANNULLED = "annulled"


class Kind(StrEnum):
    """What is done to a record."""

    DISPUTE = "dispute"
    SETTLE = "settle"
    APPLY = "apply"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    REPAIR = "repair"
    RESTORE = "restore"
    ANNUL = "annul"


TITLES: Final[Mapping[str, str]] = {
    State.HIDDEN: "不公示",
    State.PUBLISHED: "公示中",
    State.ELIGIBLE: "可申请修复",
    State.APPLIED: "修复办理中",
    State.REPAIRED: "已修复",
    State.EXPIRED: "公示期满",
    State.ANNULLED: "已撤销",
}
_LIVING: Final = frozenset({State.HIDDEN, State.PUBLISHED, State.ELIGIBLE, State.APPLIED})
_ENDED: Final = frozenset({State.REPAIRED, State.EXPIRED})

MACHINE: Final = Machine(
    "信用修复",
    TITLES,
    (
        Step(Kind.APPLY, "提出申请", frozenset({State.ELIGIBLE}), State.APPLIED),
        Step(Kind.REFUSE, "不予修复", frozenset({State.APPLIED}), State.ELIGIBLE),
        Step(Kind.WITHDRAW, "撤回申请", frozenset({State.APPLIED}), State.ELIGIBLE),
        Step(Kind.REPAIR, "准予修复", frozenset({State.APPLIED}), State.REPAIRED),
        Step(Kind.RESTORE, "撤销修复", frozenset({State.REPAIRED}), State.PUBLISHED),
        Step(Kind.ANNUL, "撤销原决定", _LIVING | _ENDED, State.ANNULLED),
    ),
)
"""The steps that people take; becoming eligible and expiring are the calendar's."""


@dataclass(frozen=True, slots=True, order=True)
class Act:
    """Something done to a record on a day; ``id`` names it, and orders the acts of one day."""

    on: date
    kind: Kind
    id: str


@dataclass(frozen=True, slots=True)
class Status:
    """Where a record stands on a day.

    ``eligible_from`` and ``ends_on`` are null where the record's rule knows none; ``barred_until``
    is the first day on which a new application may be made after a repair was found fraudulent.
    ``void_from`` and ``void_reason`` are what the record carries from then on, null where it counts
    or ends by its term alone. ``left_out`` are acts that had no place in its history.
    """

    state: State
    disputed: bool
    eligible_from: date | None
    ends_on: date | None
    barred_until: date | None = None
    void_from: date | None = None
    void_reason: VoidReason | None = None
    left_out: tuple[Act, ...] = ()

    @property
    def title(self) -> str:
        """Return the state's Chinese name."""
        return TITLES[self.state]


class Days(Frozen):
    """Working days that a step may take, and where that is written."""

    working_days: Annotated[int, Field(ge=0, le=250)]
    more: Annotated[int, Field(ge=0, le=250)] = 0
    title: str
    instrument: str
    certainty: Certainty

    def due(self, start: date, *, extended: bool = False) -> date:
        """Return the last day of the step; :class:`CodeError` beyond the known calendar."""
        days = self.working_days + (self.more if extended else 0)
        return calendar.add_working_days(start, days, calendar=calendar.planning())


class Procedure(Grounded):
    """The days of each step, and how long a fraudulent repair bars the next application."""

    steps: Mapping[str, Days]
    bar_months: Annotated[int, Field(ge=0, le=120)]
    bar_instrument: str
    bar_certainty: Certainty


InForce: TypeAlias = Callable[[date], Procedure]
"""Tells which procedure holds on a day."""


@cache
def procedure() -> Procedure:
    """Return the procedure that comes with the package; read once."""
    return load_procedure(FILE)


def load_procedure(path: Path | str) -> Procedure:
    """Read a procedure from YAML; :class:`ConfigError` with ``file:line`` if it is wrong."""
    return yaml.load(path, Procedure)


def status(
    record: Mapping[str, object],
    acts: Iterable[Act],
    on: date,
    *,
    rules: Rules | None = None,
    steps: InForce | None = None,
) -> Status:
    """Return where a record stands at the end of a day.

    Args:
        record: The record as it was first published: ``void_from`` and ``void_reason`` are what
            acts say, so its own are not looked at.
        acts: Everything done to it, in any order; an act twice is one.
        on: The day; later acts do not exist.
        rules: The terms; the package's by default.
        steps: For the bar after fraud, by the day of the restoration; the package's by default.

    Raises:
        RecordError: The record has a value that the rules cannot use.
    """
    rules, steps = rules or default_rules(), steps or (lambda _: procedure())
    plain = {**record, "void_from": None, "void_reason": None}
    history = sorted({act for act in acts if act.on <= on}, key=_order)
    found = _begin(plain, rules)
    left_out: list[Act] = []
    for act in history:
        before = _aged(found, plain, act.on, rules)
        found = _acted(before, act, steps)
        if found is before and act.kind not in {Kind.DISPUTE, Kind.SETTLE}:
            left_out.append(act)
    return replace(_aged(found, plain, on, rules), left_out=tuple(left_out))


def check(found: Status, kind: Kind) -> None:
    """Raise :class:`TransitionError` unless a record that stands so allows an act.

    What a record's own day forbids is told with the day from which it is allowed.
    """
    if kind in {Kind.DISPUTE, Kind.SETTLE}:
        return
    MACHINE.after(found.state, kind)


def _order(act: Act) -> tuple[date, str, str]:
    # Acts of one day count as they were recorded: a refusal in the morning, a new application in
    # the afternoon. The kind parts only what two systems gave one name.
    return act.on, act.id, act.kind


def _begin(record: Mapping[str, object], rules: Rules) -> Status:
    fact = Fact.of(record)
    day = AsOf(fact.happened_on)
    state = State.HIDDEN if fact.hidden(day, rules) else State.PUBLISHED
    return Status(
        state,
        disputed=False,
        eligible_from=repairable_from_record(record, day, rules=rules),
        ends_on=publicity_end_record(record, day, rules=rules),
    )


def _aged(found: Status, record: Mapping[str, object], on: date, rules: Rules) -> Status:
    """Let the calendar work: what is due becomes eligible, what has run out expires."""
    if found.state in {State.ANNULLED, State.REPAIRED, State.EXPIRED}:
        return found
    fact = Fact.of(record)
    if not fact.in_publicity(AsOf(on), rules):
        return replace(
            found, state=State.EXPIRED, void_from=found.ends_on, void_reason=VoidReason.EXPIRED
        )
    start = found.eligible_from
    if found.barred_until is not None and start is not None:
        start = max(start, found.barred_until)
    waiting = found.state in {State.PUBLISHED, State.HIDDEN}
    if waiting and start is not None and on >= start:
        return replace(found, state=State.ELIGIBLE)
    return found


def _acted(found: Status, act: Act, steps: InForce) -> Status:
    """Return the status after an act; the same object where it has no place."""
    if act.kind in {Kind.DISPUTE, Kind.SETTLE}:
        return replace(found, disputed=act.kind is Kind.DISPUTE)
    if act.kind not in MACHINE.allowed(found.state):
        return found
    state = State(MACHINE.after(found.state, act.kind))
    match act.kind:
        case Kind.REPAIR:
            return replace(found, state=state, void_from=act.on, void_reason=VoidReason.REPAIRED)
        case Kind.ANNUL:
            return replace(
                found,
                state=state,
                disputed=False,
                void_from=act.on,
                void_reason=VoidReason.ANNULLED,
            )
        case Kind.RESTORE:
            return replace(
                found,
                state=state,
                void_from=None,
                void_reason=None,
                barred_until=add_months(act.on, steps(act.on).bar_months),
            )
        case _:
            return replace(found, state=state)
