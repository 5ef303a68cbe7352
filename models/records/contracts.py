"""The register of built-in contracts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from models.errors import ConfigError
from models.records.contract import Contract
from models.records.tables import business, publicity, standing, subject, supervision
from models.yaml import nearest

CONTRACTS: Final[Mapping[str, Contract]] = MappingProxyType(
    {
        contract.name: contract
        for contract in (
            subject.SUBJECT,
            publicity.LICENCE,
            publicity.PENALTY,
            supervision.INSPECTION,
            supervision.SAMPLING,
            supervision.COMPLAINT,
            standing.LISTING,
            standing.JUDGMENT,
            subject.ANNUAL_REPORT,
            subject.CHANGE,
            business.TAX_EVENT,
            business.SOCIAL_INSURANCE,
            subject.PERSON_ROLE,
            subject.RELATION,
            standing.PLEDGE,
            standing.REPAIR,
            business.INVOICE,
        )
    }
)


def contract_named(name: str) -> Contract:
    """Return the built-in contract ``name``; a :class:`ConfigError` tells the nearest name."""
    if name in CONTRACTS:
        return CONTRACTS[name]
    raise ConfigError(f"unknown table {name!r}{nearest(name, CONTRACTS)}")
