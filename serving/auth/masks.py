"""Fields of persons, starred out for whoever has no role and purpose to see them.

Which fields they are is said by the contract of their table; inside any text, numbers and names of
persons are starred wherever they stand (个人信息保护法 28, 51: least authority, de-identification).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import polars as pl

from models.records.contract import Contract
from models.text import mask as running
from serving.auth.caller import Caller, Purpose
from serving.auth.roles import Permission, Role

SHOWING: Final[Mapping[Role, frozenset[Purpose]]] = MappingProxyType(
    {
        Role.INSPECTOR: frozenset(
            {
                Purpose.SUPERVISION,
                Purpose.INSPECTION,
                Purpose.WARNING,
                Purpose.REPAIR,
                Purpose.OBJECTION,
                Purpose.REPORT,
                Purpose.OWN_DATA,
            }
        ),
        Role.DATA_MANAGER: frozenset({Purpose.DATA_QUALITY, Purpose.REPAIR, Purpose.OBJECTION}),
    }
)
"""The purposes for which a role sees persons' fields; statistics and audits need none."""

STARS: Final = "****"
_NAMES: Final = frozenset({"legal_representative", "person_name", "name"})
_PLACES: Final = frozenset({"address"})
_KEPT: Final = 6
"""Characters of an address that stay: province and city."""


def shows(caller: Caller) -> bool:
    """Return whether persons' fields are shown to a caller for what this request is for."""
    return caller.may(Permission.PERSONAL_READ) and any(
        caller.purpose in SHOWING.get(role, ()) for role in caller.roles
    )


def masked(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Return the records of a contract with persons' fields starred; other columns stay as is."""
    return frame.with_columns(
        _expr(name, contract)
        for name, dtype in frame.schema.items()
        if name in _covered(contract) and _is_text(dtype)
    ).with_columns(
        pl.lit(None, dtype).alias(name)
        for name, dtype in frame.schema.items()
        if name in contract.personal and not _is_text(dtype)
    )


def masked_row(row: Mapping[str, object], contract: Contract) -> dict[str, object]:
    """Return one record with persons' fields starred; what is no text there becomes null."""
    return {name: _value(name, value, contract) for name, value in row.items()}


def _covered(contract: Contract) -> frozenset[str]:
    return contract.personal | frozenset(contract.texts)


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def _expr(name: str, contract: Contract) -> pl.Expr:
    text = pl.col(name).cast(pl.String)
    if name in contract.texts:
        return running.mask_expr(text).alias(name)
    if name in _NAMES:
        return text.str.head(1) + pl.lit("**")
    if name in _PLACES:
        return text.str.head(_KEPT) + pl.lit(STARS)
    return pl.when(text.is_not_null()).then(pl.lit(STARS)).alias(name)


def _value(name: str, value: object, contract: Contract) -> object:
    if value is None or name not in _covered(contract):
        return value
    if not isinstance(value, str):
        return None if name in contract.personal else value
    if name in contract.texts:
        return running.mask(value)
    if name in _NAMES:
        return value[:1] + "**"
    return value[:_KEPT] + STARS if name in _PLACES else STARS
