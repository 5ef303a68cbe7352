"""What the commands have in common: arguments, where results go, what a user named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Console

from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.declared import kept_contracts
from models.records.lake import Lake
from models.scenarios import Scenario, load_scenario, scenario_named
from models.settings import Settings

ScenarioArgument = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A scenario's id or code, or a scenario YAML.")
]
LakeOption = Annotated[
    str | None, typer.Option("--lake", help="Folder or s3:// address of the lake.")
]


def console() -> Console:
    """Return where results go; a file or pipe gets whole rows, however wide."""
    made = Console()
    return made if made.is_terminal else Console(width=200)


def contracts_of(settings: Settings) -> Mapping[str, Contract]:
    """Return the tables there are, a user's own among them."""
    return {**CONTRACTS, **kept_contracts(settings.contracts)}


def read_scenario(name: str, settings: Settings) -> tuple[Scenario, Mapping[str, Contract]]:
    """Return the scenario of an id, a code or a file, and the contracts there are."""
    contracts = contracts_of(settings)
    if name.endswith((".yaml", ".yml")):
        return load_scenario(name, contracts=contracts), contracts
    return scenario_named(name), contracts


def open_lake(settings: Settings, address: str | None) -> Lake:
    """Open the lake at an address, else the installation's."""
    return Lake.open(address or settings.lake, storage_options=settings.storage or None)
