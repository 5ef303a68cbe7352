"""Measures (一目录两清单): what may follow a trigger, and on which ground.

A measure fires only if its row exists: the trigger, the kind of subject, the day. Triggers are
facts that a law names, such as being on a list; a score, a probability or a grade is none, and a
list of measures that names one does not load (国办发〔2020〕49号: measures only by list).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

import polars as pl
from pydantic import Field, field_validator, model_validator

from models import yaml
from models.codes.subjects import SubjectType
from models.records.publicity import Certainty
from models.scenarios.label import Where
from models.scenarios.where import parse
from models.supervision.dated import Basis, Dated, Frozen
from models.yaml import nearest

SubjectKind: TypeAlias = Literal["enterprise", "individual_business", "person"]

FILE: Final = Path(__file__).with_name("measures.yaml")
"""The list that comes with the package."""
_KINDS: Final[Mapping[str, SubjectKind]] = {
    SubjectType.ENTERPRISE: "enterprise",
    SubjectType.COOPERATIVE: "enterprise",
    SubjectType.INDIVIDUAL_BUSINESS: "individual_business",
}
_NOT_TRIGGERS: Final = ("score", "grade", "probability", "risk", "model", "warning", "prediction")


class Trigger(Frozen):
    """A fact that a law names: the records of a table for which ``where`` is true are it."""

    title: str
    table: str
    where: Where

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of its table that are it."""
        return parse(self.where).keep(rows.lazy()).collect()


class Measure(Dated):
    """A row of the list: ``type`` 1 needs a law, 2 is within an organ's duty, 3 is voluntary."""

    id: str
    type: Literal[1, 2, 3]
    title: str
    triggers: Annotated[tuple[str, ...], Field(min_length=1)]
    subjects: Annotated[tuple[SubjectKind, ...], Field(min_length=1)]
    authority: str
    basis: Basis
    certainty: Certainty


class Measures(Frozen):
    """The list in force and its versions of before, and the facts that its rows name."""

    triggers: Mapping[str, Trigger]
    measures: tuple[Measure, ...]

    @field_validator("triggers")
    @classmethod
    def _no_score_fires(cls, triggers: Mapping[str, Trigger]) -> Mapping[str, Trigger]:
        for name in triggers:
            refuse_score(name)
        return triggers

    @model_validator(mode="after")
    def _triggers_are_known(self) -> Self:
        for one in self.measures:
            for name in one.triggers:
                refuse_score(name)
                if name not in self.triggers:
                    hint = nearest(name, self.triggers)
                    raise ValueError(f"{one.id}: no trigger '{name}'{hint}")
        return self

    @model_validator(mode="after")
    def _one_version_a_day(self) -> Self:
        for place, one in enumerate(self.measures):
            for other in self.measures[:place]:
                starts = max(one.effective_from, other.effective_from)
                if one.id == other.id and one.in_force(starts) and other.in_force(starts):
                    raise ValueError(f"two versions of {one.id} hold at once; end the earlier")
        return self

    def row(self, name: str, on: date) -> Measure | None:
        """Return the row of a measure that holds on a day; ``None`` where there is none."""
        return next((one for one in self.measures if one.id == name and one.in_force(on)), None)

    def lawful(
        self, triggers: Collection[str], subject: SubjectKind, on: date
    ) -> tuple[Measure, ...]:
        """Return the measures that may be taken against a kind of subject on a day."""
        held = set(triggers)
        return tuple(
            one
            for one in self.measures
            if held & set(one.triggers) and subject in one.subjects and one.in_force(on)
        )


def names_score(name: str) -> bool:
    """Tell whether a trigger's name is one of a score, a grade, a model or a warning."""
    return any(word in name.lower() for word in _NOT_TRIGGERS)


def refuse_score(name: str) -> None:
    """Raise ``ValueError`` for a trigger that is a score, a grade, a model or a warning."""
    if names_score(name):
        raise ValueError(
            f"'{name}' is no trigger: no score, grade or warning may fire a measure; name a fact "
            "that a law names"
        )


def kind_of(subject_type: str | None) -> SubjectKind | None:
    """Return the kind of subject that the register's type is; ``None`` where no row can mean it."""
    return _KINDS.get(subject_type or "")


@cache
def measures() -> Measures:
    """Return the list that comes with the package; read once."""
    return load_measures(FILE)


def load_measures(path: Path | str) -> Measures:
    """Read a list from YAML; :class:`ConfigError` with ``file:line`` if it is wrong."""
    return yaml.load(path, Measures)
