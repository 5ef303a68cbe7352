"""What ``xinjian data contracts`` tells of a table: the words a mapping or a contract may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl
from rich.console import Group, RenderableType
from rich.text import Text

from models.names import Name
from models.records.contract import Contract
from models.scenarios.where import allowed_values
from training.inert import inert
from training.quality.fitted import Column, Fitted

_COLUMNS: Final = (
    Column("列", wraps=True, least=24),
    Column("名称", wraps=True),
    Column("类型"),
    Column("单位", wraps=True, least=4),
    Column("必填"),
    Column("known_after"),
)
_SPELT: Final = (
    Column("列", wraps=True, least=20),
    Column("取值", wraps=True, least=16),
    Column("已知的表头", wraps=True, least=20),
)


def listed(known: Mapping[str, Contract]) -> Fitted:
    """Return the tables with their keys."""
    rows = [
        (inert(c.name), inert(c.title), Text(str(len(c.columns))), inert(", ".join(c.key)))
        for c in known.values()
    ]
    columns = (
        Column("表", wraps=True, least=18),
        Column("名称", wraps=True),
        Column("列数", number=True),
        Column("主键", wraps=True, least=20),
    )
    return Fitted("", columns, rows)


def columns(contract: Contract) -> RenderableType:
    """Return a table's columns, in the words of a contract YAML, then their values and headings."""
    names = contract.glossary
    plain = [
        (
            inert(name),
            inert(contract.title_of(name)),
            Text(type_word(column.dtype)),
            inert(_unit(names.get(name))),
            Text("是" if name in contract.required else ""),
            Text("outcome" if name in contract.outcome else ""),
        )
        for name, column in contract.schema.columns().items()
    ]
    spelt = [
        (
            inert(name),
            inert(" ".join(allowed_values(contract, name) or ())),
            inert(_headings(name, names.get(name))),
        )
        for name in contract.columns
    ]
    return Group(
        Fitted(f"{contract.name} {contract.title}", _COLUMNS, plain),
        Fitted("取值与已知的表头", _SPELT, [row for row in spelt if row[1] or row[2]]),
        inert(f"主键：{', '.join(contract.key)}"),
    )


def type_word(dtype: pl.DataType) -> str:
    """Return the type's word in a contract YAML."""
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "number"
    words: dict[type[pl.DataType], str] = {
        pl.String: "text",
        pl.Date: "date",
        pl.Datetime: "time",
        pl.Boolean: "flag",
        pl.List: "list",
    }
    return words.get(dtype.base_type(), str(dtype))


def _unit(name: Name | None) -> str:
    return name.unit or "" if name else ""


def _headings(column: str, name: Name | None) -> str:
    """Return the headings the import knows this column by; those in 万元 say so."""
    if name is None:
        return ""
    in_wan = (f"{spelling}[万元]" for spelling in name.in_wan)
    own = (s for s in name.spellings if s not in {column, name.zh})
    return " | ".join(dict.fromkeys((*own, *in_wan)))
