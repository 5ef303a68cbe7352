"""Who may be drawn for a plan: from the list of targets and standing decisions, or told inline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from models.errors import InspectionError
from models.inspection.allocate import Mandatory
from models.inspection.caps import Ground
from models.inspection.eligibility import Bar, Check, eligible, refuse_unpublished
from models.inspection.list_fields import ListName
from models.inspection.lists import Listing
from models.inspection.plan import Period, Plan
from models.scenarios import scenario_named
from models.scenarios.scenario import Scenario
from serving.inspecting.caps import Days, elsewhere, exempted, used
from serving.ledger import draws, lists, repairs
from serving.ledger.engine import Connection
from serving.ledger.plans import Declared
from serving.service import Service

PLAIN: Final = r"^[^\x00-\x1f\x7f]+$"
"""Text without control characters."""
POPULATION: Final = pl.Schema(
    {
        "subject_id": pl.String(),
        "grade": pl.String(),
        "probability": pl.Float64(),
        "region": pl.String(),
        "office": pl.String(),
        "industry": pl.String(),
        "name": pl.String(),
        "address": pl.String(),
        "matters": pl.List(pl.String()),
        "mandatory": pl.String(),
        "cap": pl.Int64(),
        "used": pl.Int64(),
        "remaining": pl.Int64(),
        "ground": pl.String(),
    }
)
"""The columns of a population; ``matters`` null is all, ``mandatory`` null is by chance,
``ground`` is why somebody may be visited past the cap."""


class Member(BaseModel):
    """一个检查对象，由未接入评分的机关直接给出."""

    model_config = ConfigDict(extra="forbid")

    subject_id: str = Field(
        min_length=1, max_length=64, pattern=PLAIN, description="主体", examples=["S000001"]
    )
    grade: str = Field(min_length=1, max_length=20, pattern=PLAIN, description="等级")
    probability: float | None = Field(
        default=None, ge=0, le=1, description="问题概率；按风险分配时必填"
    )
    region: str | None = Field(default=None, pattern=r"^[0-9]{6}$", description="行政区划代码")
    office: str | None = Field(default=None, max_length=100, pattern=PLAIN, description="实施机构")
    industry: str | None = Field(default=None, max_length=10, pattern=PLAIN, description="行业代码")
    name: str | None = Field(default=None, max_length=200, pattern=PLAIN, description="名称")
    address: str | None = Field(default=None, max_length=400, pattern=PLAIN, description="地址")
    matters: list[str] | None = Field(
        default=None, max_length=100, description="适用事项；空为全部"
    )
    mandatory: Mandatory | None = Field(default=None, description="必查名单")
    used: int = Field(default=0, ge=0, le=1000, description="本年已检查次数")


@dataclass(frozen=True, eq=False)
class Population:
    """Who may be drawn (see :data:`POPULATION`), and what that rests on, for the record."""

    frame: pl.DataFrame
    made_with: Mapping[str, object]


def population(
    connection: Connection,
    service: Service,
    declared: Declared,
    *,
    members: Sequence[Member] | None,
    mandatory: Mapping[str, Mandatory],
    exempt: Mapping[str, Ground],
    period: Period | None = None,
) -> Population:
    """Return who may be drawn for a plan.

    Without ``members``, those of the list of targets in force for the plan's region who are open to
    a matter of the plan, with the decision that stands of each; ``mandatory`` then says who is
    visited whatever the draw, ``exempt`` who may be in spite of the annual cap, towards which the
    draws of all plans of the year count, but for visits that can be merged with this one.

    Raises:
        InspectionError: There is no list, a matter is not published, somebody has no grade that
            still holds, or is named and cannot be drawn.
    """
    plan = declared.plan
    told = (
        _listed(connection, service, declared, mandatory)
        if members is None
        else Population(_inline(members, declared, mandatory), {"from": "inline"})
    )
    days = days_of(plan, period)
    visits = elsewhere(connection, plan, days, (plan.id, "" if period is None else period.id))
    capped = _capped(told.frame, plan, used(visits.filter(~pl.col("joinable"))))
    frame = exempted(capped, exempt).select(pl.col(n).cast(t) for n, t in POPULATION.items())
    return Population(frame, {**told.made_with, "subjects": frame.height})


def days_of(plan: Plan, period: Period | None) -> Days:
    """Return the days of a period, or of the whole plan."""
    one = plan.periods if period is None else (period,)
    return one[0].first, one[-1].last


def scenario_of(service: Service, name: str) -> Scenario:
    """Return the scenario of a plan: the one that decides, else that of the catalogue."""
    live = service.runtime.champion(name)
    return scenario_named(name) if live is None else live.scenario


def ratios_of(service: Service, plan: Plan) -> Mapping[str, float]:
    """Return the plan's ratios by grade, or those of its scenario."""
    if plan.ratios is not None:
        return plan.ratios
    grades = scenario_of(service, plan.scenario).grades
    return {grade: one.draw for grade, one in grades.items()}


