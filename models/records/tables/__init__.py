"""The contracts written in Python, one module per field of record.

Tables whose columns need no rule across columns are declared in YAML instead: those of single
departments are in ``departments/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from models.records.contract import Contract
from models.records.tables import business, publicity, standing, subject, supervision

WRITTEN: Final[Mapping[str, Contract]] = MappingProxyType(
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
"""Contract by table name, in the order in which tables are shown."""
