"""What a scenario says, held against the record tables there are."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from models.records.contract import Contract
from models.scenarios.label import Rows
from models.scenarios.scenario import Scenario
from models.scenarios.where import AS_OF, DUE, Condition, allowed_values, parse
from models.yaml import Place, nearest

REGISTER: Final = "subject"
_STATE: Final[Mapping[str, frozenset[str]]] = {
    REGISTER: frozenset({"status", "closed_on", "revoked_on"}),
    "licence": frozenset({"valid"}),
}
"""Columns that are overwritten as things change: they say how it stands now, not how it stood."""
_LATER: Final[Mapping[str, frozenset[str]]] = {
    "penalty": frozenset({"published", "publish_until"}),
    "listing": frozenset({"published"}),
    "person_role": frozenset({"ended_on"}),
    "relation": frozenset({"ended_on"}),
}
"""Columns besides those that are filled in or changed after the row's own day."""
_OF_ALL: Final = frozenset({"void_from", "void_reason", "known_at", "known_assumed"})
"""Columns of every table that tell when the row came to be known and stopped counting."""
_FAMILIES: Final = ("subject", "identity", "relation", "area", "peers", "text")
_VIEW: Final = (AS_OF, DUE)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong: where in the declaration, and what would be right."""

    place: Place
    text: str


def unusable(table: Contract) -> frozenset[str]:
    """Return the columns that tell of what came after the row's own day, so leak the outcome.

    They may make a label, but neither a feature nor a condition on who is eligible.
    """
    return table.outcome | _STATE.get(table.name, frozenset[str]())


def late(table: Contract) -> frozenset[str]:
    """Return the columns that no condition on who is eligible may read.

    Rows are taken as they were known at the date of view, but these columns may be of after it.
    """
    return unusable(table) | _OF_ALL | _LATER.get(table.name, frozenset[str]())


def problems(
    scenario: Scenario,
    contracts: Mapping[str, Contract],
    *,
    features: Mapping[str, pl.DataType] | None = None,
) -> list[Problem]:
    """Return everything that does not fit the tables; empty for a sound scenario.

    ``features`` are the features that will be made and their types, where they are known already:
    then ``monotone`` and ``veto`` are held against them exactly.
    """
    return [
        *_cohort_problems(scenario, contracts),
        *_label_problems(scenario, contracts),
        *_feature_problems(scenario, contracts),
        *_named_features(scenario, contracts, features),
    ]


def _cohort_problems(scenario: Scenario, contracts: Mapping[str, Contract]) -> Iterator[Problem]:
    cohort = scenario.cohort
    if cohort.condition is not None:
        place = ("cohort", "where")
        register = contracts[REGISTER]
        yield from _condition_problems(place, cohort.condition, register)
        yield from _late_columns(place, cohort.condition, register)
    for key, some in (("seen_in", cohort.seen_in), ("without", cohort.without)):
        yield from _rows_problems(("cohort", key), some, contracts, may_be_late=False)


def _label_problems(scenario: Scenario, contracts: Mapping[str, Contract]) -> Iterator[Problem]:
    label = scenario.label
    events = ("label", "any_of") if label.any_of else ("label",)
    yield from _rows_problems(events, label.events, contracts, may_be_late=True)
    yield from _rows_problems(
        ("label", "observed_by"), label.observers, contracts, may_be_late=True
    )
    for number, event in enumerate(label.events):
        table = contracts.get(event.table)
        if table is not None and table.dtypes.get(event.on) != pl.Date():
            dates = [name for name, dtype in table.dtypes.items() if dtype == pl.Date()]
            yield Problem(
                (*events, number, "on"),
                f"'{event.on}' is no date column of '{table.name}'{nearest(event.on, dates)}",
            )


def _rows_problems(
    place: Place,
    some: Iterable[Rows],
    contracts: Mapping[str, Contract],
    *,
    may_be_late: bool,
) -> Iterator[Problem]:
    for number, rows in enumerate(some):
        here = (*place, number)
        table = contracts.get(rows.table)
        if table is None:
            yield _unknown_table((*here, "table"), rows.table, contracts)
        elif rows.condition is not None:
            yield from _condition_problems((*here, "where"), rows.condition, table)
            if not may_be_late:
                yield from _late_columns((*here, "where"), rows.condition, table)


def _unknown_table(place: Place, name: str, contracts: Mapping[str, Contract]) -> Problem:
    return Problem(place, f"unknown table '{name}'{nearest(name, contracts)}")


def _condition_problems(place: Place, condition: Condition, table: Contract) -> Iterator[Problem]:
    for text in condition.problems(table, variables=_VIEW):
        yield Problem(place, text)


def _late_columns(place: Place, condition: Condition, table: Contract) -> Iterator[Problem]:
    for column in sorted(condition.columns & late(table)):
        register = table.name == REGISTER and column in _STATE[REGISTER]
        remedy = "; use status: open or active" if register else ""
        yield Problem(place, f"{_leaks(table, column)}, so it cannot say who is eligible{remedy}")


def _leaks(table: Contract, column: str) -> str:
    now = column not in table.outcome
    when = "as things stand now" if now else "after the outcome is known"
    return f"column '{table.name}.{column}' is written {when}"


def _feature_problems(scenario: Scenario, contracts: Mapping[str, Contract]) -> Iterator[Problem]:
    declared = scenario.features
    for number, name in enumerate(declared.tables):
        if name not in contracts:
            yield _unknown_table(("features", "tables", number), name, contracts)
    tables = {name: contracts[name] for name in declared.tables if name in contracts}
    known = {c for t in tables.values() for c in (*t.columns, *_qualified(t))}
    for number, name in enumerate(declared.exclude):
        if name not in known:
            text = f"exclude names no column of the tables: '{name}'{nearest(name, known)}"
            yield Problem(("features", "exclude", number), text)
    yield from _chosen_problems(("features", "columns"), declared.columns, tables, measures=True)
    yield from _chosen_problems(("features", "levels"), declared.levels, tables, measures=False)
    for name, levels in declared.levels.items():
        if name in tables:
            yield from _level_problems(("features", "levels", name), tables[name], levels)


def _chosen_problems(
    place: Place,
    chosen: Mapping[str, Iterable[str]],
    tables: Mapping[str, Contract],
    *,
    measures: bool,
) -> Iterator[Problem]:
    for name, columns in chosen.items():
        if name not in tables:
            text = f"'{name}' is not among features.tables{nearest(name, tables)}"
            yield Problem((*place, name), text)
            continue
        usable = (*tables[name].categories, *(tables[name].measures if measures else ()))
        for column in columns:
            yield from _column_problems((*place, name), tables[name], column, usable)


def _qualified(table: Contract) -> list[str]:
    return [f"{table.name}.{column}" for column in table.columns]


def _column_problems(
    place: Place, table: Contract, column: str, usable: Collection[str]
) -> Iterator[Problem]:
    good = set(usable) - unusable(table)
    if column in unusable(table):
        yield Problem((*place, column), f"{_leaks(table, column)}, so it cannot be a feature")
    elif column not in good:
        text = f"'{column}' is no measure or category of '{table.name}'{nearest(column, good)}"
        yield Problem((*place, column), text)


def _level_problems(
    place: Place, table: Contract, levels: Mapping[str, tuple[str, ...]]
) -> Iterator[Problem]:
    for column, values in levels.items():
        known = allowed_values(table, column)
        for value in values:
            if known is not None and value not in known:
                text = f"column '{column}' never holds '{value}'{nearest(value, known)}"
                yield Problem((*place, column), text)


def _named_features(
    scenario: Scenario,
    contracts: Mapping[str, Contract],
    features: Mapping[str, pl.DataType] | None,
) -> Iterator[Problem]:
    for name in scenario.model.monotone:
        for text in _name_problems(name, scenario, contracts, features, strict=True):
            yield Problem(("model", "monotone", name), text)
    for number, veto in enumerate(scenario.veto):
        condition = parse(veto.when)
        texts = [
            text
            for name in sorted(condition.names)
            for text in _veto_problems(name, scenario, contracts, features)
        ]
        if not texts and features is not None:
            texts = condition.type_problems(features)
        for text in texts:
            yield Problem(("veto", number, "when"), text)


def _veto_problems(
    name: str,
    scenario: Scenario,
    contracts: Mapping[str, Contract],
    features: Collection[str] | None,
) -> Iterator[str]:
    if name in _VIEW:
        yield f"a veto asks features, and '{name}' is none; name a feature"
    else:
        yield from _name_problems(name, scenario, contracts, features, strict=False)


def _name_problems(
    name: str,
    scenario: Scenario,
    contracts: Mapping[str, Contract],
    features: Collection[str] | None,
    *,
    strict: bool,
) -> Iterator[str]:
    """Yield what is wrong with a feature's name: ``{table}_{measure}_{stat}_{window}``.

    Without the list of features a name that begins with no table is only wrong if ``strict``.
    """
    if features is not None:
        if name not in features:
            yield f"there will be no feature '{name}'{nearest(name, features)}"
        return
    declared = scenario.features
    days = [int(text) for text in re.findall(r"_([0-9]+)d(?=_|$)", name)]
    windows = {window.days for window in declared.windows}
    if set(days) - windows:
        shown = ", ".join(map(str, declared.windows))
        yield f"feature '{name}' has a window that features.windows lacks; there are {shown}"
    tables = [t for t in contracts if name.startswith(f"{t}_")]
    known = (*declared.tables, *(f for f in declared.families if f in _FAMILIES))
    if not any(name.startswith(f"{one}_") for one in known) and (tables or strict):
        made = [f"{t}_count_{w}" for t in declared.tables for w in declared.windows]
        yield f"no feature is named '{name}'; names begin with a table or family of features" + (
            nearest(name, made) if not tables else f": add '{tables[0]}' to features.tables"
        )
    for table in tables:
        for column in sorted(unusable(contracts[table])):
            if name.startswith(f"{table}_{column}_"):
                yield f"{_leaks(contracts[table], column)}, so it cannot be a feature"
