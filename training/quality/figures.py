"""Numbers as a reader sees them: a rate never looks better than it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

_NONE: Final = "—"


def at_least(rate: float | None) -> str:
    """Return a rate where more is better, rounded down: 0.98999 is ``98.99 %``, not 99."""
    return _percent(rate, math.floor, 1e-6)


def at_most(rate: float | None) -> str:
    """Return a rate where less is better, rounded up: one late row of a million is seen."""
    return _percent(rate, math.ceil, -1e-6)


def count(number: int | None) -> str:
    """Return a count with thousands apart."""
    return _NONE if number is None else f"{number:,}"


def line(target: float) -> str:
    """Return the target line's own value, without needless zeros: ``99 %``, ``99.5 %``."""
    return f"{round(target * 100, 4):g} %"


def _percent(rate: float | None, rounded: Callable[[float], int], slack: float) -> str:
    """Round at the second decimal; ``slack`` undoes what binary fractions add or take."""
    return _NONE if rate is None else f"{rounded(rate * 10_000 + slack) / 100:.2f} %"
