"""Departments' files: one writer for every layout, and the mapping that reads them back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl
import yaml

from models import names
from models.records.contracts import contract_named
from training.synth.layouts import LAYOUTS, Layout

MAPPING: Final = "mapping.yaml"


def render(frame: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Return the layout's columns as they are sent; all text, but for Parquet."""
    columns = frame.select(list(layout.headings))
    if layout.kind == "parquet":
        return columns
    return columns.with_columns(
        _sent(name, dtype, layout) for name, dtype in columns.schema.items()
    )


def _sent(name: str, dtype: pl.DataType, layout: Layout) -> pl.Expr:
    column = pl.col(name)
    if name in layout.wan:
        return (column / 10_000.0).round(6).cast(pl.String)
    if isinstance(dtype, pl.Datetime):
        return column.dt.convert_time_zone("Asia/Shanghai").dt.strftime("%Y/%m/%d %H:%M:%S")
    if dtype == pl.Date:
        return column.dt.strftime("%Y/%m/%d")
    text = column.cast(pl.String)
    return text.replace(dict(layout.words[name])) if name in layout.words else text


def write(frame: pl.DataFrame, layout: Layout, *, folder: Path, chunk: int) -> None:
    """Write a rendered frame: append to a text file, or make a Parquet file of its own."""
    named = frame.rename(dict(layout.headings))
    path = folder / layout.file(chunk)
    match layout.kind:
        case "parquet":
            named.rechunk().write_parquet(path, compression="zstd", compression_level=3)
        case "jsonl":
            with path.open("ab") as file:
                named.write_ndjson(file)
        case kind:
            text = named.write_csv(include_header=chunk == 0)
            with path.open("ab") as file:
                file.write(text.encode("gb18030" if kind == "gb18030" else "utf-8"))


def write_mapping(folder: Path) -> Path:
    """Write the mapping of all tables and return its path."""
    path = folder / MAPPING
    sources = {"sources": [_source(layout) for layout in LAYOUTS]}
    text = yaml.safe_dump(sources, allow_unicode=True, sort_keys=False, width=110)
    path.write_text(
        "# 合成省份：各部门原始文件到记录表的映射。\n" + text, encoding="utf-8", newline="\n"
    )
    return path


def _source(layout: Layout) -> dict[str, object]:
    spelt = names.headings(contract_named(layout.table).glossary)
    columns = {
        name: _from(layout, name, heading)
        for name, heading in layout.headings.items()
        if name != "known_at"
        # left out where the glossary alone reads the heading as this field and unit
        and (spelt.get(names.fold(heading)) != (name, name in layout.wan) or name in layout.words)
    }
    known = (
        {"from": layout.headings["known_at"]}
        if layout.assumed is None
        else {"after": "happened_on", "days": layout.assumed}
    )
    source: dict[str, object] = {
        "id": layout.id,
        "target": layout.table,
        "files": [layout.pattern],
        "strict": layout.strict,
        "columns": columns,
        "known_at": known,
    }
    return {key: value for key, value in source.items() if value not in (False, {})}


def _from(layout: Layout, name: str, heading: str) -> object:
    told: dict[str, object] = {"from": heading}
    if name in layout.wan:
        told["unit"] = "万元"
    if name in layout.words:
        told["map"] = {sent: ours for ours, sent in layout.words[name].items()}
    return told if len(told) > 1 else heading
