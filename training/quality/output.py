"""Measure a lake and write its report: what ``xinjian data quality`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.codes.calendar import Calendar
from models.errors import ConfigError
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.whole import write_text
from training.quality.measurement import Tables, measure_lake
from training.quality.quality import TARGET, Quality
from training.quality.report import render
from training.quality.scope import Scope


def run(
    lake: Tables,
    scope: Scope | None = None,
    *,
    out: Sequence[Path] = (),
    target: float = TARGET,
    contracts: Mapping[str, Contract] = CONTRACTS,
    calendar: Calendar | None = None,
) -> Quality:
    """Measure ``lake`` within ``scope``; write each of ``out`` (``.html`` or ``.json``).

    Raises :class:`~models.errors.ConfigError` for a target outside (0, 1], an ``out`` of another
    kind or one that cannot be written, before anything is measured where that is possible.
    """
    if not 0 < target <= 1:
        raise ConfigError(
            f"the target {target} is no share; give a number above 0 up to 1, e.g. 0.99"
        )
    for one in out:
        if one.suffix.lower() not in {".html", ".json"}:
            raise ConfigError(
                f"cannot tell what to write to {one}: its name must end in .html or .json"
            )
    quality = measure_lake(lake, scope, target=target, contracts=contracts, calendar=calendar)
    for one in out:
        text = (
            quality.to_json()
            if one.suffix.lower() == ".json"
            else render(quality, contracts=contracts)
        )
        _write(one, text)
    return quality


def _write(out: Path, text: str) -> None:
    """Write a whole file or none, so that a reader never meets half a report."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, text)
    except OSError as error:
        raise ConfigError(
            f"cannot write the report to {out}: {error.strerror}; choose another --out"
        ) from error
