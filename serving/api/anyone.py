"""Routes that the public may ask: open to everybody, at a pace that one address can keep."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Final

from fastapi import Depends, Request

from serving.deps import ServiceDep
from serving.problems import Problem

_RATE: Final = 10.0
_BURST: Final = 60.0
"""Requests a second of one address, and at once."""


async def _anyone(request: Request, running: ServiceDep) -> None:
    """Let an address in that keeps the pace; a problem 429 for any other."""
    host = request.client.host if request.client else "-"
    wait = running.access.requests.take(f"address:{host}", rate=_RATE, burst=_BURST)
    if wait:
        seconds = max(1, ceil(wait))
        raise Problem(
            429,
            "too-fast",
            f"more than {_RATE:g} requests a second from this address; try again in {seconds} s",
            headers={"Retry-After": str(seconds)},
        )


Anyone = Annotated[None, Depends(_anyone)]
"""What a public route asks for."""
