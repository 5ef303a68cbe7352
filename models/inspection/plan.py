"""An annual plan of inspections (年度抽查计划), declared in YAML.

    id: catering_2027
    title: 2027年度餐饮服务双随机抽查计划
    year: 2027
    scenario: food_safety
    departments: [市场监管局, 消防救援局]      # the first initiates, the others join
    matters:
      - {id: M01, title: 餐饮服务监督检查, department: 市场监管局, legal_basis: [食品安全法],
         published: 2026-11-01}
    periods: [{id: 2027Q1, first: 2027-01-01, last: 2027-03-31}]
    ratios: {A: 0.01, B: 0.03, C: 0.15, D: 0.5}
    allocation: {by: risk, precision: 0.1}
    random_share: 0.1
    capacity: {per_month: 1200}
    mandatory: [{list: food_dishonest, monthly: 1, unannounced: 2}]
    caps: {per_year: 2, by_grade: {D: 4}}
    merge: {within: 30d}

How far a plan has come is in :mod:`.progress`; what it would mean is in :mod:`.dry_run`.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from models import yaml
from models.canonical import canonical_json, digest_of
from models.errors import ConfigError
from models.inspection.allocate import Mandatory
from models.inspection.caps import Caps
from models.scenarios.label import Frozen
from models.scenarios.scenario import Identifier, Text, no_twins
from models.time import Span
from models.yaml import nearest

Share: TypeAlias = Annotated[float, Field(gt=0, le=1)]
Kind: TypeAlias = Literal["general", "key"]
Method: TypeAlias = Literal["on_site", "documents", "network", "entrusted"]
Count: TypeAlias = Annotated[int, Field(ge=0, le=366)]


class Matter(Frozen):
    """One inspected matter (抽查事项): general or key (一般、重点), and by what method.

    ``published``: when it was put on the public list; before, it may not be executed.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")]
    title: Text
    department: Text
    legal_basis: Annotated[tuple[Text, ...], Field(min_length=1)]
    published: date
    kind: Kind = "general"
    method: Method = "on_site"


class Period(Frozen):
    """A part of the year in which one draw is carried out, both days included."""

    id: Text
    first: date
    last: date

    @property
    def days(self) -> int:
        """Return how many days it has."""
        return (self.last - self.first).days + 1

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if self.first > self.last:
            raise ValueError(f"first {self.first} is after last {self.last}; exchange them")
        return self


class AllocationRule(Frozen):
    """How π are made: by the ratios of grades, or by risk; see :mod:`.allocate`."""

    by: Literal["grade", "risk"] = "grade"
    precision: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class MandatoryRule(Frozen):
    """A list whose subjects are visited whatever the draw.

    ``monthly``: visits a month; ``unannounced``: flying inspections in the year. The dishonest in
    food and medicine need both (月查＋飞行检查).
    """

    list: Mandatory
    monthly: Count = 0
    unannounced: Count = 0

    @model_validator(mode="after")
    def _as_the_list_demands(self) -> Self:
        if self.list.monthly and not (self.monthly and self.unannounced):
            raise ValueError(
                f"{self.list} means a visit each month and unannounced ones; give monthly and "
                "unannounced of 1 or more"
            )
        return self


class Merge(Frozen):
    """Visits of one target that lie ``within`` so long become one (进一次门查多项事)."""

    within: Span


class PlanCapacity(Frozen):
    """What the inspectors of the plan can do."""

    per_month: Annotated[int, Field(ge=1)]
    inspectors_per_target: Annotated[int, Field(ge=2, le=10)] = 2


class Plan(Frozen):
    """A declared plan; its digest is stamped on its pools, draws and results.

    ``ratios``: the share of each grade that is drawn in the year; without, those of the scenario.
    """

    id: Identifier
    title: Text
    year: Annotated[int, Field(ge=2000, le=2100)]
    scenario: Identifier
    departments: Annotated[tuple[Text, ...], Field(min_length=1)]
    matters: Annotated[tuple[Matter, ...], Field(min_length=1)]
    periods: Annotated[tuple[Period, ...], Field(min_length=1)]
    ratios: Annotated[dict[str, Share], Field(min_length=1)] | None = None
    allocation: AllocationRule = AllocationRule()
    strata: Annotated[tuple[str, ...], Field(min_length=1)] = ("grade",)
    random_share: Share = 0.1
    capacity: PlanCapacity
    mandatory: tuple[MandatoryRule, ...] = ()
    caps: Caps
    merge: Merge | None = None

    @property
    def joint(self) -> bool:
        """Return whether several departments inspect together (跨部门联合)."""
        return len(self.departments) > 1

    @property
    def canonical(self) -> str:
        """Return the declaration as canonical JSON: every default said, keys sorted, UTF-8."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, in 64 hex digits."""
        return digest_of(self.model_dump(mode="json"))

    def period(self, name: str) -> Period:
        """Return the period of that id; raise :class:`ConfigError` where there is none."""
        found = {one.id: one for one in self.periods}
        if name not in found:
            raise ConfigError(f"plan {self.id} has no period '{name}'{nearest(name, found)}")
        return found[name]

    @field_validator("departments", "strata")
    @classmethod
    def _once_each(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return no_twins(values)

    @model_validator(mode="after")
    def _matters_fit(self) -> Self:
        no_twins(tuple(matter.id for matter in self.matters), "matter ")
        no_twins(tuple(str(rule.list) for rule in self.mandatory), "mandatory list ")
        for matter in self.matters:
            if matter.department not in self.departments:
                raise ValueError(
                    f"matter {matter.id} is of '{matter.department}', which is not among the "
                    f"departments{nearest(matter.department, self.departments)}"
                )
            if matter.published > self.periods[0].first:
                raise ValueError(
                    f"matter {matter.id} is published on {matter.published}, after the plan begins "
                    f"on {self.periods[0].first}; an unpublished matter may not be executed"
                )
        idle = set(self.departments) - {matter.department for matter in self.matters}
        if idle:
            raise ValueError(f"department '{min(idle)}' has no matter; leave it out or give it one")
        return self

    @model_validator(mode="after")
    def _periods_follow(self) -> Self:
        no_twins(tuple(period.id for period in self.periods), "period ")
        for one, after in pairwise(self.periods):
            if after.first <= one.last:
                raise ValueError(
                    f"period {after.id} begins on {after.first}, before {one.id} has ended; sort "
                    "them and let none overlap"
                )
        for period in self.periods:
            if {period.first.year, period.last.year} != {self.year}:
                raise ValueError(f"period {period.id} is not within the year {self.year}")
        return self

    @model_validator(mode="after")
    def _strata_fit(self) -> Self:
        if self.allocation.by == "grade" and "grade" not in self.strata:
            raise ValueError("ratios differ by grade; name grade among the strata")
        return self


def load_plan(path: Path | str) -> Plan:
    """Read the plan at ``path``; a :class:`ConfigError` has ``file:line`` of what is wrong."""
    return yaml.load(path, Plan)


def parse_plan(text: str, source: str) -> Plan:
    """Read a plan from YAML ``text``; ``source`` names it in errors."""
    return yaml.parse(text, source).check(Plan)