def _inline(
    members: Sequence[Member], declared: Declared, mandatory: Mapping[str, Mandatory]
) -> pl.DataFrame:
    if mandatory:
        raise InspectionError(
            "a population that is told inline has the list in 'mandatory' of each subject; write "
            "it there"
        )
    away = [one for one in members if one.region and not one.region.startswith(declared.region)]
    if away:
        raise InspectionError(
            f"{len(away)} subjects are not of region '{declared.region}', of which the plan is, "
            f"the first {away[0].subject_id} of {away[0].region}; leave them to a plan of theirs"
        )
    rows = [one.model_dump() for one in members]
    own = {name: POPULATION[name] for name in Member.model_fields}
    return pl.DataFrame(rows, schema=own, orient="row")


def _listed(
    connection: Connection,
    service: Service,
    declared: Declared,
    mandatory: Mapping[str, Mandatory],
) -> Population:
    plan = declared.plan
    edition = lists.in_force(connection, ListName.TARGETS, declared.region)
    if edition is None:
        raise InspectionError(
            f"there is no list of targets for region '{declared.region}'; import one at "
            "/v1/pools/targets, or give the population inline"
        )
    versions = {"targets": edition.version}
    matters = lists.in_force(connection, ListName.MATTERS, declared.region)
    if matters is not None:
        listing = _content(connection, matters.version)
        refuse_unpublished(listing, [one.id for one in plan.matters], on=plan.periods[-1].last)
        versions["matters"] = matters.version
    targets = _open(_content(connection, edition.version), declared)
    on = service.today()
    _check_settled(connection, plan.scenario, targets)
    graded = draws.graded(connection, plan.scenario, on)
    frame = _graded(targets, graded, plan)
    strangers = sorted(set(mandatory) - set(frame["subject_id"].to_list()))
    if strangers:
        raise InspectionError(
            f"subject {strangers[0]} is to be visited in any case and cannot be drawn for this "
            "plan; correct the list of targets, or leave it out"
        )
    _refuse_unnamed(plan, mandatory)
    named = {one: str(why) for one, why in mandatory.items()}
    vetoed = pl.when("vetoed").then(pl.lit(str(Mandatory.VETO)))
    listed = pl.col("subject_id").replace_strict(named, default=None, return_dtype=pl.String)
    made = frame.with_columns(pl.coalesce(listed, vetoed).alias("mandatory"))
    sources = {
        "graded_by_decision": frame["decided"].sum(),
        "graded_by_list": frame.height - frame["decided"].sum(),
        "graded_by_list_for_expired_decision": frame["expired"].sum(),
    }
    return Population(
        made,
        {
            "from": "lists",
            "as_of": on.isoformat(),
            "scenario": plan.scenario,
            **versions,
            **sources,
        },
    )


