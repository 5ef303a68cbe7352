"""The API and the worker of a demonstration: started in the background, found again, stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from models.errors import ConfigError

_FILE: Final = "services.json"
_PATIENCE: Final = 90.0
_STOPPED: Final = 30.0
_HOST: Final = "127.0.0.1"
_CHILDREN: Final[list[subprocess.Popen[bytes]]] = []
"""Processes of this one's own: asked for in the end, so that none stays a zombie meanwhile."""


@dataclass(frozen=True, slots=True)
class Running:
    """The processes of a demonstration and the port that answers."""

    port: int
    api: int
    worker: int

    @property
    def address(self) -> str:
        """Return where requests go."""
        return f"http://{_HOST}:{self.port}"


def start(folder: Path, *, port: int) -> Running:
    """Start what is not running, wait until it answers, and return it.

    Args:
        folder: Keeps the processes' numbers and logs.
        port: Where to answer, or behind it where another program has it.

    Raises:
        ConfigError: It does not answer in time; the log says why.
    """
    if (found := running(folder)) is not None:
        return found
    stop(folder)
    free = _free(port)
    api = _started(["serve", "api", f"--host={_HOST}", f"--port={free}"], folder / "api.log")
    _await(f"http://{_HOST}:{free}/health/live", api, folder / "api.log")
    worker = _started(["serve", "worker"], folder / "worker.log")
    made = Running(free, api.pid, worker.pid)
    (folder / _FILE).write_text(json.dumps(asdict(made)), encoding="utf-8")
    return made


def running(folder: Path) -> Running | None:
    """Return the processes of a demonstration where both are there."""
    kept = _kept(folder)
    return kept if kept is not None and all(map(_ours, (kept.api, kept.worker))) else None


def stop(folder: Path) -> bool:
    """Stop what is running; tell whether anything was."""
    kept = _kept(folder)
    if kept is None:
        return False
    alive = [one for one in (kept.worker, kept.api) if _ours(one)]
    for one in alive:
        os.kill(one, signal.SIGTERM)
    end = time.monotonic() + _STOPPED
    while any(map(_ours, alive)) and time.monotonic() < end:
        time.sleep(0.1)
    (folder / _FILE).unlink()
    _CHILDREN[:] = [one for one in _CHILDREN if one.poll() is None]
    return bool(alive)


def _kept(folder: Path) -> Running | None:
    path = folder / _FILE
    return Running(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _ours(number: int) -> bool:
    """Tell whether a process is there and one of ours: numbers are used again."""
    try:
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"xinjian" in words


def _started(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "xinjian", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _CHILDREN.append(child)
    return child


def _await(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import httpx2

    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx2.get(address, timeout=2).is_success:
                return
        except httpx2.HTTPError:
            time.sleep(0.2)
    process.terminate()
    raise ConfigError(f"the API does not answer at {address}; {log} says why")


def _free(port: int) -> int:
    """Return the port, or the next one that nobody listens on."""
    for one in range(port, port + 100):
        with socket.socket() as probe:
            if probe.connect_ex((_HOST, one)):
                return one
    raise ConfigError(f"ports {port} to {port + 99} are all taken; set XINJIAN_PORT to another")
