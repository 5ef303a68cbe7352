"""Instants and dates at which facts may be used, and the spans between them.

A regulator's day ends at 24:00 Asia/Shanghai. A fact is usable *as of* a date when it happened on
or before that date and was known to the platform before that date ended.

A window of ``w`` days before a date is ``[as_of − w, as_of)`` and a horizon of ``h`` days after it
is ``(as_of, as_of + h]``. The day of view itself lies in neither: what happens on it may be known
when a decision is made, so it cannot be predicted, and may not be, so it cannot be a feature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar, Final, Self
from zoneinfo import ZoneInfo

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from models.errors import ConfigError

SHANGHAI = ZoneInfo("Asia/Shanghai")
MAX_DAYS: Final = 36_500


@dataclass(frozen=True, slots=True)
class AsOf:
    """A date of view: nothing that happened or became known after its end exists."""

    on: date

    @property
    def known_before(self) -> datetime:
        """Return the first instant (UTC) whose facts are *not* known as of this date.

        The last date there is has no next one: all but its last microsecond is known then.
        """
        if self.on == date.max:
            return datetime.max.replace(tzinfo=UTC)
        next_day = datetime.combine(self.on + timedelta(days=1), time(), tzinfo=SHANGHAI)
        return next_day.astimezone(UTC)

    def __str__(self) -> str:
        """Return the ISO date."""
        return self.on.isoformat()


class _Declared:
    """A value that declaration files write as text: parsed when read, written back the same."""

    __slots__ = ()
    written: ClassVar[str]
    """Regular expression of the text, for editors."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a declaration; raise :class:`ConfigError` telling how to write it."""
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Let pydantic read and write the value as text."""
        del source, handler

        def read(value: object) -> Self:
            if isinstance(value, cls):
                return value
            try:
                return cls.parse(str(value))
            except ConfigError as error:
                raise ValueError(str(error)) from None

        return core_schema.no_info_before_validator_function(
            read,
            core_schema.is_instance_schema(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
            json_schema_input_schema=core_schema.str_schema(pattern=cls.written),
        )


@dataclass(frozen=True, slots=True, order=True)
class Span(_Declared):
    """A length of time in whole days, at least one; written ``180d`` or ``26w``.

    Months and years are not spans: their length depends on where they begin.
    """

    days: int

    written: ClassVar[str] = r"^[0-9]+[dw]$"
    least: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse a length that no window or horizon can have."""
        if not self.least <= self.days <= MAX_DAYS:
            raise ConfigError(
                f"{self.days} days: give at least {self.least} and at most {MAX_DAYS} days"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``180d`` (days) or ``26w`` (weeks); :class:`ConfigError` for anything else."""
        found = re.fullmatch(r"([0-9]{1,9})([dw])", text)
        if found is None:
            raise ConfigError(
                f"{text!r} is no span; write days such as 180d or weeks such as 26w "
                "(months and years have no fixed length)"
            )
        number, unit = found.groups()
        return cls(int(number) * (7 if unit == "w" else 1))

    @property
    def delta(self) -> timedelta:
        """Return the span as a timedelta."""
        return timedelta(days=self.days)

    def __str__(self) -> str:
        """Return the text that :meth:`parse` reads, in days."""
        return f"{self.days}d"


@dataclass(frozen=True, slots=True, order=True)
class Delay(Span):
    """A span that may be nothing: ``0d``."""

    least: ClassVar[int] = 0


@dataclass(frozen=True, slots=True, order=True)
class MonthDay(_Declared):
    """A day of every year, such as the 30 June of yearly reports; written ``06-30``."""

    month: int
    day: int

    written: ClassVar[str] = r"^[0-1][0-9]-[0-3][0-9]$"

    def __post_init__(self) -> None:
        """Refuse a day that some years lack."""
        try:
            date(2001, self.month, self.day)
        except ValueError:
            raise ConfigError(f"{self} is not a day of every year; write MM-DD") from None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``MM-DD``; raise :class:`ConfigError` for anything else."""
        if re.fullmatch(r"[0-9]{2}-[0-9]{2}", text) is None:
            raise ConfigError(f"{text!r} is no day of the year; write MM-DD, such as 06-30")
        return cls(int(text[:2]), int(text[3:]))

    def in_year(self, year: int) -> date:
        """Return the day in ``year``."""
        return date(year, self.month, self.day)

    def after(self, on: date) -> date:
        """Return the first such day strictly after ``on``."""
        same = self.in_year(on.year)
        return same if same > on else self.in_year(on.year + 1)

    def __str__(self) -> str:
        """Return the text that :meth:`parse` reads."""
        return f"{self.month:02}-{self.day:02}"


def today() -> date:
    """Return the regulator's day it is now, in Shanghai."""
    return datetime.now(SHANGHAI).date()


def parse_day(text: str, option: str) -> date:
    """Return the day ``YYYY-MM-DD`` that an option names; :class:`ConfigError` for no such day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text}: no such day; write YYYY-MM-DD") from None


def not_in_future(on: date, *, today: date) -> AsOf:
    """Return the date of view; raise :class:`ConfigError` for one that has not come yet."""
    if on > today:
        raise ConfigError(
            f"as of {on}: that day has not come; the latest date of view is today, {today}"
        )
    return AsOf(on)
