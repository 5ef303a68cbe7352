"""Scenarios: one declaration per kind of risk, which drives everything from features to reports."""

from models.scenarios.catalogue import catalogue, scenario_named
from models.scenarios.load import load_scenario, parse_scenario, schema
from models.scenarios.scenario import Scenario

__all__ = [
    "Scenario",
    "catalogue",
    "load_scenario",
    "parse_scenario",
    "scenario_named",
    "schema",
]
