"""What holds models keeps bundles by their digest, notes whole, and looks for news now and then.

A folder of bundles has each under its digest; it comes there whole or not at all.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from models.errors import BundleError
from models.logs import logger

_log = logger(__name__)
_B_co = TypeVar("_B_co", covariant=True)


class Load(Protocol[_B_co]):
    """Reads the bundle in a folder, every byte held against its digest."""

    def __call__(self, folder: Path, *, digest: str) -> _B_co:
        """Return the bundle; :class:`BundleError` where it lacks or is another."""
        ...


def keep(source: Path, bundles: Path, digest: str, *, load: Load[_B_co]) -> _B_co:
    """Copy a bundle's folder to its place under ``bundles``, and return the bundle.

    Raises:
        BundleError: What is there is not the bundle of the digest; nothing is kept of it.
    """
    place = bundles / digest
    if place.exists():
        return load(place, digest=digest)
    part: Path | None = None
    try:
        bundles.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=bundles))
        copied = part / digest
        shutil.copytree(source, copied)
        bundle = load(copied, digest=digest)
        with suppress(OSError):  # another process was faster with the same bytes
            copied.rename(place)
    except OSError as error:
        raise BundleError(f"bundle {digest[:12]} cannot be kept under {bundles}: {error}") from None
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
    return bundle


def note(content: object, place: Path) -> None:
    """Write a JSON note, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=place.parent, prefix=".live-", delete=False, encoding="utf-8"
    ) as part:
        part.write(json.dumps(content, indent=1) + "\n")
    Path(part.name).replace(place)


def look_now_and_then(
    steps: Sequence[Callable[[], None]], *, every: float, stop: threading.Event
) -> None:
    """Do the steps once, then the last of them every so many seconds until told to stop.

    What goes wrong is logged: a dead thread would keep old models for ever.
    """
    for step in steps:
        _guarded(step)
    while not stop.wait(every):
        _guarded(steps[-1])


def _guarded(step: Callable[[], None]) -> None:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - as above
        _log.error("models not refreshed", exc_info=error)
