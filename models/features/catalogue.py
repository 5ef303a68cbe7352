"""The catalogue: every feature that a scenario makes, in the order of the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import polars as pl

from models.canonical import digest_of
from models.errors import ConfigError
from models.features import area, identity, peers, relation, subject, tables, text
from models.features.spec import KEYS, FeatureSpec
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.scenarios.scenario import Scenario

_FAMILIES = (
    ("window", tables.specs),
    ("subject", subject.specs),
    ("identity", identity.specs),
    ("relation", relation.specs),
    ("area", area.specs),
    ("text", text.specs),
    ("peers", peers.specs),
)


def features_of(
    scenario: Scenario, contracts: Mapping[str, Contract] = CONTRACTS
) -> tuple[FeatureSpec, ...]:
    """Return the features of a scenario, always the same for the same declaration and contracts.

    A direction that the scenario's model declares goes before the catalogue's hint. Raises
    :class:`ConfigError` for an unknown table and for two features of one name.
    """
    wanted = scenario.features.families
    made = [
        spec
        for family, specs in _FAMILIES
        if family in wanted
        for spec in specs(scenario, contracts)
    ]
    seen: set[str] = set(KEYS)
    for spec in made:
        if spec.name in seen:
            raise ConfigError(
                f"two features of scenario '{scenario.id}' are named '{spec.name}'; rename the "
                "table or column of your own that gives the second"
            )
        seen.add(spec.name)
    declared = scenario.model.monotone
    return tuple(replace(spec, monotone=declared.get(spec.name, spec.monotone)) for spec in made)


def digest(specs: Sequence[FeatureSpec]) -> str:
    """Return the SHA-256 of the catalogue as canonical JSON, in 64 hex digits."""
    return digest_of([asdict(spec) for spec in specs])


def as_table(specs: Sequence[FeatureSpec]) -> pl.DataFrame:
    """Return the catalogue as a table, one row a feature, in order."""
    words = ("name", "title", "unit", "family", "dtype", "monotone", "reason", "table")
    schema = {
        **dict.fromkeys(words, pl.String()),
        "window": pl.Int32(),
        **dict.fromkeys(("stat", "column", "level"), pl.String()),
    }
    return pl.DataFrame([asdict(spec) for spec in specs], schema=schema)
