"""A watch over the database: nobody waits for a server that has fallen silent.

A server that is *gone* refuses at once. One that is *silent*, because its machine hangs or the
network drops what is sent to it, leaves whoever asked it waiting without end: no timeout of its own
runs there, and none of the socket's where the socket is of this machine. So whatever has waited for
a while makes the watch ask the server for a sign of life. Where none comes, everything that waits
is ended, and what comes next is refused at once, until the server answers again.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from sqlalchemy import Engine, event

from models.errors import LedgerDownError
from models.logs import logger

if TYPE_CHECKING:
    from psycopg import Connection as Driver

LONG: Final = 1.0
"""Seconds in one transaction after which the server is asked for a sign of life."""
ANSWER: Final = 1.0
"""Seconds that it has for one."""
_STEP: Final = 0.5
_ASKED: Final = bytes.fromhex("0000000804d2162f")
"""PostgreSQL's SSLRequest, which every server answers with one byte before it knows who asks."""
_log = logger(__name__)


class Watch:
    """The watch over one engine; :meth:`enter` and :meth:`leave` around each transaction."""

    def __init__(self, engine: Engine) -> None:
        """Watch the connections that the engine makes from now on."""
        self._where = _place(engine)
        self._open: WeakSet[Driver] = WeakSet()
        self._since: dict[object, float] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._silent = False
        event.listen(engine, "do_connect", self._connecting)
        event.listen(engine, "connect", self._connected)

    @property
    def silent(self) -> bool:
        """Whether the server gave no sign of life when it was last asked."""
        return self._silent

    def enter(self) -> object:
        """Begin to wait for the server, and return what :meth:`leave` is told.

        Raises:
            LedgerDownError: It is silent.
        """
        if self._silent:
            raise LedgerDownError("the ledger's server does not answer")
        if self._thread is None:
            self._start()
        token = object()
        self._since[token] = time.monotonic()
        return token

    def leave(self, token: object) -> None:
        """Say that nobody waits any more."""
        self._since.pop(token, None)

    def close(self) -> None:
        """End the watch."""
        self._ended.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and self._where is not None:
                self._thread = threading.Thread(target=self._run, name="xinjian-watch", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(_STEP):
            if self._silent or self._waited():
                self._look()

    def _waited(self) -> bool:
        now = time.monotonic()
        return any(now - since > LONG for since in list(self._since.values()))

    def _look(self) -> None:
        """Ask for a sign of life; where none comes, end what waits for one."""
        was, self._silent = self._silent, not self._answers()
        if self._silent:
            self._cut()
        if was != self._silent:
            _log.warning("ledger", became="silent" if self._silent else "answering")

    def _answers(self) -> bool:
        return self._where is None or answers(self._where)

    def _cut(self) -> None:
        """End the connections under whoever waits: each finds its server gone."""
        for driver in list(self._open):
            with suppress(Exception):  # closed meanwhile, which is as well
                own = socket.socket(fileno=os.dup(driver.fileno()))
                with own:
                    own.shutdown(socket.SHUT_RDWR)

    def _connecting(self, *_: object) -> None:
        """Refuse to connect to a server that would leave the connection waiting."""
        if self._silent or not self._answers():
            from psycopg import OperationalError

            raise OperationalError("the server does not answer")

    def _connected(self, driver: Driver, _: object) -> None:
        self._open.add(driver)


def answers(where: str | tuple[str, int]) -> bool:
    """Return whether a server gives a sign of life; one that is gone has nothing to wait for."""
    kind = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    try:
        made = (
            socket.socket(kind)
            if isinstance(where, str)
            else socket.create_connection(where, ANSWER)
        )
        with made as asked:
            asked.settimeout(ANSWER)
            if isinstance(where, str):
                asked.connect(where)
            asked.sendall(_ASKED)
            asked.recv(1)
    except (TimeoutError, BlockingIOError):
        return False
    except OSError:
        return True  # refused: whoever connects is told so at once
    return True


def _place(engine: Engine) -> str | tuple[str, int] | None:
    """Return where a server listens: a socket's path, or host and port; ``None`` for several."""
    told = engine.dialect.create_connect_args(engine.url)[1]
    host, port = str(told.get("hostaddr") or told.get("host") or ""), str(told.get("port") or 5432)
    if not host or "," in host or not port.isdigit():
        return None
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, int(port))
