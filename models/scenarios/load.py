"""Reading scenarios from YAML, with errors that say where and what would be right."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from pydantic import RootModel

from models import yaml
from models.errors import ConfigError
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.scenarios.check import problems
from models.scenarios.scenario import Scenario


def load_scenario(path: Path | str, *, contracts: Mapping[str, Contract] = CONTRACTS) -> Scenario:
    """Read the scenario at ``path`` and check it against the record tables there are.

    ``contracts`` are the tables by name; a user's own come with the built-in ones. Raises
    :class:`ConfigError` with ``file:line`` for everything that is wrong, and the nearest right name
    where a name is unknown.
    """
    return _checked(yaml.read(path), contracts)


def parse_scenario(
    text: str, source: str, *, contracts: Mapping[str, Contract] = CONTRACTS
) -> Scenario:
    """Read a scenario from YAML ``text``; ``source`` names it in errors."""
    return _checked(yaml.parse(text, source), contracts)


class _Meanings(RootModel[Mapping[str, Mapping[str, str]]]):
    """What each field of each part of a scenario means."""


def schema() -> dict[str, object]:
    """Return the JSON schema of a scenario file, for editors, with what each field means."""
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    told = Scenario.model_json_schema()
    with resources.as_file(resources.files("models.scenarios") / "fields.zh.yaml") as path:
        meanings = yaml.load(Path(path), _Meanings).root
    for name, fields in meanings.items():
        shape = told if name == Scenario.__name__ else told["$defs"][name]
        for field, meaning in fields.items():
            shape["properties"][field]["description"] = meaning
    return {**title, **told}


def _checked(document: yaml.Document, contracts: Mapping[str, Contract]) -> Scenario:
    scenario = document.check(Scenario)
    found = [document.error(p.place, p.text) for p in problems(scenario, contracts)]
    if found:
        raise ConfigError("\n".join(dict.fromkeys(map(str, found))))
    return scenario
