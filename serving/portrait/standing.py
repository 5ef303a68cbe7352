"""How a subject stands: who it is, its grades over time, why, by dimension, and among its peers.

Grades and reasons are those that were stored; nothing is decided or explained anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

import polars as pl

from models.codes import industries, regions
from models.features.spec import FeatureSpec
from models.scenarios.cohort import REGISTER
from models.supervision.dimensions import stands
from models.supervision.portrait import as_known
from serving.ledger import portraits
from serving.ledger.engine import Connection
from serving.ledger.portraits import Grades, Point
from serving.portrait.memory import memory
from serving.portrait.view import View
from serving.runtime.scoring import Content

LEAST: Final = 10
"""Peers below which a percentile says nothing."""
MOST: Final = 5000
"""Peers that are looked at; of more, these are a sample by digest."""
EVIDENCE: Final = 20
"""Records behind one reason that are shown at most, the newest."""
_SHOWN: Final = (
    *("name", "subject_type", "status", "enterprise_type", "ownership", "industry", "region"),
    *("registered_capital", "paid_capital", "employees", "address", "zone", "business_scope"),
    *("organisation_code", "registration_number", "revoked_on", "closed_on"),
)


def identity(view: View) -> dict[str, object] | None:
    """Return who the subject is by its register; null where the register did not know it then.

    The register is overwritten: what has no day of its own, as the status has not, is told of
    today alone.
    """
    row = _register(view)
    if row is None:
        return None
    told: dict[str, object] = {name: row.get(name) for name in _SHOWN}
    if view.past:
        told["status"] = None
    industry, region = row.get("industry"), row.get("region")
    return {
        "subject_id": view.subject,
        **told,
        "established_on": row.get("happened_on"),
        "industry_name": industries.name(industry) if isinstance(industry, str) else None,
        "region_name": regions.full_name(region) if isinstance(region, str) else None,
        "masked": not view.open,
    }


def grades(view: View, found: Grades) -> dict[str, object]:
    """Return each scenario's grades over time, the newest first."""
    titles = {live.scenario.id: live.scenario.title for live in view.service.runtime.all()}
    made: dict[str, list[dict[str, object]]] = {}
    for point in _points(view, found):
        told = {k: v for k, v in asdict(point).items() if k not in {"scenario", "region"}}
        valid = point.valid_until >= view.on and not point.annulled
        made.setdefault(point.scenario, []).append({**told, "valid": valid})
    return {
        "scenarios": [
            {"scenario": name, "title": titles.get(name), "points": points}
            for name, points in made.items()
        ],
        "made_later": found.later,
    }


def standing(view: View, found: Grades) -> dict[str, Point]:
    """Return the decision of each scenario that stands on the day; none where it was annulled."""
    made: dict[str, Point] = {}
    for point in _points(view, found):
        made.setdefault(point.scenario, point)
    return {name: one for name, one in made.items() if not one.annulled}


def reasons(connection: Connection, points: Mapping[str, Point]) -> dict[str, Content | None]:
    """Return the stored reasons of each scenario's standing decision; null where there are none."""
    ids = [one.id for one in points.values()]
    told = portraits.explained(connection, ids, evidence=EVIDENCE) if ids else {}
    return {name: told.get(one.id) for name, one in points.items()}


def dimensions(
    view: View, counts: Mapping[str, int], told: Mapping[str, Content | None]
) -> dict[str, object]:
    """Return where the subject stands in each dimension, by scenario; facts alone without one."""
    specs: dict[str, Sequence[FeatureSpec]] = {
        live.scenario.id: live.pipeline.features for live in view.service.runtime.all()
    }
    if not told:
        return {"scenarios": [_dimension(None, counts, None, ())]}
    return {
        "scenarios": [
            _dimension(name, counts, why, specs.get(name, ())) for name, why in told.items()
        ]
    }


def peers(view: View, connection: Connection, points: Mapping[str, Point]) -> dict[str, object]:
    """Return the percentile of the subject's risk score among its peers, by scenario.

    Peers are of the same industry division and district, by the register as it stands now. The
    percentile is the share of them below the subject's score and half of those equal, the subject
    itself among them; null where there are fewer than :data:`LEAST`.
    """
    row = _register(view)
    index = memory(view.service.runtime).register(view.own.lake)
    industry = row.get("industry") if row else None
    division = industries.division_of(industry) if isinstance(industry, str) else None
    if row is None or index is None or division is None or view.region is None:
        return {"division": division, "district": view.region, "scenarios": []}
    everybody = index.peers(division, view.region)
    asked = [one for one in everybody[:MOST] if one != view.subject]
    made = [
        {"scenario": name, **_percentile(view, connection, point, asked)}
        for name, point in points.items()
    ]
    return {
        "division": division,
        "division_name": industries.divisions().get(division),
        "district": view.region,
        "district_name": regions.full_name(view.region),
        "sampled": len(everybody) > MOST,
        "scenarios": made,
    }


def _percentile(
    view: View, connection: Connection, point: Point, asked: Sequence[str]
) -> dict[str, object]:
    others = portraits.cohort(
        connection,
        point.scenario,
        asked,
        view.on,
        valid_on=point.as_of,
        before=view.before,
    )
    scores = [*(score for score, _ in others), point.risk_score]
    below = sum(score < point.risk_score for score in scores)
    equal = sum(score == point.risk_score for score in scores)
    enough = len(scores) >= LEAST
    found = [*(grade for _, grade in others), point.grade]
    return {
        "size": len(scores),
        "percentile": (below + equal / 2) / len(scores) if enough else None,
        "grades": {name: found.count(name) for name in sorted(set(found))},
    }


def _dimension(
    scenario: str | None,
    counts: Mapping[str, int],
    why: Content | None,
    specs: Sequence[FeatureSpec],
) -> dict[str, object]:
    made = stands(counts, why, specs)
    return {
        "scenario": scenario,
        "explained": why is not None,
        "dimensions": [asdict(one) for one in made],
    }


def _points(view: View, found: Grades) -> list[Point]:
    return [
        one
        for one in found.points
        if view.scenario in (None, one.scenario) and view.caller.sees_region(one.region)
    ]


def _register(view: View) -> Mapping[str, object] | None:
    """Return the register's row as it was known on the day, masked as the caller's role asks."""
    if REGISTER not in view.own.tables:
        return None
    contract = view.own.contracts[REGISTER]
    rows = view.own.narrow(REGISTER, contract.columns)
    known = rows.filter(
        pl.col("known_at") < view.before, pl.col("void_reason").ne_missing("annulled")
    )
    if known.is_empty():
        return None
    return view.masked(as_known(known.head(1), view.on), contract).row(0, named=True)
