"""Quarantined rows, listed for those who correct them: masked to be read, whole to be mended."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import polars as pl
from rich.console import Group, RenderableType
from rich.text import Text

from models.errors import ConfigError
from models.records.bookkeeping import QUARANTINE, Quarantine
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.rules import rules
from models.yaml import nearest
from training.inert import inert
from training.quality.fitted import Column, Fitted
from training.quality.measurement import DUPLICATE, ROW, Tables, source_rows
from training.quality.samples import as_sample
from training.quality.times import readable

SHOWN: Final = 40
"""Entries a terminal shows; a file holds them all."""

_OWN: Final = ("数据表", "来源", "文件", "行号", "规则", "问题", "问题字段", "如何更正", "更正状态")
_LISTED: Final = (
    Column("来源", wraps=True),
    Column("文件:行", wraps=True, least=16),
    Column("规则", wraps=True, least=4),
    Column("字段", wraps=True),
    Column("值", wraps=True),
)
_REMEDIES: Final = (
    Column("规则", wraps=True, least=4),
    Column("说明", wraps=True),
    Column("如何更正", wraps=True, least=20),
)
_UNREADABLE: Final = "原始行"
_ORDER: Final = ("table", "source", "file", "line", "rule", "column")
_FORMULA: Final = r"^(\s*[=+\-@]|[\t\r])"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which quarantined rows to list; an empty tuple means all. ``open``: only what still waits."""

    tables: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    open: bool = False


def refused(lake: Tables, wanted: Wanted | None = None) -> pl.DataFrame:
    """Return the quarantine's entries, one per source row, rule and column, and ``state``.

    A row that several runs met is listed once, where the newest run found it. ``state`` is
    ``corrected``, ``duplicate`` (V10: its decision is in the lake) or ``open``, as
    :class:`~training.quality.quality.Counts` tells them apart. Raises
    :class:`~models.errors.ConfigError` for a table, source or rule that never was in quarantine,
    unless nothing is. The rows are unmasked and held in memory.
    """
    wanted = wanted or Wanted()
    present = set(lake.tables())
    if QUARANTINE not in present:
        return Quarantine.create_empty().with_columns(state=pl.lit("open"))
    quarantine = lake.scan(QUARANTINE)
    asked = {"table": wanted.tables, "source": wanted.sources, "rule": wanted.rules}
    _check(quarantine, asked)
    chosen = quarantine.filter(*_among({**asked, "rule": ()}))
    whole = source_rows(readable(chosen)).collect(engine="streaming")
    newest = whole.sort("run_id", *_ORDER).unique(
        ["table", ROW, "rule", "column"], keep="last", maintain_order=True
    )
    targets = newest.select("table", "target_record_id").drop_nulls().unique()
    stored = [_stored(lake, str(t), f) for (t,), f in targets.group_by("table") if t in present]
    mended = pl.concat([targets.clear(), *stored]).with_columns(found=pl.lit(value=True))
    joined = newest.join(mended, on=["table", "target_record_id"], how="left")
    duplicate = (pl.col("rule") == DUPLICATE).any().over("table", ROW)
    found = pl.col("found").any().over("table", ROW)
    state = pl.when(duplicate).then(pl.lit("duplicate")).when(found).then(pl.lit("corrected"))
    return (
        joined.with_columns(state=state.otherwise(pl.lit("open")))
        .drop("found")
        .filter(*_among(asked), *([pl.col("state") == "open"] if wanted.open else []))
        .sort(*_ORDER, nulls_last=True)
    )


def as_listing(
    entries: pl.DataFrame, contracts: Mapping[str, Contract] = CONTRACTS
) -> RenderableType:
    """Return the first SHOWN entries for a terminal, values masked, and each rule's remedy."""
    if entries.is_empty():
        return Text("没有符合条件的隔离行", style="green")
    rows: list[tuple[Text, ...]] = []
    for row in entries.head(SHOWN).to_dicts():
        contract = contracts.get(str(row["table"]))
        sample = as_sample(row, contract)
        column = sample.column
        rows.append(
            (
                inert(row["source"]),
                inert(f"{sample.file}:{sample.line}"),
                inert(sample.rule),
                inert((contract.title_of(column) if contract else column) if column else "整行"),
                inert("（空）" if sample.value is None else sample.value),
            )
        )
    remedies = [
        (inert(rule), *(inert(words) for words in _words(rule)))
        for rule in sorted(set(entries["rule"]))
    ]
    count, distinct = entries.height, entries.select("table", ROW).n_unique()
    more = f"，此处列出前 {SHOWN} 处；--out FILE.csv 写出全部" if count > SHOWN else ""
    return Group(
        Fitted("隔离的行（值已脱敏）", _LISTED, rows),
        Fitted("如何更正", _REMEDIES, remedies),
        Text(f"共 {distinct:,} 行、{count:,} 处问题{more}"),
    )


