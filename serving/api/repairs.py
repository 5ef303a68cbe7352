"""Repair of records: applications and what is decided of them, clocks, letters, and the proof."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, status

from models.supervision.repair import Kind, State, Status, check
from serving import fates
from serving.api.asked import LAST, BeforeQuery, LimitQuery, SubjectFilter, SubjectPath
from serving.api.audited import audited
from serving.api.lookup import PLAIN
from serving.api.repaired import (
    ActAsked,
    ActShown,
    CaseRead,
    CaseShown,
    LettersShown,
    Opened,
    ProofShown,
    StatusShown,
    proof_shown,
    status_shown,
)
from serving.auth.caller import Caller
from serving.auth.opening import record_for
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.fates import ACCEPT, ENDING, Found
from serving.handling import rulebook
from serving.ledger import repairs
from serving.ledger.engine import Connection
from serving.ledger.proofs import proofs
from serving.ledger.repairs import ActKept, Case
from serving.problems import Problem
from serving.reach import page
from serving.reports.letters import letters
from serving.service import Service
from serving.ties import neighbours

router = APIRouter(tags=["repairs"])

_WAITING: Final = frozenset({State.HIDDEN, State.PUBLISHED})
Number = Annotated[int, Path(ge=1, le=LAST, description="案件编号")]
TablePath = Annotated[str, Path(pattern=PLAIN, max_length=63, description="记录表")]
RecordPath = Annotated[str, Path(pattern=PLAIN, max_length=64, description="记录编号")]
Reader = Annotated[Caller, Depends(allow(Permission.RECORDS_READ, Permission.REPAIRS_WRITE))]
Writer = Annotated[Caller, Depends(allow(Permission.REPAIRS_WRITE))]


@router.post(
    "/v1/repairs",
    summary="申请信用修复，或撤销原决定",
    status_code=status.HTTP_201_CREATED,
    responses={
        409: {"description": "此状态不允许该操作"},
        422: {"description": "未到可申请之日，或条件不具备"},
    },
)
def begin(body: Opened, service: ServiceDep, caller: Writer) -> CaseRead:
    """Record what is first done to a record; an application is checked for its day and terms."""
    around = _around(service, body.act, body.subject_id)
    with service.ledger.begin() as connection:
        found = found_record(
            service, connection, caller, body.table, body.subject_id, body.record_id
        )
        case = open_case(service, connection, found)
        return _act(service, connection, caller, case, found, body, around)


@router.post(
    "/v1/repairs/{number}/acts",
    summary="办理信用修复",
    responses={
        409: {"description": "此状态不允许该操作"},
        422: {"description": "未到可申请之日，或条件不具备"},
    },
)
def act(number: Number, body: ActAsked, service: ServiceDep, caller: Writer) -> CaseRead:
    """Record what is done to a record next.

    After a repair, an annulment or a restoration its subject and those around it are decided anew,
    and partners are told.
    """
    with service.ledger.begin() as connection:
        subject = _visible(connection, number, caller).subject_id
    around = _around(service, body.act, subject)
    with service.ledger.begin() as connection:
        case = _visible(connection, number, caller, lock=True)
        found = _of_case(service, connection, caller, case)
        return _act(service, connection, caller, case, found, body, around)


@router.get("/v1/repairs", summary="修复案件列表")
def every(
    service: ServiceDep,
    caller: Reader,
    *,
    subject: SubjectFilter = None,
    before: BeforeQuery = None,
    limit: LimitQuery = 50,
) -> list[CaseShown]:
    """List the cases of the caller's regions, the newest first."""
    with service.ledger.begin() as connection:
        read = partial(
            repairs.listing, connection, regions=caller.regions, subject=subject, limit=limit
        )
        found = page(
            service, connection, caller, lambda n: read(before=n), before=before, limit=limit
        )
    return [CaseShown.model_validate(one, from_attributes=True) for one in found]


@router.get("/v1/repairs/{number}", summary="修复案件的状态、时限与步骤")
def one(number: Number, service: ServiceDep, caller: Reader) -> CaseRead:
    """Show where a case stands today, which clocks run, and everything that was done."""
    with service.ledger.begin() as connection:
        case = _visible(connection, number, caller)
        found = _of_case(service, connection, caller, case)
        return _read(service, connection, case, found)


@router.get("/v1/repairs/{number}/proof", summary="修复的证明：重算了什么、告知了谁")
def proof(number: Number, service: ServiceDep, caller: Reader) -> list[ProofShown]:
    """Tell, for every act that changed what counts, what followed from it until now.

    Everything that is computed when it is asked for, portraits among it, follows by itself; what
    was kept or given away is named here: decisions, reports, pools of draws, deliveries.
    """
    with service.ledger.begin() as connection:
        case = _visible(connection, number, caller)
        known_at = _of_case(service, connection, caller, case).record.get("known_at")
        found = proofs(
            connection,
            case,
            known_at=known_at if isinstance(known_at, datetime) else None,
            regions=caller.regions,
        )
    return [proof_shown(one) for one in found]


@router.get(
    "/v1/subjects/{subject}/records/{table}/{record}/repair", summary="一条记录的修复状态与时限"
)
def standing(
    subject: SubjectPath,
    table: TablePath,
    record: RecordPath,
    service: ServiceDep,
    caller: Reader,
) -> StatusShown:
    """Show where a record stands today, and from which day its repair may be applied for."""
    with service.ledger.begin() as connection:
        found = found_record(service, connection, caller, table, subject, record)
        case = repairs.of_record(connection, table, record)
        done = repairs.acts(connection, case.id) if case else []
        return status_shown(service, case, found, done, steps=rulebook.procedures(connection))


