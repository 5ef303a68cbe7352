"""What a route asks for by type."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from serving.service import Service


def service(request: Request) -> Service:
    """Return the running service."""
    return cast("Service", request.app.state.service)


ServiceDep = Annotated[Service, Depends(service)]
