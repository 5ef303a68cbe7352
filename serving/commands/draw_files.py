"""Files of ``xinjian draw``: tables that people write, and what is published and stays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel

from models.errors import InspectionError
from models.inspection.pool import Pool

POOL: Final = "pool.txt"
"""The canonical file of a pool, beside what was made from it."""

_LISTS: Final = ("matters", "regions", "last_team")
_DATES: Final = ("starts", "ends", "valid_from", "valid_until")
_NUMBERS: Final = (
    *("pi", "probability", "inspections", "findings", "days_earlier", "found_later", "cost"),
)
_FLAGS: Final = ("positive", "in_scope")
_MEANT: Final = {"1": True, "true": True, "是": True, "0": False, "false": False, "否": False}
_SEPARATOR: Final = ";"


def table(path: Path) -> pl.DataFrame:
    """Read a table; columns of lists are written ``a;b`` in CSV."""
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        texts = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        first = str(error).partition("\n")[0]
        raise InspectionError(f"{path} cannot be read as a table: {first}") from None
    lists = [name for name in _LISTS if name in texts.columns]
    parts = pl.col(lists).str.split(_SEPARATOR).list.eval(pl.element().str.strip_chars())
    made = texts.with_columns(parts.list.eval(pl.element().filter(pl.element() != "")))
    made = _parsed(made, _DATES, pl.Date, f"{path}: no day; write 2026-03-02:")
    made = _parsed(made, _NUMBERS, pl.Float64, f"{path}: no number; write 0.05:")
    return _parsed(_flagged(made, path), ("capacity",), pl.Int64, f"{path}: no whole number:")


def _flagged(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Read the columns that say yes or no."""
    for name in (one for one in _FLAGS if one in table.columns):
        text = pl.col(name).str.strip_chars().str.to_lowercase()
        read = text.replace_strict(_MEANT, default=None, return_dtype=pl.Boolean)
        wrong = table.filter(read.is_null() & (text != ""))[name]
        if wrong.len():
            raise InspectionError(f"{path}: {name} {wrong[0]!r} is neither 1 nor 0, nor empty")
        table = table.with_columns(read)
    return table


def _parsed(
    table: pl.DataFrame, names: Sequence[str], dtype: pl.DataType | type[pl.DataType], hint: str
) -> pl.DataFrame:
    """Read the columns of ``names`` that are there as ``dtype``."""
    for name in (one for one in names if one in table.columns):
        text = pl.col(name)
        read = (
            text.str.to_date("%Y-%m-%d", strict=False)
            if dtype == pl.Date
            else text.cast(dtype, strict=False)
        )
        wrong = table.filter(read.is_null() & text.is_not_null())[name]
        if wrong.len():
            raise InspectionError(f"{hint} {name} {wrong[0]!r}")
        table = table.with_columns(read)
    return table


def pool_of(path: Path | None, beside: Path) -> Pool:
    """Return the pool in ``path``, or in the file beside another."""
    return Pool.read(content(path or beside.parent / POOL))


def content(path: Path) -> bytes:
    """Return what a file holds; :class:`InspectionError` where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InspectionError(f"{path} cannot be read: {error.strerror}") from None


def write(path: Path, value: BaseModel) -> None:
    """Write a value as JSON."""
    text = json.dumps(value.model_dump(mode="json"), ensure_ascii=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def refuse_old(*paths: Path) -> None:
    """Raise InspectionError where an act is already on record; make the folders of a new one."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise InspectionError(
                f"{path} exists: what is frozen, seeded or drawn stays; name another place"
            )
