"""Whoever works in a folder works there alone, and so do the processes that work for it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from models.errors import ConfigError


@contextmanager
def alone(path: Path) -> Generator[int]:
    """Hold the lock file ``path`` and yield its descriptor, for processes that shall hold it too.

    The lock is the kernel's (``flock``) and lasts until the last of them has ended, so that what a
    killed run had begun is not begun beside itself. The file says who took it, and stays.

    Raises:
        ConfigError: Another process holds it, or it cannot be written.
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read().strip() or "another process"
            raise ConfigError(
                f"{path.parent}: {who}, or what it began, is at work here; wait until it has ended"
            ) from None
        with writing(path.parent):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {os.uname().nodename}")
            file.flush()
        yield file.fileno()


@contextmanager
def writing(folder: Path) -> Generator[None]:
    """Tell where a folder cannot be written, as an error that a user can mend.

    Raises:
        ConfigError: The system refused: no room, no right.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written: {error.strerror or error}; make room or give the right, "
            "then run the same again"
        ) from error
