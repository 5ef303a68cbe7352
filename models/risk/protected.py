"""What is never put into words: attributes of persons, of ownership, and what was left out.

The rule, with data in ``wording.yaml``. A feature is protected where one of these holds:

1. its column tells of a natural person (age, sex and the like), or its contract calls the column
   personal or written only after the outcome;
2. the scenario leaves its column out (``features.exclude``);
3. it tells who owns the subject;
4. the scenario compares its results by it (``audit.by``) and the official frame of indicators does
   not know it: the place. Age, size and trade of a firm are indicators and are worded.

A percentile among peers is protected as its column is. What a model makes of protected features
stands in the total of their family, as 其他, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.features.spec import FeatureSpec
from models.records.contract import Contract
from models.risk.wording import Titles, words
from models.scenarios.scenario import Scenario


def protected(
    spec: FeatureSpec,
    scenario: Scenario,
    contracts: Mapping[str, Contract],
    titles: Mapping[str, Titles],
) -> bool:
    """Tell whether a feature must not be worded in this scenario."""
    rule = words().protected
    audited = frozenset[str]().union(*(rule.audited.get(by, ()) for by in scenario.audit.by))
    if spec.name in rule.features or spec.name in audited:
        return True
    if spec.column is None:
        return False
    table, column = spec.table or "", spec.column
    if not {column, f"{table}.{column}"}.isdisjoint(scenario.features.exclude):
        return True
    contract = contracts.get(table)
    if contract is not None and column in contract.personal | contract.outcome:
        return True
    return _of_a_person(column, titles[table].columns.get(column, "") if table in titles else "")


def _of_a_person(column: str, title: str) -> bool:
    """Tell whether a column's name or title is that of an attribute of natural persons."""
    rule = words().protected
    named = not rule.person_parts.isdisjoint(column.split("_"))
    return named or any(word in title or word in column for word in rule.person_words)