def write_refused(
    entries: pl.DataFrame, out: Path, contracts: Mapping[str, Contract] = CONTRACTS
) -> int:
    """Write the source rows as CSV for their owner to correct, and return how many there are.

    The file holds unmasked data, personal data too, so only its owner may read it (mode 0600).
    UTF-8 with a byte order mark; one line per source row: what is wrong with it, then all its
    columns as the source spells them. A cell that a spreadsheet would take for a formula begins
    with ``'``. Raises :class:`~models.errors.ConfigError` for a name that does not end in .csv and
    for a place that cannot be written.
    """
    check_out(out)
    rows = _rows(entries, contracts)
    headings = [*_OWN, *dict.fromkeys(h for row in rows for h in row if h not in _OWN)]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(headings, pl.String()), orient="row")
    safe = frame.with_columns(_inert_cell(pl.col(h)).alias(h) for h in headings)
    titles = pl.Series(headings, dtype=pl.String).to_frame("h").select(_inert_cell(pl.col("h")))
    safe.columns = _apart(titles.to_series().to_list())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                safe.write_csv(file, include_bom=True)
            Path(part).replace(out)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(
            f"cannot write the quarantined rows to {out}: {error.strerror}; choose another --out"
        ) from error
    return frame.height


def check_out(out: Path) -> None:
    """Raise :class:`~models.errors.ConfigError` unless ``out`` names a CSV file."""
    if out.suffix.lower() != ".csv":
        raise ConfigError(f"cannot tell what to write to {out}: its name must end in .csv")


def _check(quarantine: pl.LazyFrame, asked: Mapping[str, Collection[str]]) -> None:
    if not any(asked.values()):
        return
    known = quarantine.select(pl.col(name).unique().implode() for name in asked)
    values = known.collect(engine="streaming").row(0, named=True)
    for name, words in asked.items():
        for word in words:
            if values[name] and word not in values[name]:
                raise ConfigError(
                    f"nothing of the {name} {word!r} is in quarantine{nearest(word, values[name])}"
                )


def _among(asked: Mapping[str, Collection[str]]) -> list[pl.Expr]:
    return [pl.col(name).is_in(list(words)) for name, words in asked.items() if words]


def _stored(lake: Tables, table: str, targets: pl.DataFrame) -> pl.DataFrame:
    ids = lake.scan(table).select(target_record_id="record_id")
    return targets.lazy().join(ids, on="target_record_id", how="semi").collect(engine="streaming")


def _words(rule: str) -> tuple[str, str]:
    known = rules().get(rule)
    return (known.title, known.remedy) if known else (rule, "见规则说明")


_STATES: Final = {"open": "待更正", "corrected": "已更正", "duplicate": "重复报送"}


def _rows(entries: pl.DataFrame, contracts: Mapping[str, Contract]) -> list[dict[str, str]]:
    """Return one mapping heading → text per source row. The rows of sources differ in headings."""
    found: list[dict[str, str]] = []
    for _, group in entries.group_by("table", ROW, maintain_order=True):
        first = group.row(0, named=True)
        contract = contracts.get(str(first["table"]))
        broken = list(dict.fromkeys(group["rule"].to_list()))
        columns = dict.fromkeys(group["column"].drop_nulls().to_list())
        own = (
            contract.title if contract else str(first["table"]),
            str(first["source"]),
            str(first["file"]),
            str(first["line"]),
            "；".join(broken),
            "；".join(_words(rule)[0] for rule in broken),
            "；".join(contract.title_of(c) if contract else c for c in columns),
            "；".join(_words(rule)[1] for rule in broken),
            _STATES[str(first["state"])],
        )
        raw = str(first["raw"])
        cells = _cells(raw)
        # a source's own heading may be one of ours
        named = {(f"{h}（源）" if h in _OWN else h): value for h, value in cells}
        found.append(dict(zip(_OWN, own, strict=True)) | named)
    return found


def _cells(raw: str) -> list[tuple[str, str]]:
    """Return heading and text of every column, empty ones too: the missing ones are to be filled.

    A line that could not be split into columns is one cell.
    """
    try:
        row = json.loads(raw)
    except ValueError:
        row = raw
    if not isinstance(row, dict):
        return [(_UNREADABLE, raw)]
    pairs = cast("dict[str, object]", row).items()
    return [(heading, "" if value is None else str(value)) for heading, value in pairs]


def _inert_cell(text: pl.Expr) -> pl.Expr:
    """Return text that a spreadsheet shows and does not run."""
    return (
        pl.when(text.str.contains(_FORMULA)).then(pl.concat_str(pl.lit("'"), text)).otherwise(text)
    )


def _apart(headings: list[str]) -> list[str]:
    """Return headings of which no two are equal."""
    seen: dict[str, int] = {}
    made: list[str] = []
    for heading in headings:
        seen[heading] = seen.get(heading, 0) + 1
        made.append(heading if seen[heading] == 1 else f"{heading} {seen[heading]}")
    return made
