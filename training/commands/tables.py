"""What ``xinjian data`` prints as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.text import Text

from models.records.rules import rules
from training.inert import inert
from training.quality.fitted import Column, Fitted
from training.sources.run import Tally

_NAME: Final = Column("来源", wraps=True, least=16)
_COUNTS: Final = (
    ("读入", "rows_in", 0),
    ("筛除", "filtered", 5),
    ("合并", "collapsed", 6),
    ("入库", "accepted", 0),
    ("新增", "inserted", 4),
    ("更新", "updated", 7),
    ("未变", "unchanged", 8),
    ("隔离", "quarantined", 0),
    ("按代码", "by_code", 10),
    ("按机构码", "by_organisation", 12),
    ("按名称", "by_name", 11),
    ("未匹配", "unmatched", 3),
)
"""Heading, field of a tally, and how soon a narrow terminal leaves it out."""


def imported(tallies: Sequence[Tally]) -> Fitted:
    """Return what happened to the rows of each source; a count that is 0 for all is left out."""
    shown = [
        (heading, name, rank)
        for heading, name, rank in _COUNTS
        if not rank or any(getattr(tally, name) for tally in tallies)
    ]
    rows = [
        (
            inert(tally.source),
            inert(tally.table),
            *(Text(f"{getattr(tally, name):,}") for _, name, _ in shown),
        )
        for tally in tallies
    ]
    counted = (Column(heading, rank=rank, number=True) for heading, _, rank in shown)
    return Fitted("导入结果", (_NAME, Column("表", wraps=True, least=14), *counted), rows)


def broken_rules(tallies: Sequence[Tally]) -> Fitted:
    """Return which rules the refused rows of each source break, and what mends them."""
    known = rules()
    rows = [
        (
            inert(tally.source),
            Text(rule),
            Text(known[rule].title),
            Text(f"{count:,}"),
            Text(known[rule].remedy),
        )
        for tally in tallies
        for rule, count in sorted(tally.rules.items(), key=lambda item: -item[1])
    ]
    columns = (
        _NAME,
        Column("规则"),
        Column("说明", wraps=True),
        Column("次数", number=True),
        Column("如何更正", wraps=True, least=20),
    )
    return Fitted("隔离原因（一行可有多条）", columns, rows)


def counts(title: str, numbers: Mapping[str, int]) -> Fitted:
    """Return the rows of each table."""
    rows = [(inert(name), Text(f"{count:,}")) for name, count in numbers.items()]
    return Fitted(title, (Column("表", wraps=True, least=16), Column("行数", number=True)), rows)
