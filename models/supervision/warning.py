"""Warnings (信用风险智能预警): what raises one, what keeps it quiet, how long it may wait.

The rules are data in ``warnings.yaml``. A warning is a lead for a person and never evidence; what
it proposes is on the ladder (:mod:`.ladder`). All functions are pure: frames in, frames out, and
what is open already comes from whoever keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache, reduce
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

import polars as pl
from pydantic import Field, field_validator, model_validator

from models import yaml
from models.codes import calendar
from models.errors import ConfigError
from models.features.spec import AS_OF, SUBJECT
from models.scenarios.label import Where
from models.scenarios.where import parse
from models.supervision.dated import Frozen, Grounded
from models.supervision.machine import Machine, Step
from models.yaml import nearest

FILE: Final = Path(__file__).with_name("warnings.yaml")
"""The rules that come with the package."""
Level: TypeAlias = Literal["red", "orange", "yellow"]
LEVELS: Final[tuple[Level, ...]] = ("red", "orange", "yellow")

OUTCOMES: Final[Mapping[str, str]] = {
    "confirmed": "属实",
    "false_alarm": "误报",
    "no_action": "无需处置",
}
"""What a warning is closed with; the first two become labels."""

_SEEN: Final = frozenset({"acknowledged", "assigned", "handling", "reopened"})
MACHINE: Final = Machine(
    "预警处置",
    {
        "new": "新预警",
        "acknowledged": "已签收",
        "assigned": "已派发",
        "handling": "处置中",
        "reopened": "重新开启",
        "closed": "已办结",
    },
    (
        Step("acknowledge", "签收", frozenset({"new", "reopened"}), "acknowledged"),
        Step(
            "assign",
            "派发",
            frozenset({"new", "acknowledged", "assigned", "handling", "reopened"}),
            "assigned",
        ),
        Step("handle", "开始处置", frozenset({"acknowledged", "assigned"}), "handling"),
        Step("close", "办结", _SEEN, "closed"),
        Step("reopen", "重新开启", frozenset({"closed"}), "reopened"),
    ),
)

RAISED: Final[Mapping[str, pl.DataType]] = {
    SUBJECT: pl.String(),
    AS_OF: pl.Date(),
    "level": pl.String(),
    "rules": pl.List(pl.String()),
    "grade": pl.String(),
    "previous_grade": pl.String(),
    "probability": pl.Float64(),
    "previous_probability": pl.Float64(),
}
"""The columns of warnings that are raised."""

SUPPRESSED_BY: Final[Mapping[str, pl.DataType]] = {
    SUBJECT: pl.String(),
    AS_OF: pl.Date(),
    "valid_until": pl.Date(),
    "region": pl.String(),
    "grade": pl.String(),
    "previous_grade": pl.String(),
    "probability": pl.Float64(),
    "warn": pl.Boolean(),
}
"""The columns of decisions that a suppression may ask of."""

HISTORY: Final[Mapping[str, pl.DataType]] = {
    SUBJECT: pl.String(),
    "rules": pl.List(pl.String()),
    "grade": pl.String(),
    "closed_on": pl.Date(),
}
"""The columns of warnings there are already; ``closed_on`` is null while one is open."""


class LevelTerms(Frozen):
    """Working days to acknowledge and to close, and who hears when they have passed."""

    title: str
    acknowledge: Annotated[int, Field(ge=0, le=250)]
    close: Annotated[int, Field(ge=0, le=250)]
    escalate_to: str

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.close < self.acknowledge:
            raise ValueError("closing is due before acknowledging; give it as many days or more")
        return self


class Rule(Frozen):
    """What raises a warning.

    ``veto``: a veto holds, and it was not the ground before. ``warned``: the scenario warns of the
    grade, and it is another than before. ``grade_worse``: the grade fell by ``steps`` or more, to
    one of ``grades`` where they are named. ``jump``: the probability rose by ``by`` and to
    ``ratio`` times what it was. A first decision can be warned of and vetoed; it is no fall.
    """

    id: str
    kind: Literal["veto", "warned", "grade_worse", "jump"]
    level: Level
    title: str
    grades: tuple[str, ...] = ()
    steps: Annotated[int, Field(ge=1)] = 1
    by: Annotated[float, Field(gt=0, lt=1)] | None = None
    ratio: Annotated[float, Field(ge=1)] = 1.0
    effective_from: date | None = None
    effective_to: date | None = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.kind == "jump" and self.by is None:
            raise ValueError(f"{self.id}: a jump needs 'by', the least rise of the probability")
        return self


class Suppression(Frozen):
    """Decisions that raise no warning up to and with a day: why, and who answers for it."""

    when: Where
    until: date
    why: str
    by: str

    @field_validator("when")
    @classmethod
    def _asks_what_there_is(cls, when: str) -> str:
        condition = parse(when)
        unknown = sorted(condition.names - SUPPRESSED_BY.keys())
        if unknown:
            raise ValueError(f"no column '{unknown[0]}'{nearest(unknown[0], SUPPRESSED_BY)}")
        if problems := condition.type_problems(SUPPRESSED_BY):
            raise ValueError(problems[0])
        return when


class Escalation(Frozen):
    """Who hears of a warning that stays late: up the chain by one each ``every`` working days."""

    chain: Annotated[tuple[str, ...], Field(min_length=1)]
    every: Annotated[int, Field(ge=1, le=250)]


class Book(Grounded):
    """The rules of warning; a rule without days of its own has those of the book."""

    levels: Mapping[Level, LevelTerms]
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    cool_down_days: Annotated[int, Field(ge=0, le=3650)]
    suppressions: tuple[Suppression, ...] = ()
    escalation: Escalation

    @field_validator("levels")
    @classmethod
    def _all_levels(cls, levels: Mapping[Level, LevelTerms]) -> Mapping[Level, LevelTerms]:
        missing = [name for name in LEVELS if name not in levels]
        if missing:
            raise ValueError(f"missing {', '.join(missing)}; every level needs its terms")
        return levels

    @field_validator("rules")
    @classmethod
    def _once_each(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        names = [rule.id for rule in rules]
        if len(set(names)) < len(names):
            raise ValueError("two rules have one id; give each its own")
        return rules

    @model_validator(mode="after")
    def _escalates_along_the_chain(self) -> Self:
        for name, terms in self.levels.items():
            if terms.escalate_to not in self.escalation.chain:
                hint = nearest(terms.escalate_to, self.escalation.chain)
                raise ValueError(
                    f"level {name} escalates to '{terms.escalate_to}', not in its chain{hint}"
                )
        return self

    def on(self, day: date) -> tuple[Rule, ...]:
        """Return the rules that hold on a day; none where the book itself does not."""
        return tuple(
            rule
            for rule in self.rules
            if self.in_force(day)
            and (rule.effective_from or self.effective_from) <= day
            and day <= (rule.effective_to or date.max)
        )

    def terms(self, level: str) -> LevelTerms:
        """Return the terms of a level; :class:`ConfigError` for one there is not."""
        for name, terms in self.levels.items():
            if name == level:
                return terms
        raise ConfigError(f"no level '{level}'{nearest(level, LEVELS)}")


@cache
def book() -> Book:
    """Return the rules that come with the package; read once."""
    return load_book(FILE)


def load_book(path: Path | str) -> Book:
    """Read rules from YAML; :class:`ConfigError` with ``file:line`` if they are wrong."""
    return yaml.load(path, Book)


def raised(
    decisions: pl.DataFrame,
    previous: pl.DataFrame | None,
    history: pl.DataFrame,
    *,
    grades: tuple[str, ...],
    rules: Book | None = None,
    on: date,
) -> pl.DataFrame:
    """Return the warnings that decisions raise, one for a subject at most; see :data:`RAISED`.

    A rule is silent while a warning that it raised is open, and for the cool-down after that was
    closed unless the grade is worse than then. The level is the gravest of the rules that speak.

    Args:
        decisions: As :func:`models.decide.decide` returns them, one for a subject.
        previous: The decisions before: ``subject_id``, ``grade``, ``probability``; a subject
            without one is decided for the first time.
        history: Warnings of the scenario there are already; see :data:`HISTORY`.
        grades: The scenario's grades, the best first.
        rules: Those of the package by default.
        on: The day, for cool-down and suppressions.
    """
    rules = rules or book()
    holding = rules.on(on)
    if not holding:
        return pl.DataFrame(schema=dict(RAISED))
    rows = _with_places(_joined(decisions, previous), grades)
    quiet = _quiet(history, rows, grades, rules, on=on)
    spoken = [
        pl.when(_fires(rule, grades) & ~pl.col(f"_quiet_{rule.id}")).then(pl.lit(rule.id))
        for rule in holding
    ]
    heard = rows.join(quiet, on=SUBJECT, how="left", maintain_order="left").with_columns(
        pl.col("^_quiet_.*$").fill_null(value=False)
    )
    level = {rule.id: LEVELS.index(rule.level) for rule in holding}
    found = (
        heard.filter(~_suppressed(heard, rules, on))
        .with_columns(pl.concat_list(spoken).list.drop_nulls().alias("rules"))
        .filter(pl.col("rules").list.len() > 0)
        .with_columns(
            pl.col("rules")
            .list.eval(pl.element().replace_strict(level, return_dtype=pl.Int64))
            .list.min()
            .replace_strict(dict(enumerate(LEVELS)), return_dtype=pl.String)
            .alias("level")
        )
    )
    return found.select(pl.col(name).cast(dtype) for name, dtype in RAISED.items())


def due(level: str, start: date, *, rules: Book | None = None) -> tuple[date, date]:
    """Return the last days to acknowledge and to close a warning raised, or reopened, on a day.

    Raises :class:`CodeError` where the calendar of working days does not reach that far.
    """
    terms, assumed = (rules or book()).terms(level), calendar.planning()
    return (
        calendar.add_working_days(start, terms.acknowledge, calendar=assumed),
        calendar.add_working_days(start, terms.close, calendar=assumed),
    )


def hears(level: str, late_since: date, on: date, *, rules: Book | None = None) -> str:
    """Return who is to hear on a day of a warning whose term ended on ``late_since``.

    At first whom its level names, then up the chain by one each ``every`` working days, to the head
    of the office. Raises :class:`CodeError` where the calendar does not reach that far.
    """
    rules = rules or book()
    chain, every = rules.escalation.chain, rules.escalation.every
    place, assumed = chain.index(rules.terms(level).escalate_to), calendar.planning()
    while place + 1 < len(chain):
        late_since = calendar.add_working_days(late_since, every, calendar=assumed)
        if on <= late_since:
            break
        place += 1
    return chain[place]


def check_outcome(outcome: str | None) -> str:
    """Return the outcome that a warning is closed with; :class:`ConfigError` where it is none."""
    if outcome not in OUTCOMES:
        given = "no outcome" if outcome is None else f"'{outcome}' is no outcome"
        raise ConfigError(f"{given}; close a warning with one of {', '.join(OUTCOMES)}")
    return outcome


def _joined(decisions: pl.DataFrame, previous: pl.DataFrame | None) -> pl.DataFrame:
    before = (
        pl.DataFrame(schema={SUBJECT: pl.String, "grade": pl.String, "probability": pl.Float64})
        if previous is None
        else previous
    ).select(
        SUBJECT,
        pl.col("grade").alias("_grade_before"),
        pl.col("probability").alias("previous_probability"),
    )
    joined = decisions.join(before, on=SUBJECT, how="left", maintain_order="left")
    own = pl.col("previous_grade") if "previous_grade" in decisions.columns else pl.lit(None)
    return joined.with_columns(pl.coalesce("_grade_before", own).alias("previous_grade"))


def _with_places(rows: pl.DataFrame, grades: tuple[str, ...]) -> pl.DataFrame:
    place = {grade: number for number, grade in enumerate(grades)}
    return rows.with_columns(
        pl.col("grade").replace_strict(place, return_dtype=pl.Int64).alias("_place"),
        pl.col("previous_grade")
        .replace_strict(place, default=None, return_dtype=pl.Int64)
        .alias("_place_before"),
    )


def _fires(rule: Rule, grades: tuple[str, ...]) -> pl.Expr:
    moved = (pl.col("grade") != pl.col("previous_grade")).fill_null(value=True)
    match rule.kind:
        case "veto":
            return (pl.col("vetoes").list.len() > 0) & moved
        case "warned":
            return pl.col("warn") & moved
        case "grade_worse":
            fell = pl.col("_place") - pl.col("_place_before") >= rule.steps
            among = pl.col("grade").is_in(list(rule.grades or grades))
            return (fell & among).fill_null(value=False)
        case "jump":
            before, now = pl.col("previous_probability"), pl.col("probability")
            return ((now - before >= rule.by) & (now >= before * rule.ratio)).fill_null(value=False)


def _quiet(
    history: pl.DataFrame, rows: pl.DataFrame, grades: tuple[str, ...], rules: Book, *, on: date
) -> pl.DataFrame:
    """Return, for each subject with warnings, which rules are silent."""
    place = {grade: number for number, grade in enumerate(grades)}
    since = pl.lit(on, pl.Date) - pl.duration(days=rules.cool_down_days)
    known = (
        history.select(pl.col(name).cast(dtype) for name, dtype in HISTORY.items())
        .rename({"grade": "_then"})
        .join(rows.select(SUBJECT, "_place"), on=SUBJECT)
        .with_columns(
            pl.col("_then").replace_strict(place, default=0, return_dtype=pl.Int64).alias("_then")
        )
    )
    held = pl.col("closed_on").is_null() | (
        (pl.col("closed_on") > since) & (pl.col("_place") <= pl.col("_then"))
    )
    return known.group_by(SUBJECT).agg(
        (held & pl.col("rules").list.contains(rule.id)).any().alias(f"_quiet_{rule.id}")
        for rule in rules.on(on)
    )


def _suppressed(rows: pl.DataFrame, rules: Book, on: date) -> pl.Series:
    marks = [
        parse(one.when).mark(rows.lazy(), "_hit").collect()["_hit"]
        for one in rules.suppressions
        if on <= one.until
    ]
    nothing = pl.Series("_hit", [False]).new_from_index(0, rows.height)
    return reduce(lambda held, mark: held | mark.fill_null(value=False), marks, nothing)
