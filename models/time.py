"""Instants and dates at which facts may be used.

A regulator's day ends at 24:00 Asia/Shanghai. A fact is usable *as of* a date when it happened on
or before that date and was known to the platform before that date ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class AsOf:
    """A date of view: nothing that happened or became known after its end exists."""

    on: date

    @property
    def known_before(self) -> datetime:
        """Return the first instant (UTC) whose facts are *not* known as of this date."""
        next_day = datetime.combine(self.on + timedelta(days=1), time(), tzinfo=SHANGHAI)
        return next_day.astimezone(UTC)

    def __str__(self) -> str:
        """Return the ISO date."""
        return self.on.isoformat()
