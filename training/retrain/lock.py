"""One retraining at a time for a scenario, however many were started.

The lock is the kernel's (``flock``) and dies with its process, so that a run that was killed leaves
nothing to clean up.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Generator[str | None]:
    """Hold the lock file ``path``; yield ``None``, or who holds it where that is another process.

    The file is made where it does not exist, says who holds it, and stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            yield file.read().strip() or "another process"
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}")
        file.flush()
        yield None
