"""The words of features: titles, units, reason templates, hints (``wording.yaml``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from models import yaml
from models.scenarios.scenario import Direction

VALUE: Final = "{value}"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Phrase(_Frozen):
    """A title and a reason with blanks to fill in, and the unit of the value."""

    title: str
    reason: str
    unit: str | None = None

    def said(self, **blanks: object) -> Phrase:
        """Return the phrase with its blanks filled in; ``{value}`` stays in the reason."""
        return Phrase(
            title=self.title.format(**blanks),
            reason=self.reason.format(**{"value": VALUE, **blanks}),
            unit=self.unit,
        )


class _Hints(_Frozen):
    tables: Mapping[str, tuple[str, ...]] = {}
    levels: Mapping[str, tuple[str, ...]] = {}
    names: tuple[str, ...] = ()


class Wording(_Frozen):
    """All words there are for features."""

    window: Mapping[str, Phrase]
    peers: Phrase
    subject: Mapping[str, Phrase]
    relation: Mapping[str, Phrase]
    relation_by_tie: Mapping[str, Phrase]
    identity: Mapping[str, Phrase]
    area: Mapping[str, Phrase]
    area_groups: Mapping[str, str]
    ties: Mapping[str, str]
    text: Mapping[str, Phrase]
    groups: Mapping[str, str]
    hints: Mapping[Direction, _Hints]
    values: Mapping[str, Mapping[str, str]]

    def value(self, table: str, column: str, value: str) -> str:
        """Return what a category's value is called: by table and column, by column, or itself."""
        for place in (f"{table}.{column}", column):
            named = self.values.get(place, {}).get(value)
            if named is not None:
                return named
        return value

    def hint(
        self,
        name: str,
        *,
        table: str | None = None,
        stat: str = "",
        column: str = "",
        level: str = "",
    ) -> Direction | None:
        """Return which way a larger value moves the risk; null where that is not clear."""
        for direction, hints in self.hints.items():
            if name in hints.names:
                return direction
            if level and level in hints.levels.get(f"{table}.{column}", ()):
                return direction
            if table and not level and stat in hints.tables.get(table, ()):
                return direction
        return None


@cache
def wording() -> Wording:
    """Return the words, read once."""
    with resources.as_file(resources.files("models.features") / "wording.yaml") as path:
        return yaml.load(Path(path), Wording)
