"""What a process remembers of its callers: who they were a moment ago, and how much they asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from threading import BoundedSemaphore, Lock
from typing import Final

from serving.auth.caller import Caller
from serving.auth.jwks import IssuerKeys

FRESH: Final = timedelta(seconds=5)
"""How long a proven caller is believed without asking the ledger again; a key that is revoked
or an account that is closed ends in the other processes after as long."""
_MOST: Final = 10_000
"""Callers remembered; all are forgotten when there are more."""
_HASHING: Final = 4
"""Passwords checked at once: each takes 19 MiB on purpose."""


@dataclass(frozen=True, slots=True)
class Known:
    """A proven caller: ``until`` is when the proof itself ends."""

    caller: Caller
    until: datetime | None = None


class Memory:
    """Proven callers by the digest of what they showed, for as long as :data:`FRESH`."""

    def __init__(self) -> None:
        """Start empty."""
        self._known: dict[bytes, tuple[datetime, Known]] = {}

    def get(self, text: str, now: datetime) -> Caller | None:
        """Return who showed the text a moment ago, if that still holds ``now``."""
        found = self._known.get(sha256(text.encode()).digest())
        if found is None:
            return None
        at, known = found
        if not at <= now < at + FRESH:  # a clock that was set back proves nothing either
            return None
        return known.caller if known.until is None or now < known.until else None

    def put(self, text: str, known: Known, now: datetime) -> None:
        """Remember who showed the text."""
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[sha256(text.encode()).digest()] = (now, known)

    def forget(self) -> None:
        """Forget everybody: rights were changed."""
        self._known.clear()


class Buckets:
    """Token buckets by name: ``rate`` tokens a second each, at most ``burst`` of them saved."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        """Start with every bucket full."""
        self._timer = timer
        self._lock = Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def wait(self, name: str, *, rate: float, burst: float) -> float:
        """Return 0 where there is a token, or the seconds until there is one; take none."""
        with self._lock:
            left, at = self._left.get(name, (burst, self._timer()))
            left = min(burst, left + (self._timer() - at) * rate)
            return 0.0 if left >= 1 else (1 - left) / rate

    def take(self, name: str, *, rate: float, burst: float) -> float:
        """Take a token; return 0, or the seconds until there is one."""
        with self._lock:
            now = self._timer()
            if len(self._left) >= _MOST:
                self._left = {
                    other: (left, at)
                    for other, (left, at) in self._left.items()
                    if left + (now - at) * rate < burst
                }
            left, at = self._left.get(name, (burst, now))
            left = min(burst, left + (now - at) * rate)
            if left < 1:
                self._left[name] = (left, now)
                return (1 - left) / rate
            self._left[name] = (left - 1, now)
            return 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """The parts; one of each to a process."""

    memory: Memory = field(default_factory=Memory)
    requests: Buckets = field(default_factory=Buckets)
    failures: Buckets = field(default_factory=Buckets)
    issuer: IssuerKeys = field(default_factory=IssuerKeys)
    hashing: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(_HASHING))
