"""Joint visits (进一次门查多项事): tasks of a draw merged with each other, and with other plans'.

Everybody drawn is visited once for all matters of a plan where inspectors are qualified for all of
them, else once by people of each department. Where another plan visits the same target in the same
days, its team takes the matters over if it is qualified; whoever is not yet there joins it. Results
stay apart, by task and matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from models.errors import InspectionError
from models.inspection.assign import TEAMS, Assignment, assign, shortages
from models.inspection.board import board
from models.inspection.caps import Ground
from models.inspection.inspectors import Inspectors
from models.inspection.plan import Plan
from models.inspection.tasks import Tasks
from serving.inspecting.caps import Days, Key
from serving.ledger import visits
from serving.ledger.engine import Connection

OPEN: Final = pl.Schema(
    {
        "subject_id": pl.String(),
        "visit_id": pl.String(),
        "visit_starts": pl.Date(),
        "visit_ends": pl.Date(),
        "members": pl.List(pl.String()),
    }
)
"""The columns of visits of other plans that tasks can join: their days and who goes."""
_ID: Final = pl.concat_str(pl.lit("T"), pl.col("number").cast(pl.String).str.zfill(6))


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a draw asks for: who was drawn of whom, on which days, and who went the last time.

    ``chosen`` has ``subject_id``; of ``population`` the ``matters`` of a subject (null: all) and
    its ``region`` count; ``last_teams``: ``subject_id``, ``last_team``; ``open``: :data:`OPEN`.
    """

    plan: Plan
    key: Key
    days: Days
    chosen: pl.DataFrame
    population: pl.DataFrame
    last_teams: pl.DataFrame
    open: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Sent:
    """Tasks with their teams; ``visits`` has the ``visit_id`` of each task."""

    tasks: Tasks
    assignment: Assignment
    visits: pl.DataFrame


def send(wanted: Wanted, inspectors: Inspectors, *, seed: str, size: int) -> Sent:
    """Return a team for everybody drawn, by as few visits as there can be.

    Raises :class:`InspectionError` where no assignment exists even by departments apart.
    """
    apart = _tasks(wanted, ["department"])
    united = _tasks(wanted, [])
    if apart.height == united.height:
        return _sent(wanted, apart, inspectors, seed=seed, size=size)
    # One more than a team: where somebody is recused, another must be able to take the place.
    short = shortages(inspectors, _numbered(united), size=size + 1)["subject_id"].unique()
    lone = pl.col("subject_id").is_in(short.to_list())
    mixed = pl.concat([united.filter(~lone), apart.filter(lone)])
    try:
        return _sent(wanted, mixed, inspectors, seed=seed, size=size)
    except InspectionError:
        # Who is qualified for everything may be too few: by departments apart it may still do.
        return _sent(wanted, apart, inspectors, seed=seed, size=size)


def open_visits(connection: Connection, others: pl.DataFrame) -> pl.DataFrame:
    """Return the visits of other plans that tasks can join; see :data:`OPEN`."""
    free = others.filter(pl.col("joinable") & pl.col("task_id").is_not_null())
    each = (
        free.group_by("subject_id", "visit_id")
        .agg(pl.col("starts").max().alias("visit_starts"), pl.col("ends").min().alias("visit_ends"))
        .filter(pl.col("visit_starts") <= pl.col("visit_ends"))
        .sort("subject_id", "visit_starts", "visit_id")
        .unique("subject_id", keep="first", maintain_order=True)
    )
    members = members_of(connection, free.join(each, on="visit_id", how="semi"))
    going = members.group_by("visit_id").agg(
        pl.col("inspector_id").unique().sort().alias("members")
    )
    return each.join(going, on="visit_id").select(
        pl.col(name).cast(kind) for name, kind in OPEN.items()
    )


def members_of(connection: Connection, tasks: pl.DataFrame) -> pl.DataFrame:
    """Return ``visit_id``, ``plan_id``, ``period``, ``task_id``, ``inspector_id`` of tasks."""
    own_ = ["plan_id", "period", "task_id"]
    found = [tasks.clear().select("visit_id", *own_, inspector_id=pl.lit(None, pl.String))]
    for part in tasks.partition_by("plan_id", "period"):
        key = part["plan_id"][0], part["period"][0]
        there = visits.assignment(connection, *key)
        if there is not None:
            found.append(
                part.join(there.teams, on="task_id").select("visit_id", *own_, "inspector_id")
            )
    return pl.concat(found)


