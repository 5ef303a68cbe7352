"""Measures on a day: whether a row of the list allows one on a record, and whether it still holds.

Nothing but a row of the list in force, for a fact that is a record of the subject and counts on
that day, allows a measure; it is lifted when that record counts no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from models.errors import RecordError
from models.records.countable import countable_record
from models.records.publicity import Purpose
from models.scenarios.cohort import REGISTER
from models.supervision.measures import Measure, Measures, SubjectKind, kind_of, names_score
from models.supervision.repair import State
from models.time import AsOf
from models.yaml import nearest
from serving import fates
from serving.fates import Found
from serving.handling import rulebook
from serving.ledger import repairs
from serving.ledger.engine import Connection
from serving.ledger.measures import Measured
from serving.problems import Problem
from serving.service import Service

TITLES: Final[Mapping[str, str]] = {
    "proposed": "待确认",
    "in_force": "执行中",
    "rejected": "未予确认",
    "lifted": "已解除",
}
ALLOWED: Final[Mapping[str, tuple[str, ...]]] = {
    "proposed": ("confirm", "reject"),
    "in_force": ("lift",),
    "rejected": (),
    "lifted": (),
}
"""The acts that each state of a measure allows."""
_ENDED: Final[Mapping[State, str]] = {
    State.REPAIRED: "所依据的记录已修复",
    State.EXPIRED: "所依据的记录公示期满",
    State.ANNULLED: "所依据的记录已撤销",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A measure that somebody proposes: which row of the list, for which fact."""

    measure: str
    trigger: str
    authority: str
    basis: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a measure stands today; ``why`` it is lifted, null otherwise."""

    state: str
    why: str | None = None


def kind_of_subject(service: Service, connection: Connection, subject: str) -> SubjectKind | None:
    """Return the kind of subject that the register says; ``None`` where no row can mean it."""
    rows = fates.of_subject(service, connection, subject, [REGISTER])[REGISTER]
    told = rows["subject_type"].drop_nulls() if "subject_type" in rows.columns else None
    return None if told is None or told.is_empty() else kind_of(str(told[-1]))


def allowed_row(
    service: Service, connection: Connection, found: Found, wanted: Wanted
) -> tuple[Measure, SubjectKind]:
    """Return the row of the list in force that allows a measure on a record, and for whom.

    Raises:
        Problem: 422 with what is missing: the fact, the record, the row, its subject kind, its
            authority or its basis. A score or a grade is never a fact.
    """
    today = service.today()
    if names_score(wanted.trigger):
        raise _refused(
            "score-fires-nothing",
            f"'{wanted.trigger}' is no fact that a law names: no score, grade, probability or "
            "warning may fire a measure (国办发〔2020〕49号); name what a list or penalty is",
        )
    listed = rulebook.measures_of(connection, today)
    _check_record(service, connection, found, wanted, listed)
    row = listed.row(wanted.measure, today)
    if row is None:
        names = sorted({one.id for one in listed.measures if one.in_force(today)})
        hint = nearest(wanted.measure, names)
        raise _refused("no-row", f"no measure '{wanted.measure}' is on the list today{hint}")
    kind = kind_of_subject(service, connection, found.subject_id)
    said = {
        "trigger": (wanted.trigger in row.triggers, "、".join(row.triggers)),
        "authority": (wanted.authority == row.authority, row.authority),
        "basis": (wanted.basis in row.basis, "；".join(row.basis)),
    }
    for name, (right, of_row) in said.items():
        if not right:
            raise _refused(
                "no-row",
                f"measure {row.id} has the {name} {of_row}, not '{getattr(wanted, name)}'; the "
                "list has no row for that",
            )
    if kind is None or kind not in row.subjects:
        raise _refused(
            "no-row",
            f"measure {row.id} is for {', '.join(row.subjects)}, and the register says "
            f"'{kind or 'nothing that a row means'}' of {found.subject_id}",
        )
    return row, kind


def standing(service: Service, connection: Connection, one: Measured) -> Standing:
    """Return where a measure stands today: what was done to it, and whether its record counts."""
    done = {act.kind: act for act in one.acts}
    if "reject" in done:
        return Standing("rejected", done["reject"].reason)
    if "lift" in done:
        return Standing("lifted", done["lift"].reason)
    told, today = one.told, service.today()
    found = fates.find(
        service, connection, told.table_name, subject=told.subject_id, record_id=told.record_id
    )
    why = "所依据的记录已不存在" if found is None else _ended(service, connection, found)
    if why is None and rulebook.measures_of(connection, today).row(told.measure, today) is None:
        why = "措施清单已无此项"
    if why is not None:
        return Standing("lifted", why)
    return Standing("in_force" if "confirm" in done else "proposed")


def _check_record(
    service: Service, connection: Connection, found: Found, wanted: Wanted, listed: Measures
) -> None:
    trigger = listed.triggers.get(wanted.trigger)
    if trigger is None:
        hint = nearest(wanted.trigger, listed.triggers)
        raise _refused("no-trigger", f"the list knows no trigger '{wanted.trigger}'{hint}")
    if found.contract.name != trigger.table or trigger.of(found.row).is_empty():
        raise _refused(
            "not-the-fact",
            f"record {found.record_id} of '{found.contract.name}' is not {wanted.trigger} "
            f"({trigger.title}: a record of '{trigger.table}' with {trigger.where})",
        )
    if why := _ended(service, connection, found):
        raise _refused(
            "does-not-count",
            f"record {found.record_id} counts no more ({why}); no measure may follow it",
        )


def _ended(service: Service, connection: Connection, found: Found) -> str | None:
    """Return why a record may not carry a measure today; ``None`` where it may."""
    today = service.today()
    case = repairs.of_record(connection, found.contract.name, found.record_id)
    done = repairs.acts(connection, case.id) if case else []
    try:
        now = fates.stands(found, done, today, steps=rulebook.procedures(connection))
        counts = countable_record(found.record, AsOf(today), purpose=Purpose.JOINT_MEASURE)
    except RecordError:
        return "所依据的记录不完整，不能计入"
    if now.state in _ENDED:
        return _ENDED[now.state]
    return None if counts else "所依据的记录不再计入联合惩戒"


def _refused(kind: str, detail: str) -> Problem:
    return Problem(422, kind, detail)
