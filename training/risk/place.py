"""The folder of a run: which one goes on, and that only one process works in it.

<home>/risk/<scenario>/matrix/<key>/     a matrix, shared by all runs of the same data
<home>/risk/<scenario>/<run>/            run.json, then what the run makes; fit.json is the last
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import polars as pl

from models.errors import FitError, LakeMissingError
from models.whole import whole, write_text

NOTE: Final = "run.json"
DONE: Final = "fit.json"
ENDED: Final = "ended"
"""The key of a run's note that says why it cannot go on."""
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class Place:
    """A run's folder, and the versions of the lake's tables that it works on."""

    folder: Path
    versions: Mapping[str, int]
    resumed: bool

    @property
    def run(self) -> str:
        """Return the run's id."""
        return self.folder.name

    def matrix(self, declaration: str, at: str) -> Path:
        """Return the folder of the matrix of a declaration (its digest) on the run's versions."""
        data = json.dumps([declaration, at, sorted(self.versions.items())])
        key = hashlib.sha256(data.encode()).hexdigest()[:16]
        return self.folder.parent / "matrix" / key


@contextmanager
def placed(
    root: Path, asked: Mapping[str, object], versions: Mapping[str, int], *, fresh: bool = False
) -> Generator[Place]:
    """Give a folder under ``root`` for a run that was ``asked`` for, and hold it.

    It is the latest unfinished one that was asked for in the same words and that no other process
    holds, with the versions it began on; else (or with ``fresh``) a new one on ``versions``. A
    run that its data does not allow has ended: the next attempt is a new one on what is there then.
    """
    root.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(asked))
    for folder in [] if fresh else sorted(root.iterdir(), reverse=True):
        begun = _begun(folder)
        if begun is None or begun["asked"] != wanted or (folder / DONE).exists():
            continue
        with _held(folder) as mine:
            if mine and _begun(folder) and not (folder / DONE).exists():
                with _ending(folder, begun):
                    kept = cast("Mapping[str, int]", begun["versions"])
                    yield Place(folder, kept, resumed=True)
                return
    folder = _new(root, asked)
    # Only by its note does another process find a folder, so that nobody can hold it yet.
    with _held(folder):
        note: dict[str, object] = {"asked": asked, "versions": dict(versions)}
        write_json(folder / NOTE, note)
        with _ending(folder, note):
            yield Place(folder, versions, resumed=False)


@contextmanager
def waited(path: Path) -> Generator[None]:
    """Hold a lock beside ``path``, waiting for whoever has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}{_LOCK}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_json(path: Path, data: object) -> None:
    """Write JSON, whole or not at all."""
    text = json.dumps(data, ensure_ascii=False, indent=1, default=str)
    write_text(path, f"{text}\n")


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file, whole or not at all."""
    with whole(path) as part:
        frame.write_parquet(part)


@contextmanager
def _held(folder: Path) -> Generator[bool]:
    """Hold a run's folder; false where another process has it."""
    with (folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


@contextmanager
def _ending(folder: Path, note: Mapping[str, object]) -> Generator[None]:
    """Note that a run has ended where its data, or the versions it began on, do not allow it."""
    try:
        yield
    except (FitError, LakeMissingError) as error:
        write_json(folder / NOTE, {**note, ENDED: str(error)})
        raise


def _begun(folder: Path) -> dict[str, object] | None:
    """Return the note of a run that may go on; null where there is none, or it has ended."""
    try:
        told: object = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict):
        return None
    note = cast("dict[str, object]", told)
    sound = "asked" in note and isinstance(note.get("versions"), dict) and ENDED not in note
    return note if sound else None


def _new(root: Path, asked: Mapping[str, object]) -> Path:
    text = json.dumps(asked, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    while True:
        now = datetime.now(UTC)
        folder = root / f"{now:%Y%m%dT%H%M%S%f}-{digest}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
