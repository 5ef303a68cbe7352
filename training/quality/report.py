"""The quality report: one HTML file that needs nothing else, neither network nor fonts."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from typing import Final

import polars as pl
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from models.codes import regions
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.rules import Rule, rules
from models.time import SHANGHAI
from training.quality import figures
from training.quality.quality import (
    COUNTS,
    DIMENSIONS,
    NAMED_ABOVE,
    NO_AUTHORITY,
    NO_MONTH,
    Quality,
    met,
)
from training.quality.timeliness import EDGES, PUBLICITY_DAYS, bucket_title

MOST_CELLS: Final = 60_000
"""Cells a page carries of named authorities; beyond, the smallest are counted together by region.

Those of :meth:`Quality.worst` are always named: they are who the report is about.
"""
NO_REGION: Final = "（未注明区划）"
OTHERS: Final = "（此页未单列）"

_TILES: Final = (
    ("reported", "报送行数", "入库行与隔离行之和；原样重报不重复计"),
    ("accepted", "入库", "通过校验、已在记录湖中"),
    ("outstanding", "待更正", "被隔离、未更正、也不是重复报送"),
    ("timely_rate", "及时率", f"决定后 {PUBLICITY_DAYS} 个工作日内报送 ÷ 可判定的许可与处罚"),
    ("late_rate", "迟报率", "1 − 及时率"),
    ("duplicate_rate", "重复率", "重复报送（V10）÷ 报送"),
    ("completeness", "填充率", "应报字段中有值的比例"),
    ("compliance_after_correction", "更正后合规率", "入库 ÷（报送 − 已更正的隔离行）"),
)


def render(
    quality: Quality,
    *,
    contracts: Mapping[str, Contract] = CONTRACTS,
    made_at: datetime | None = None,
) -> str:
    """Return the page. ``made_at`` is printed as the time of making; the clock's by default.

    All values are escaped: what a source table holds is shown, never run. The page's own policy
    (CSP) allows only the one script it carries, and no connection.
    """
    script, style = _asset("report.js"), _asset("report.css")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {
        "count": figures.count,
        "at_least": figures.at_least,
        "at_most": figures.at_most,
        "moment": _moment,
    }
    folded = _fold(quality)
    return environment.from_string(_asset("report.html.j2")).render(
        quality=quality,
        totals=quality.totals,
        met=met(quality),
        line=figures.line(quality.target),
        tiles=_TILES,
        tiles_late=("late_rate", "duplicate_rate"),
        titles=_titles(quality, contracts),
        rules=_rule_entries(quality, contracts),
        heat=_heat(quality, contracts),
        runs=quality.runs.to_dicts(),
        matching=quality.matching.to_dicts(),
        folded=folded,
        made_at=made_at or datetime.now(tz=SHANGHAI),
        style=Markup(style),  # noqa: S704 -- our own files, and data that embed() made inert
        script=Markup(script),  # noqa: S704
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(embed(_data(quality, contracts, folded))),  # noqa: S704
    )


def embed(value: object) -> str:
    """Return JSON that may stand inside a script element: no value can close or open a tag."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    # & too, so that the text is the same in XHTML; U+2028/9 end a line in older script engines
    for symbol in "<>&\u2028\u2029":
        text = text.replace(symbol, f"\\u{ord(symbol):04x}")
    return text


def _asset(name: str) -> str:
    return (resources.files("training.quality") / name).read_text(encoding="utf-8")


def _moment(instant: datetime) -> str:
    return instant.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")


def _titles(quality: Quality, contracts: Mapping[str, Contract]) -> dict[str, str]:
    """Return table → title, for every table that is named anywhere."""
    frames = (quality.cells, quality.places, quality.columns, quality.runs)
    names = sorted({str(name) for frame in frames for name in frame["table"].unique()})
    return {n: contracts[n].title if n in contracts else n for n in names}


def _fold(quality: Quality) -> frozenset[str | None]:
    """Return the authorities that are counted together, the smallest ones, so that a page opens."""
    if quality.cells.height <= MOST_CELLS:
        return frozenset()
    worst = quality.worst()["authority"].to_list()
    sizes = (
        quality.cells.group_by("authority")
        .agg(cells=pl.len(), reported=(pl.col("accepted") + pl.col("rejected")).sum())
        .with_columns(worst=pl.col("authority").is_in(worst, nulls_equal=True))
        .sort("worst", "reported", "authority", descending=[True, True, False])
    )
    folded = sizes.filter(~pl.col("worst") & (pl.col("cells").cum_sum() > MOST_CELLS))
    return frozenset(folded["authority"].to_list())


