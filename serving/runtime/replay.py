"""Deciding again what was decided, from what was known then: is it the same to the bit?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import polars as pl

from models.errors import BundleError, LakeMissingError, ModelError, XinjianError
from models.features.reference import Reference
from models.records.reading import MemoryRecords
from models.scenarios import Scenario
from serving.ledger import decisions, explanations, inbox, reviews
from serving.ledger.decisions import EARLIER, Decision
from serving.ledger.engine import Connection
from serving.runtime.forgetting import amended
from serving.runtime.gather import laid_over, stored
from serving.runtime.live import Live, ready
from serving.runtime.references import Chosen
from serving.runtime.rows import made
from serving.runtime.scoring import Content, basis_of, reasons
from serving.service import Service

_COMPARED = (
    *("inputs_digest", "probability", "risk_score", "grade", "previous_grade", "vetoes"),
    *("valid_until", "warn", "draw", "action"),
)


class NotReplayableError(XinjianError):
    """What a decision was made of is not there any more."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of a decision, as it was stored and as it comes out now."""

    stored: object
    recomputed: object


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """A decision that was made again; ``differs`` is empty where it is identical."""

    differs: Mapping[str, Difference]
    live: Live
    features: pl.DataFrame
    records: MemoryRecords
    reference: Reference

    @property
    def identical(self) -> bool:
        """Tell whether the decision came out the same."""
        return not self.differs


def replay(service: Service, decision: Decision) -> Replay:
    """Make a decision again with the bundle, the declaration and the records that made it.

    Raises:
        NotReplayableError: The bundle, the reference or a version of the lake is gone.
    """
    try:
        return _replay(service, decision)
    except (BundleError, LakeMissingError, ModelError) as error:
        raise NotReplayableError(
            f"decision {decision.id} cannot be made again, though what was stored stands: {error}"
        ) from error


def explain_stored(service: Service, decision: Decision) -> Content:
    """Return why a decision came out as it did: what is stored, else made once and stored.

    Raises:
        NotReplayableError: There is nothing stored, and what it was made of is not there any more.
    """
    with service.ledger.begin() as connection:
        known = explanations.find(connection, [decision.id])
    if decision.id in known:
        return known[decision.id]
    again = replay(service, decision)
    if "inputs_digest" in again.differs:
        raise NotReplayableError(
            f"decision {decision.id} has no stored reasons, and its features do not come out as "
            "they did, so none can be given now"
        )
    (content,) = reasons(again.live, again.features, again.records, again.reference)
    with service.ledger.begin() as connection:
        explanations.keep(connection, {decision.id: content}, at=service.clock())
        return explanations.find(connection, [decision.id])[decision.id]


def _replay(service: Service, decision: Decision) -> Replay:
    runtime = service.runtime
    live = ready(
        runtime.shelf.load(decision.bundle_digest),
        "champion",
        scenario=_declared(service, decision),
        contracts=runtime.contracts,
        version=None,
        since=decision.made_at,
    )
    with service.ledger.begin() as connection:
        fresh = inbox.known_then(
            connection,
            [decision.subject_id],
            high_water=decision.inbox_mark,
            versions=decision.data_versions,
            contracts=runtime.contracts,
        )
        before = decisions.find(connection, decision.previous) if decision.previous else None
        before = _as_reviewed(connection, before, decision.made_at)
    own = {t: at for t, at in decision.data_versions.items() if t in live.scenario.tables}
    frames = stored(runtime.lake, [decision.subject_id], own)
    records = laid_over(frames, fresh, live.scenario)
    reference, _ = amended(
        runtime,
        live.pipeline,
        Chosen(
            decision.reference,
            runtime.references.named(live.pipeline, decision.reference, decision.as_of),
        ),
        [decision.subject_id],
        decision.as_of,
        mark=decision.inbox_mark,
        versions=decision.data_versions,
        complete=True,
    )
    earlier = runtime.voids.released(_earlier(before), decision.inbox_mark)
    features = live.pipeline.build(
        records,
        [decision.as_of],
        subjects=[decision.subject_id],
        reference=reference,
        check_ids=False,
    )
    rows = made(
        features,
        live,
        basis_of(live, decision.data_versions, decision.reference),
        earlier=earlier,
        regions={decision.subject_id: decision.region},
        mark=decision.inbox_mark,
        at=decision.made_at,
    )
    return Replay(_differences(decision, rows), live, features, records, reference)


def _declared(service: Service, decision: Decision) -> Scenario:
    with service.ledger.begin() as connection:
        content = decisions.declaration(connection, decision.scenario_digest)
    if content is None:
        raise ModelError(f"the declaration {decision.scenario_digest[:12]} is not in the ledger")
    return Scenario.model_validate_json(content)


def _as_reviewed(connection: Connection, before: Decision | None, at: datetime) -> Decision | None:
    """Return a decision with the grade that stood at an instant: a review may have changed it."""
    if before is None:
        return None
    said = reviews.concluded(connection, [before.id]).get(before.id)
    if said is None or said.grade is None or said.at > at:
        return before
    return replace(before, grade=said.grade)


def _earlier(before: Decision | None) -> pl.DataFrame:
    if before is None:
        return pl.DataFrame(schema=EARLIER)
    row = {
        "subject_id": before.subject_id,
        "id": str(before.id),
        "as_of": before.as_of,
        "grade": before.grade,
        "warn": before.warn,
        "valid_until": before.valid_until,
        "vetoes": list(before.vetoes),
        "inputs_digest": before.inputs_digest,
        "scenario_digest": before.scenario_digest,
        "bundle_digest": before.bundle_digest,
        "previous": _text(before.previous),
        "mark": before.inbox_mark,
        "today": False,
    }
    return pl.DataFrame([row], schema=EARLIER)


def _differences(decision: Decision, rows: pl.DataFrame) -> dict[str, Difference]:
    row = rows.row(0, named=True)
    now = {name: tuple(row[name]) if name == "vetoes" else row[name] for name in _COMPARED}
    then = {name: getattr(decision, name) for name in _COMPARED}
    return {
        name: Difference(_plain(then[name]), _plain(now[name]))
        for name in _COMPARED
        if then[name] != now[name]
    }


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _text(number: UUID | None) -> str | None:
    return None if number is None else str(number)