def _refuse_unnamed(plan: Plan, mandatory: Mapping[str, Mandatory]) -> None:
    lacking = sorted(set(mandatory.values()) - {rule.list for rule in plan.mandatory})
    if lacking:
        raise InspectionError(
            f"somebody is named for the list '{lacking[0]}', which the plan does not name, so that "
            "they would be left to chance; name it in the plan's 'mandatory', or leave them out"
        )


def _check_settled(connection: Connection, scenario: str, targets: pl.DataFrame) -> None:
    """Refuse a pool in which somebody would stand with a grade that a repair has overtaken."""
    waiting = sorted(set(repairs.unsettled(connection, scenario)) & set(targets["subject_id"]))
    if waiting:
        raise InspectionError(
            f"{len(waiting)} targets are just being decided anew after a repair, the first "
            f"{waiting[0]}; freeze the pool when their jobs are done (GET /v1/jobs?kind=redecide)"
        )


def _content(connection: Connection, version: str) -> Listing:
    listing = lists.content(connection, version)
    assert listing is not None  # noqa: S101 - a foreign key holds it
    return listing


def _open(targets: Listing, declared: Declared) -> pl.DataFrame:
    """Return the targets that a matter of the plan is for; caps are looked at afterwards."""
    found = eligible(targets, region=declared.region or None, check=_check(declared.plan))
    wanted = pl.col("matters").list.set_intersection([one.id for one in declared.plan.matters])
    return found.filter(
        pl.col("bar").is_null() | (pl.col("bar") == Bar.CAP.value),
        (wanted.list.len() > 0).fill_null(value=True),
    )


def _check(plan: Plan) -> Check:
    off_site = all(one.method in {"documents", "network"} for one in plan.matters)
    return "off_site" if off_site else "on_site"


def _graded(targets: pl.DataFrame, graded: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    # A decision that has lapsed says nothing any more; a grade of the list's own may.
    lapsed = graded.filter("expired").select("subject_id", "expired")
    standing = graded.filter(~pl.col("expired")).drop("expired")
    joined = targets.join(
        standing, on="subject_id", how="left", suffix="_decided", maintain_order="left"
    ).join(lapsed, on="subject_id", how="left", maintain_order="left")
    frame = joined.select(
        "subject_id",
        pl.coalesce("grade_decided", "grade").alias("grade"),
        "probability",
        "region",
        pl.col("region").alias("office"),
        *("industry", "name", "address", "matters", "cap"),
        pl.col("cap_used").fill_null(0).alias("used"),
        pl.col("vetoed").fill_null(value=False),
        pl.col("expired").fill_null(value=False),
        pl.col("grade_decided").is_not_null().alias("decided"),
    )
    needed = "probability" if plan.allocation.by == "risk" else "grade"
    without = frame.filter(pl.col(needed).is_null() | pl.col("grade").is_null())
    if without.height:
        raise InspectionError(
            f"{without.height} of {frame.height} targets have no {needed} that holds today "
            f"({without['expired'].sum()} of a decision that has expired), the first "
            f"{without['subject_id'][0]}; decide upon everybody first (POST /v1/jobs, score_all of "
            f"{plan.scenario}), as nobody may be exempt"
        )
    return frame


def _capped(frame: pl.DataFrame, plan: Plan, before: pl.DataFrame) -> pl.DataFrame:
    """Return the population with its caps, and what is left of them."""
    general = pl.col("grade").replace_strict(
        plan.caps.by_grade, default=plan.caps.per_year, return_dtype=pl.Int64
    )
    stated = [pl.col("cap")] if "cap" in frame.columns else []
    office = pl.coalesce("office", "region", pl.lit("未分")).alias("office")
    made = frame.join(before, on="subject_id", how="left", maintain_order="left").with_columns(
        office,
        pl.coalesce(*stated, general).alias("cap"),
        pl.max_horizontal("used", pl.col("visits").fill_null(0)).alias("used"),
    )
    left = (pl.col("cap") - pl.col("used")).clip(lower_bound=0).alias("remaining")
    return made.with_columns(left)
