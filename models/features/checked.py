"""The features of a scenario whose ``monotone`` and ``veto`` name features that there will be."""

from __future__ import annotations

from collections.abc import Mapping

from models.errors import ConfigError
from models.features.catalogue import features_of
from models.features.spec import FeatureSpec
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.scenarios.check import problems
from models.scenarios.scenario import Scenario


def checked_features(
    scenario: Scenario, contracts: Mapping[str, Contract] = CONTRACTS
) -> tuple[FeatureSpec, ...]:
    """Return the features; see :func:`.catalogue.features_of`.

    Raises :class:`ConfigError` also where the scenario names a feature that there will not be, or
    a veto asks of one what its type does not allow.
    """
    specs = features_of(scenario, contracts)
    wrong = problems(scenario, contracts, features={spec.name: spec.polars for spec in specs})
    if wrong:
        raise ConfigError("\n".join(f"scenario '{scenario.id}': {one.text}" for one in wrong))
    return specs
