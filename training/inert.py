"""Foreign text on a terminal: shown as it is written, without any power over the terminal."""

from __future__ import annotations

from typing import Final
from unicodedata import category

from rich.text import Text

_POWERFUL: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control and format characters (escape sequences, changes of direction), halves of characters and
line breaks."""


def inert(text: object, style: str = "") -> Text:
    """Return ``text`` for rich: no markup is read in it, and control characters are left out.

    ``style`` is a rich style for the whole.
    """
    kept = (" " if c.isspace() else "" if category(c) in _POWERFUL else c for c in str(text))
    return Text("".join(kept), style=style)
