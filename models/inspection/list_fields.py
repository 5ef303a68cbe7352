"""Fields of the lists, and the mapping that says which heading of a department is which.

columns:                       # only where the glossary's spellings do not find a column
matter_id: 序列编码
method: {from: 方式, map: {上门: on_site}}
constants: {department: 市场监管局}
ignore: [序号]
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, RootModel

from models import yaml
from models.errors import ConfigError
from models.inspection.list_cells import CellKind
from models.names import fold
from models.scenarios.label import Frozen, listed
from models.yaml import nearest

_FILE: Final = Path(__file__).with_name("lists.yaml")


class ListName(StrEnum):
    """一单两库, and the sheet on which their results come back."""

    MATTERS = "matters"
    TARGETS = "targets"
    INSPECTORS = "inspectors"
    RESULTS = "results"


class ListField(Frozen):
    """One field: its Chinese title, how a cell of it is read, and how departments head it."""

    zh: str
    kind: CellKind
    required: bool = False
    otherwise: str | None = None
    spellings: tuple[str, ...] = ()
    values: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])

    @property
    def choices(self) -> dict[str, str]:
        """Return folded spelling → value of a choice."""
        return {
            fold(spelling): value
            for value, spellings in self.values.items()
            for spelling in (value, *spellings)
        }


class ListSpec(Frozen):
    """One list; ``key`` are the fields by which a row is known, ``unique`` others of its own.

    A row without any of the fields ``filled`` (all of them where none are named) is blank.
    """

    title: str
    key: tuple[str, ...]
    fields: dict[str, ListField]
    filled: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    ascending: tuple[tuple[str, str], ...] = ()
    past: tuple[str, ...] = ()
    lasting: tuple[str, ...] = ()

    @property
    def headings(self) -> dict[str, str]:
        """Return folded heading → field."""
        return {
            fold(spelling): name
            for name, field in self.fields.items()
            for spelling in (*field.spellings, field.zh, name)
        }


class _Layout(RootModel[dict[ListName, ListSpec]]):
    pass


@cache
def spec_of(name: ListName) -> ListSpec:
    """Return the fields of a list."""
    return _specs()[name]


@cache
def _specs() -> dict[ListName, ListSpec]:
    return yaml.load(_FILE, _Layout).root


Headings = Annotated[tuple[str, ...], BeforeValidator(listed), Field(min_length=1)]


class ListColumn(Frozen):
    """Where a field comes from; of several headings the first that has a value counts."""

    source: Headings = Field(alias="from")
    map: dict[str, str] = Field(default_factory=dict[str, str])


def _column(value: object) -> object:
    return {"from": value} if isinstance(value, str | list | tuple) else value  # pyright: ignore[reportUnknownVariableType]


class ListMapping(Frozen):
    """Which heading is which field, where the glossary does not know; see above."""

    columns: dict[str, Annotated[ListColumn, BeforeValidator(_column)]] = Field(
        default_factory=dict[str, ListColumn]
    )
    constants: dict[str, str] = Field(default_factory=dict[str, str])
    ignore: tuple[str, ...] = ()

    def check(self, spec: ListSpec) -> None:
        """Raise :class:`ConfigError` for a field that the list does not have, or has twice."""
        for name in (*self.columns, *self.constants):
            if name not in spec.fields:
                raise ConfigError(
                    f"the mapping names '{name}', which {spec.title} does not have"
                    f"{nearest(name, spec.fields)}"
                )
        both = sorted(set(self.columns) & set(self.constants))
        if both:
            raise ConfigError(f"the mapping has '{both[0]}' as a column and a constant; keep one")


def load_list_mapping(path: Path | str) -> ListMapping:
    """Read a mapping from YAML; a :class:`ConfigError` has ``file:line`` of what is wrong."""
    return yaml.load(path, ListMapping)


def titles(spec: ListSpec) -> Mapping[str, str]:
    """Return field → Chinese title."""
    return {name: field.zh for name, field in spec.fields.items()}
