"""A job in a process of its own: started, watched, stopped, and what it said kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

GRACE: Final = 15.0
"""Seconds that a process has to end by itself once it is told to."""
_TAIL: Final = 4000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code, negative for a signal's number, and its last words."""

    code: int
    tail: str
    stopped: bool


def run(
    words: Sequence[str],
    log: Path,
    *,
    stop: Callable[[float], bool],
    environment: Mapping[str, str] | None = None,
    held: Sequence[int] = (),
) -> Ended:
    """Run ``xinjian`` with these words and wait for its end; what it says goes to ``log``.

    ``stop(seconds)`` waits that long and tells whether to stop the process, which holds the files
    of ``held`` too.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the words are made by serving.jobs.kinds
            [sys.executable, "-m", "xinjian", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            pass_fds=held,
        )
        stopped = False
        try:
            while process.poll() is None:
                if stop(0.2):
                    stopped = True
                    break
        finally:
            _end(process)
    return Ended(process.returncode, tail(log), stopped)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(log: Path) -> str:
    """Return the end of a log."""
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        return file.read().decode("utf-8", "replace").replace("\x00", "")
