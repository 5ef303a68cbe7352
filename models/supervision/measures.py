"""Measures (一目录两清单): what may follow a trigger, and on which ground.

A measure fires only if its row exists: the trigger, the kind of subject, the day. Triggers are
facts that a law names, such as being on a list; a score, a probability or a grade is none, and a
list of measures that names one does not load (国办发〔2020〕49号: measures only by list).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models import yaml
from models.records.publicity import Certainty

SubjectKind: TypeAlias = Literal["enterprise", "individual_business", "person"]

_FILE: Final = Path(__file__).with_name("measures.yaml")
_NOT_TRIGGERS: Final = ("score", "grade", "probability", "risk", "model", "warning", "prediction")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measure(_Frozen):
    """A row of the list: ``type`` 1 needs a law, 2 is within an organ's duty, 3 is voluntary."""

    id: str
    type: Literal[1, 2, 3]
    title: str
    triggers: Annotated[tuple[str, ...], Field(min_length=1)]
    subjects: Annotated[tuple[SubjectKind, ...], Field(min_length=1)]
    authority: str
    basis: Annotated[tuple[str, ...], Field(min_length=1)]
    certainty: Certainty
    effective_from: date | None = None
    effective_to: date | None = None

    @field_validator("triggers")
    @classmethod
    def _no_score_fires(cls, triggers: tuple[str, ...]) -> tuple[str, ...]:
        for name in triggers:
            if any(word in name.lower() for word in _NOT_TRIGGERS):
                raise ValueError(
                    f"'{name}' is no trigger: no score, grade or warning may fire a measure; name "
                    "a fact that a law names"
                )
        return triggers

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.effective_from and self.effective_to and self.effective_to < self.effective_from:
            raise ValueError(f"{self.id} ends before it begins; correct one of the dates")
        return self

    def in_force(self, on: date) -> bool:
        """Tell whether the row holds on a day; both ends belong to the period."""
        return (self.effective_from or date.min) <= on <= (self.effective_to or date.max)


class Measures(_Frozen):
    """The list in force and its versions of before."""

    measures: tuple[Measure, ...]

    @model_validator(mode="after")
    def _one_version_a_day(self) -> Self:
        for place, one in enumerate(self.measures):
            for other in self.measures[:place]:
                starts = max(one.effective_from or date.min, other.effective_from or date.min)
                if one.id == other.id and one.in_force(starts) and other.in_force(starts):
                    raise ValueError(f"two versions of {one.id} hold at once; end the earlier")
        return self

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


@cache
def measures() -> Measures:
    """Return the list that comes with the package; read once."""
    return load_measures(_FILE)


def load_measures(path: Path | str) -> Measures:
    """Read a list from YAML; :class:`ConfigError` with ``file:line`` if it is wrong."""
    return yaml.load(path, Measures)
