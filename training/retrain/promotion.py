"""Which model decides, and the record of why: the registry's aliases and the lake's own table."""

from __future__ import annotations

import hashlib
from datetime import datetime

import polars as pl

from models.records.bookkeeping import PROMOTION, Promotion
from models.records.lake import Lake
from models.risk import published
from models.risk.published import CHAMPION
from training.registry import Registered, Registry, Tracker
from training.retrain.verdict import Verdict


def champion_of(registry: Tracker, scenario: str) -> Registered | None:
    """Return the version that decides, ``None`` where none was promoted yet.

    Raises:
        RegistryError: The tracker cannot be reached.
    """
    return next((v for v in registry.versions(scenario) if CHAMPION in v.aliases), None)


def apply(registry: Registry, version: Registered, verdict: Verdict) -> Registered:
    """Write a verdict on a version, and make it champion where the verdict says so.

    Doing it again gives the same end.
    """
    registry.tag(
        version,
        {
            published.VERDICT: verdict.decision,
            published.VERDICT_TEXT: verdict.summary,
            published.VERDICT_JSON: verdict.to_json(),
        },
    )
    if verdict.promoted:
        return registry.promote(version.scenario, version.version)
    return registry.name(version.scenario, version.version, published.CHALLENGER)


def record(lake: Lake, version: Registered, verdict: Verdict) -> None:
    """Write a verdict to the lake; doing it again adds nothing."""
    write(
        lake,
        version,
        champion=verdict.champion,
        promoted=verdict.promoted,
        reasons=verdict.summary,
        verdict=verdict.to_json(),
        decided_at=verdict.decided_at,
    )


def promote_by_hand(
    lake: Lake, registry: Tracker, scenario: str, which: str, *, reason: str, now: datetime
) -> Registered:
    """Make a version the champion because a person says so, and record the reason.

    It is also the way back: ``which`` may be the alias ``previous``.

    Raises:
        RegistryError: There is no such version, or the tracker cannot be reached.
    """
    before = champion_of(registry, scenario)
    version = registry.find(scenario, which)
    registry.tag(version, {published.VERDICT: "promote", published.VERDICT_TEXT: reason})
    promoted = registry.promote(scenario, version.version)
    write(
        lake,
        promoted,
        champion=None if before is None else before.digest,
        promoted=True,
        reasons=reason,
        verdict=None,
        decided_at=now,
    )
    return promoted


def write(
    lake: Lake,
    version: Registered,
    *,
    champion: str | None,
    promoted: bool,
    reasons: str,
    verdict: str | None,
    decided_at: datetime,
) -> None:
    """Write a decision about a version to the lake; doing it again adds nothing.

    ``champion`` is the digest in force before, ``verdict`` the whole of it as JSON.
    """
    key = f"{version.about}\n{version.digest}\n{decided_at.isoformat()}"
    row = {
        "record_id": hashlib.sha256(key.encode()).hexdigest()[:32],
        "scenario": version.about,
        "scenario_digest": version.tags.get(published.SCENARIO_DIGEST, ""),
        "champion": champion,
        "challenger": version.digest,
        "version": version.version,
        "promoted": promoted,
        "reasons": reasons,
        "verdict": verdict,
        "decided_at": decided_at,
    }
    schema = {name: column.dtype for name, column in Promotion.columns().items()}
    lake.merge(PROMOTION, Promotion.validate(pl.DataFrame([row], schema=schema)))
