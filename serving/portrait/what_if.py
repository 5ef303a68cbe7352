"""What would follow if records were void, or others were added: decided, compared, never stored.

Both decisions are made here and now of the same moment, model and reference, so that what differs
is what was supposed and nothing else. What is known of others (neighbours, peers) is left as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta

import polars as pl

from models.decide import decide
from models.features.reference import Reference
from models.features.spec import SUBJECT
from models.records.lake.layout import KEY, row_order
from models.records.publicity import VoidReason
from models.records.reading import MemoryRecords
from models.scenarios.cohort import REGISTER
from models.supervision.difference import reason_changes
from models.time import AsOf
from serving.jobs.intake import ROW, Sent, take, unknown_columns
from serving.ledger.overlay import overlay
from serving.portrait.own import Own
from serving.runtime.forgetting import amended
from serving.runtime.gather import Gathered, eligible, gather
from serving.runtime.live import Live
from serving.runtime.scoring import Content, reasons
from serving.service import Service

_DECIDED = (
    *("probability", "risk_score", "grade", "previous_grade", "vetoes", "valid_until", "warn"),
    *("draw", "action"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Supposed:
    """What is supposed: ids of records that are void from the day on, and rows that are there."""

    void: frozenset[str]
    reason: VoidReason
    add: Mapping[str, pl.DataFrame]

    @property
    def voids(self) -> bool:
        """Tell whether a record counts no more: then the grade of before is in force no more."""
        stated = (frame["void_from"].null_count() < frame.height for frame in self.add.values())
        return bool(self.void) or any(stated)


@dataclass(frozen=True, slots=True, eq=False)
class Faults:
    """What cannot be supposed: places in the body, and the rule of each."""

    errors: tuple[tuple[str, str], ...]


def supposed(
    service: Service,
    own: Own,
    on: date,
    *,
    void: Sequence[str],
    reason: VoidReason,
    add: Mapping[str, Sequence[Mapping[str, object]]],
) -> Supposed | Faults:
    """Return what is supposed of a subject, checked as posted records are.

    A record that is none of the subject's is a fault like one that does not exist anywhere.
    """
    errors = _strangers(own, void)
    frames: dict[str, pl.DataFrame] = {}
    for table, rows in add.items():
        if table not in own.contracts:
            errors.append((f"body.add.{table[:63]}", "there is no such table"))
        elif rows:
            frames[table] = _taken(service, own, on, table, rows, errors)
    if errors:
        return Faults(tuple(errors))
    return Supposed(frozenset(void), reason, frames)


def compared(
    service: Service, live: Live, subject: str, on: date, what: Supposed
) -> dict[str, object]:
    """Return the decision of one scenario as it is and as it would be, and what differs.

    A subject that is not in the cohort, or would not be, has no decision on that side.
    """
    found = gather(service.runtime, service.ledger, live.scenario, [subject], on)
    changed = MemoryRecords(applied(found.records.frames, what, on, live.scenario.tables))
    reference = known_of_others(service, live, found, subject, on)
    earlier = service.runtime.voids.released(found.earlier, found.mark)
    before, why_before = _decided(live, found.records, earlier, subject, on, reference)
    held = _released(earlier) if what.voids else earlier
    after, why_after = _decided(live, changed, held, subject, on, reference)
    return {
        "scenario": live.scenario.id,
        "title": live.scenario.title,
        "before": before,
        "after": after,
        "difference": _difference(before, after),
        "reasons": [asdict(one) for one in reason_changes(why_before, why_after)],
    }


def applied(
    frames: Mapping[str, pl.DataFrame], what: Supposed, on: date, tables: Collection[str]
) -> dict[str, pl.DataFrame]:
    """Return a subject's records with what is supposed laid over, in the order of the lake.

    ``tables`` are those that the scenario reads; rows of others change nothing.
    """
    made: dict[str, pl.DataFrame] = {}
    for table in {*frames, *what.add}.intersection(tables):
        rows = frames.get(table, pl.DataFrame())
        if table in what.add:
            rows = overlay(rows, what.add[table])
            rows = rows.sort(row_order(rows.schema))
        if table != REGISTER and "void_from" in rows.columns:
            rows = _voided(rows, what, on)
        made[table] = rows
    return made


def _voided(rows: pl.DataFrame, what: Supposed, on: date) -> pl.DataFrame:
    if not what.void:
        return rows
    here = pl.col(KEY).is_in(sorted(what.void))
    return rows.with_columns(
        pl.when(here).then(pl.lit(on)).otherwise("void_from").alias("void_from"),
        pl.when(here).then(pl.lit(what.reason.value)).otherwise("void_reason").alias("void_reason"),
    )


def _strangers(own: Own, void: Collection[str]) -> list[tuple[str, str]]:
    """Return a fault for each id that is no record of the subject."""
    left = set(void)
    for table in own.tables:
        if table == REGISTER or not left:
            continue
        ids = own.narrow(table, [KEY])[KEY]
        left -= set(ids.filter(ids.is_in(sorted(left))).to_list())
    rule = f"no record of subject '{own.subject}' has this id"
    return [
        (
            f"body.void.{place}",
            f"'{record[:64]}': {rule}; take the ids from the portrait's timeline",
        )
        for place, record in enumerate(void)
        if record in left
    ]


def _taken(
    service: Service,
    own: Own,
    on: date,
    table: str,
    rows: Sequence[Mapping[str, object]],
    errors: list[tuple[str, str]],
) -> pl.DataFrame:
    """Return rows as records of the subject; what is wrong with them is added to ``errors``."""
    contract, at = own.contracts[table], f"body.add.{table}"
    full = [{**row, SUBJECT: row.get(SUBJECT) or own.subject} for row in rows]
    unknown = unknown_columns(full, contract)
    others = [place for place, row in enumerate(full) if row[SUBJECT] != own.subject]
    errors += [
        (f"{at}.{place}.{name}", "the table has no such column") for name, place in unknown.items()
    ]
    errors += [
        (f"{at}.{place}.{SUBJECT}", f"'{str(full[place][SUBJECT])[:64]}' is another subject")
        for place in others
    ]
    if unknown or others:
        return pl.DataFrame(schema=contract.dtypes)
    known = min(service.clock(), AsOf(on).known_before - timedelta(microseconds=1))
    taken = take(full, Sent(contract, "what-if", "what-if", "what-if", known))
    errors += [
        (
            f"{at}.{one.row}" + (f".{one.column}" if one.column else ""),
            f"breaks rule {one.rule}" + (f" ({one.value})" if one.value else ""),
        )
        for one in taken.troubles
    ]
    return taken.good.drop(ROW).select(contract.columns)


def known_of_others(
    service: Service, live: Live, found: Gathered, subject: str, on: date
) -> Reference:
    """Return what is known of others, without what was voided of them since."""
    chosen = service.runtime.reference(live, on)
    known, _ = amended(
        service.runtime,
        live.pipeline,
        chosen,
        [subject],
        on,
        mark=found.mark,
        versions=found.versions,
    )
    return known


def _released(earlier: pl.DataFrame) -> pl.DataFrame:
    """Return earlier decisions without force, as a voided record leaves them."""
    gone = pl.when(~pl.col("today")).then(pl.lit(date.min)).otherwise("valid_until")
    return earlier.with_columns(gone.alias("valid_until"))


def _decided(
    live: Live,
    records: MemoryRecords,
    earlier: pl.DataFrame,
    subject: str,
    on: date,
    reference: Reference,
) -> tuple[dict[str, object] | None, Content | None]:
    inside, _ = eligible(records, live.scenario, [subject], on)
    if not inside:
        return None, None
    features = live.pipeline.build(
        records, [on], subjects=inside, reference=reference, check_ids=False
    )
    before = earlier.filter(~pl.col("today"))
    row = decide(
        features,
        live.scenario,
        live.bundle,
        previous=None if before.is_empty() else before,
    ).row(0, named=True)
    (why,) = reasons(live, features, records, reference)
    return {name: row[name] for name in _DECIDED}, why


def _difference(
    before: Mapping[str, object] | None, after: Mapping[str, object] | None
) -> dict[str, object] | None:
    if before is None or after is None:
        return None
    return {
        "probability": _less(after["probability"], before["probability"]),
        "risk_score": _less(after["risk_score"], before["risk_score"]),
        "grade": f"{before['grade']}→{after['grade']}"
        if before["grade"] != after["grade"]
        else None,
    }


def _less(one: object, other: object) -> float:
    assert isinstance(one, float)  # noqa: S101 - a column of floats
    assert isinstance(other, float)  # noqa: S101
    return one - other
