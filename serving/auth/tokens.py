"""Secrets that we hand out once: ``xk_<id>_<secret>``; only their digests are kept.

A secret has 256 bits of chance, so a plain SHA-256 of it can neither be guessed nor turned back;
passwords, which people choose, are another matter (:mod:`.passwords`).
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final


class Kind(StrEnum):
    """What a token is for; its first letters, so that a leaked one is recognised."""

    KEY = "xk"
    SESSION = "xs"
    INVITATION = "xi"
    SETUP = "xt"


_FORM: Final = re.compile(r"(xk|xs|xi|xt)_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """A token: ``text`` is the secret, ``digest`` what the ledger keeps of it."""

    kind: Kind
    id: str
    text: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of the whole text, id included: an id cannot be swapped."""
        return sha256(self.text.encode()).digest()

    def matches(self, digest: bytes | None) -> bool:
        """Return whether this is the token of that digest, in the same time whether or not."""
        found = hmac.compare_digest(self.digest, digest or b"\0" * 32)
        return found and digest is not None


def make(kind: Kind) -> Token:
    """Make a new token."""
    number = secrets.token_hex(8)
    return Token(kind, number, f"{kind}_{number}_{secrets.token_urlsafe(32)}")


def parse(text: str) -> Token | None:
    """Return the token that a text is; ``None`` where it is none."""
    found = _FORM.fullmatch(text)
    return Token(Kind(found[1]), found[2], text) if found else None
