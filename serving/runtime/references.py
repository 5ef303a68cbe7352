"""References: what a row needs to know of all others, as the last run over everybody left it.

    <home>/serving/reference/<scenario>/<day>-<digest>/

The digest covers the catalogue of features and the lake's versions, so that a name says exactly
which one a decision was made with. A day without a reference of its own takes the newest before it:
neighbours as of the day itself, peers' figures as of the reference's.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from models.errors import ModelError
from models.features.network import Network
from models.features.peers import Peers
from models.features.pipeline import Pipeline
from models.features.reference import Reference
from models.features.spec import AS_OF
from models.records.lake import Lake
from models.records.reading import LakeRecords

_KEPT: Final = 4
"""References in memory at one time, over all scenarios and days."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A reference for a day; ``name`` is that of its folder, null where none is needed."""

    name: str | None
    reference: Reference


class References:
    """The references under one folder; may be shared by threads."""

    def __init__(self, folder: Path, *, days: int) -> None:
        """Keep the folder, and how many days old a reference may be at most."""
        self.folder = folder
        self._days = days
        self._lock = threading.Lock()
        self._loaded: dict[tuple[str, str, date], Reference] = {}

    def on(self, pipeline: Pipeline, on: date) -> Chosen:
        """Return the reference for a day.

        Raises:
            ModelError: There is none that is new enough.
        """
        if not needed(pipeline):
            return Chosen(None, _empty(pipeline, on))
        name = self.newest(pipeline, on)
        if name is None:
            raise ModelError(
                f"scenario '{pipeline.scenario.id}' has no reference of the {self._days} days up "
                f"to {on}; run the job score_all, which makes one"
            )
        return Chosen(name, self.named(pipeline, name, on))

    def named(self, pipeline: Pipeline, name: str | None, on: date) -> Reference:
        """Return the reference of a name for a day.

        Raises:
            ModelError: It is gone, or was made for other features.
        """
        if name is None:
            return _empty(pipeline, on)
        key = (pipeline.scenario.id, name, on)
        with self._lock:
            if (found := self._loaded.get(key)) is not None:
                return found
            folder = self.folder / pipeline.scenario.id / name
            if not (folder / "reference.json").is_file():
                raise ModelError(
                    f"the reference {name} of scenario '{pipeline.scenario.id}' is gone; restore "
                    f"{folder} from a backup"
                )
            loaded = _dated(Reference.load(folder), on)
            loaded.check(pipeline.digest)
            while len(self._loaded) >= _KEPT:
                self._loaded.pop(next(iter(self._loaded)))
            self._loaded[key] = loaded
            return loaded

    def newest(self, pipeline: Pipeline, on: date) -> str | None:
        """Return the name of the newest reference for these features up to a day, if any."""
        oldest = on - timedelta(days=self._days)
        there = [
            (day, made, path.name)
            for path in (self.folder / pipeline.scenario.id).glob("????-??-??-*")
            if (day := _day(path.name)) is not None
            and oldest <= day <= on
            and (made := _made(path, pipeline.digest)) is not None
        ]
        return max(there)[2] if there else None

    def keep(
        self, source: Path, pipeline: Pipeline, on: date, *, versions: Mapping[str, int]
    ) -> str:
        """Move a reference that was made of the lake's versions to its place; return its name."""
        name = name_of(pipeline, on, versions)
        target = self.folder / pipeline.scenario.id / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # it is there already, of the same content
            source.rename(target)
        return name

    def build(self, lake: Lake, pipeline: Pipeline, on: date) -> str:
        """Make the reference of a lake that is small enough to be read at once; return its name."""
        records = LakeRecords(lake)
        network = pipeline.network([records])
        base = pipeline.base(records, [on], network=network)
        made = Reference(pipeline.digest, (on,), network, pipeline.distributions(base))
        self.folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=self.folder))
        try:
            made.save(part / "made")
            return self.keep(part / "made", pipeline, on, versions=records.versions)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def needed(pipeline: Pipeline) -> bool:
    """Tell whether the features of a row need anything of others."""
    return pipeline.related or bool(pipeline.family("peers"))


def name_of(pipeline: Pipeline, on: date, versions: Mapping[str, int]) -> str:
    """Return the name of the reference of a day, made of these versions of the lake."""
    content = json.dumps([pipeline.digest, sorted(versions.items())])
    return f"{on}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _empty(pipeline: Pipeline, on: date) -> Reference:
    return Reference(pipeline.digest, (on,), Network.of((), outcomes=False), Peers.of(()))


def _dated(reference: Reference, on: date) -> Reference:
    """Return the reference with its peers' figures said of another day."""
    if on in reference.dates:
        return reference
    last = max(reference.dates)
    mine = reference.peers.table.filter(pl.col(AS_OF) == last)
    peers = replace(
        reference.peers,
        table=mine.with_columns(pl.lit(on, pl.Date()).alias(AS_OF)),
        groups={(on, *key[1:]): gid for key, gid in reference.peers.groups.items()
                if key[0] == last},
    )  # fmt: skip
    return replace(reference, dates=(on,), peers=peers)


def _day(name: str) -> date | None:
    with suppress(ValueError):
        return date.fromisoformat(name[:10])
    return None


def _made(folder: Path, features: str) -> int | None:
    """Return when a reference was made, in nanoseconds; null where it is of other features."""
    with suppress(OSError, ValueError):
        note = folder / "reference.json"
        if json.loads(note.read_text(encoding="utf-8")).get("features") == features:
            return note.stat().st_mtime_ns
    return None