def with_grounds(
    tasks: pl.DataFrame, population: pl.DataFrame, exempt: Mapping[str, Ground]
) -> pl.DataFrame:
    """Return tasks with the ground that exempts each from the cap: given now or at the freeze.

    Raises :class:`InspectionError` where somebody exempted was not drawn.
    """
    strangers = sorted(set(exempt) - set(tasks["subject_id"].to_list()))
    if strangers:
        raise InspectionError(
            f"subject {strangers[0]} is exempted from its cap and was not drawn; leave it out"
        )
    given = {subject: str(ground) for subject, ground in exempt.items()}
    now = pl.col("subject_id").replace_strict(given, default=None, return_dtype=pl.String)
    before = population.select("subject_id", "ground")
    return tasks.join(before, on="subject_id", how="left", maintain_order="left").with_columns(
        pl.coalesce(now, "ground").alias("ground")
    )


def _tasks(wanted: Wanted, by: list[str]) -> pl.DataFrame:
    """Return a task for each drawn subject, or for each and ``by``, without an id."""
    asked = pl.DataFrame(
        {
            "department": [one.department for one in wanted.plan.matters],
            "matter": [one.id for one in wanted.plan.matters],
        }
    )
    known = wanted.population.select("subject_id", "region", own="matters")
    first, last = wanted.days
    return (
        wanted.chosen.select("subject_id")
        .join(known, on="subject_id", how="left")
        .join(asked, how="cross")
        .filter(pl.col("own").list.contains(pl.col("matter")).fill_null(value=True))
        .group_by("subject_id", "region", *by)
        .agg(pl.col("matter").sort().alias("matters"))
        .with_columns(pl.col("matters").list.first().alias("order"))
        .join(wanted.last_teams, on="subject_id", how="left")
        .join(wanted.open, on="subject_id", how="left")
        .select(
            *("subject_id", "matters", "region", "order", "last_team", "visit_id", "members"),
            pl.max_horizontal(pl.lit(first), "visit_starts").alias("starts"),
            pl.min_horizontal(pl.lit(last), "visit_ends").alias("ends"),
        )
        .sort("subject_id", "order")
    )


def _numbered(rows: pl.DataFrame) -> Tasks:
    numbered = rows.sort("subject_id", "order").with_row_index("number", 1)
    return Tasks.of(numbered.with_columns(_ID.alias("task_id")))


def _sent(
    wanted: Wanted, rows: pl.DataFrame, inspectors: Inspectors, *, seed: str, size: int
) -> Sent:
    tasks = _numbered(rows)
    joined = tasks.frame.join(wanted.open, on="subject_id")
    taken = _taken(joined, inspectors, seed=seed, size=size)
    rest = tasks.frame.join(taken, on="task_id", how="anti")
    teams = taken
    if rest.height:
        made = assign(inspectors, Tasks.of(rest), seed=seed, size=size)
        teams = pl.concat([taken, made.teams])
    named = tasks.frame.join(wanted.open, on="subject_id", how="left", maintain_order="left")
    own = pl.concat_str(
        *(pl.lit(part) for part in wanted.key),
        pl.col("task_id").min().over("subject_id"),
        separator="/",
    )
    return Sent(
        tasks,
        Assignment(seed, size, teams.sort("task_id", "inspector_id")),
        named.select("task_id", "subject_id", pl.coalesce("visit_id", own), "starts", "ends"),
    )


def _taken(joined: pl.DataFrame, inspectors: Inspectors, *, seed: str, size: int) -> pl.DataFrame:
    """Return the teams of tasks that the people of another plan's visit may take over."""
    if joined.is_empty():
        return TEAMS.to_frame()
    none = TEAMS.to_frame()
    on = board(inspectors, Tasks.of(joined), seed, size=size, recused=none)
    rows: list[tuple[str, str]] = []
    told = joined.select("task_id", "members", "last_team").sort("task_id")
    for place, (task, members, last) in enumerate(told.iter_rows()):
        able = set(on.inspectors.filter(pl.Series(on.may(place))).to_list())
        team = [one for one in sorted(members) if one in able][:size]
        if len(team) == size and not set(team) <= set(last or ()):
            rows += [(task, one) for one in team]
    return pl.DataFrame(rows, TEAMS, orient="row")
