"""The province's calendar: months, days inside them, working days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from models.codes import calendar
from models.errors import ConfigError
from training.synth.arrays import Ints, Random

FAR: Final = 1 << 20
"""A day that never comes."""

LONG: Final = 47_481
"""2099-12-31, which stands for a term without end."""

TERM: Final = 7
"""Working days within which a decision is to be reported (发改办财金〔2018〕424号)."""


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """``first`` has the first day of each month and, last, the day after the end.

    Days count from 1970-01-01. ``years`` and ``month`` (1-12) describe each month.
    """

    first: Ints
    year: Ints
    month: Ints
    working: Ints

    @property
    def months(self) -> int:
        """Return how many months there are."""
        return len(self.first) - 1

    @property
    def start(self) -> int:
        """Return the first day."""
        return int(self.first[0])

    @property
    def end(self) -> int:
        """Return the last day."""
        return int(self.first[-1]) - 1

    def month_of(self, day: Ints) -> Ints:
        """Return each day's month: -1 before the first, ``months`` after the last."""
        return np.searchsorted(self.first, day, side="right") - 1

    def day_in(self, month: Ints, rng: Random) -> Ints:
        """Return a random day of each month."""
        first = self.first[month]
        return first + (rng.random(len(month)) * (self.first[month + 1] - first)).astype(np.int64)

    def working_day(self, day: Ints) -> Ints:
        """Return each day, or the next working day if it is not worked."""
        return self._nth(np.searchsorted(self.working, day, side="left"))

    def working_before(self, day: Ints) -> Ints:
        """Return each day, or the last working day before it if it is not worked."""
        return self._nth(np.searchsorted(self.working, day, side="right") - 1)

    def working_after(self, day: Ints, count: Ints) -> Ints:
        """Return the ``count``-th working day after each day."""
        return self._nth(np.searchsorted(self.working, day, side="right") - 1 + count)

    def _nth(self, place: Ints) -> Ints:
        """Return working days by place; ``FAR`` after the last known one."""
        return self.working[np.minimum(place, len(self.working) - 1)]

    def reported(self, rng: Random, decided: Ints, *, late: float) -> Ints:
        """Return report days: 1 to 7 working days after the decision; a share ``late``, 8 to 60."""
        size = len(decided)
        timely = rng.integers(1, TERM + 1, size=size)
        tardy = rng.integers(TERM + 1, 61, size=size)
        return self.working_after(decided, np.where(rng.random(size) < late, tardy, timely))


def day_number(day: date) -> int:
    """Return days since 1970-01-01."""
    return (day - date(1970, 1, 1)).days


def wind(start: date, end: date) -> Clock:
    """Return the clock from ``start`` (the first of a month) to ``end``, both included.

    Raises:
        ConfigError: working days are not known for all of it.
    """
    years = calendar.known_years()
    if start.year < years[0] or end.year > years[-1]:
        raise ConfigError(
            f"{start} to {end}: working days are known for {years[0]} to {years[-1]}; stay inside"
        )
    firsts = pl.date_range(start, end, interval="1mo", eager=True)
    numbers = firsts.cast(pl.Int64).to_numpy()
    return Clock(
        first=np.append(numbers, day_number(end) + 1),
        year=firsts.dt.year().to_numpy().astype(np.int64),
        month=firsts.dt.month().to_numpy().astype(np.int64),
        working=np.append(calendar.load().nth[1:], FAR),
    )
