"""Remedies: what the law lets a subject do about a record, as data (``remedies.yaml``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from models import yaml
from models.records.publicity import Certainty
from models.scenarios.label import Where
from models.scenarios.where import parse
from models.time import MonthDay

RemedyKind: TypeAlias = Literal["repair", "exit", "file", "renew"]
Effect: TypeAlias = Literal["void", "remove", "file", "renew"]

_FILE: Final = Path(__file__).with_name("remedies.yaml")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _About(_Frozen):
    """What is about rows of a table: all, or those that meet a condition."""

    table: str
    where: Where | None = None

    def fits(self, rows: pl.DataFrame) -> pl.Series:
        """Return, for each row, whether it is about it; false where a column is not there."""
        condition = None if self.where is None else parse(self.where)
        if condition is None or not condition.columns <= set(rows.columns):
            return pl.repeat(condition is None, rows.height, dtype=pl.Boolean, eager=True)
        return condition.mark(rows.lazy(), "_fits").collect()["_fits"]


class Remedy(_About):
    """One lawful way to mend something, and what it does to the records.

    ``does`` has blanks for the record; ``needs`` are conditions; ``days`` bounds how far back it
    looks, ``due`` is the day of the year by which a report is owed. ``working_days`` is what the
    authority has for its decision, null where no rule says.
    """

    id: str
    kind: RemedyKind
    effect: Effect
    does: str
    needs: tuple[str, ...]
    basis: tuple[str, ...] = ()
    working_days: Annotated[int, Field(ge=0)] | None = None
    certainty: Certainty
    days: Annotated[int, Field(ge=1)] | None = None
    due: MonthDay | None = None


class Refusal(_About):
    """Rows that nothing ends early, and why."""

    why: str
    basis: str
    certainty: Certainty


class Remedies(_Frozen):
    """All remedies and refusals, in the order in which they are tried."""

    remedies: tuple[Remedy, ...]
    refusals: tuple[Refusal, ...]
    words: Mapping[str, str]

    def of_effect(self, effect: Effect, table: str) -> Remedy | None:
        """Return the remedy of a table that has this effect; null where there is none."""
        return next((r for r in self.remedies if (r.effect, r.table) == (effect, table)), None)


@cache
def remedies() -> Remedies:
    """Return the package's remedies, read once."""
    return yaml.load(_FILE, Remedies)
