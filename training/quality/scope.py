"""What part of the lake a report looks at."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import polars as pl

from models.errors import ConfigError
from models.time import SHANGHAI
from models.yaml import nearest
from training.quality.times import YEARS

_LISTED: Final = 8
_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)
_REGION: Final = re.compile(r"\d{2}|\d{4}|\d{6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Scope:
    """Tables, authorities, regions and months (of ``known_at``, Asia/Shanghai) to look at.

    An empty tuple means all. ``since`` and ``until`` are months such as ``2024-01``, both included.
    What became known at an unknown time (see :mod:`.times`) lies in no range of months.
    A region covers what lies in it: ``210100`` (or ``2101``) takes every district of that city.
    """

    tables: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    _from: datetime | None = field(init=False, repr=False, default=None)
    _before: datetime | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check months and regions; raise :class:`ConfigError` for one that is none."""
        for region in self.regions:
            if not _REGION.fullmatch(region):
                raise ConfigError(
                    f"region {region!r} is no code of GB/T 2260; give 2, 4 or 6 digits, e.g. 210100"
                )
        if self.since and self.until and self.since > self.until:
            raise ConfigError(
                f"the first month {self.since} is after the last {self.until}; swap them"
            )
        if self.since or self.until:
            first, last = (self.since or f"{YEARS[0]}-01"), (self.until or f"{YEARS[1]}-12")
            object.__setattr__(self, "_from", _start(first, months=0))
            object.__setattr__(self, "_before", _start(last, months=1))

    def check_names(self, authorities: Collection[str], regions: Collection[str]) -> None:
        """Refuse what is not among the names the lake holds, unless it holds none of the kind.

        Raises :class:`ConfigError` with the nearest name: a slip must not read as "no data".
        """
        for name in self.authorities:
            if authorities and name not in authorities:
                raise ConfigError(f"there is no authority {name!r}{_near(name, authorities)}")
        for region in self.regions:
            if regions and not any(code.startswith(_prefix(region)) for code in regions):
                raise ConfigError(f"nothing lies in region {region!r}{_near(region, regions)}")

    def includes(self, table: str) -> bool:
        """Say whether ``table`` is looked at."""
        return not self.tables or table in self.tables

    def rows(self) -> pl.Expr:
        """Return the condition on ``known_at``, ``authority`` and ``region``; tables apart."""
        conditions = [pl.lit(value=True)]
        if self._from is not None:
            conditions.append(pl.col("known_at") >= self._from)
        if self._before is not None:
            conditions.append(pl.col("known_at") < self._before)
        if self.authorities:
            conditions.append(pl.col("authority").is_in(list(self.authorities)))
        if self.regions:
            inside = [pl.col("region").str.starts_with(_prefix(r)) for r in self.regions]
            conditions.append(pl.any_horizontal(inside))
        return pl.all_horizontal(conditions)


def _near(name: str, known: Collection[str]) -> str:
    """Return the nearest name; of those there may be thousands, not all are listed."""
    close = nearest(name, known)
    if close.startswith("; did") or len(known) <= _LISTED:
        return close
    return f"; there are {len(known):,}, such as {', '.join(sorted(known)[:_LISTED])}"


def _prefix(region: str) -> str:
    """Return the digits that everything inside ``region`` begins with."""
    return re.sub(r"(00){1,2}$", "", region) if len(region) == 6 else region


def _start(month: str, *, months: int) -> datetime:
    """Return the first instant (UTC) of the month that is ``months`` after ``month``."""
    found = _MONTH.fullmatch(month)
    if not found:
        raise ConfigError(f"month {month!r} is not of the form 2024-01")
    if not YEARS[0] <= int(found[1]) <= YEARS[1]:
        raise ConfigError(f"month {month!r}: give a year from {YEARS[0]} to {YEARS[1]}")
    index = int(found[1]) * 12 + int(found[2]) - 1 + months
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=SHANGHAI).astimezone(UTC)
