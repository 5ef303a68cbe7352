"""The steps of a demonstration that are no commands of their own: texts, and models published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from models.errors import ConfigError
from models.records.lake import Lake
from models.settings import Settings
from xinjian.demo.plan import TEXT_MODEL

if TYPE_CHECKING:
    from training.publication import Registered
    from training.registry import Tracker

_TEXTS: Final = 1000
_SEED: Final = 7
_REASON: Final = "演示：首个模型"


def label_texts(province: Path, out: Path) -> int:
    """Write penalties' texts with their kinds, as people would have labelled them; return how many.

    The kinds are the province's ground truth, which stands in for people here and nowhere else.
    """
    from training.synth import truth

    lake = Lake.open(Settings.load().lake)
    kinds = truth.read(province, "leaves").filter(pl.col("table") == "penalty")
    read = lake.scan("penalty").select("document_number", "authority_code", text="violation_fact")
    found = (
        read.join(kinds, on=["document_number", "authority_code"])
        .select("text", "leaf")
        .drop_nulls()
        .sort("text", "leaf")
        .unique("text", keep="first", maintain_order=True)
        .collect()
    )
    chosen = found.sample(min(_TEXTS, len(found)), seed=_SEED, shuffle=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    chosen.write_parquet(out)
    return len(chosen)


def publish_risk(settings: Settings, scenarios: Sequence[str]) -> list[str]:
    """Register the newest run of each scenario; where none decides yet, let it. Return lines."""
    from training.registry import Registry

    registry = Registry.of(settings)
    runs = {one: newest_run(settings.home / "risk" / one) for one in scenarios}
    return [_first(settings, registry, one, registry.register(run)) for one, run in runs.items()]


def publish_text(settings: Settings, fitted: Path) -> str:
    """Register what won a fit of text models; where none reads yet, let it. Return a line."""
    from training.text.registry import TextRegistry

    registry = TextRegistry.of(settings)
    return _first(settings, registry, TEXT_MODEL, registry.register(fitted, TEXT_MODEL))


def newest_run(folder: Path) -> Path:
    """Return the newest finished run of a scenario.

    Raises:
        ConfigError: There is none.
    """
    runs = sorted(path.parent.parent for path in folder.glob("*/bundle/manifest.json"))
    if not runs:
        raise ConfigError(f"{folder}: holds no finished run; fit the scenario first")
    return runs[-1]


def _first(settings: Settings, registry: Tracker, name: str, version: Registered) -> str:
    from training.retrain.promotion import champion_of, promote_by_hand

    if champion_of(registry, name) is None:
        lake = Lake.open(settings.lake, storage_options=settings.storage or None)
        number, now = str(version.version), datetime.now(UTC)
        promote_by_hand(lake, registry, name, number, reason=_REASON, now=now)
    return f"{name}: version {version.version} {version.digest[:12]}"
