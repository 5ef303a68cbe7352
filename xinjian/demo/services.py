"""The API and the worker of a demonstration: started in the background, found again, stopped."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import ConfigError

_FILE: Final = "services.json"
_PATIENCE: Final = 90.0
_STOPPED: Final = 30.0
_HOST: Final = "127.0.0.1"
_LAST_PORT: Final = 65_535
_BEGAN: Final = 19
"""Place of the moment a process began among the fields of ``/proc/…/stat`` behind its name."""
_CHILDREN: Final[list[subprocess.Popen[bytes]]] = []
"""Processes of this one's own: asked for in the end, so that none stays a zombie meanwhile."""


class Process(BaseModel):
    """A process by its number and, since numbers are used again, the tick in which it began."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    began: int

    @property
    def lives(self) -> bool:
        """Tell whether it runs, and no other has its number."""
        return _began(self.number) == self.began


class Running(BaseModel):
    """The processes of a demonstration and the port that answers; no worker while it starts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int
    api: Process
    worker: Process | None = None

    @property
    def address(self) -> str:
        """Return where requests go."""
        return f"http://{_HOST}:{self.port}"


def start(folder: Path, *, port: int) -> Running:
    """Start what is not running, wait until it answers, and return it.

    Args:
        folder: Keeps the processes' numbers and logs; only the user may read those.
        port: Where to answer, or behind it where another program has it.

    Raises:
        ConfigError: It does not answer in time; the log says why.
    """
    if (found := running(folder)) is not None:
        return found
    stop(folder)
    free = _free(port)
    api = _started(["serve", "api", f"--host={_HOST}", f"--port={free}"], folder / "api.log")
    begun = Running(port=free, api=api)
    _keep(folder, begun)
    _await(f"{begun.address}/health/live", api, folder / "api.log")
    whole = begun.model_copy(
        update={"worker": _started(["serve", "worker"], folder / "worker.log")}
    )
    _keep(folder, whole)
    return whole


def running(folder: Path) -> Running | None:
    """Return the processes of a demonstration where both are there."""
    kept = _kept(folder)
    if kept is None or kept.worker is None:
        return None
    return kept if kept.api.lives and kept.worker.lives else None


def stop(folder: Path) -> bool:
    """Stop what is running; tell whether anything was.

    Raises:
        ConfigError: A process does not end.
    """
    kept = _kept(folder)
    if kept is None:
        return False
    alive = [one for one in (kept.worker, kept.api) if one is not None and one.lives]
    for one in alive:
        os.kill(one.number, signal.SIGTERM)
    end = time.monotonic() + _STOPPED
    while any(one.lives for one in alive) and time.monotonic() < end:
        time.sleep(0.1)
    if left := [str(one.number) for one in alive if one.lives]:
        raise ConfigError(
            f"processes {', '.join(left)} have not ended in {_STOPPED:.0f} seconds; stop again"
        )
    (folder / _FILE).unlink()
    _CHILDREN[:] = [one for one in _CHILDREN if one.poll() is None]
    return bool(alive)


def _kept(folder: Path) -> Running | None:
    path = folder / _FILE
    if not path.exists():
        return None
    try:
        return Running.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(
            f"{path}: does not tell which processes run; end those of xinjian serve yourself, then "
            "remove the file"
        ) from error


def _keep(folder: Path, found: Running) -> None:
    part = folder / f".{_FILE}.part"
    part.write_text(found.model_dump_json(), encoding="utf-8")
    part.replace(folder / _FILE)


def _began(number: int) -> int | None:
    """Return the tick in which a process began; ``None`` where there is none, or it has ended."""
    try:
        told = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = told.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[_BEGAN - 1])


def _started(words: Sequence[str], log: Path) -> Process:
    log.touch(stat.S_IRUSR | stat.S_IWUSR)  # it shows the token that makes accounts
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "xinjian", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _CHILDREN.append(child)
    return Process(number=child.pid, began=_began(child.pid) or 0)


def _await(address: str, process: Process, log: Path) -> None:
    import httpx2

    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.lives:
        try:
            if httpx2.get(address, timeout=2).is_success:
                return
        except httpx2.HTTPError:
            time.sleep(0.2)
    if process.lives:
        os.kill(process.number, signal.SIGTERM)
    raise ConfigError(f"the API does not answer at {address}; {log} says why")


def _free(port: int) -> int:
    """Return the port, or the next one that nobody listens on."""
    last = min(port + 99, _LAST_PORT)
    for one in range(port, last + 1):
        with socket.socket() as probe:
            if probe.connect_ex((_HOST, one)):
                return one
    raise ConfigError(f"ports {port} to {last} are all taken; set XINJIAN_PORT to another")
