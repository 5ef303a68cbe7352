"""Finding the run folder that a bundle came from, or that was made of the same words before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import cast

from training.retrain.journal import Json
from training.risk.place import DONE, NOTE


def run_of(root: Path, digest: str) -> Path | None:
    """Return the run folder of a bundle, where it is still at hand."""
    for path in root.glob(f"*/{DONE}"):
        told = cast("Json", json.loads(path.read_text(encoding="utf-8")))
        if told.get("bundle") == digest:
            return path.parent
    return None


def done_run(root: Path, asked: Mapping[str, object], *, since: datetime) -> Path | None:
    """Return a run that was asked for in the same words and done since, if cut off only then."""
    wanted = json.loads(json.dumps(asked, default=str))
    for path in sorted(root.glob(f"*/{DONE}"), reverse=True):
        if path.stat().st_mtime < since.timestamp():
            continue
        begun = cast("Json", json.loads((path.parent / NOTE).read_text(encoding="utf-8")))
        if begun["asked"] == wanted:
            return path.parent
    return None
