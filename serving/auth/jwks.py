"""The public keys of the issuer of tokens (RFC 7517), read anew when it changes them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, cast

from models.errors import AccessDownError
from models.logs import logger

if TYPE_CHECKING:
    from joserfc.jwk import Key

OLD: Final = 600.0
"""Seconds after which the keys are read again."""
SOON: Final = 30.0
"""Seconds between two readings, however many unknown keys are named or readings fail."""
DEAD: Final = 24 * 3600.0
"""Seconds for which keys are believed while they cannot be read again."""
_MOST: Final = 2**20
_WAIT: Final = 5.0
_PAIRS: Final = ("RSA", "EC", "OKP")
_log = logger(__name__)


def read(where: str) -> bytes:
    """Return what is at an address or in a file; :class:`OSError` where that fails."""
    if not where.startswith(("https:", "http:")):
        return Path(where.removeprefix("file://")).read_bytes()
    import httpx2

    try:
        with httpx2.Client(timeout=_WAIT, follow_redirects=False) as client:
            answer = client.get(where, headers={"Accept": "application/json"})
            answer.raise_for_status()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise OSError(f"{where}: {error}") from error
    return answer.content


class IssuerKeys:
    """The keys by their ids; read on demand, and kept while they cannot be read."""

    def __init__(
        self,
        reading: Callable[[str], bytes] = read,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without any."""
        self._reading = reading
        self._timer = timer
        self._lock = Lock()
        self._keys: Mapping[str, Key] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None

    def find(self, where: str, key_id: str | None) -> Key | None:
        """Return the key of an id, ``None`` where the issuer has no such one.

        A token without an id is of the only key, or of none.

        Raises:
            AccessDownError: No keys could be read for a day, or ever.
        """
        # One reads; whoever shows a key that is known does not wait for it.
        if self._is_due(key_id) and self._lock.acquire(blocking=key_id not in self._keys):
            try:
                if self._is_due(key_id):
                    self._refresh(where)
            finally:
                self._lock.release()
        keys, read_at = self._keys, self._read_at
        if read_at is None or self._timer() - read_at > DEAD:
            raise AccessDownError("the issuer's keys cannot be read")
        if key_id is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(key_id)

    def _is_due(self, key_id: str | None) -> bool:
        now = self._timer()
        if self._tried_at is not None and now - self._tried_at < SOON:
            return False
        known = key_id is None or key_id in self._keys
        return self._read_at is None or now - self._read_at > OLD or not known

    def _refresh(self, where: str) -> None:
        self._tried_at = self._timer()
        try:
            self._keys = parse(self._reading(where))
            self._read_at = self._timer()
        except (OSError, ValueError) as error:
            _log.warning("issuer keys not read", where=where, error=str(error))


def parse(text: bytes) -> dict[str, Key]:
    """Return the signing keys of a key set by id; :class:`ValueError` where it is none.

    Shared secrets, keys of another use and kinds that are not known are left out: what can sign
    must not be what everybody can read.
    """
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    if len(text) > _MOST:
        raise ValueError(f"the key set has more than {_MOST} bytes")
    found: dict[str, Key] = {}
    for entry in _entries(json.loads(text)):
        if entry.get("kty") not in _PAIRS or entry.get("use", "sig") != "sig":
            continue
        try:
            key = JWKRegistry.import_key({str(name): value for name, value in entry.items()})
            key.ensure_kid()
        except (JoseError, ValueError) as error:
            _log.warning("issuer key left out", kid=str(entry.get("kid")), error=str(error))
            continue
        found[str(key.kid)] = key
    if not found:
        raise ValueError("the key set has no key that signs")
    return found


def _entries(content: object) -> list[dict[str, str | list[str]]]:
    entries = cast("dict[str, object]", content).get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError("a key set is an object with a list of keys")  # noqa: TRY004 - of the file
    listed = cast("list[object]", entries)
    return [cast("dict[str, str | list[str]]", one) for one in listed if isinstance(one, dict)]
