"""Passwords: what they must be, and argon2id, so that a stolen ledger does not tell them.

Cost: the lesser setting of OWASP's password storage sheet (19 MiB, two passes, one lane), since a
service also pays it for every wrong guess. Rules: GB/T 22239-2019 身份鉴别 (complexity, change).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from models.errors import AccessError

SHORTEST: Final = 10
LONGEST: Final = 128
_PHRASE: Final = 20
"""Characters from which a password needs no mixture."""
REMEMBERED: Final = 4
"""Former passwords that may not come back."""
_GUESSED: Final = (
    *("password", "passw0rd", "p@ssw0rd", "qwerty", "1qaz2wsx", "asdfgh", "abc123", "letmein"),
    *("admin", "root", "xinjian", "welcome", "iloveyou", "woaini", "123456", "111111", "888888"),
)
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def hashed(password: str) -> str:
    """Return the argon2id hash of a password, salt and cost included."""
    return _HASHER.hash(_normal(password))


def matches(password: str, kept: str | None) -> bool:
    """Return whether a password is the one of a hash; takes as long where there is no hash."""
    if len(password) > LONGEST:
        return False
    try:
        return _HASHER.verify(kept or _nobodys(), _normal(password)) and kept is not None
    except (Argon2Error, InvalidHashError):
        return False


def check(password: str, *, name: str, former: Sequence[str] = ()) -> None:
    """Raise :class:`AccessError` unless a password is good enough.

    Args:
        password: What somebody wants to have for a password; never part of the message.
        name: Their account's, which may not be in it.
        former: Hashes of those they had.
    """
    password = _normal(password)
    if not SHORTEST <= len(password) <= LONGEST:
        raise AccessError(f"a password has {SHORTEST} to {LONGEST} characters; choose another")
    if len(password) < _PHRASE and _mixture(password) < 3:
        raise AccessError(
            "a password mixes three of: small letters, capitals, digits, other characters; or has "
            f"{_PHRASE} characters and more; choose another"
        )
    if len(set(password)) < 6:
        raise AccessError("a password has 6 different characters at least; choose another")
    plain = password.lower()
    for word in (name.lower(), *_GUESSED):
        if word in plain and len(plain.replace(word, "")) < SHORTEST - 2:
            raise AccessError(
                "the password holds the account's name or a word that is guessed first, and "
                "little else; choose another"
            )
    if any(matches(password, one) for one in former[-REMEMBERED:]):
        raise AccessError(f"the password is one of the last {REMEMBERED}; choose another")


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _mixture(password: str) -> int:
    kinds = (
        any(char.islower() for char in password),
        any(char.isupper() for char in password),
        any(char.isdigit() for char in password),
        any(not (char.islower() or char.isupper() or char.isdigit()) for char in password),
    )
    return sum(kinds)


@lru_cache(maxsize=1)
def _nobodys() -> str:
    """Return a hash that is compared with where there is none: an unknown name takes as long."""
    return _HASHER.hash("nobody's")
