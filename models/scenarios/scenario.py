"""A scenario: one declared kind of risk, from who is looked at to what is done about it.

The declaration is YAML (``catalog/`` has examples, :mod:`.load` reads it); these models are its
shape. What needs the record tables to be judged (their columns and values) is in :mod:`.check`.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Annotated, Literal, Self, TypeAlias, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from models.canonical import canonical_json, digest_of
from models.codes.subjects import SubjectType
from models.scenarios.label import Frozen, Label, SomeRows, Where, listed
from models.scenarios.where import Condition, parse
from models.time import Delay, MonthDay, Span
from models.yaml import nearest

Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Identifier: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)
]
Value = TypeVar("Value")
Kind: TypeAlias = Literal[
    "enterprise",
    "individual_business",
    "cooperative",
    "state_organ",
    "public_institution",
    "social_organisation",
    "other",
]
Status: TypeAlias = Literal["open", "active", "any"]
Family: TypeAlias = Literal["window", "subject", "identity", "relation", "area", "peers", "text"]
Direction: TypeAlias = Literal["up", "down"]
AuditBy: TypeAlias = Literal[
    "region", "city", "industry", "ownership", "subject_type", "size", "age_band"
]

_Kinds: TypeAlias = Annotated[
    tuple[Kind, ...],
    BeforeValidator(listed, json_schema_input_type=Kind | list[Kind]),
    Field(min_length=1),
]


def no_twins(values: tuple[Value, ...], of: str = "") -> tuple[Value, ...]:
    """Return the values; raise ValueError where one of them stands twice."""
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ValueError(f"{of}{twice[0]} is named twice; name it once")
    return values


class Cohort(Frozen):
    """Who is eligible at a date; see :mod:`.cohort` for the exact reading.

    ``seen_in``: had a row in one of these tables, ``within`` that many days before the date (ever,
    where left out). ``status``: ``open`` not closed (注销), ``active`` nor revoked (吊销) either.
    ``where``: what the register must say; ``as_of`` and ``due`` may be named. ``without``: no row
    of these may count at the date.
    """

    seen_in: SomeRows = ()
    within: Span | None = None
    status: Status = "open"
    where: Where | None = None
    without: SomeRows = ()

    @property
    def condition(self) -> Condition | None:
        """Return the parsed condition on the register."""
        return None if self.where is None else parse(self.where)

    @model_validator(mode="after")
    def _within_needs_tables(self) -> Self:
        if self.within is not None and not self.seen_in:
            raise ValueError("within says how long ago; name the tables under seen_in")
        return self


class Snapshots(Frozen):
    """The dates at which the past is looked back on: ``every`` so many days, or ``on`` days a year.

    ``embargo``: days after the horizon that outcomes may take to be reported. ``first`` and
    ``last`` bound the dates; without them the data does.
    """

    every: Span | None = None
    on: tuple[MonthDay, ...] = ()
    embargo: Delay = Field(default=Delay(0), json_schema_extra={"default": "0d"})
    first: date | None = None
    last: date | None = None

    @field_validator("on")
    @classmethod
    def _once_each(cls, days: tuple[MonthDay, ...]) -> tuple[MonthDay, ...]:
        return no_twins(days)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.every is None) == (not self.on):
            raise ValueError("say when by exactly one of every and on")
        if self.first and self.last and self.first > self.last:
            raise ValueError(f"first {self.first} is after last {self.last}; exchange them")
        return self


class Features(Frozen):
    """From what, over which windows, and how the features are made.

    ``columns`` narrows a table to some of its measures and categories, ``exclude`` leaves columns
    out (``column`` or ``table.column``), ``levels`` names the values of a category that are counted
    each by itself, by table and column. ``hops``: how far relations are followed.
    """

    tables: Annotated[tuple[str, ...], Field(min_length=1)]
    windows: Annotated[tuple[Span, ...], Field(min_length=1)]
    families: Annotated[tuple[Family, ...], Field(min_length=1)] = (
        "window",
        "subject",
        "relation",
        "peers",
        "text",
    )
    columns: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    exclude: tuple[str, ...] = ()
    levels: dict[str, dict[str, tuple[str, ...]]] = Field(
        default_factory=dict[str, dict[str, tuple[str, ...]]]
    )
    hops: Annotated[int, Field(ge=1, le=2)] = 1

    @field_validator("tables", "windows", "families")
    @classmethod
    def _once_each(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        return no_twins(values)

    @field_validator("levels")
    @classmethod
    def _levels_once_each(
        cls, levels: dict[str, dict[str, tuple[str, ...]]]
    ) -> dict[str, dict[str, tuple[str, ...]]]:
        for table, columns in levels.items():
            for column, values in columns.items():
                no_twins(values, f"{table}.{column}: ")
        return levels

    @field_validator("windows")
    @classmethod
    def _ascending(cls, windows: tuple[Span, ...]) -> tuple[Span, ...]:
        if list(windows) != sorted(windows):
            raise ValueError("windows go from the shortest to the longest; sort them")
        return windows

    @model_validator(mode="after")
    def _peers_have_what_they_compare(self) -> Self:
        if "peers" in self.families and "window" not in self.families:
            raise ValueError("peers compares what window counts; add window to families")
        return self


class ModelChoice(Frozen):
    """How the probability is learnt."""

    kind: Literal["lightgbm"] = "lightgbm"
    leaves: Annotated[int, Field(ge=2, le=256)] = 8
    monotone: dict[str, Direction] = Field(default_factory=dict[str, Direction])
    calibrate: Literal["isotonic", "platt"] = "isotonic"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 7


class Grade(Frozen):
    """A grade: the probability it lies ``below``, the share drawn for inspection, and warnings."""

    below: Annotated[float, Field(gt=0, lt=1)] | None = None
    draw: Annotated[float, Field(le=1)]
    warn: bool = False

    @field_validator("draw")
    @classmethod
    def _nobody_is_exempt(cls, draw: float) -> float:
        if not draw > 0:
            raise ValueError(
                f"draw {draw:g} would exempt a grade from inspection, which none may be (不免抽); "
                "give a share above 0"
            )
        return draw


class Veto(Frozen):
    """A condition on features that settles the grade whatever the probability (一票否决)."""

    when: Where
    grade: str
    reason: Text | None = None


class Validity(Frozen):
    """How long a decision holds, and how far past a threshold a probability must go to regrade."""

    days: Annotated[int, Field(ge=1, le=3660)] = 30
    hysteresis: Annotated[float, Field(ge=0, lt=0.5)] = 0.0


class Capacity(Frozen):
    """What inspectors can do; ``random_share`` of it stays with the purely random draw."""

    per_month: Annotated[int, Field(ge=1)]
    random_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    inspectors_per_target: Annotated[int, Field(ge=2, le=10)] = 2


class Audit(Frozen):
    """By what the results are compared, so that no group is treated worse without a reason."""

    by: tuple[AuditBy, ...] = ()


class Scenario(Frozen):
    """One declared kind of risk; its digest is stamped on all that is made from it."""

    id: Identifier
    code: Annotated[str, StringConstraints(pattern=r"^SC[0-9]{2}$")] | None = None
    title: Text
    legal_basis: Annotated[tuple[Text, ...], Field(min_length=1)]
    subject: _Kinds
    cohort: Cohort = Cohort()
    label: Label
    snapshots: Snapshots
    features: Features
    model: ModelChoice = ModelChoice()
    grades: dict[str, Grade]
    veto: tuple[Veto, ...] = ()
    validity: Validity = Validity()
    capacity: Capacity | None = None
    actions: dict[str, Text] = Field(default_factory=dict[str, Text])
    audit: Audit = Audit()

    @property
    def kinds(self) -> frozenset[SubjectType]:
        """Return the kinds of subject it is about."""
        return frozenset(SubjectType[kind.upper()] for kind in self.subject)

    @property
    def tables(self) -> frozenset[str]:
        """Return every record table it reads, the register among them."""
        rows = (
            *self.cohort.seen_in,
            *self.cohort.without,
            *self.label.events,
            *self.label.observers,
        )
        return frozenset(("subject", *(r.table for r in rows), *self.features.tables))

    @property
    def canonical(self) -> str:
        """Return the declaration as canonical JSON: every default said, keys sorted, UTF-8."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, in 64 hex digits."""
        return digest_of(self.model_dump(mode="json"))

    @field_validator("subject")
    @classmethod
    def _once_each(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        return no_twins(kinds)

    @field_validator("grades")
    @classmethod
    def _grades_ascend(cls, grades: dict[str, Grade]) -> dict[str, Grade]:
        names = list(grades)
        if len(names) < 2 or names != sorted(names) or any(len(n) != 1 for n in names):
            raise ValueError(
                f"grades are letters from the best to the worst, such as A B C D; got {names}"
            )
        *lower, last = names
        if grades[last].below is not None:
            raise ValueError(f"the last grade {last} has no upper bound; leave its below out")
        open_ended = [name for name in lower if grades[name].below is None]
        if open_ended:
            raise ValueError(f"grade {open_ended[0]} needs below, the probability it lies below")
        for one, next_ in pairwise(lower):
            if (grades[one].below or 0) >= (grades[next_].below or 0):
                raise ValueError(
                    f"thresholds must ascend: {next_} lies below {grades[next_].below}, which is "
                    f"not above {one}'s {grades[one].below}"
                )
        return grades

    @field_validator("veto")
    @classmethod
    def _veto_gives_a_grade(cls, veto: tuple[Veto, ...], info: ValidationInfo) -> tuple[Veto, ...]:
        grades: dict[str, Grade] = info.data.get("grades", {})
        for one in veto:
            if grades and one.grade not in grades:
                raise ValueError(f"there is no grade '{one.grade}'{nearest(one.grade, grades)}")
        return veto

    @field_validator("validity")
    @classmethod
    def _every_grade_can_be_reached(cls, validity: Validity, info: ValidationInfo) -> Validity:
        grades: dict[str, Grade] = info.data.get("grades", {})
        bounds = [grade.below for grade in grades.values() if grade.below is not None]
        held = validity.hysteresis
        if bounds and not held < bounds[0]:
            raise ValueError(
                f"hysteresis {held:g} is not below {bounds[0]:g}, where grade {next(iter(grades))} "
                "ends: once lost, that grade could never be reached again; give a smaller one"
            )
        if bounds and not 1 - held > bounds[-1]:
            raise ValueError(
                f"hysteresis {held:g} leaves no probability surely past {bounds[-1]:g}, where "
                f"grade {list(grades)[-1]} begins: a better grade could never fall to it; give "
                "a smaller one"
            )
        return validity

    @field_validator("actions")
    @classmethod
    def _actions_for_all(cls, actions: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        grades: dict[str, Grade] = info.data.get("grades", {})
        odd = sorted(actions.keys() ^ grades.keys())
        if grades and actions and odd:
            raise ValueError(f"grades and actions differ in {', '.join(odd)}; name each once")
        return actions
