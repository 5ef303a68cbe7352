"""违法行为分类: what violations there are, in two levels, with their legal basis as dated data.

The data is ``taxonomy.yaml``; a bureau may hand a file of its own to :func:`load`. A bundle of a
text model carries the digest of the taxonomy it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from models.canonical import digest_of
from models.codes import penalty_kinds
from models.errors import ConfigError
from models.yaml import load as load_yaml
from models.yaml import nearest

Severity: TypeAlias = Literal["minor", "general", "major", "serious"]

SEVERITIES: Final[tuple[Severity, ...]] = ("minor", "general", "major", "serious")
"""轻微, 一般, 较重, 严重: from the lightest."""

DATA: Final = Path(__file__).with_name("taxonomy.yaml")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Basis(_Frozen):
    """Articles of a law on which a violation is judged, while they are in force.

    ``checked`` is false where the articles were not read in the law's own text.
    """

    law: str
    articles: tuple[str, ...] = ()
    checked: bool
    since: Annotated[date | None, Field(alias="from")] = None
    until: date | None = None

    def in_force(self, on: date) -> bool:
        """Tell whether the articles bear this number on a day, both bounds included."""
        return (self.since is None or self.since <= on) and (self.until is None or on <= self.until)


class Leaf(_Frozen):
    """One kind of violation.

    ``severity`` is what the wording alone suggests; more than one where it depends on the case.
    The first of ``departments`` handles it, the others take part. ``penalties``: ids of
    :mod:`models.codes.penalty_kinds`.
    """

    code: Annotated[str, Field(pattern=r"^[A-Z][0-9]{2}$")]
    title: str
    severity: Annotated[tuple[Severity, ...], BeforeValidator(_listed), Field(min_length=1)]
    departments: Annotated[tuple[str, ...], Field(min_length=1)]
    penalties: tuple[str, ...]
    basis: tuple[Basis, ...] = ()

    @property
    def group(self) -> str:
        """Return the letter of its group."""
        return self.code[0]


class Group(_Frozen):
    """A field of supervision: the upper level. ``name`` is its word in features."""

    code: Annotated[str, Field(pattern=r"^[A-Z]$")]
    name: str
    title: str
    leaves: Annotated[tuple[Leaf, ...], Field(min_length=1)]


class Taxonomy(_Frozen):
    """The whole classification as of ``since``; ``departments`` gives ids their Chinese names."""

    version: str
    since: Annotated[date, Field(alias="from")]
    departments: dict[str, str]
    groups: Annotated[tuple[Group, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _sound(self) -> Self:
        codes = [leaf.code for leaf in self.leaves]
        twice = sorted({code for code in codes if codes.count(code) > 1})
        if twice:
            raise ValueError(f"leaf {twice[0]} stands twice; give each a code of its own")
        for group in self.groups:
            for leaf in group.leaves:
                self._check(group, leaf)
        return self

    def _check(self, group: Group, leaf: Leaf) -> None:
        if leaf.group != group.code:
            raise ValueError(f"leaf {leaf.code} stands in group {group.code}; move it")
        for department in leaf.departments:
            if department not in self.departments:
                hint = nearest(department, self.departments)
                raise ValueError(f"leaf {leaf.code}: no department '{department}'{hint}")
        odd = [kind for kind in leaf.penalties if penalty_kinds.label(kind) is None]
        if odd:
            raise ValueError(f"leaf {leaf.code}: there is no kind of penalty '{odd[0]}'")

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Return every leaf, in the file's order."""
        return tuple(leaf for group in self.groups for leaf in group.leaves)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, in 64 hex digits."""
        return digest_of(self.model_dump(mode="json", by_alias=True))

    def leaf(self, code: str) -> Leaf:
        """Return a leaf by its code; :class:`ConfigError` where there is none."""
        for one in self.leaves:
            if one.code == code:
                return one
        hint = nearest(code, [one.code for one in self.leaves])
        raise ConfigError(f"the violation taxonomy has no leaf '{code}'{hint}")

    def check(self, codes: Iterable[str]) -> None:
        """Raise :class:`ConfigError` for the first label that is no leaf."""
        for code in dict.fromkeys(codes):
            self.leaf(code)

    def basis(self, code: str, on: date) -> tuple[Basis, ...]:
        """Return the legal basis of a leaf that is in force on a day."""
        return tuple(one for one in self.leaf(code).basis if one.in_force(on))


def load(path: Path) -> Taxonomy:
    """Read a taxonomy; :class:`ConfigError` with ``file:line`` for what is wrong in it."""
    return load_yaml(path, Taxonomy)


@cache
def taxonomy() -> Taxonomy:
    """Return the taxonomy that comes with the package."""
    return load(DATA)
