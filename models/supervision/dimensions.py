"""The dimensions of a portrait: where a subject stands in each group of facts, and why.

Which tables and features tell of a group is data (``dimensions.yaml``). What a group adds to the
risk is summed up from a stored explanation and nothing is scored anew, so that a portrait and the
decision it stands beside never disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models import yaml
from models.features.spec import FeatureSpec
from models.records.publicity import Certainty

Pull: TypeAlias = Literal["raises", "lowers", "none", "unknown"]

_FILE: Final = Path(__file__).with_name("dimensions.yaml")
_LEAST: Final = 1e-9
"""Log-odds below which a group pulls nowhere."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Group(_Frozen):
    """A group of facts: its tables, and the features by beginning of name or by family."""

    id: str
    title: str
    names: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    families: tuple[str, ...] = ()


class Dimension(_Frozen):
    """A dimension of the official frame and its groups; ``weight`` is for display alone."""

    id: str
    title: str
    weight: Annotated[int, Field(ge=0, le=1000)]
    groups: tuple[Group, ...]


class _Other(_Frozen):
    id: str
    title: str


class Dimensions(_Frozen):
    """All dimensions; ``other`` takes what no group names."""

    certainty: Certainty
    other: _Other
    dimensions: Annotated[tuple[Dimension, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        for what in ("id", "names", "tables", "families"):
            said = [
                one
                for group in self.groups
                for one in ([group.id] if what == "id" else getattr(group, what))
            ]
            twice = sorted({one for one in said if said.count(one) > 1})
            if twice:
                raise ValueError(f"{what} {', '.join(twice)} named twice; each has one group")
        return self

    @property
    def groups(self) -> tuple[Group, ...]:
        """Return the groups of all dimensions."""
        return tuple(group for one in self.dimensions for group in one.groups)

    def of_table(self, table: str) -> str:
        """Return the id of a table's group."""
        return next((g.id for g in self.groups if table in g.tables), self.other.id)

    def of_feature(self, name: str, *, family: str, table: str | None = None) -> str:
        """Return the id of a feature's group: by its name, else its table, else its family."""
        named = [
            (len(start), group.id)
            for group in self.groups
            for start in group.names
            if name.startswith(start)
        ]
        if named:
            return max(named)[1]
        by_table = self.of_table(table) if table else self.other.id
        if by_table != self.other.id:
            return by_table
        return next((g.id for g in self.groups if family in g.families), self.other.id)


@cache
def dimensions() -> Dimensions:
    """Return the dimensions that come with the package; read once."""
    return load_dimensions(_FILE)


def load_dimensions(path: Path | str) -> Dimensions:
    """Read dimensions from YAML; :class:`ConfigError` with ``file:line`` if they are wrong."""
    return yaml.load(path, Dimensions)


@dataclass(frozen=True, slots=True)
class Stands:
    """Where a subject stands in a group.

    ``records`` is how many of its records count; ``contribution`` is in log-odds, of the reasons
    that are listed, null where no explanation is stored.
    """

    id: str
    title: str
    records: int
    contribution: float | None
    pull: Pull
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DimensionStands:
    """A dimension with its groups; its figures are their sums."""

    id: str
    title: str
    weight: int | None
    records: int
    contribution: float | None
    pull: Pull
    groups: tuple[Stands, ...]


def stands(
    counts: Mapping[str, int],
    explanation: Mapping[str, object] | None,
    specs: Iterable[FeatureSpec],
    *,
    book: Dimensions | None = None,
) -> tuple[DimensionStands, ...]:
    """Return where a subject stands in each dimension; ``other`` is there where it has anything.

    Args:
        counts: How many records of each table count.
        explanation: A stored explanation (:class:`models.risk.explain.Explanation` as JSON), null
            for none.
        specs: The features that it may name.
        book: The dimensions; the package's by default.
    """
    book = book or dimensions()
    number: dict[str, int] = {}
    for table, count in counts.items():
        group = book.of_table(table)
        number[group] = number.get(group, 0) + count
    weights, texts = _weighed(explanation or {}, {s.name: s for s in specs}, book)
    told = explanation is not None

    def of(group: Group | _Other) -> Stands:
        weight = weights.get(group.id, 0.0) if told else None
        said = tuple(texts.get(group.id, ()))
        return Stands(group.id, group.title, number.get(group.id, 0), weight, _pull(weight), said)

    made = [_summed(one.id, one.title, one.weight, [of(g) for g in one.groups], told=told)
            for one in book.dimensions]  # fmt: skip
    rest = of(book.other)
    if rest.records or rest.contribution:
        made.append(_summed(rest.id, rest.title, None, [rest], told=told))
    return tuple(made)


def _summed(
    name: str, title: str, weight: int | None, groups: Sequence[Stands], *, told: bool
) -> DimensionStands:
    total = sum(one.contribution or 0.0 for one in groups) if told else None
    records = sum(one.records for one in groups)
    return DimensionStands(name, title, weight, records, total, _pull(total), tuple(groups))


def _weighed(
    explanation: Mapping[str, object], specs: Mapping[str, FeatureSpec], book: Dimensions
) -> tuple[dict[str, float], dict[str, list[str]]]:
    """Return what each group adds to the log-odds, and the sentences that say so."""
    weights: dict[str, float] = {}
    texts: dict[str, list[str]] = {}
    for side in ("reasons", "mitigating"):
        for reason in cast("Sequence[Mapping[str, object]]", explanation.get(side) or ()):
            parts = cast("Sequence[Mapping[str, object]]", reason["parts"])
            places = [_place(str(part["feature"]), reason, specs, book) for part in parts]
            for place, part in zip(places, parts, strict=True):
                added = cast("float", part["contribution"])
                weights[place] = weights.get(place, 0.0) + added
            if places:
                texts.setdefault(places[0], []).append(str(reason["text"]))
    return weights, texts


def _place(
    feature: str,
    reason: Mapping[str, object],
    specs: Mapping[str, FeatureSpec],
    book: Dimensions,
) -> str:
    spec = specs.get(feature)
    family = spec.family if spec else str(reason["family"])
    return book.of_feature(feature, family=family, table=spec.table if spec else None)


def _pull(contribution: float | None) -> Pull:
    if contribution is None:
        return "unknown"
    if abs(contribution) < _LEAST:
        return "none"
    return "raises" if contribution > 0 else "lowers"
