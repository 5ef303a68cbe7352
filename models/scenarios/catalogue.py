"""The scenarios that come with the package."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from models.errors import ConfigError
from models.scenarios.load import parse_scenario
from models.scenarios.scenario import Scenario
from models.yaml import nearest


@cache
def catalogue() -> Mapping[str, Scenario]:
    """Return the scenarios of ``catalog/`` by id, sorted; read once."""
    folder = resources.files("models.scenarios") / "catalog"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    found = [parse_scenario(f.read_text(encoding="utf-8"), f"catalog/{f.name}") for f in files]
    return MappingProxyType({scenario.id: scenario for scenario in found})


def scenario_named(name: str) -> Scenario:
    """Return the scenario with the id or the code ``name``; a ConfigError tells the nearest id."""
    known = catalogue()
    by_code = {scenario.code: scenario for scenario in known.values() if scenario.code}
    found = known.get(name) or by_code.get(name.upper())
    if found is None:
        raise ConfigError(f"unknown scenario '{name}'{nearest(name, (*known, *by_code))}")
    return found
