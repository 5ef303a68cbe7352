"""Results (结果录入、审核、公示): checked, published in time without personal data, and kept.

What a team writes down is checked against the draw it comes from: nobody who was not assigned has
inspected, nothing was found before the draw, and each matter of a task has one result. Kept results
are inspection records with the draw's id, its mode and the inclusion probability, so that the next
training can weigh them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal, Self, TypeAlias, get_args

import polars as pl

from models.codes import uscc
from models.codes.calendar import (
    Calendar,
    add_working_days_expr,
    planning,
    working_days_between_expr,
)
from models.codes.subjects import SubjectType
from models.errors import InspectionError
from models.inspection.assign import teams_of
from models.inspection.inspectors import refuse_null, refuse_repeated, typed
from models.inspection.list_cells import SEPARATOR
from models.inspection.list_fields import ListMapping, ListName, spec_of
from models.inspection.lists import FAULT, ROW, Listing, Sheet, fault, parse
from models.inspection.result_codes import codes
from models.inspection.tasks import Tasks
from models.records.gate import check as gate
from models.records.identity import record_ids
from models.records.tables.supervision import INSPECTION

Mode: TypeAlias = Literal["random_untargeted", "random_targeted"]

PUBLISH_DAYS: Final = 20
"""Working days after the end of an inspection within which its result is published."""

HIDDEN: Final = "＊"
"""What stands for a symbol of a person's name."""

_DRAWN: Final = pl.Schema({"subject_id": pl.String(), "inclusion_probability": pl.Float64()})
_SOURCE: Final = "draw_results"
_FEWEST: Final = 2


@dataclass(frozen=True, eq=False)
class Round:
    """One draw, the tasks that came of it and the teams that went.

    ``mode`` is 定向 (from a part of the pool) or 不定向; ``drawn_on`` the day of the draw;
    ``drawn`` has ``subject_id`` and the true ``inclusion_probability``. A mandatory subject has the
    mode of its draw and probability 1: that is what an estimate over the whole pool needs.
    """

    draw_id: str
    mode: Mode
    drawn_on: date
    authority: str
    tasks: pl.DataFrame
    teams: pl.DataFrame
    drawn: pl.DataFrame

    @classmethod
    def of(
        cls,
        draw_id: str,
        tasks: Tasks,
        *,
        mode: Mode,
        drawn_on: date,
        authority: str,
        teams: pl.DataFrame,
        drawn: pl.DataFrame,
    ) -> Self:
        """Check that the parts belong together.

        ``teams`` are those of an assignment; ``drawn`` may have more columns and subjects that were
        not drawn, where ``drawn`` is a column of it.

        Raises:
            InspectionError: A task is of somebody who was not drawn, or has no team of two; a
                probability is not in (0, 1]; the id or the authority is empty or too long.
        """
        if not 0 < len(draw_id) <= 64 or mode not in get_args(Mode) or not authority.strip():
            raise InspectionError(
                f"draw {draw_id[:80]!r} of mode {mode!r} by {authority!r}: a draw has an id of 1 "
                f"to 64 characters, one of the modes {', '.join(get_args(Mode))} and an authority"
            )
        taken = drawn.filter(pl.col("drawn")) if "drawn" in drawn.columns else drawn
        kept = typed(taken, _DRAWN, (), "the drawn subjects")
        refuse_null(kept, tuple(_DRAWN), "the drawn subjects")
        refuse_repeated(kept, "subject_id")
        _refuse_chances(kept)
        made = teams_of(teams).unique().sort("task_id", "inspector_id")
        _refuse_foreign(tasks.frame, kept, made)
        return cls(draw_id, mode, drawn_on, authority, tasks.frame, made, kept)


@dataclass(frozen=True, eq=False)
class Results(Sheet):
    """Checked results, the faults of all others, and what is still to come.

    ``frame``: the fields of the list of results, sorted by task and matter. ``missing``: each
    ``task_id`` and ``matter_id`` without a good result.
    """

    frame: pl.DataFrame
    missing: pl.DataFrame


