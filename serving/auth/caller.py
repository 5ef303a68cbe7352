"""Who calls."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal, Self

from models.errors import AccessError
from serving.auth.roles import Permission, Role, permissions

EVERYWHERE: Final = ""
"""The region prefix that every code begins with."""
_REGION: Final = re.compile(r"(?:\d{2}){0,3}|\d{9}|\d{12}")


class Purpose(StrEnum):
    """What a caller needs data for (header ``X-Purpose``); kept with every access to persons'."""

    SUPERVISION = "supervision"
    INSPECTION = "inspection"
    WARNING = "warning"
    REPAIR = "repair"
    OBJECTION = "objection"
    REPORT = "report"
    OWN_DATA = "own_data"
    DATA_QUALITY = "data_quality"
    STATISTICS = "statistics"
    AUDIT = "audit"


PURPOSE_TITLES: Final = {
    Purpose.SUPERVISION: "日常监管",
    Purpose.INSPECTION: "执法检查",
    Purpose.WARNING: "预警处置",
    Purpose.REPAIR: "信用修复",
    Purpose.OBJECTION: "异议处理",
    Purpose.REPORT: "信用报告",
    Purpose.OWN_DATA: "主体查询自身信息",
    Purpose.DATA_QUALITY: "数据质量核查",
    Purpose.STATISTICS: "统计分析",
    Purpose.AUDIT: "审计",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose identity was proven, and where and what for they may act.

    ``regions`` are prefixes of region codes: ``("",)`` is everywhere and ``()`` is nowhere.
    ``departments`` are names of authorities; none is no restriction. ``purposes`` are those that
    the caller is bound to; none is any of :class:`Purpose`. ``session`` is the id of a user's, and
    ``held`` says why a user has no role for now.
    """

    id: str
    kind: Literal["user", "key", "token"]
    name: str
    roles: frozenset[Role]
    regions: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    purpose: str | None = None
    purposes: tuple[str, ...] = ()
    session: str | None = None
    held: Literal["second-factor-missing", "password-old"] | None = None

    def may(self, permission: Permission) -> bool:
        """Return whether one of the roles has the permission."""
        return permission in permissions(self.roles)

    @property
    def everywhere(self) -> bool:
        """Return whether no region is closed to the caller."""
        return EVERYWHERE in self.regions

    def sees_region(self, code: str | None) -> bool:
        """Return whether a subject of the region may be seen; of none, by who sees everywhere."""
        return self.everywhere or (code is not None and code.startswith(self.regions))

    def sees_department(self, name: str | None) -> bool:
        """Return whether a record of the authority may be seen."""
        return not self.departments or name in self.departments

    def for_purpose(self, purpose: str | None) -> Self:
        """Return the caller with what this request is for."""
        return self if purpose is None else replace(self, purpose=purpose)


def region_prefixes(codes: Iterable[str]) -> tuple[str, ...]:
    """Return region codes as prefixes: ``210100`` (a city) is ``2101``; sorted, each once.

    Raises:
        AccessError: One is not of 0, 2, 4, 6, 9 or 12 digits.
    """
    return tuple(sorted({_prefix(code) for code in codes}))


def _prefix(code: str) -> str:
    if not _REGION.fullmatch(code) or (code and not code.strip("0")):
        raise AccessError(
            f"{code!r} is no region: write a code of 2, 4, 6, 9 or 12 digits, or an empty text "
            "for everywhere"
        )
    while len(code) <= 6 and code.endswith("00"):
        code = code[:-2]
    return code
