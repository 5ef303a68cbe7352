"""What holds from one day to another: every rule of supervision says its days and its ground."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.records.publicity import Certainty

Basis: TypeAlias = Annotated[tuple[str, ...], Field(min_length=1)]
"""The instruments that a rule rests on, one at least."""


class Frozen(BaseModel):
    """A part of a rule file: a value, in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dated(Frozen):
    """Something that holds within a period; both ends belong to it, no end is open."""

    effective_from: date
    effective_to: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.effective_to is not None and self.effective_to < self.effective_from:
            raise ValueError(
                f"it ends on {self.effective_to}, before it begins ({self.effective_from}); "
                "correct one of the dates"
            )
        return self

    def in_force(self, on: date) -> bool:
        """Tell whether it holds on a day."""
        return self.effective_from <= on <= (self.effective_to or date.max)


class Grounded(Dated):
    """A whole file of rules: its days, what it rests on, and how well that is known."""

    basis: Basis
    certainty: Certainty
