"""What decisions give rise to: warnings, stored in the transaction of the decisions."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import polars as pl

from models.errors import CodeError
from models.features.spec import AS_OF, SUBJECT
from models.scenarios import Scenario
from models.supervision.warning import HISTORY, due, raised
from serving.ledger import changes, warnings
from serving.ledger.audit import SYSTEM
from serving.ledger.changes import ChangeKind, NewChange
from serving.ledger.engine import Connection
from serving.ledger.warnings import Kept
from serving.service import Service


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
    likely = raised(fresh, before, pl.DataFrame(schema=dict(HISTORY)), grades=grades, on=today)
    if likely.is_empty():
        return []
    warnings.hold(connection, scenario.id)
    history = warnings.history(connection, scenario.id, likely[SUBJECT].to_list())
    old = warnings.overtaken(
        connection, scenario.id, dict(likely.select(SUBJECT, AS_OF).iter_rows())
    )
    current = likely.filter(~pl.col(SUBJECT).is_in(sorted(old))).select(SUBJECT)
    again = fresh.join(current, on=SUBJECT, how="semi", maintain_order="left")
    found = raised(again, before, history, grades=grades, on=today)
    kept = warnings.add(connection, _rows(service, scenario, found, again), by=SYSTEM)
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


def dues(level: str, start: date) -> tuple[date | None, date | None]:
    """Return the days on which a warning is due, null where no calendar reaches that far."""
    try:
        return due(level, start)
    except CodeError:
        return None, None


def date_the_undated(connection: Connection) -> int:
    """Give open warnings the days that no calendar knew when they began; return to how many."""
    waiting = [(one.id, dues(one.level, one.begun_on)) for one in warnings.undated(connection)]
    dated = [(number, first, last) for number, (first, last) in waiting if first and last]
    for number, first, last in dated:
        warnings.set_due(connection, number, first, last)
    return len(dated)


def _before(connection: Connection, decisions: pl.DataFrame) -> pl.DataFrame:
    named = decisions.select(SUBJECT, pl.coalesce("replaces", "previous").alias("id")).drop_nulls()
    return warnings.before(connection, dict(named.iter_rows()))


def _rows(
    service: Service, scenario: Scenario, found: pl.DataFrame, decisions: pl.DataFrame
) -> list[dict[str, object]]:
    named = decisions.select(SUBJECT, pl.col("id").alias("decision"), "region")
    whole = found.join(named, on=SUBJECT, how="left", maintain_order="left")
    at, today = service.clock(), service.today()
    terms = {level: dues(level, today) for level in whole["level"].unique()}
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