def read_results(
    frame: pl.DataFrame,
    drawn: Round,
    *,
    on: date,
    mapping: ListMapping | None = None,
    first_row: int = 2,
) -> Results:
    """Read the results of a draw from a team's ``frame``; no row with a fault is dropped unsaid.

    Args:
        frame: Any headings; see ``lists.yaml`` for those that are known.
        drawn: The draw and its teams.
        on: The day of reading; no inspection ends after it.
        mapping: Headings that the glossary does not know.
        first_row: The line of the sheet on which the first row stands.

    Raises:
        ConfigError, InspectionError: As :func:`models.inspection.lists.read`.
    """
    sheet = parse(frame, ListName.RESULTS, on=on, mapping=mapping, first_row=first_row)
    good = sheet.good
    found = [*_against_tasks(good, drawn), *_against_teams(good, drawn)]
    faults = pl.concat([FAULT.to_frame(), sheet.faults, *found]).sort("row", "field", "rule")
    kept = good.filter(~pl.col(ROW).is_in(faults["row"].unique().implode())).drop(ROW)
    kept = kept.sort(spec_of(ListName.RESULTS).key)
    missing = _wanted(drawn).join(kept, on=["task_id", "matter_id"], how="anti")
    return Results(faults, frame.height, sheet.blank, sheet.unread, kept, missing)


def clocks(
    results: pl.DataFrame,
    *,
    on: date,
    published: pl.DataFrame | None = None,
    calendar: Calendar | None = None,
) -> pl.DataFrame:
    """Return the results with the clock of their publication.

    Adds ``publish_by``, 20 working days after the inspection ended; ``published_on``, from
    ``published`` (``task_id``, ``matter_id``, ``published_on``); ``working_days_left`` until then
    as of ``on``, null once published, below 0 where it is over; and ``late``: it was published
    after that day, or is not yet and the day is past. Raises :class:`CodeError` for a day whose
    year the calendar does not know.
    """
    key = ["task_id", "matter_id"]
    told = results.select(*key, pl.lit(None, pl.Date).alias("published_on")).clear()
    told = told if published is None else published.select(told.columns)
    days = calendar or planning()
    by = add_working_days_expr("ended_on", PUBLISH_DAYS, calendar=days).alias("publish_by")
    left = working_days_between_expr(pl.lit(on), "publish_by", calendar=days)
    open_ = pl.col("published_on").is_null()
    return (
        results.with_columns(by)
        .join(told, on=key, how="left", maintain_order="left", validate="m:1")
        .with_columns(
            pl.when(open_).then(left).alias("working_days_left"),
            (pl.coalesce("published_on", pl.lit(on)) > pl.col("publish_by")).alias("late"),
        )
    )


def publication(
    results: pl.DataFrame,
    drawn: Round,
    *,
    targets: Listing,
    matters: Listing,
    calendar: Calendar | None = None,
) -> pl.DataFrame:
    """Return what is published of the results, without personal data.

    Columns: ``draw_id``, ``subject_id``, ``subject_name``, ``matter``, ``department``, ``result``
    (its label), ``ended_on``, ``publish_by``, ``authority``. Of natural persons and individual
    businesses, and of whoever's kind is not known, the name is masked and the code left out, as it
    would undo the mask. Inspectors and what they wrote are not in it.
    """
    labels = {code: entry.label for code, entry in codes().items()}
    by = add_working_days_expr("ended_on", PUBLISH_DAYS, calendar=calendar or planning())
    return (
        _told(results, drawn, matters)
        .join(
            targets.frame.select("subject_id", "name"),
            on="subject_id",
            how="left",
            maintain_order="left",
        )
        .select(
            pl.lit(drawn.draw_id).alias("draw_id"),
            pl.when(~_personal()).then("subject_id").alias("subject_id"),
            pl.when(_personal()).then(masked_name("name")).otherwise("name").alias("subject_name"),
            pl.col("title").alias("matter"),
            "department",
            pl.col("result_code").replace_strict(labels, return_dtype=pl.String).alias("result"),
            "ended_on",
            by.alias("publish_by"),
            pl.lit(drawn.authority).alias("authority"),
        )
    )


