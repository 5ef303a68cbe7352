"""Contracts declared in YAML: a table with no Python written, a department's or a user's own.

```yaml
name: instrument                # the table's name in the lake
title: 计量器具
key: [instrument_number]        # with subject_id these identify a record, unless listed
countable: false                # true: the table tells of dishonesty and follows the counting rule
titles:                         # what this table calls the columns that every record has
  happened_on: {title: 检定日期, spellings: [检定时间]}
columns:
  instrument_number: {type: text, title: 计量器具编号, required: true, spellings: [器具编号]}
  category: {type: text, title: 器具类别, one_of: [衡器, 加油机], role: category}
  due_on: {type: date, title: 下次检定日期}
  capacity: {type: number, title: 最大称量, unit: 千克, min: 0, role: measure}
  cheated: {type: flag, title: 是否作弊, known_after: outcome}
```

Those of departments come with the package: ``departments/``, one file a table, named after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import resources
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
from models.records.lake.layout import BUCKET
from models.records.tables import WRITTEN

_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_INT64: Final = 2**63
_MADE: Final = frozenset({"record_id", "findings"})
"""Columns that import makes: no source has them, so they neither identify nor need a heading."""

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
    """One column of a declared table."""

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


class DeclaredTitle(BaseModel):
    """What one table calls a column that every record has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    spellings: tuple[str, ...] = ()


class DeclaredTable(BaseModel):
    """A declared table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_identifier)]
    title: str
    countable: bool = False
    titles: dict[str, DeclaredTitle] = Field(default_factory=dict[str, DeclaredTitle])
    columns: dict[Annotated[str, AfterValidator(_column_name)], DeclaredColumn]
    # checked last, against the columns
    key: tuple[str, ...]

    @field_validator("titles")
    @classmethod
    def _titles_are_of_every_record(
        cls, titles: dict[str, DeclaredTitle], info: ValidationInfo
    ) -> dict[str, DeclaredTitle]:
        known = set(_base(info).column_names()) - _MADE
        for name in titles:
            if name not in known:
                raise ValueError(
                    f"{name!r} is no column that every record has{yaml.nearest(name, known)}; "
                    "title a column of your own under columns"
                )
        return titles

    @field_validator("columns")
    @classmethod
    def _columns_are_new(
        cls, columns: dict[str, DeclaredColumn], info: ValidationInfo
    ) -> dict[str, DeclaredColumn]:
        taken = sorted(set(_base(info).column_names()) & set(columns))
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
        for name in key:
            if name not in {*_base(info).column_names(), *columns}:
                raise ValueError(
                    f"key column {name!r} is not declared{yaml.nearest(name, columns)}"
                )
            listed = name in columns and columns[name].type == "list"
            if listed or name in _MADE:
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
            names=MappingProxyType(dict(self._names())),
        )

    def _names(self) -> Iterator[tuple[str, Name]]:
        for name, c in self.titles.items():
            yield name, Name(zh=c.title, spellings=(name, c.title, *c.spellings))
        for name, c in self.columns.items():
            spellings = (name, c.title, *c.spellings)
            yield name, Name(zh=c.title, unit=c.unit, spellings=spellings, in_wan=c.in_wan)

    def _having(self, role: Role) -> tuple[str, ...]:
        return tuple(name for name, column in self.columns.items() if column.role == role)


def _base(info: ValidationInfo) -> type[Record]:
    return Countable if info.data.get("countable") else Record


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
    """Read a user's contract from YAML.

    Raises :class:`ConfigError` with ``file:line`` for what is wrong, a name that another table
    has among it.
    """
    document = yaml.read(path)
    table = document.check(DeclaredTable)
    if table.name in {*WRITTEN, *OWN, *(shipped.stem for shipped in _shipped())}:
        text = f"the table name {table.name!r} is taken by a built-in table"
        raise document.error(("name",), f"{text}; name yours differently")
    return table.contract()


def departments() -> dict[str, Contract]:
    """Return the contracts of departments' tables that come with the package, by table name."""
    return {path.stem: yaml.load(path, DeclaredTable).contract() for path in _shipped()}


def _shipped() -> list[Path]:
    with resources.as_file(resources.files("models.records") / "departments") as folder:
        return sorted(folder.glob("*.yaml"))


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
