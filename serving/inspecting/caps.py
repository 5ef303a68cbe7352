"""The annual cap over all plans of a year: what is used, what may be merged, what is refused.

A target counts once for a visit, whatever plans and departments take part in it, and not at all
where one of the typed grounds exempts it (国办发〔2024〕54号). What several plans drew in the same
days is meant to be one visit, so that it does not stand in the way of being drawn again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from models.errors import InspectionError
from models.inspection.caps import Ground
from models.inspection.plan import Plan
from serving.ledger import draws, joint, plans
from serving.ledger.engine import Connection
from serving.problems import Problem

Days = tuple[date, date]
"""The first and the last day of visits."""
Key = tuple[str, str]
"""A plan's id and a period's."""


def elsewhere(connection: Connection, plan: Plan, days: Days, key: Key) -> pl.DataFrame:
    """Return the visits of the year but those of one period; see :data:`.ledger.joint.VISITS`.

    Days that are not settled are those of the period. ``joinable``: of another plan, not begun, and
    with a day in common with ``days`` (and not further apart than the plan merges), so that both
    can be one visit.
    """
    known = [one.plan for one in plans.of_year(connection, plan.year)]
    dated = _dated(joint.drawn(connection, [one.id for one in known], key), known)
    meets = (pl.col("starts") <= days[1]) & (pl.col("ends") >= days[0])
    if plan.merge is not None:
        apart = (pl.col("starts") - pl.lit(days[0])).dt.total_days().abs()
        meets &= apart < plan.merge.within.days
    mine = pl.col("plan_id") == key[0]
    return dated.select(*joint.VISITS, (meets & ~mine & ~pl.col("done")).alias("joinable"))


def of_subject(connection: Connection, known: Sequence[Plan], subject: str) -> pl.DataFrame:
    """Return the visits of a subject in these plans; see :data:`.ledger.joint.VISITS`.

    Days that are not settled are those of the period.
    """
    found = joint.of_subject(connection, [one.id for one in known], subject)
    return _dated(found, known).select(*joint.VISITS).sort("starts", "plan_id", "period", "task_id")


def _dated(visits: pl.DataFrame, known: Sequence[Plan]) -> pl.DataFrame:
    windows = pl.DataFrame(
        [(one.id, period.id, period.first, period.last) for one in known for period in one.periods],
        {"plan_id": pl.String, "period": pl.String, "first": pl.Date, "last": pl.Date},
        orient="row",
    )
    return visits.join(windows, on=["plan_id", "period"], how="left").with_columns(
        pl.coalesce("starts", "first").alias("starts"), pl.coalesce("ends", "last").alias("ends")
    )


def used(visits: pl.DataFrame) -> pl.DataFrame:
    """Return ``subject_id`` and ``visits``: how many of the visits count towards the cap."""
    each = visits.group_by("subject_id", "visit_id").agg(
        pl.col("ground").is_null().any().alias("counts")
    )
    return each.group_by("subject_id").agg(pl.col("counts").sum().cast(pl.Int64).alias("visits"))


def refuse_past(planned: pl.DataFrame, visits: pl.DataFrame, population: pl.DataFrame) -> None:
    """Raise a problem 422 where a planned visit would pass somebody's cap without a ground.

    Args:
        planned: ``subject_id``, ``visit_id`` and ``ground`` of the tasks of a period.
        visits: Those of :func:`elsewhere`; who is joinable and has no task yet is left to come.
        population: Of the frozen pool: ``cap``, and ``used`` as of the freeze.
    """
    own = ["subject_id", "visit_id", "ground"]
    settled = visits.filter(pl.col("task_id").is_not_null() | ~pl.col("joinable")).select(own)
    before, after = used(settled), used(pl.concat([settled, planned.select(own)]))
    told = (
        population.select("subject_id", "cap", at_freeze="used")
        .join(after, on="subject_id")
        .join(before.rename({"visits": "before"}), on="subject_id", how="left")
        .with_columns(pl.col("before").fill_null(0))
        .with_columns(pl.max_horizontal("before", "at_freeze").alias("used"))
        .filter(
            pl.col("visits") > pl.col("before"),
            pl.col("used") + pl.col("visits") - pl.col("before") > pl.col("cap"),
        )
        .sort("subject_id")
    )
    if told.height:
        one = told.row(0, named=True)
        raise Problem(
            422,
            "past-cap",
            f"{told.height} targets would be visited past their annual cap, the first "
            f"{one['subject_id']} with {one['used']} of {one['cap']} used; choose days on which "
            "they are visited anyway, so that the visits merge, or name the ground that exempts "
            f"them ({', '.join(Ground)})",
            more={"subjects": told["subject_id"].head(100).to_list()},
        )


def refuse_two_pools(
    connection: Connection, plan: Plan, days: Days, key: Key, frame: pl.DataFrame
) -> None:
    """Raise a problem 409 where targets are in another pool too, and the cap is short of both.

    Of pools that are frozen and not drawn nobody knows yet whom they will take. ``frame`` has
    ``subject_id``, ``remaining`` and ``mandatory``.
    """
    there: dict[str, pl.DataFrame] = {}
    for plan_id, period in plans.undrawn(connection, plan.year):
        declared = plans.find(connection, plan_id)
        assert declared is not None  # noqa: S101 - it has steps
        other = declared.plan.period(period)
        merges = plan_id != key[0] and other.first <= days[1] and other.last >= days[0]
        if (plan_id, period) == key or merges:
            continue
        who = draws.population(connection, plan_id, period)
        if who is not None:
            there[f"{plan_id}/{period}"] = who.select("subject_id")
    if not there:
        return
    reserved = pl.concat(there.values()).group_by("subject_id").len("pools")
    short = (
        frame.filter(pl.col("mandatory").is_null(), pl.col("remaining") > 0)
        .join(reserved, on="subject_id")
        .filter(pl.col("remaining") <= pl.col("pools"))
    )
    if short.height:
        raise Problem(
            409,
            "in-two-pools",
            f"{short.height} targets, the first {short['subject_id'].min()}, are in a pool that is "
            f"frozen and not drawn yet ({', '.join(sorted(there))}), and their annual cap is "
            "short of both; draw that one first",
            more={"pools": sorted(there)},
        )


def exempted(frame: pl.DataFrame, grounds: Mapping[str, Ground]) -> pl.DataFrame:
    """Return a population with the ``ground`` of those who may be visited past their cap.

    Raises :class:`InspectionError` where somebody exempted is not in the population.
    """
    strangers = sorted(set(grounds) - set(frame["subject_id"].to_list()))
    if strangers:
        raise InspectionError(
            f"subject {strangers[0]} is exempted from its cap and cannot be drawn for this plan; "
            "correct the list of targets, or leave it out"
        )
    named = {one: str(why) for one, why in grounds.items()}
    ground = pl.col("subject_id").replace_strict(named, default=None, return_dtype=pl.String)
    return frame.with_columns(ground.alias("ground")).with_columns(
        pl.when(pl.col("ground").is_not_null())
        .then(pl.max_horizontal("remaining", 1))
        .otherwise("remaining")
        .cast(pl.Int64)
        .alias("remaining")
    )