def masked_name(column: str) -> pl.Expr:
    """Return the first symbol of each name, the others hidden; a name of one symbol is all hidden.

    How long the name is does not show.
    """
    name = pl.col(column)
    first = pl.when(name.str.len_chars() > 1).then(name.str.head(1)).otherwise(pl.lit(HIDDEN))
    return pl.when(name.is_not_null()).then(first + HIDDEN * 2)


def records(
    results: pl.DataFrame, drawn: Round, *, reported_at: datetime, matters: Listing
) -> pl.DataFrame:
    """Return results as records of the table ``inspection``, ready for the lake.

    A record's id rests on the draw, the task and the matter alone, so that a corrected result
    replaces the one before it. ``reported_at`` (with its zone) is when the platform knew.

    Raises:
        InspectionError: A result is not of this draw, was reported before it ended, or does not
            keep the contract.
    """
    if reported_at.tzinfo is None:
        raise InspectionError(f"{reported_at.isoformat()} has no time zone; give one")
    told = _told(results, drawn, matters)
    means = {code: entry.result for code, entry in codes().items()}
    made = told.select(
        "subject_id",
        pl.col("ended_on").alias("happened_on"),
        pl.lit(reported_at)
        .dt.convert_time_zone("UTC")
        .cast(INSPECTION.dtypes["known_at"])
        .alias("known_at"),
        pl.lit(value=False).alias("known_assumed"),
        pl.lit(drawn.authority).alias("authority"),
        "region",
        pl.col("task_id").alias("document_number"),
        pl.col("title").alias("matter"),
        "method",
        pl.col("result_code").replace_strict(means, return_dtype=pl.String).alias("result"),
        "result_code",
        "problem",
        pl.lit(drawn.draw_id).alias("draw_id"),
        pl.lit(drawn.mode).alias("draw_mode"),
        "inclusion_probability",
        pl.col("inspectors").list.join(";").alias("inspector_id"),
        pl.concat_str(pl.lit(f"draw/{drawn.draw_id}"), "task_id", "matter_id", separator="/").alias(
            "source_ref"
        ),
        pl.concat_str(pl.lit(drawn.draw_id), "task_id", "matter_id", separator="\x1e").alias(
            "source_id"
        ),
        pl.lit([], pl.List(pl.String)).alias("findings"),
    )
    lacking = [name for name in INSPECTION.columns if name not in made.columns]
    whole = made.with_columns(pl.lit(None, INSPECTION.dtypes[name]).alias(name) for name in lacking)
    whole = whole.with_columns(record_ids(whole, INSPECTION, source=_SOURCE))
    gated = gate(whole.select(INSPECTION.columns), INSPECTION)
    for row in gated.problems.head(1).iter_rows(named=True):
        raise InspectionError(
            f"{gated.problems.height} rules are broken by the results, the first by "
            f"{row['source_ref']}: {row['column']} {row['value']!r} ({row['rule']}); correct it"
        )
    return gated.good


def _personal() -> pl.Expr:
    """Hold for natural persons, individual businesses and whoever's kind is not known."""
    kind = uscc.subject_type_expr("subject_id")
    known = uscc.is_valid_expr("subject_id") & kind.is_not_null()
    return ~known | (kind == SubjectType.INDIVIDUAL_BUSINESS.value)


def _told(results: pl.DataFrame, drawn: Round, matters: Listing) -> pl.DataFrame:
    """Return the results with their task, probability and matter; all of them must be there."""
    named = matters.frame.select("matter_id", "title", "department", "method")
    found = (
        results.join(
            drawn.tasks.select("task_id", "subject_id", "region"),
            on="task_id",
            how="left",
            maintain_order="left",
        )
        .join(drawn.drawn, on="subject_id", how="left", maintain_order="left")
        .join(named, on="matter_id", how="left", maintain_order="left")
    )
    for name, what in (("subject_id", "task"), ("title", "matter")):
        lost = found.filter(pl.col(name).is_null())
        if lost.height:
            raise InspectionError(
                f"{what} '{lost[f'{what}_id'][0]}' of the results is not of draw {drawn.draw_id} "
                "or not on the list of matters; give the list and the draw that it was made with"
            )
    return found


def _wanted(drawn: Round) -> pl.DataFrame:
    """Return every task with each of its matters."""
    return drawn.tasks.select("task_id", matter_id="matters").explode("matter_id")


