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
import polars as pl
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationInfo,
    field_validator,
    model_validator,
)

from models import yaml
from models.errors import ConfigError
from models.names import Name
from models.records.bookkeeping import OWN
from models.records.contract import Contract, Countable, Record, one_of, up_to
from models.records.contracts import CONTRACTS
from models.records.lake.layout import BUCKET

_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_INT64: Final = 2**63

ColumnType = Literal["text", "number", "integer", "date", "time", "flag", "list"]
Role = Literal["measure", "category", "text"]


def _identifier(name: str) -> str:
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(
            f"the name {name!r} must be lower-case letters, digits and _, a letter first"
        )
    return name


def _column_name(name: str) -> str:
    """Refuse names that the schema's class or the lake needs for itself."""
    _identifier(name)
    if name in Record.column_names():
        raise ValueError(f"columns every record already has must not be declared: {name}")
    if name == BUCKET or hasattr(dy.Schema, name):
        raise ValueError(f"the column name {name!r} is reserved; name it {name}_value or the like")
    return name


def _pattern(text: str) -> str:
    """Refuse what the engine that will run it refuses: it has no look-around, no references."""
    try:
        pl.select(pl.lit("").str.contains(text))
    except pl.exceptions.ComputeError as error:
        lines = str(error).splitlines()
        why = next((line for line in lines if line.startswith("error: ")), lines[0])
        raise ValueError(
            f"pattern is not a regular expression that Polars knows: {why.partition(': ')[2]}"
        ) from None
    return text


class DeclaredColumn(BaseModel):
    """One column of a user's table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ColumnType
    title: str
    unit: str | None = None
    required: bool = False
    one_of: tuple[str, ...] = ()
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None
    max_length: Annotated[int, Field(ge=1)] | None = None
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
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
        bounds = [bound for bound in (self.min, self.max) if bound is not None]
        if bounds != sorted(bounds):
            raise ValueError(f"min {self.min:g} is above max {self.max:g}; swap them")
        if self.type == "integer" and not all(b.is_integer() and abs(b) < _INT64 for b in bounds):
            raise ValueError("min and max of an integer column are whole numbers of 64 bits")
        return self


class DeclaredTable(BaseModel):
    """A user's table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_identifier)]
    title: str
    countable: bool = False
    columns: dict[Annotated[str, AfterValidator(_column_name)], DeclaredColumn]
    # checked last, against the columns
    key: tuple[str, ...]

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name in {*CONTRACTS, *OWN}:
            raise ValueError(f"the table name {name!r} is taken by a built-in table")
        return name

    @field_validator("columns")
    @classmethod
    def _columns_are_new(
        cls, columns: dict[str, DeclaredColumn], info: ValidationInfo
    ) -> dict[str, DeclaredColumn]:
        base = Countable if info.data.get("countable") else Record
        taken = sorted(set(base.column_names()) & set(columns))
        if taken:
            raise ValueError(
                f"columns every record already has must not be declared: {', '.join(taken)}"
            )
        return columns

    @field_validator("key")
    @classmethod
    def _key_identifies(cls, key: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        columns = cast("dict[str, DeclaredColumn] | None", info.data.get("columns"))
        if columns is None:
            return key
        base = Countable if info.data.get("countable") else Record
        for name in key:
            if name not in {*base.column_names(), *columns}:
                raise ValueError(
                    f"key column {name!r} is not declared{yaml.nearest(name, columns)}"
                )
            listed = name in columns and columns[name].type == "list"
            if listed or name in {"record_id", "findings"}:
                raise ValueError(f"key column {name!r} cannot identify a record; name another")
        return key

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
