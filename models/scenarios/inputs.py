"""Which columns of a table features are made of: its own, less what a scenario leaves out."""

from __future__ import annotations

from dataclasses import dataclass

from models.records.contract import Contract
from models.scenarios.check import unusable
from models.scenarios.scenario import Features


@dataclass(frozen=True, slots=True)
class Inputs:
    """The columns of a table that features measure, and those whose values they tell apart."""

    measures: tuple[str, ...]
    categories: tuple[str, ...]


def inputs(features: Features, table: Contract) -> Inputs:
    """Return the usable measures and categories of ``table``.

    Left out are what is written after the outcome, what ``exclude`` names, and, where ``columns``
    narrows the table, everything else.
    """
    chosen = features.columns.get(table.name)
    out = unusable(table).union(features.exclude)

    def kept(columns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            c
            for c in columns
            if c not in out and f"{table.name}.{c}" not in out and (chosen is None or c in chosen)
        )

    return Inputs(kept(table.measures), kept(table.categories))
