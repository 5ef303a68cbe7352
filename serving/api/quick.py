"""Rows of features, answered before the framework is asked: routing them costs more than the trees.

What is asked of a caller is what the route asks, by the same functions; the limits, the log and the
metrics around it are the edge's. Whatever is not plainly fit to be answered here (a caller who has
yet to be proven, a purpose, another kind of body, a fault in it) goes on to the route as it came,
which says what is to be said.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, cast

from models.errors import XinjianError
from serving import problems
from serving.api.scoring import FEW, ROUTE, answer_features, wanted
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.edge import Application, Message, Receive, Scope, Send
from serving.problems import Problem
from serving.service import Service

_BEFORE, _AFTER = "/v1/scenarios/", "/score"
_MOST: Final = 2**18
"""Bytes of a body that is looked at here."""
_PROOFS: Final = frozenset({b"x-api-key", b"authorization", b"x-purpose"})
_HEAD: Final = (b"content-type", b"application/json")


class Quick:
    """Wrap the app; answers what it can and hands on the rest."""

    def __init__(self, app: Application) -> None:
        """Keep the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not _may_be(scope):
            await self._app(scope, receive, send)
            return
        first = await receive()
        try:
            answer = None if first.get("more_body") else _answer(scope, first.get("body", b""))
        except Problem as problem:
            scope["route"] = ROUTE
            await problems.response(problem)(scope, receive, send)
            return
        if answer is None:
            await self._app(scope, _again(first, receive), send)
            return
        scope["route"] = ROUTE
        head = [_HEAD, (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": answer})


def _may_be(scope: Scope) -> bool:
    path = scope.get("path", "")
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and path.startswith(_BEFORE)
        and path.endswith(_AFTER)
    )


def _answer(scope: Scope, body: bytes) -> bytes | None:
    """Return the answer to rows of features; null where the route is to say it."""
    service = cast("Service", scope["app"].state.service)
    live = service.runtime.champion(scope["path"][len(_BEFORE) : -len(_AFTER)])
    caller = _proven(service, scope)
    if live is None or caller is None or len(body) > _MOST:
        return None
    asked = wanted(body)
    if asked is None or asked.features is None or len(asked.features) > FEW or asked.explain:
        return None
    rate = service.settings.rate_limit
    if rate and service.access.requests.take(caller.id, rate=rate, burst=2 * rate):
        return None
    with suppress(XinjianError):  # the route meets it again, and tells of it
        return answer_features(service, live, asked)
    return None


def _proven(service: Service, scope: Scope) -> Caller | None:
    """Return a caller who was proven a moment ago and may score; null where it takes more."""
    shown = _shown(scope)
    found = service.access.memory.get(shown, service.clock()) if shown else None
    if found is None or found.held is not None or not found.may(Permission.SCORE):
        return None
    return found


def _shown(scope: Scope) -> str | None:
    """Return the key, session or token that a caller shows; null where it takes a closer look."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _PROOFS:
            if name in found or name == b"x-purpose":
                return None
            found[name] = value
    if key := found.get(b"x-api-key"):
        return key.decode("latin-1")
    scheme, _, told = found.get(b"authorization", b"").decode("latin-1").partition(" ")
    return told if scheme == "Bearer" and told.isascii() and " " not in told else None


def _again(first: Message, receive: Receive) -> Receive:
    """Return what receives the first message once more, and then the rest."""
    waiting = [first]

    async def receiving() -> Message:
        return waiting.pop() if waiting else await receive()

    return receiving
