"""The glossary of field names: English ↔ Chinese, units, and the spellings source tables use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from unicodedata import normalize

from pydantic import BaseModel, ConfigDict, RootModel

from models import yaml


class Name(BaseModel):
    """One field: its Chinese title, its unit, and how sources spell it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zh: str
    unit: str | None = None
    spellings: tuple[str, ...] = ()
    in_wan: tuple[str, ...] = ()


class _Glossary(RootModel[dict[str, dict[str, Name]]]):
    pass


@cache
def glossary() -> Mapping[str, Mapping[str, Name]]:
    """Return section (``common`` or a table) → field → name."""
    with resources.as_file(resources.files("models") / "names.zh.yaml") as path:
        return MappingProxyType(yaml.load(Path(path), _Glossary).root)


def names_of(table: str) -> dict[str, Name]:
    """Return field → name for ``table``: its own section over the common one."""
    sections = glossary()
    return over(sections["common"], sections.get(table, {}))


def over(common: Mapping[str, Name], own: Mapping[str, Name]) -> dict[str, Name]:
    """Return both glossaries as one: ``own`` titles win, and the spellings of both are known."""
    merged = {
        field: name.model_copy(update={"spellings": (*name.spellings, *common[field].spellings)})
        if field in common
        else name
        for field, name in own.items()
    }
    return {**common, **merged}


def fold(spelling: str) -> str:
    """Fold a heading for comparison: width, case, blanks, zero-width marks, a trailing star."""
    visible = "".join(c for c in normalize("NFKC", spelling) if c.isprintable() and not c.isspace())
    return visible.rstrip("*").casefold()


def headings(names: Mapping[str, Name]) -> dict[str, tuple[str, bool]]:
    """Return folded source heading → (field, value is in 万元) for a table's ``names``.

    A later field wins over an earlier one with the same spelling.
    """
    found: dict[str, tuple[str, bool]] = {}
    for column, name in names.items():
        found |= {fold(s): (column, False) for s in name.spellings}
        found |= {fold(s): (column, True) for s in name.in_wan}
    return found
