"""What decisions give rise to: warnings, in their transaction, and who hears of late ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Final
from uuid import UUID

import polars as pl

from models.errors import CodeError
from models.features.spec import AS_OF, SUBJECT
from models.scenarios import Scenario
from models.supervision.warning import HISTORY, Book, due, hears, raised
from serving.handling import rulebook
from serving.ledger import audit, changes, reviews, warnings
from serving.ledger.audit import SYSTEM, Entry
from serving.ledger.changes import ChangeKind, NewChange
from serving.ledger.engine import Connection
from serving.ledger.warnings import Kept, StepTaken
from serving.service import Service

WITHDRAWN: Final = "withdrawn"
"""The outcome of a warning whose decision a review annulled."""
ESCALATE: Final = "escalate"
"""The step by which somebody hears of a late warning; it leaves the state as it is."""
LATE: Final = {"acknowledge_late": "签收超期", "close_late": "办结超期"}
_BATCH: Final = 200
_UNSEEN: Final = frozenset({"new", "reopened"})


def raise_warnings(
    service: Service,
    connection: Connection,
    scenario: Scenario,
    decisions: pl.DataFrame,
    previous: pl.DataFrame | None = None,
) -> list[Kept]:
    """Store the warnings that new decisions raise, in the caller's transaction; return them.

    A decision raises one warning at most, however often this is called for it; one that is not
    valid any more, or of a day before the subject's newest, raises none. Others that raise
    warnings of the scenario wait until the transaction ends, unless nothing is to be raised: call
    it late. The transaction must see what others commit meanwhile, as it does by default (read
    committed).

    Args:
        service: Tells the day.
        connection: The transaction in which the decisions are stored.
        scenario: As declared; its grades are the order of better and worse.
        decisions: As :func:`serving.runtime.rows.made` returns them; those that stood already are
            passed over.
        previous: ``subject_id``, ``grade``, ``probability`` of the decisions before; null reads
            those that the decisions name (``replaces``, else ``previous``) from the ledger.
    """
    today, grades = service.today(), tuple(scenario.grades)
    fresh = decisions.filter(~pl.col("stands"), pl.col("valid_until") >= today)
    if fresh.is_empty():
        return []
    before = _before(connection, fresh) if previous is None else previous
    rules = rulebook.book(connection, today)
    nothing = pl.DataFrame(schema=dict(HISTORY))
    likely = raised(fresh, before, nothing, grades=grades, rules=rules, on=today)
    if likely.is_empty():
        return []
    warnings.hold(connection, scenario.id)
    history = warnings.history(connection, scenario.id, likely[SUBJECT].to_list())
    old = warnings.overtaken(
        connection, scenario.id, dict(likely.select(SUBJECT, AS_OF).iter_rows())
    )
    current = likely.filter(~pl.col(SUBJECT).is_in(sorted(old))).select(SUBJECT)
    again = fresh.join(current, on=SUBJECT, how="semi", maintain_order="left")
    found = raised(again, before, history, grades=grades, rules=rules, on=today)
    rows = _rows(service, scenario, found, again, rules=rules)
    kept = warnings.add(connection, rows, by=SYSTEM)
    changes.append_all(connection, [told(service, one, "raise") for one in kept])
    return kept


def told(service: Service, warning: Kept, step: str) -> NewChange:
    """Return what partners are told of a step of a warning."""
    return NewChange(
        ChangeKind.WARNING,
        warning.subject_id,
        warning.region,
        {
            "warning": warning.id,
            "step": step,
            "state": warning.state,
            "level": warning.level,
            "scenario": warning.scenario,
            "decision": str(warning.decision),
            "outcome": warning.outcome,
        },
        service.clock(),
    )


def withdraw(service: Service, connection: Connection, decision: UUID, reason: str) -> Kept | None:
    """Close what an annulled decision raised, in the caller's transaction; return it.

    ``None`` where it raised nothing, or that was withdrawn before. What an officer closed it with
    stays in its steps.
    """
    held = warnings.of_decision(connection, decision)
    if held is None or held.outcome == WITHDRAWN:
        return None
    taken = StepTaken(
        held.version + 1,
        "withdraw",
        held.state,
        "closed",
        SYSTEM,
        service.clock(),
        outcome=WITHDRAWN,
        note=reason,
    )
    closed = {"closed_on": service.today(), "outcome": WITHDRAWN}
    moved = warnings.take(connection, held, taken, changed=closed)
    changes.append_all(connection, [told(service, moved, "withdraw")])
    return moved


def dues(level: str, start: date, rules: Book) -> tuple[date | None, date | None]:
    """Return the days on which a warning is due, null where no calendar reaches that far."""
    try:
        return due(level, start, rules=rules)
    except CodeError:
        return None, None


def date_the_undated(connection: Connection) -> int:
    """Give open warnings the days that no calendar knew when they began; return to how many."""
    lacking = warnings.undated(connection)
    rules = {day: rulebook.book(connection, day) for day in {one.begun_on for one in lacking}}
    waiting = [(one.id, dues(one.level, one.begun_on, rules[one.begun_on])) for one in lacking]
    dated = [(number, first, last) for number, (first, last) in waiting if first and last]
    for number, first, last in dated:
        warnings.set_due(connection, number, first, last)
    return len(dated)


def escalate_overdue(service: Service) -> int:
    """Let whoever is to hear of late warnings hear of each once; return how many steps were taken.

    Doing it again takes no step twice: what was said stands in the warning's own steps, and who
    takes them holds the warning. A warning that is reopened begins anew.
    """
    with service.ledger.begin() as connection:
        date_the_undated(connection)
    taken, after = 0, 0
    while True:
        with service.ledger.begin() as connection:
            found = warnings.late(connection, service.today(), after=after, limit=_BATCH)
            taken += _escalate_all(service, connection, found)
        if len(found) < _BATCH:
            return taken
        after = found[-1].id


def _escalate_all(service: Service, connection: Connection, found: list[Kept]) -> int:
    if not found:
        return 0
    rules, heard = rulebook.book(connection, service.today()), _heard(connection, found)
    made: list[tuple[NewChange, Entry]] = []
    for one in found:
        late, since = _late_term(one, service.today())
        who = _hears(one, since, service.today(), rules)
        if (who, late) not in heard[one.id]:
            made.append(_step(service, connection, one, who, late))
    changes.append_all(connection, [change for change, _ in made])
    audit.append(connection, *(entry for _, entry in made))
    return len(made)


def _heard(connection: Connection, found: list[Kept]) -> dict[int, set[tuple[str, str]]]:
    """Return who heard already of what was late, since the warning was last reopened."""
    heard: dict[int, set[tuple[str, str]]] = {one.id: set() for one in found}
    for number, step, who, late in warnings.marks(connection, list(heard), ["reopen", ESCALATE]):
        if step == ESCALATE and who and late:
            heard[number].add((who, late))
        else:
            heard[number].clear()
    return heard


def _late_term(one: Kept, today: date) -> tuple[str, date]:
    """Return what of a late warning is late, the graver term first, and since when."""
    if one.close_due is not None and one.close_due < today:
        return "close_late", one.close_due
    assert one.state in _UNSEEN  # noqa: S101 - else it would not be late
    assert one.acknowledge_due is not None  # noqa: S101 - as above
    return "acknowledge_late", one.acknowledge_due


def _hears(one: Kept, since: date, today: date, rules: Book) -> str:
    try:
        return hears(one.level, since, today, rules=rules)
    except CodeError:  # no calendar says how many working days have passed
        return rules.terms(one.level).escalate_to


def _step(
    service: Service, connection: Connection, one: Kept, who: str, late: str
) -> tuple[NewChange, Entry]:
    at = service.clock()
    note = f"{LATE[late]}，报告{who}"
    taken = StepTaken(
        one.version + 1,
        ESCALATE,
        one.state,
        one.state,
        SYSTEM,
        at,
        assignee=who,
        outcome=late,
        note=note,
    )
    moved = warnings.take(connection, one, taken, changed={})
    change = told(service, moved, ESCALATE)
    change = replace(change, payload={**change.payload, "late": late, "escalated_to": who})
    details = {"late": late, "to": who}
    return change, Entry(at, SYSTEM, f"warning.{ESCALATE}", f"warning:{one.id}", details=details)


def _before(connection: Connection, decisions: pl.DataFrame) -> pl.DataFrame:
    """Return what stood before decisions: of the same day, unless annulled, else of one before."""
    replaced = decisions["replaces"].drop_nulls().to_list()
    void = [str(one) for one in reviews.annulled(connection, [UUID(one) for one in replaced])]
    stood = pl.when(~pl.col("replaces").is_in(void)).then("replaces")
    named = decisions.select(SUBJECT, pl.coalesce(stood, "previous").alias("id")).drop_nulls()
    return warnings.before(connection, dict(named.iter_rows()))


def _rows(
    service: Service,
    scenario: Scenario,
    found: pl.DataFrame,
    decisions: pl.DataFrame,
    *,
    rules: Book,
) -> list[dict[str, object]]:
    named = decisions.select(SUBJECT, pl.col("id").alias("decision"), "region")
    whole = found.join(named, on=SUBJECT, how="left", maintain_order="left")
    at, today = service.clock(), service.today()
    terms = {level: dues(level, today, rules) for level in whole["level"].unique()}
    return [
        {
            **row,
            "decision": UUID(str(row["decision"])),
            "scenario": scenario.id,
            "raised_at": at,
            "begun_on": today,
            "acknowledge_due": terms[row["level"]][0],
            "close_due": terms[row["level"]][1],
        }
        for row in whole.iter_rows(named=True)
    ]
