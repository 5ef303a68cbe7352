"""What a plan would mean before anything is frozen: work, coverage, findings and precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from models.errors import InspectionError
from models.inspection.allocate import by_grade, by_risk, refuse_lists
from models.inspection.frontier import Expected, expected
from models.inspection.plan import Period, Plan
from models.scenarios.scenario import Scenario

DAYS_A_MONTH: Final = 365.25 / 12


@dataclass(frozen=True, slots=True)
class DryRun:
    """A plan tried on a population.

    ``workload``: ``office``, ``month``, expected ``visits`` of the draw and of mandatory lists,
    and ``over``, whether all offices together pass the capacity of that month. ``coverage``:
    ``grade``, ``subjects``, expected ``visited`` in the year and its ``share``. ``expected``: for
    each period, findings and precision. ``capped``: subjects left out because their annual cap is
    used up. ``visits_saved``: how many visits the merging of matters on one target spares.
    """

    workload: pl.DataFrame
    coverage: pl.DataFrame
    expected: Mapping[str, Expected]
    capped: int
    visits_saved: float


def allocation(
    plan: Plan, period: Period, population: pl.DataFrame, ratios: Mapping[str, float]
) -> pl.DataFrame:
    """Return the π of one period; see :mod:`.allocate`.

    ``ratios`` are of a year and are shared out to periods by their days. Mandatory subjects come
    from the column ``mandatory``; those of lists that the plan does not name are drawn by chance.
    Subjects whose column ``remaining`` (of :func:`.caps.room`) is 0 are left out, but for mandatory
    ones.

    Raises:
        InspectionError: The plan does not fit the population or its capacity.
    """
    rows = eligible(plan, population)
    capacity = round(
        plan.capacity.per_month * period.days / DAYS_A_MONTH - _repeats(plan, period, rows)
    )
    part = {grade: ratio * _part(plan, period) for grade, ratio in ratios.items()}
    if plan.allocation.by == "grade":
        return by_grade(rows, part, capacity=capacity, strata=plan.strata)
    if capacity > rows.height:
        raise InspectionError(
            f"the capacity of period {period.id}, {capacity}, is more than the {rows.height} "
            "subjects that may be visited; lower it or allocate by grade"
        )
    return by_risk(
        rows,
        capacity,
        random_share=plan.random_share,
        precision=plan.allocation.precision,
        strata=plan.strata,
    )


def eligible(plan: Plan, population: pl.DataFrame) -> pl.DataFrame:
    """Return who may be drawn, with the mandatory lists of the plan alone in ``mandatory``.

    Raises :class:`InspectionError` for lists that do not exist, and where what is left of a cap is
    unknown.
    """
    if "mandatory" in population.columns:
        refuse_lists(population["mandatory"].cast(pl.String))
    if "remaining" in population.columns and population["remaining"].null_count():
        one = population.filter(pl.col("remaining").is_null())["subject_id"][0]
        raise InspectionError(
            f"'remaining' of subject {one} is null, so that its cap is unknown; see caps.room"
        )
    named = [str(rule.list) for rule in plan.mandatory]
    listed = (
        pl.when(pl.col("mandatory").cast(pl.String).is_in(named)).then(pl.col("mandatory"))
        if "mandatory" in population.columns
        else pl.lit(None)
    )
    rows = population.with_columns(listed.cast(pl.String).alias("mandatory"))
    if "remaining" in rows.columns:
        rows = rows.filter((pl.col("remaining") > 0) | pl.col("mandatory").is_not_null())
    return rows


def dry_run(
    plan: Plan, population: pl.DataFrame, scenario: Scenario, *, level: float = 0.95
) -> DryRun:
    """Return what ``plan`` would mean for ``population``.

    Args:
        plan: As declared; a draft will do.
        population: ``subject_id``, ``grade``, ``probability``, ``office``, the strata of the plan,
            and where there are ``mandatory`` and ``remaining``.
        scenario: Its draw shares are the ratios where the plan has none.
        level: Of the intervals.

    Raises:
        InspectionError: A column is missing, or the plan does not fit the population.
    """
    if plan.scenario != scenario.id:
        raise InspectionError(
            f"plan {plan.id} is of the scenario '{plan.scenario}', not '{scenario.id}'; give that"
        )
    for name in ("subject_id", "grade", "probability", "office"):
        if name not in population.columns or population[name].null_count():
            raise InspectionError(f"everybody of the pool needs '{name}' for a dry run")
    ratios = plan.ratios or {grade: one.draw for grade, one in scenario.grades.items()}
    made = {one.id: allocation(plan, one, population, ratios) for one in plan.periods}
    drawn = pl.concat(
        pi.with_columns(pl.lit(name).alias("period")) for name, pi in made.items()
    ).join(population.select("subject_id", "grade", "office"), on="subject_id", how="left")
    visits = float(drawn["pi"].sum())
    return DryRun(
        workload=_workload(plan, drawn),
        coverage=_coverage(drawn, population),
        expected={name: expected(pi, population, level=level) for name, pi in made.items()},
        capped=population.height - eligible(plan, population).height,
        visits_saved=visits * (len(plan.matters) - 1),
    )


def _part(plan: Plan, period: Period) -> float:
    return period.days / sum(one.days for one in plan.periods)


def _repeats(plan: Plan, period: Period, rows: pl.DataFrame) -> float:
    """Return the visits of mandatory lists in a period beyond the first of each subject."""
    months = period.days / DAYS_A_MONTH
    return sum(
        max((rule.monthly + rule.unannounced / 12) * months - 1, 0.0)
        * rows.filter(mandatory=str(rule.list)).height
        for rule in plan.mandatory
    )


def _workload(plan: Plan, drawn: pl.DataFrame) -> pl.DataFrame:
    """Return visits by office and month: those of a draw even over its days."""
    by_chance = (
        drawn.filter(pl.col("mandatory").is_null())
        .group_by("office", "period")
        .agg(pl.col("pi").sum().alias("visits"))
        .join(_months(plan), on="period")
        .with_columns(pl.col("visits") * pl.col("part"))
    )
    both = pl.concat([by_chance.select("office", "month", "visits"), _mandatory(plan, drawn)])
    return (
        both.group_by("office", "month")
        .agg(pl.col("visits").sum())
        .with_columns(
            (pl.col("visits").sum().over("month") > plan.capacity.per_month + 1e-6).alias("over")
        )
        .sort("office", "month")
    )


def _months(plan: Plan) -> pl.DataFrame:
    """Return for each period its ``month`` starts and the ``part`` of its days in each."""
    parts = [
        pl.DataFrame({"month": _days(one).dt.month_start()})
        .group_by("month")
        .agg((pl.len() / one.days).alias("part"))
        .with_columns(pl.lit(one.id).alias("period"))
        for one in plan.periods
    ]
    return pl.concat(parts)


def _days(period: Period) -> pl.Series:
    return pl.date_range(period.first, period.last, eager=True)


def _mandatory(plan: Plan, drawn: pl.DataFrame) -> pl.DataFrame:
    """Return the visits of mandatory lists in each month of the plan.

    A list without a rhythm of its own means one visit in each period; flying inspections are
    spread over the year.
    """
    months = _months(plan)
    every = months["month"].unique().sort()
    listed = (
        drawn.filter(pl.col("mandatory").is_not_null())
        .unique(["subject_id"])
        .group_by("office", "mandatory")
        .len("subjects")
    )
    frames = [pl.DataFrame(schema={"office": pl.String, "month": pl.Date, "visits": pl.Float64})]
    for rule in plan.mandatory:
        own = listed.filter(mandatory=str(rule.list))
        once = months.group_by("month").agg(pl.col("part").sum().alias("rate"))
        steady = every.to_frame().with_columns(
            pl.lit(rule.monthly + rule.unannounced / 12).alias("rate")
        )
        rates = steady if rule.monthly or rule.unannounced else once
        frames.append(
            own.join(rates, how="cross").select(
                "office", "month", (pl.col("subjects") * pl.col("rate")).alias("visits")
            )
        )
    return pl.concat(frames)


def _coverage(drawn: pl.DataFrame, population: pl.DataFrame) -> pl.DataFrame:
    """Return by grade how many would be visited at least once in the year."""
    chance = drawn.group_by("subject_id", "grade").agg(
        (1 - (1 - pl.col("pi")).product()).alias("chance")
    )
    return (
        population.group_by("grade")
        .agg(pl.len().cast(pl.Int64).alias("subjects"))
        .join(
            chance.group_by("grade").agg(pl.col("chance").sum().alias("visited")),
            on="grade",
            how="left",
        )
        .with_columns(pl.col("visited").fill_null(0.0))
        .with_columns((pl.col("visited") / pl.col("subjects")).alias("share"))
        .sort("grade")
    )
