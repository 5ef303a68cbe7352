"""What a scenario foretells, and the rows of records by which it says so."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal, Self, TypeAlias, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from models.errors import ConfigError
from models.scenarios.where import Condition, parse
from models.time import MonthDay, Span

LabelKind: TypeAlias = Literal["event", "inspection", "survival"]

OBSERVING: Final = {"inspection": "result != 'excluded'"}
"""What makes a row of a table an observation where a scenario does not say: a visit that found
nothing to inspect (未发现相关经营活动, 已注销) tells nothing about the risk."""


def _condition(text: str) -> str:
    try:
        return parse(text).text
    except ConfigError as error:
        raise ValueError(str(error)) from None


Where: TypeAlias = Annotated[str, AfterValidator(_condition)]


class Frozen(BaseModel):
    """A part of a declaration: a value, in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rows(Frozen):
    """Rows of a table, all or those that meet a condition; a table's bare name means all."""

    table: str
    where: Where | None = None

    @property
    def condition(self) -> Condition | None:
        """Return the parsed condition."""
        return None if self.where is None else parse(self.where)


class Events(Rows):
    """Rows that are events; ``on`` is the column with the day on which they happen."""

    on: str = "happened_on"


def _from_name(value: object) -> object:
    return {"table": value} if isinstance(value, str) else value


def listed(value: object) -> object:
    """Return a list, so that one alone need not be written as one."""
    if isinstance(value, list | tuple):
        return cast("object", value)
    return [value]


_Rows: TypeAlias = Annotated[Rows, BeforeValidator(_from_name, json_schema_input_type=str | Rows)]
SomeRows: TypeAlias = Annotated[
    tuple[_Rows, ...],
    BeforeValidator(listed, json_schema_input_type=str | Rows | list[str | Rows]),
]


class Label(Frozen):
    """What is foretold, and where it was seen.

    ``event``: it happens within the horizon. ``inspection``: an inspection of ``observed_by``
    within the horizon finds it; without one the label is null. ``survival``: it does not happen,
    such as a report that is not filed ``until`` a day of the year. Where ``kind`` is left out it is
    ``inspection`` if ``observed_by`` is given, else ``event``.

    ``visits``: a finding of any observing row in the horizon counts, or of the first day's only.
    ``weight``: ``ipw`` weighs by the recorded inclusion probability, else by a fitted propensity.
    ``repaired``: whether an outcome that was repaired later is kept or makes the label null; one
    that was annulled never counts.
    """

    kind: LabelKind | None = None
    table: str | None = None
    where: Where | None = None
    on: str = "happened_on"
    any_of: tuple[Events, ...] = ()
    horizon: Span | None = None
    until: MonthDay | None = None
    observed_by: SomeRows = ()
    visits: Literal["any", "first"] = "any"
    weight: Literal["none", "ipw"] = "none"
    repaired: Literal["keep", "null"] = "keep"

    @property
    def means(self) -> LabelKind:
        """Return the kind, inferred where it is left out."""
        return self.kind or ("inspection" if self.observed_by else "event")

    @property
    def events(self) -> tuple[Events, ...]:
        """Return the rows that are the outcome."""
        if self.table is None:
            return self.any_of
        return (Events(table=self.table, where=self.where, on=self.on),)

    @property
    def observers(self) -> tuple[Rows, ...]:
        """Return the rows that observe, each with its condition."""
        return tuple(
            rows
            if rows.where is not None
            else Rows(table=rows.table, where=OBSERVING.get(rows.table))
            for rows in self.observed_by
        )

    def ends(self, as_of: date) -> date:
        """Return the last day of the horizon of a date of view, ``due`` in conditions."""
        if self.until is not None:
            return self.until.after(as_of)
        assert self.horizon is not None  # noqa: S101 - the validator has made sure
        return as_of + self.horizon.delta

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        if (self.table is None) == (not self.any_of):
            raise ValueError("say what is foretold by exactly one of table and any_of")
        if self.table is None and (self.where is not None or self.on != "happened_on"):
            raise ValueError("where and on go with table; inside any_of each table has its own")
        if (self.horizon is None) == (self.until is None):
            raise ValueError("say how far to look by exactly one of horizon and until")
        return self

    @model_validator(mode="after")
    def _observed_as_its_kind_asks(self) -> Self:
        if (self.means == "inspection") != bool(self.observed_by):
            raise ValueError(
                f"a label of kind {self.means} "
                + (
                    "needs observed_by: the table whose rows are the inspections"
                    if not self.observed_by
                    else "is always observed; leave observed_by out"
                )
            )
        if not self.observed_by and (self.weight != "none" or self.visits != "any"):
            raise ValueError("weight and visits are for labels that an inspection observes")
        observing = [rows.table for rows in self.observed_by]
        seen = set(observing)
        if len(seen) < len(observing):
            raise ValueError("observed_by names a table twice; join the conditions with 'or'")
        blind = [rows.table for rows in self.events if rows.table not in seen]
        if self.observed_by and any(rows.on != "happened_on" for rows in self.events):
            raise ValueError("a finding has the day of its inspection; leave 'on' out")
        if self.observed_by and blind:
            raise ValueError(
                f"table '{blind[0]}' is not in observed_by: it would show the found and never the "
                "clean; add it there, or foretell it as an event"
            )
        return self
