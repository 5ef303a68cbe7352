"""The request that is being served: its id, for answers and for every line of the log."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from typing import Final

_ID: ContextVar[str] = ContextVar("request_id", default="-")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_id() -> str:
    """Return the id of the request that is being served; ``-`` outside of one."""
    return _ID.get()


def begin(given: str | None) -> str:
    """Take the id that the caller gave, where it is one that a log can hold, else make one."""
    chosen = given if given and _PLAIN.fullmatch(given) else secrets.token_hex(12)
    _ID.set(chosen)
    return chosen