@router.get(
    "/v1/subjects/{subject}/records/{table}/{record}/letters", summary="两书同达：两份告知书"
)
def both_letters(
    subject: SubjectPath,
    table: TablePath,
    record: RecordPath,
    service: ServiceDep,
    caller: Reader,
) -> LettersShown:
    """Write the notices of a decision and of its repair, from the record and the rule in force."""
    with service.ledger.begin() as connection:
        found = found_record(service, connection, caller, table, subject, record)
        case = repairs.of_record(connection, table, record)
        done = repairs.acts(connection, case.id) if case else []
        steps = rulebook.procedures(connection)
        now = fates.stands(found, done, service.today(), steps=steps)
        in_force = steps(service.today())
    shown = record_for(
        service, caller, found.record, contract=found.contract, target=f"{table}:{record}"
    )
    made = letters(shown, now, steps=in_force)
    return LettersShown.model_validate(made, from_attributes=True)


def found_record(
    service: Service,
    connection: Connection,
    caller: Caller,
    table: str,
    subject: str,
    record_id: str,
) -> Found:
    """Return a record that the caller may see; a problem 404 where there is none."""
    found = fates.find(service, connection, table, subject=subject, record_id=record_id)
    if (
        found is None
        or not caller.sees_region(found.region)
        or not caller.sees_department(_authority(found))
    ):
        raise Problem(
            404,
            "not-found",
            f"there is no record {record_id} of subject '{subject}' in table '{table}'",
        )
    return found


def _authority(found: Found) -> str | None:
    told = found.record.get("authority")
    return told if isinstance(told, str) else None


def open_case(service: Service, connection: Connection, found: Found) -> Case:
    """Return the case of a record, held by this transaction."""
    return repairs.open_case(
        connection,
        found.contract.name,
        found.record_id,
        subject_id=found.subject_id,
        region=found.region,
        at=service.clock(),
    )


def _around(service: Service, kind: str, subject: str) -> Sequence[str]:
    """Return whose results depend on the subject's, before any lock is held."""
    if kind not in ENDING:
        return ()
    with service.ledger.begin() as connection:
        return neighbours(service, connection, subject)


def _act(
    service: Service,
    connection: Connection,
    caller: Caller,
    case: Case,
    found: Found,
    body: Opened | ActAsked,
    around: Sequence[str],
) -> CaseRead:
    today, done = service.today(), repairs.acts(connection, case.id)
    steps = rulebook.procedures(connection)
    refuse_before(done, today)
    before = fates.stands(found, done, today, steps=steps)
    _check(before, body, done, today)
    number = repairs.act(
        connection,
        case,
        body.act,
        on=today,
        by=caller.id,
        at=service.clock(),
        note=body.note,
    )
    done = repairs.acts(connection, case.id)
    now = fates.stands(found, done, today, steps=steps)
    answer = _read(service, connection, case, found)
    if body.act in ENDING:
        fates.follow(service, connection, case, found, number, now=now, around=around, by=caller.id)
    audited(connection, service, caller, f"repair.{body.act}", f"repair:{case.id}")
    return answer


def refuse_before(done: Sequence[ActKept], today: date) -> None:
    """Raise a problem 409 where something was done on a later day than today: a clock went back."""
    last = max((one.on for one in done), default=today)
    if last > today:
        raise Problem(
            409,
            "out-of-order",
            f"the record was last acted on at {last}, and the service's clock says {today}; set "
            "the clock right, as nothing is put before what was done",
            more={"allowed": []},
        )


def _check(now: Status, body: Opened | ActAsked, done: Sequence[ActKept], today: date) -> None:
    if body.act == ACCEPT:
        fates.check_accept(now, done)
        return
    if body.act == Kind.APPLY:
        _check_day(now, today)
    check(now, Kind(body.act))
    if body.act == Kind.APPLY and not (body.performed and body.pledged):
        raise Problem(
            422,
            "conditions-missing",
            "a repair needs the obligations performed and a pledge given; say both, with their "
            "papers on file (信用修复管理办法)",
        )


def _check_day(now: Status, today: date) -> None:
    """Refuse an application before its day with the day from which it is allowed."""
    if now.state not in _WAITING:
        return
    if now.eligible_from is None:
        raise Problem(
            422,
            "not-repairable",
            "the rule of this record knows no repair before its term; it ends by itself",
            more={"state": now.state, "ends_on": _iso(now.ends_on)},
        )
    start = max(now.eligible_from, now.barred_until or now.eligible_from)
    raise Problem(
        422,
        "too-early",
        f"on {today} it is too early to apply; repair of this record may be applied for from "
        f"{start} on",
        more={"state": now.state, "allowed_from": _iso(start)},
    )


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _visible(connection: Connection, number: int, caller: Caller, *, lock: bool = False) -> Case:
    case = repairs.get(connection, number, lock=lock)
    if case is None or not caller.sees_region(case.region):
        raise Problem(404, "not-found", f"there is no repair case {number}")
    return case


def _of_case(service: Service, connection: Connection, caller: Caller, case: Case) -> Found:
    return found_record(
        service, connection, caller, case.table_name, case.subject_id, case.record_id
    )


def _read(service: Service, connection: Connection, case: Case, found: Found) -> CaseRead:
    done, steps = repairs.acts(connection, case.id), rulebook.procedures(connection)
    return CaseRead(
        id=case.id,
        status=status_shown(service, case, found, done, steps=steps),
        acts=[ActShown.model_validate(one, from_attributes=True) for one in done],
    )
