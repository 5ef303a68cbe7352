"""The quality table for a terminal: what comes from data has no power over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.rules import rules
from training.inert import inert
from training.quality.figures import at_least, at_most, count, line
from training.quality.quality import NO_AUTHORITY, NO_MONTH, Quality, met

MONTHS: Final = 12
AUTHORITIES: Final = 10
RULES: Final = 12

_COUNTS: Final = ("reported", "accepted", "rejected", "corrected")
_TITLES: Final = (
    "报送",
    "入库",
    "隔离",
    "已更正",
    "合规率",
    "及时率",
    "迟报率",
    "重复率",
    "填充率",
)


def as_table(quality: Quality, contracts: Mapping[str, Contract] = CONTRACTS) -> RenderableType:
    """Return the verdict and the tables by record table, month, authority and rule."""
    titles = {name: contract.title for name, contract in contracts.items()}
    by_table = quality.by("table").with_columns(pl.col("table").replace(titles))
    by_month = quality.by("month").tail(MONTHS).with_columns(pl.col("month").fill_null(NO_MONTH))
    worst = quality.worst(AUTHORITIES).with_columns(pl.col("authority").fill_null(NO_AUTHORITY))
    parts: list[RenderableType] = [_verdict(quality)]
    if not by_table.is_empty():
        parts.append(_rates("数据表", by_table, "table", quality.target))
    if not by_month.is_empty():
        parts.append(_rates(f"月份（最近 {MONTHS} 个）", by_month, "month", quality.target))
    if not worst.is_empty():
        parts.append(_rates("合规最差的机关", worst, "authority", quality.target))
    if not quality.rules.is_empty():
        parts.append(_rules(quality))
    return Group(*parts)


def _verdict(quality: Quality) -> Text:
    totals = quality.totals
    if not totals.reported:
        return Text(
            "没有报送数据，无法评价质量。先导入：xinjian data import MAPPING.yaml", style="yellow"
        )
    rate, goal = at_least(totals.compliance_rate), line(quality.target)
    if met(quality):
        return Text(f"✓ 归集合规率 {rate}，达到 {goal} 目标线", style="bold green")
    short = count(totals.missing_to(quality.target))
    return Text(f"✗ 归集合规率 {rate}，未达到 {goal} 目标线：还差 {short} 行合规", style="bold red")


def _rates(title: str, frame: pl.DataFrame, key: str, target: float) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("", overflow="fold")
    for heading in _TITLES:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in frame.to_dicts():
        rate = row["compliance_rate"]
        short = rate is not None and rate < target
        table.add_row(
            inert(row[key]),
            *(count(row[name]) for name in _COUNTS),
            Text(at_least(rate), style="red" if short else "green"),
            at_least(row["timely_rate"]),
            at_most(row["late_rate"]),
            at_most(row["duplicate_rate"]),
            at_least(row["completeness"]),
        )
    return table


def _rules(quality: Quality) -> Table:
    table = Table(title="规则命中", title_justify="left", header_style="bold")
    for heading in ("规则", "名称", "处理", "行数", "如何更正"):
        table.add_column(heading, justify="right" if heading == "行数" else "left", overflow="fold")
    known = rules()
    hits = quality.rules.group_by("rule").agg(pl.col("rows").sum())
    for rule, rows in hits.sort("rows", "rule", descending=[True, False]).head(RULES).iter_rows():
        found = known.get(rule)
        treatment = "" if found is None else {"reject": "隔离", "warn": "提示"}[found.severity]
        title, remedy = (found.title, found.remedy) if found else (inert(rule), "")
        table.add_row(inert(rule), title, treatment, count(rows), remedy)
    return table
