"""Contracts declared in YAML: a user's own table, with no Python written.

```yaml
name: equipment                 # the table's name in the lake
title: 特种设备
key: [registration_code]        # with subject_id these identify a record, unless listed
countable: false                # true: the table tells of dishonesty and follows the counting rule
columns:
  registration_code: {type: text, title: 使用登记证编号, required: true, spellings: [证号]}
  category: {type: text, title: 设备类别, one_of: [电梯, 锅炉], role: category}
  due_on: {type: date, title: 下次检验日期}
  capacity: {type: number, title: 额定容量, unit: 吨, min: 0, role: measure}
  accident: {type: flag, title: 是否发生事故, known_after: outcome}
```
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self, cast

import dataframely as dy
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models import yaml
from models.errors import ConfigError
from models.names import Name
from models.records.bookkeeping import IMPORT_RUN, QUARANTINE
from models.records.contract import Contract, Countable, Record, one_of, up_to
from models.records.contracts import CONTRACTS

_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")

ColumnType = Literal["text", "number", "integer", "date", "time", "flag", "list"]
Role = Literal["measure", "category", "text"]


class DeclaredColumn(BaseModel):
    """One column of a user's table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ColumnType
    title: str
    unit: str | None = None
    required: bool = False
    one_of: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    max_length: Annotated[int, Field(ge=1)] | None = None
    pattern: str | None = None
    role: Role | None = None
    known_after: Literal["outcome"] | None = None
    personal: bool = False
    spellings: tuple[str, ...] = ()
    in_wan: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _constraints_fit_type(self) -> Self:
        if (self.one_of or self.pattern or self.max_length) and self.type != "text":
            raise ValueError(
                f"one_of, pattern and max_length are for text columns, not {self.type}"
            )
        if (self.min is not None or self.max is not None) and self.type not in {
            "number",
            "integer",
        }:
            raise ValueError(f"min and max are for number and integer columns, not {self.type}")
        if self.role == "measure" and self.type not in {"number", "integer"}:
            raise ValueError(f"a measure is a number or integer column, not {self.type}")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"pattern is not a regular expression: {error}") from None
        return self


class DeclaredTable(BaseModel):
    """A user's table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    key: tuple[str, ...]
    countable: bool = False
    columns: dict[str, DeclaredColumn]

    @model_validator(mode="after")
    def _names_are_sound(self) -> Self:
        base = set((Countable if self.countable else Record).column_names())
        for name in (self.name, *self.columns):
            if not _IDENTIFIER.fullmatch(name):
                raise ValueError(
                    f"the name {name!r} must be lower-case letters, digits and _, a letter first"
                )
        if self.name in {*CONTRACTS, QUARANTINE, IMPORT_RUN}:
            raise ValueError(f"the table name {self.name!r} is taken by a built-in table")
        taken = sorted(base & set(self.columns))
        if taken:
            raise ValueError(
                f"columns every record already has must not be declared: {', '.join(taken)}"
            )
        for column in self.key:
            if column not in base | set(self.columns):
                raise ValueError(
                    f"key column {column!r} is not declared{yaml.nearest(column, self.columns)}"
                )
        return self

    def contract(self) -> Contract:
        """Return the contract this declaration stands for."""
        base = Countable if self.countable else Record
        built = {name: _column(column) for name, column in self.columns.items()}
        return Contract(
            name=self.name,
            title=self.title,
            schema=cast("type[Record]", type(f"Declared_{self.name}", (base,), built)),
            key=("subject_id", *(c for c in self.key if c != "subject_id")),
            measures=self._having("measure"),
            categories=self._having("category"),
            texts=self._having("text"),
            outcome=frozenset(n for n, c in self.columns.items() if c.known_after),
            personal=frozenset(n for n, c in self.columns.items() if c.personal),
            names=MappingProxyType(
                {
                    name: Name(
                        zh=c.title,
                        unit=c.unit,
                        spellings=(name, c.title, *c.spellings),
                        in_wan=c.in_wan,
                    )
                    for name, c in self.columns.items()
                }
            ),
        )

    def _having(self, role: Role) -> tuple[str, ...]:
        return tuple(name for name, column in self.columns.items() if column.role == role)


def _column(declared: DeclaredColumn) -> dy.Column:
    nullable = not declared.required
    match declared.type:
        case "text":
            return dy.String(
                nullable=nullable,
                regex=declared.pattern,
                check={
                    **(one_of(*declared.one_of) if declared.one_of else {}),
                    **(up_to(declared.max_length) if declared.max_length else {}),
                },
            )
        case "number":
            return dy.Float64(nullable=nullable, min=declared.min, max=declared.max)
        case "integer":
            low, high = (None if v is None else int(v) for v in (declared.min, declared.max))
            return dy.Int64(nullable=nullable, min=low, max=high)
        case "list":
            return dy.List(dy.String(), nullable=nullable)
        case "time":
            return dy.Datetime(nullable=nullable, time_unit="us", time_zone="UTC")
        case _:
            return {"date": dy.Date, "flag": dy.Bool}[declared.type](nullable=nullable)


def load_contract(path: Path) -> Contract:
    """Read a contract from YAML; a :class:`ConfigError` carries ``file:line`` of what is wrong."""
    return yaml.load(path, DeclaredTable).contract()


def keep_declared(targets: Iterable[str], folder: Path, kept: Path) -> None:
    """Copy the contract files among ``targets`` to ``kept``, where every later command finds them.

    Raises :class:`ConfigError` when another contract of the same table name is kept there with
    columns of other types: records of both would not fit one table.
    """
    for target in targets:
        if not target.endswith((".yaml", ".yml")):
            continue
        contract = load_contract(folder / target)
        place = kept / f"{contract.name}.yaml"
        if place.exists():
            before = load_contract(place).dtypes
            changed = sorted(c for c in before if contract.dtypes.get(c, before[c]) != before[c])
            if changed:
                raise ConfigError(
                    f"{folder / target}: the columns {', '.join(changed)} of table "
                    f"{contract.name!r} have another type in {place}; name the new columns "
                    "differently"
                )
        kept.mkdir(parents=True, exist_ok=True)
        place.write_bytes((folder / target).read_bytes())


def kept_contracts(kept: Path) -> dict[str, Contract]:
    """Return the user's contracts kept in folder ``kept``, by table name."""
    found = [load_contract(path) for path in sorted(kept.glob("*.yaml"))] if kept.is_dir() else []
    return {contract.name: contract for contract in found}
