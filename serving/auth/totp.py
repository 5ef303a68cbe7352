"""Second factors: six digits from a seed and the time (RFC 6238), each good for once."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Final

STEP: Final = 30
"""Seconds that a code is shown."""
ISSUER: Final = "信鉴"


def new_seed() -> str:
    """Return a new seed, 160 bits in base 32."""
    from pyotp import random_base32

    return random_base32()


def uri(seed: str, *, account: str) -> str:
    """Return the ``otpauth://`` address that an app reads from a QR code."""
    from pyotp.totp import TOTP

    return TOTP(seed, interval=STEP).provisioning_uri(name=account, issuer_name=ISSUER)


def code_at(seed: str, now: datetime) -> str:
    """Return the code of an instant."""
    from pyotp.totp import TOTP

    return TOTP(seed, interval=STEP).at(now)


def step_of(seed: str, code: str, *, now: datetime) -> int | None:
    """Return the time step that a code belongs to: this one or a neighbour; ``None``: to none.

    The caller uses the step up, so that a code that was seen is no use to whoever saw it.
    """
    from pyotp.totp import TOTP

    maker = TOTP(seed, interval=STEP)
    this = int(now.timestamp()) // STEP
    given = code.strip().encode()
    found = [
        step
        for step in (this - 1, this, this + 1)
        if hmac.compare_digest(maker.at(step * STEP).encode(), given)
    ]
    return found[-1] if found else None