def _against_tasks(rows: pl.DataFrame, drawn: Round) -> Iterable[pl.DataFrame]:
    """Yield the faults of rows against the tasks and the day of the draw."""
    strange = rows.join(drawn.tasks, on="task_id", how="anti")
    rule, remedy = f"is no task of draw {drawn.draw_id}", "write the number on the task sheet"
    yield fault(strange, "task_id", shown=pl.col("task_id"), rule=rule, remedy=remedy)
    known = rows.join(drawn.tasks, on="task_id", how="semi")
    other = known.join(_wanted(drawn), on=["task_id", "matter_id"], how="anti")
    rule, remedy = "is no matter of this task", "write a matter that stands on the task sheet"
    yield fault(other, "matter_id", shown=pl.col("matter_id"), rule=rule, remedy=remedy)
    early = rows.filter(pl.col("ended_on") < drawn.drawn_on)
    rule = f"is before the draw of {drawn.drawn_on}"
    remedy = "write the day of this inspection; an earlier one is no result of the draw"
    yield fault(early, "ended_on", shown=pl.col("ended_on"), rule=rule, remedy=remedy)
    days = drawn.tasks.select("task_id", "starts", "ends")
    dated = rows.filter(pl.col("ended_on") >= drawn.drawn_on).join(days, on="task_id", how="inner")
    outside = dated.filter(~pl.col("ended_on").is_between("starts", "ends"))
    # Certificates, leave and conflicts were looked at for these days and for no others.
    for (first, last), part in outside.partition_by("starts", "ends", as_dict=True).items():
        rule = f"is not within the days of this task, {first} to {last}"
        remedy = "write the day on which it ended; if it was another, assign the task to that first"
        yield fault(part, "ended_on", shown=pl.col("ended_on"), rule=rule, remedy=remedy)


def _against_teams(rows: pl.DataFrame, drawn: Round) -> Iterable[pl.DataFrame]:
    """Yield the faults of rows against the teams that were assigned."""
    shown = pl.col("inspectors").list.join(SEPARATOR)
    few = rows.filter(pl.col("inspectors").list.len() < _FEWEST)
    rule, remedy = "is no team of two", "name all who inspected, two or more"
    yield fault(few, "inspectors", shown=shown, rule=rule, remedy=remedy)
    each = rows.select(ROW, "task_id", inspector_id="inspectors").explode("inspector_id")
    known = each.join(drawn.tasks, on="task_id", how="semi")
    others = known.join(drawn.teams, on=["task_id", "inspector_id"], how="anti")
    rule = "was not assigned to this task"
    remedy = "carry out a recusal first, which assigns another; only who is assigned may inspect"
    yield fault(others, "inspectors", shown=pl.col("inspector_id"), rule=rule, remedy=remedy)


def _refuse_chances(drawn: pl.DataFrame) -> None:
    chance = pl.col("inclusion_probability")
    wrong = drawn.filter(~(chance.is_finite() & (chance > 0) & (chance <= 1)))
    for subject, value in wrong.head(1).iter_rows():
        raise InspectionError(
            f"subject '{subject}' was drawn with probability {value}, which is not in (0, 1]; take "
            "the drawn subjects from the draw's record"
        )


def _refuse_foreign(tasks: pl.DataFrame, drawn: pl.DataFrame, teams: pl.DataFrame) -> None:
    strange = tasks.join(drawn, on="subject_id", how="anti")
    if strange.height:
        raise InspectionError(
            f"task '{strange['task_id'][0]}' is of subject '{strange['subject_id'][0]}', who was "
            "not drawn; leave it out, or enter it as an inspection on another ground"
        )
    lost = teams.join(tasks, on="task_id", how="anti")
    if lost.height:
        raise InspectionError(
            f"a team goes to '{lost['task_id'][0]}', which is no task of this draw; give the teams "
            "of its own assignment"
        )
    sizes = teams.group_by("task_id").len("size")
    small = tasks.join(sizes.filter(pl.col("size") >= _FEWEST), on="task_id", how="anti")
    if small.height:
        raise InspectionError(
            f"{small.height} tasks have no team of {_FEWEST}, the first '{small['task_id'][0]}'; "
            "assign them first"
        )
