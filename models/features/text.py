"""The text family: what kinds of violation a subject's penalties tell of, and how grave they were.

A text model reads the decisions and writes two columns beside them: ``violation_leaf`` (a leaf of
the violation taxonomy, such as ``M07``, whose letter is its group) and ``violation_severity``. As
long as a table lacks them, or a penalty in the window has none yet, the features are null, not 0:
nobody has read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Final

import polars as pl

from models.features.spec import KEYS, FeatureSpec, empty
from models.features.tables import read
from models.features.window import Category, WindowSpec, build_windows
from models.features.wording import Phrase, wording
from models.records.contract import Contract
from models.records.reading import Records
from models.scenarios.scenario import Scenario

TABLE: Final = "penalty"
LEAF: Final = "violation_leaf"
SEVERITY: Final = "violation_severity"
SEVERITIES: Final = ("minor", "general", "major", "serious")
"""轻, 一般, 较重, 严重: what the model may say, from the lightest."""
GROUPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "M": "market",
        "F": "food",
        "D": "drug",
        "E": "environment",
        "T": "tax",
        "S": "safety",
        "R": "transport",
        "L": "labour",
        "C": "construction",
        "J": "finance",
        "B": "social",
    }
)
"""A leaf's letter → the group's name in features."""
DAYS: Final = 365

_GROUP, _GRADE = "_group", "_grade"
_SPEC: Final = WindowSpec(
    table="_text",
    windows=(DAYS,),
    measures=(_GRADE,),
    categories=(Category(_GROUP, tuple(GROUPS.values())), Category(SEVERITY, (SEVERITIES[-1],))),
)
_COUNTED: Final = WindowSpec(
    table="_text",
    windows=(DAYS,),
    categories=(Category(LEAF, ("told",)), Category(SEVERITY, ("told",))),
)


def specs(scenario: Scenario, contracts: Mapping[str, Contract]) -> tuple[FeatureSpec, ...]:
    """Return the slots of the family; none where the scenario does not look at penalties."""
    out = {*scenario.features.exclude}
    if TABLE not in scenario.features.tables or TABLE not in contracts:
        return ()
    words = wording()
    said: list[tuple[str, str, Phrase]] = [
        (f"{name}_count", LEAF, words.text["group"].said(level=words.groups[name], days=DAYS))
        for name in GROUPS.values()
    ]
    said += [
        ("severity_max", SEVERITY, words.text["severity"].said(days=DAYS)),
        ("grave_count", SEVERITY, words.text["grave"].said(days=DAYS)),
    ]
    return tuple(
        FeatureSpec(
            name=f"{TABLE}_text_{part}_{DAYS}d",
            title=phrase.title,
            unit=phrase.unit,
            family="text",
            dtype="number",
            monotone=None,
            reason=phrase.reason,
            table=TABLE,
            window=DAYS,
            stat=part.rpartition("_")[2],
            column=column,
            level=part.rpartition("_")[0] if column == LEAF else None,
        )
        for part, column, phrase in said
        if column not in out and f"{TABLE}.{column}" not in out
    )


def build(
    records: Records,
    wanted: tuple[FeatureSpec, ...],
    *,
    subjects: pl.Series,
    dates: Sequence[date],
) -> pl.DataFrame:
    """Return the columns of ``wanted`` by date and, within it, subject."""
    nothing = empty(wanted, subjects.len() * len(dates))
    columns = records.columns(TABLE) if TABLE in records.tables() else ()
    if not wanted or not {LEAF, SEVERITY} & set(columns):
        return nothing
    lacking = [pl.lit(None, pl.String).alias(c) for c in (LEAF, SEVERITY) if c not in columns]
    there = tuple(Category(c) for c in (LEAF, SEVERITY) if c in columns)
    plain = WindowSpec(table=TABLE, windows=(DAYS,), categories=there)
    rows = read(records, plain, columns, subjects=subjects, check_ids=False).with_columns(lacking)
    told = [
        pl.when(pl.col(c).is_not_null()).then(pl.lit("told")).alias(c) for c in (LEAF, SEVERITY)
    ]
    group = pl.col(LEAF).str.slice(0, 1).replace_strict(dict(GROUPS), default=None)
    grade = pl.col(SEVERITY).replace_strict(
        {name: float(place) for place, name in enumerate(SEVERITIES, start=1)}, default=None
    )
    derived = rows.with_columns(
        group.cast(pl.String).alias(_GROUP), grade.cast(pl.Float64).alias(_GRADE)
    )
    made = build_windows(derived, _SPEC, subjects=subjects, dates=dates)
    counted = build_windows(rows.with_columns(told), _COUNTED, subjects=subjects, dates=dates)
    return (
        pl.concat([made, counted.drop(KEYS).rename(lambda name: f"told{name}")], how="horizontal")
        .select(*_slots())
        .select(spec.name for spec in wanted)
    )


def _slots() -> list[pl.Expr]:
    """Return every slot, null where a penalty of the window has not been read."""
    whole = pl.col(f"told_text_count_{DAYS}d")

    def read_all(column: str, expression: pl.Expr) -> pl.Expr:
        return pl.when(pl.col(f"told_text_{column}_told_count_{DAYS}d") == whole).then(expression)

    groups = [
        read_all(LEAF, pl.col(f"_text_{_GROUP}_{name}_count_{DAYS}d")).alias(
            f"{TABLE}_text_{name}_count_{DAYS}d"
        )
        for name in GROUPS.values()
    ]
    grave = pl.col(f"_text_{SEVERITY}_{SEVERITIES[-1]}_count_{DAYS}d")
    worst = pl.col(f"_text_{_GRADE}_max_{DAYS}d")
    return [
        *groups,
        read_all(SEVERITY, worst).alias(f"{TABLE}_text_severity_max_{DAYS}d"),
        read_all(SEVERITY, grave).alias(f"{TABLE}_text_grave_count_{DAYS}d"),
    ]
