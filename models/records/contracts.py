"""The register of built-in contracts: those written in Python and those of departments."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from models.errors import ConfigError
from models.records.contract import Contract
from models.records.declared import departments
from models.records.tables import WRITTEN
from models.yaml import nearest

CONTRACTS: Final[Mapping[str, Contract]] = MappingProxyType({**WRITTEN, **departments()})


def contract_named(name: str) -> Contract:
    """Return the built-in contract ``name``; a :class:`ConfigError` tells the nearest name."""
    if name in CONTRACTS:
        return CONTRACTS[name]
    raise ConfigError(f"unknown table {name!r}{nearest(name, CONTRACTS)}")
