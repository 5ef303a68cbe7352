"""A period of a plan after its draw: tasks, teams, results and what they estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from models.errors import InspectionError
from models.inspection.assign import Assignment, Change, Recusal
from models.inspection.list_fields import ListName
from models.inspection.lists import Listing
from models.inspection.plan import Plan
from models.inspection.result_codes import codes
from models.inspection.results import Mode, Round
from models.inspection.tasks import Tasks
from serving.inspecting.caps import Days
from serving.ledger.visits import Assigned


def draw_id(plan_id: str, period: str) -> str:
    """Return the id of a draw: what commitments and inspection records name it."""
    return f"{plan_id}/{period}"


def matters_of(plan: Plan) -> Listing:
    """Return the matters of a plan as a list."""
    rows = [
        {
            "matter_id": one.id,
            "title": one.title,
            "department": one.department,
            "legal_basis": list(one.legal_basis),
            "method": one.method,
            "kind": one.kind,
            "published": one.published,
        }
        for one in plan.matters
    ]
    return Listing(ListName.MATTERS, pl.DataFrame(rows))


def targets_of(population: pl.DataFrame) -> Listing:
    """Return names and addresses of a population as a list."""
    return Listing(ListName.TARGETS, population.select("subject_id", "name", "address"))


def assignment_of(assigned: Assigned, seed: str) -> Assignment:
    """Return a kept assignment as it goes on."""
    return Assignment(
        seed,
        assigned.size,
        assigned.teams,
        tuple(Recusal(**one) for one in assigned.acts["recusals"]),
        tuple(
            Change(one["task_id"], one["left"], one["joined"], _cause(one))
            for one in assigned.acts["changes"]
        ),
    )


def acts_of(assignment: Assignment) -> Mapping[str, Sequence[Mapping[str, str]]]:
    """Return recusals and the changes that followed, as JSON keeps them."""
    return {
        "recusals": [_told(one) for one in assignment.recusals],
        "changes": [
            {
                "task_id": one.task_id,
                "left": one.left,
                "joined": one.joined,
                **{f"cause_{name}": value for name, value in _told(one.cause).items()},
            }
            for one in assignment.changes
        ],
    }


@dataclass(frozen=True, eq=False)
class Carried:
    """What a round is made of, as the ledger has it."""

    draw_id: str
    mode: Mode
    drawn_at: datetime
    drawn_on: date
    assigned: Assigned
    chosen: pl.DataFrame

    @property
    def round(self) -> Round:
        """Return it as :mod:`models.inspection.results` reads it."""
        return Round.of(
            self.draw_id,
            Tasks.of(self.assigned.tasks),
            mode=self.mode,
            drawn_on=self.drawn_on,
            authority=self.assigned.authority,
            teams=self.assigned.teams,
            drawn=self.chosen,
        )


def sample(chosen: pl.DataFrame, tasks: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    """Return everybody drawn with what was found, as :func:`models.inspection.estimate.rates` asks.

    A subject is positive where any of its matters was, and known once all of its results are there;
    it is out of scope where none of its matters could be inspected.
    """
    meanings = {code: entry.result for code, entry in codes().items()}
    wanted = tasks.select("task_id", "subject_id", matter_id="matters").explode("matter_id")
    found = wanted.join(
        results.select(
            "task_id",
            "matter_id",
            pl.col("result_code").replace_strict(meanings, return_dtype=pl.String).alias("means"),
        ),
        on=["task_id", "matter_id"],
        how="left",
    )
    told = found.group_by("subject_id").agg(
        (pl.col("means") == "fail").any().alias("failed"),
        pl.col("means").is_not_null().all().alias("whole"),
        pl.col("means").eq_missing(pl.lit("excluded")).all().alias("excluded"),
    )
    known = pl.col("whole") | pl.col("failed")
    return chosen.join(told, on="subject_id", how="left", maintain_order="left").select(
        "subject_id",
        "inclusion_probability",
        pl.when(known.fill_null(value=False)).then("failed").alias("positive"),
        (~pl.col("excluded")).fill_null(value=True).alias("in_scope"),
    )


def days_within(plan: Plan, period: str, starts: date | None, ends: date | None) -> Days:
    """Return the days of visits, those of the period by default.

    Raises :class:`InspectionError` where they are not within it, and where a matter is not public
    by then.
    """
    whole = plan.period(period)
    days = starts or whole.first, ends or whole.last
    if not whole.first <= days[0] <= days[1] <= whole.last:
        raise InspectionError(
            f"visits from {days[0]} to {days[1]} are not within period {period}, {whole.first} to "
            f"{whole.last}; name days of it"
        )
    late = [one for one in plan.matters if one.published > days[0]]
    if late:
        raise InspectionError(
            f"matter {late[0].id} is published on {late[0].published} only; begin later"
        )
    return days


def _told(recusal: Recusal) -> dict[str, str]:
    return {
        "task_id": recusal.task_id,
        "inspector_id": recusal.inspector_id,
        "reason": recusal.reason,
    }


def _cause(change: Mapping[str, str]) -> Recusal:
    return Recusal(change["cause_task_id"], change["cause_inspector_id"], change["cause_reason"])
