"""Tables that a scenario names and the records lack: those it cannot do without, and what is lost.

A table that the records lack has no rows, which for one bucket or one subject is true. For a whole
lake it mostly means that a department has not reported yet: a cohort that nobody can be in, or a
label that would count as clean what nobody could have seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from models.errors import ConfigError
from models.records.contracts import CONTRACTS
from models.scenarios.label import Rows
from models.scenarios.scenario import Scenario


def check_tables(scenario: Scenario, tables: Collection[str]) -> None:
    """Raise :class:`ConfigError` where ``tables`` have none to tell who is eligible, or what came.

    One of several tables of ``seen_in`` or of the label is enough; :func:`gaps` tells the rest.
    """
    label = scenario.label
    for what, named in (
        ("looks at the subjects of", _named(scenario.cohort.seen_in)),
        ("learns from", _named(label.observers or label.events)),
    ):
        if named and not set(named) & set(tables):
            raise ConfigError(
                f"scenario '{scenario.id}' {what} {', '.join(named)}, and the lake has no such "
                f"table; import it first (xinjian data contracts {named[0]} shows its columns)"
            )


def gaps(scenario: Scenario, tables: Collection[str]) -> tuple[str, ...]:
    """Return, in Chinese, what the scenario loses by each table that ``tables`` lack."""
    cohort, label = scenario.cohort, scenario.label
    losses = (
        (_named(cohort.seen_in), "只在此表中出现过的主体不参加评价"),
        (_named(cohort.without), "无从排除已在其中的主体"),
        (_named((*label.events, *label.observers)), "只由它得知的结果记不到"),
        (scenario.features.tables, "由它产生的指标为空"),
    )
    return tuple(
        f"湖中没有表 {table}（{_title(table)}）：{loss}"
        for named, loss in losses
        for table in named
        if table not in tables
    )


def _named(rows: Iterable[Rows]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.table for one in rows))


def _title(table: str) -> str:
    contract = CONTRACTS.get(table)
    return "自定义表" if contract is None else contract.title
