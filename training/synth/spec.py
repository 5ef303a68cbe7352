"""What is asked of a synthetic province, and the rates it is made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Final

from models.errors import ConfigError

CHUNK: Final = 20_000
"""Subjects made at a time: memory is bounded by this, whatever the size of the province."""

DIRT: Final = (
    *(f"V{number:02d}" for number in range(1, 15)),
    "F01",
    "F02",
    "F03",
)
"""Rules of the gate for which dirty rows are made."""


def _every_rule() -> Mapping[str, float]:
    return MappingProxyType(dict.fromkeys(DIRT, 0.001))


@dataclass(frozen=True, slots=True)
class Rates:
    """Every rate of the province; a month's unless said otherwise.

    ``dirt``: share of the rows a rule can speak about that are made to break it, and only it.
    ``late``: share of a table's rows reported after their term (双公示: 7 working days).
    ``fail``: intercept and slope of an inspection's log-odds to find a problem, on latent risk.
    ``random_untargeted``: inclusion probability of the whole open pool in a month's draw.
    ``random_targeted``: the same for the industries of the month's plan, by visible class.
    """

    dirt: Mapping[str, float] = field(default_factory=_every_rule)
    late: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({"licence": 0.03, "penalty": 0.015})
    )
    fail: tuple[float, float] = (-2.9, 1.15)
    random_untargeted: float = 0.004
    random_targeted: tuple[float, float, float, float] = (0.004, 0.010, 0.030, 0.080)
    targeted: float = 0.006
    campaign: float = 0.02
    after_complaint: float = 0.15
    revisit: float = 0.6
    excluded: float = 0.02
    penalty_after_fail: float = 0.35
    penalty: float = 0.0026
    complaint: float = 0.013
    sampling: float = 0.006
    change: float = 0.010
    judgment: float = 0.0016
    unreachable: float = 0.0006
    repair: float = 0.40
    social_insurance: float = 0.30
    name_only: float = 0.02
    renamed: float = 0.02


@dataclass(frozen=True, slots=True)
class Spec:
    """One province: how many subjects, which seed, which days (both included), which rates.

    Raises:
        ConfigError: a number is out of its range, or the days are in no order.
    """

    subjects: int
    seed: int
    start: date = date(2019, 1, 1)
    end: date = date(2026, 6, 30)
    invoices_share: float = 0.03
    rates: Rates = Rates()
    chunk: int = CHUNK

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.subjects <= 31**6:
            raise ConfigError(f"subjects={self.subjects}: a province has 1 to {31**6} subjects")
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed}: a seed is a whole number of 0 or more")
        if self.chunk < 1:
            raise ConfigError(f"chunk={self.chunk}: at least one subject is made at a time")
        if not 0 <= self.invoices_share <= 1:
            raise ConfigError(f"invoices_share={self.invoices_share}: a share is from 0 to 1")
        if self.start.day != 1 or (self.end - self.start).days < 365:
            raise ConfigError(
                f"{self.start} to {self.end}: begin on a first of a month, end a year later or more"
            )
        unknown = sorted(set(self.rates.dirt) - set(DIRT))
        if unknown:
            raise ConfigError(
                f"no dirt is made for {', '.join(unknown)}; rules with dirt: {', '.join(DIRT)}"
            )

    @property
    def chunks(self) -> int:
        """Return how many chunks there are."""
        return -(-self.subjects // self.chunk)

    def size_of(self, chunk: int) -> int:
        """Return how many subjects chunk number ``chunk`` has."""
        return min(self.chunk, self.subjects - chunk * self.chunk)