def _data(
    quality: Quality, contracts: Mapping[str, Contract], folded: frozenset[str | None]
) -> dict[str, object]:
    """Return what the page's script works on: lists of numbers that point into lists of names."""
    frames = [_together(f, folded) for f in (quality.cells, quality.rules, quality.delays)]
    places = {
        dimension: pl.concat([f[dimension] for f in frames])
        .unique()
        .sort(nulls_last=True)
        .to_list()
        for dimension in DIMENSIONS
    }
    cells, hits, delays = (_coded(frame, places) for frame in frames)
    rule_ids = sorted(set(quality.rules["rule"]))
    return {
        "target": quality.target,
        "line": figures.line(quality.target),
        "namedAbove": NAMED_ABOVE,
        "counts": list(COUNTS),
        "tables": [contracts[t].title if t in contracts else t for t in places["table"]],
        "months": [NO_MONTH if m is None else m for m in places["month"]],
        "authorities": [NO_AUTHORITY if a is None else a for a in places["authority"]],
        "others": places["authority"].index(OTHERS) if folded else None,
        "regions": [_region_title(code) for code in places["region"]],
        "cells": _lists(cells.group_by(DIMENSIONS, maintain_order=True).agg(pl.col(COUNTS).sum())),
        "rules": rule_ids,
        "hits": _lists(
            hits.with_columns(pl.col("rule").replace_strict(rule_ids, range(len(rule_ids))))
            .group_by(*DIMENSIONS, "rule", maintain_order=True)
            .agg(pl.col("rejected", "noted").sum())
        ),
        "delays": _lists(delays.group_by(DIMENSIONS, maintain_order=True).agg(_by_bucket())),
        "buckets": [bucket_title(bucket) for bucket in range(len(EDGES) + 1)],
        "lateFrom": EDGES.index(PUBLICITY_DAYS) + 1,
    }


def _by_bucket() -> list[pl.Expr]:
    """Return the rows of each bucket side by side: a third of the page's size in large lakes."""
    here, rows = pl.col("bucket"), pl.col("rows")
    return [rows.filter(here == b).sum().alias(str(b)) for b in range(len(EDGES) + 1)]


def _together(frame: pl.DataFrame, folded: frozenset[str | None]) -> pl.DataFrame:
    if not folded:
        return frame
    small = pl.col("authority").is_in(list(folded), nulls_equal=True)
    # the region stays, so that the sums of regions are those of all authorities
    return frame.with_columns(authority=pl.when(small).then(pl.lit(OTHERS)).otherwise("authority"))


def _coded(frame: pl.DataFrame, places: Mapping[str, list[str | None]]) -> pl.DataFrame:
    """Replace the names of each dimension by their places in its list."""
    return frame.with_columns(
        pl.col(d).replace_strict(names, range(len(names)), return_dtype=pl.Int64)
        for d, names in places.items()
    )


def _lists(frame: pl.DataFrame) -> list[list[int]]:
    return [list(row) for row in frame.iter_rows()]


def _region_title(code: str | None) -> str:
    if code is None:
        return NO_REGION
    name = regions.full_name(code)
    return f"{name} {code}" if name else code


def _rule_entries(quality: Quality, contracts: Mapping[str, Contract]) -> list[dict[str, object]]:
    """Return the rules that were met with, most rows first: words, places and samples."""
    rows = quality.rules.group_by("rule").agg(pl.col("rows", "rejected", "noted").sum())
    known = rules()
    order = sorted(set(quality.rules["rule"]))
    return [
        {
            "id": rule,
            "index": order.index(rule),
            "rows": count,
            "rejected": rejected,
            "noted": noted,
            "rule": known.get(rule) or Rule(title=rule, severity="reject", remedy="见规则说明"),
            "places": _place_entries(quality.places.filter(pl.col("rule") == rule), contracts),
            "samples": [
                {
                    "table": _title(sample.table, contracts),
                    "authority": sample.authority or NO_AUTHORITY,
                    "place": f"{sample.file} 第 {sample.line} 行" if sample.line else sample.file,
                    "column": _column(sample.table, sample.column, contracts),
                    "value": sample.value,
                    "fields": sample.fields,
                }
                for sample in quality.samples
                if sample.rule == rule
            ],
        }
        for rule, count, rejected, noted in rows.sort(
            "rows", "rule", descending=[True, False]
        ).iter_rows()
    ]


def _place_entries(
    places: pl.DataFrame, contracts: Mapping[str, Contract]
) -> list[tuple[str, str, int]]:
    found = places.sort("rows", "table", "column", descending=[True, False, False])
    return [
        (_title(table, contracts), _column(table, column, contracts) or "整行", rows)
        for table, column, rows in found.select("table", "column", "rows").iter_rows()
    ]


def _heat(quality: Quality, contracts: Mapping[str, Contract]) -> list[dict[str, object]]:
    """Return per table its columns with the share filled, in stored order; published ones first."""
    published = [name for name, contract in contracts.items() if contract.strict is not None]
    order = (~pl.col("table").is_in(published), -pl.col("records"), pl.col("table"))
    columns = quality.columns.sort(*order, maintain_order=True)
    found: list[dict[str, object]] = []
    for (table,), frame in columns.group_by("table", maintain_order=True):
        cells = [
            {
                "title": _column(str(table), column, contracts),
                "name": column,
                "share": filled / records if records else None,
                "level": _level(filled / records) if records else 0,
                "required": required,
            }
            for _, column, records, filled, required in frame.iter_rows()
        ]
        share = int(frame["filled"].sum()) / max(1, int(frame["records"].sum()))
        found.append({"title": _title(str(table), contracts), "cells": cells, "share": share})
    return found


def _level(share: float) -> int:
    """Return 1 to 5: how well a column is filled."""
    return 1 + sum(share >= edge for edge in (0.5, 0.8, 0.95, 0.995))


def _title(table: str, contracts: Mapping[str, Contract]) -> str:
    return contracts[table].title if table in contracts else table


def _column(table: str, column: str | None, contracts: Mapping[str, Contract]) -> str | None:
    if column is None or table not in contracts:
        return column
    return contracts[table].title_of(column)
