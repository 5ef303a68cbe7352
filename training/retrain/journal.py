"""What a run has done, step by step, so that it goes on where it was cut off.

A folder for each run; ``begin.json`` says what it is about and on which versions of the lake, and a
file for each step that is done holds its result. Files appear whole or not at all. A run ends with
``end.json``; the latest folder without one is gone on with.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self, TypeAlias, cast

from models.errors import ModelError

Json: TypeAlias = dict[str, object]

STALE: Final = timedelta(days=7)
"""A run that was begun longer ago is begun anew, on the lake of today."""
_BEGIN: Final = "begin"
_END: Final = "end"


@dataclass(frozen=True, slots=True)
class Journal:
    """The folder of a run."""

    folder: Path

    @classmethod
    def open(cls, runs: Path, about: Json, *, now: datetime) -> Self:
        """Return the run under ``runs`` that was begun and did not end, else a new one.

        What it is ``about`` must be the same; of ``versions`` those it was begun with are kept.
        """
        for folder in sorted(runs.glob("*Z*"), reverse=True):
            journal = cls(folder)
            begun = journal.result(_BEGIN)
            if begun is None or journal.result(_END) is not None:
                continue
            age = now - datetime.fromisoformat(str(begun["at"]))
            same = {**begun, "at": "", "versions": ""} == {**about, "at": "", "versions": ""}
            if same and age < STALE:
                return journal
        name = f"{now.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
        again = len(list(runs.glob(f"{name}*")))
        journal = cls(runs / (f"{name}-{again}" if again else name))
        journal.finish(_BEGIN, {**about, "at": now.isoformat()})
        return journal

    @property
    def begun(self) -> Json:
        """Return what the run is about, ``at`` which moment it began, and on which ``versions``."""
        return self.result(_BEGIN) or {}

    def result(self, step: str) -> Json | None:
        """Return what a step gave, ``None`` where it is not done.

        Raises:
            ModelError: Its file holds something else.
        """
        path = self.folder / f"{step}.json"
        try:
            return cast("Json", json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ModelError(
                f"{path} is no JSON ({error}); remove the folder {self.folder} and retrain again"
            ) from None

    def finish(self, step: str, result: Json) -> Json:
        """Write that a step is done, to the disk itself, and return its result."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{step}.json.part"
        with part.open("w", encoding="utf-8") as file:
            json.dump(result, file, ensure_ascii=False, indent=1, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / f"{step}.json")
        return result

    def end(self, result: Json) -> None:
        """Write that the run is over."""
        self.finish(_END, result)
