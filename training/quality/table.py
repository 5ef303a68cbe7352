"""The quality table for a terminal: what comes from data has no power over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl
from rich.console import Group, RenderableType
from rich.text import Text

from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.rules import rules
from training.inert import inert
from training.quality.figures import at_least, at_most, count, line
from training.quality.fitted import Column, Fitted
from training.quality.quality import NO_AUTHORITY, NO_MONTH, Quality, met

MONTHS: Final = 12
AUTHORITIES: Final = 10
RULES: Final = 12

_NAME: Final = Column("", wraps=True, least=20)
_RATES: Final = (
    Column("报送", number=True),
    Column("入库", rank=3, number=True),
    Column("隔离", number=True),
    Column("已更正", rank=4, number=True),
    Column("合规率", number=True),
    Column("更正后", rank=2, number=True),
    Column("及时率", rank=1, number=True),
    Column("迟报率", rank=7, number=True),
    Column("重复率", rank=5, number=True),
    Column("填充率", rank=6, number=True),
)
_RULES: Final = (
    Column("规则", wraps=True, least=4),
    Column("名称", wraps=True, least=14),
    Column("隔离", number=True),
    Column("提示", number=True),
    Column("如何更正", wraps=True, least=20),
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
    after = f"更正后合规率 {at_least(totals.compliance_after_correction)}"
    if met(quality):
        return Text(f"✓ 归集合规率 {rate}，达到 {goal} 目标线。{after}", style="bold green")
    short = count(totals.missing_to(quality.target))
    return Text(
        f"✗ 归集合规率 {rate}，未达到 {goal} 目标线：隔离 {count(totals.rejected)} 行，"
        f"若其中 {short} 行首报即合规便达标。{after}",
        style="bold red",
    )


def _rates(title: str, frame: pl.DataFrame, key: str, target: float) -> Fitted:
    rows: list[tuple[Text, ...]] = []
    for row in frame.to_dicts():
        rate = row["compliance_rate"]
        short = rate is not None and rate < target
        rows.append(
            (
                inert(row[key]),
                Text(count(row["reported"])),
                Text(count(row["accepted"])),
                Text(count(row["rejected"])),
                Text(count(row["corrected"])),
                Text(at_least(rate), style="red" if short else "green"),
                Text(at_least(row["compliance_after_correction"])),
                Text(at_least(row["timely_rate"])),
                Text(at_most(row["late_rate"])),
                Text(at_most(row["duplicate_rate"])),
                Text(at_least(row["completeness"])),
            )
        )
    return Fitted(title, (_NAME, *_RATES), rows)


def _rules(quality: Quality) -> Fitted:
    known = rules()
    hits = quality.rules.group_by("rule").agg(pl.col("rows", "rejected", "noted").sum())
    rows: list[tuple[Text, ...]] = []
    for row in hits.sort("rows", "rule", descending=[True, False]).head(RULES).to_dicts():
        found = known.get(row["rule"])
        rows.append(
            (
                inert(row["rule"]),
                inert(found.title if found else row["rule"]),
                Text(count(row["rejected"])),
                Text(count(row["noted"])),
                Text(found.remedy if found else ""),
            )
        )
    return Fitted("规则命中（隔离：行未入库；提示：已入库）", _RULES, rows)
