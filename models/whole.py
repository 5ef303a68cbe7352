"""Files that are there whole or not at all, so that no reader meets half of one."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Generator[Path]:
    """Yield a file beside ``path`` to write, which takes its place; after an error it is gone.

    Of two processes that write the same, the last one's stays. Raises ``OSError`` where the folder
    cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all; see :func:`whole`."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
