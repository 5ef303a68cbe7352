"""One batch on its way from source rows to records: mapped, identified, checked.

Nothing here touches the lake, so batches can be prepared side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from models.codes import uscc
from models.records import gate
from models.records.identity import record_ids
from models.time import SHANGHAI
from training.sources import shown
from training.sources.assign import assign, check_required
from training.sources.convert import convert, select_rows
from training.sources.identity import METHOD, Identified, Register, identify
from training.sources.mapping import DERIVED, Plan
from training.sources.read import LINE, Batch


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch whose rows are judged, but for rules that span batches.

    ``rows`` are the source rows that were taken, ``records`` the same as the contract's columns
    (with ``__line__``), ``good`` those that passed; ``problems`` has one line per broken rule of
    the others. ``methods`` counts how subjects were found. ``stated`` are the contract's columns
    that the source says something about.
    """

    batch: Batch
    rows: pl.DataFrame
    records: pl.DataFrame
    good: pl.DataFrame
    problems: pl.DataFrame
    methods: Mapping[str | None, int]
    unused: tuple[str, ...]
    stated: frozenset[str]


def prepare(
    batch: Batch, plan: Plan, register: Register, *, person_key: bytes | None, started: datetime
) -> Prepared:
    """Map, identify and check one batch of a run that ``started`` then."""
    source, contract = plan.source, plan.contract
    rows = select_rows(batch.frame, plan)
    assignment = assign(plan, rows.columns, file=batch.file)
    check_required(plan, assignment)
    converted = convert(rows, plan, assignment, started=started)
    who = identify(
        converted.frame,
        contract,
        register,
        strict=source.strict,
        person_key=person_key,
        today=started.astimezone(SHANGHAI).date(),
    )
    records = _records(who, converted.normalised, plan, batch.file)
    early = pl.concat([converted.problems, who.problems]).join(
        records.select(LINE, "source_ref"), on=LINE, how="left"
    )
    gated = gate.check(records, contract, strict=source.strict)
    problems = pl.concat([early.select(gated.problems.columns), _later(gated.problems, early)])
    return Prepared(
        batch=batch,
        rows=rows,
        records=records,
        good=gated.good.join(problems, on="source_ref", how="anti", maintain_order="left"),
        problems=problems,
        methods=dict(who.frame[METHOD].value_counts().iter_rows()),
        unused=shown.headings(assignment.unused),
        stated=frozenset({*assignment.fields, *source.constants, *DERIVED, "subject_type"}),
    )


def _records(who: Identified, normalised: pl.Series, plan: Plan, file: str) -> pl.DataFrame:
    """Add the columns that import makes: reference, id, findings, what a code tells."""
    ref = pl.concat_str([pl.lit(file), pl.col(LINE).cast(pl.String)], separator="#")
    noted = pl.DataFrame({"V13": normalised, "V02": who.warned})
    findings = [pl.when(rule).then(pl.lit(rule)) for rule in noted.columns]
    frame = who.frame.with_columns(
        ref.alias("source_ref"),
        record_ids(who.frame, plan.contract, source=plan.source.id),
        noted.select(findings=pl.concat_list(findings).list.drop_nulls()).to_series(),
    )
    if "subject_type" in plan.contract.columns:
        told = pl.coalesce("subject_type", uscc.subject_type_expr("subject_id"))
        frame = frame.with_columns(told.alias("subject_type"))
    return frame


def _later(found: pl.DataFrame, early: pl.DataFrame) -> pl.DataFrame:
    """Leave out what the gate only sees because a cell or a subject was not found before.

    What import makes itself is missing for a reason, which is named already.
    """
    if found.is_empty():
        return found
    again = found.join(early, on=["source_ref", "column"], how="anti", nulls_equal=True)
    made = pl.col("column").is_in(["subject_id", "known_at"]).fill_null(value=False)
    named = pl.concat([early.select("source_ref"), again.filter(~made).select("source_ref")])
    return again.join(named, on="source_ref", how="anti").vstack(again.filter(~made))
