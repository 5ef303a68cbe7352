"""What messages show of a source: a few headings, cut and masked, and never its values.

A file without a header has a row of data where the headings should be, so these may be personal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

from models.codes.masking import mask_text
from models.yaml import nearest

MOST_HEADINGS: Final = 20
LONGEST_HEADING: Final = 40

_VALUES: Final = re.compile(r":?\s*(?:with\s+)?values?:?\s*\[.*|:\s*\[.*", re.DOTALL)
_LONG_NUMBER: Final = re.compile(r"[0-9]{12,}[0-9Xx]?")


def heading(text: str) -> str:
    """Return a heading as a message shows it: personal numbers starred, at most 40 characters."""
    masked = mask_text(_LONG_NUMBER.sub(lambda m: "*" * len(m[0]), text)) or ""
    return masked if len(masked) <= LONGEST_HEADING else masked[: LONGEST_HEADING - 1] + "…"


def headings(names: Iterable[str]) -> tuple[str, ...]:
    """Return the first headings, as many as a message shows."""
    return tuple(heading(name) for name in islice(names, MOST_HEADINGS))


def listed(names: Iterable[str]) -> str:
    """Return headings for a message, the number of further ones in words."""
    every = list(names)
    more = len(every) - MOST_HEADINGS
    return ", ".join(headings(every)) + (f" and {more} more" if more > 0 else "")


def nearest_heading(word: str, names: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest heading, else the first that there are."""
    every = [heading(name) for name in names]
    close = nearest(word, every)
    return close if close.startswith("; did") or not every else f"; there are: {listed(every)}"


def reason(error: BaseException) -> str:
    """Return the first line of an error of a library, without the values it quotes."""
    text = str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    return (mask_text(_VALUES.sub("", first)) or "")[:200]
