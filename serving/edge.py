"""Around every request: an id, a limit to its body, a line in the log, its time in the metrics.

A plain ASGI application around the app, so that it also sees what never reaches a route.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, Final

from prometheus_client import Counter, Histogram
from structlog.contextvars import bind_contextvars, reset_contextvars

from models.logs import logger
from serving import metrics, request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ID: Final = "X-Request-ID"
_QUIET: Final = ("/health/live", "/health/ready", "/metrics")
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_log = logger(__name__)
_told: Final = logging.getLogger(__name__)
"""Says whether a line would be written at all, before it is made."""


class TooLargeError(Exception):
    """The body has more bytes than the service takes."""


class _Body:
    """A body as it arrives: a body sent in chunks tells no length beforehand."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self._seen = 0

    @property
    def too_large(self) -> bool:
        """Whether more has arrived than may."""
        return self._seen > self._limit

    async def receive(self) -> Message:
        """Give the next part; :class:`TooLargeError` where it is one too many."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self.too_large:
                raise TooLargeError
        return message


class Edge:
    """Wrap an app; ``body_limit`` is the most bytes of a body."""

    def __init__(self, app: Application, *, body_limit: int) -> None:
        """Keep the app and the limit."""
        self._app = app
        self._limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        number = request.begin(headers.get(ID.lower().encode(), b"").decode("latin-1"))
        bound = bind_contextvars(request_id=number)
        try:
            await self._serve(scope, receive, send, headers)
        finally:
            reset_contextvars(**bound)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes]
    ) -> None:
        began, status = time.perf_counter(), 500
        started = False
        body = _Body(receive, self._limit)

        async def sending(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                own = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    (ID.lower().encode(), request.request_id().encode()),
                    *(header for header in _SECURITY if header[0] not in own),
                ]
            await send(message)

        async def answering(message: Message) -> None:
            # Whoever reads a body takes what stops it for a broken one, and would say so.
            if started or not body.too_large:
                await sending(message)

        metrics.BUSY.inc()
        try:
            if _told_length(headers) > self._limit:
                await _refuse(sending, self._limit)
            else:
                await self._app(scope, body.receive, answering)
                if body.too_large and not started:
                    await _refuse(sending, self._limit)
        except TooLargeError:
            if started:
                raise
            await _refuse(sending, self._limit)
        finally:
            metrics.BUSY.dec()
            _tell(scope, status, time.perf_counter() - began)


def _told_length(headers: dict[bytes, bytes]) -> int:
    told = headers.get(b"content-length", b"0")
    return int(told[:20]) if told.isdigit() else 0


async def _refuse(send: Send, limit: int) -> None:
    body = json.dumps(
        {
            "type": "/problems/too-large",
            "title": "Content Too Large",
            "status": 413,
            "detail": f"the body has more than {limit} bytes; send it in parts",
            "instance": request.request_id(),
        }
    ).encode()
    head = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": head})
    await send({"type": "http.response.body", "body": body})


def _tell(scope: Scope, status: int, seconds: float) -> None:
    # The path as declared: one that names subjects would make a metric of each, and tell them.
    route = getattr(scope.get("route"), "path", None) or "other"
    method = scope["method"] if scope["method"] in _METHODS else "other"
    requests, durations = _counted(method, route, status)
    requests.inc()
    durations.observe(seconds)
    if route not in _QUIET and _told.isEnabledFor(logging.INFO):
        _log.info("request", method=method, route=route, status=status, ms=round(seconds * 1e3, 2))


@lru_cache(maxsize=1024)
def _counted(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Return the figures of a kind of request, kept: finding them takes longer than counting."""
    return metrics.REQUESTS.labels(method, route, status), metrics.SECONDS.labels(method, route)


_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
