"""Deciding some subjects now, from the lake and the live records, and keeping what was decided."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Final, Literal, TypeAlias, cast
from uuid import UUID

import msgspec
import polars as pl

from models.errors import XinjianError
from models.features.reference import Reference
from models.features.spec import SUBJECT
from models.logs import logger
from models.records.reading import MemoryRecords
from models.risk.explain import Explanation
from serving import metrics
from serving.ledger import changes, decisions, explanations
from serving.ledger.decisions import Basis, Decision
from serving.runtime.forgetting import amended
from serving.runtime.gather import Gathered, eligible, gather
from serving.runtime.live import Live
from serving.runtime.references import Chosen
from serving.runtime.rows import changed, made, to_store
from serving.service import Service
from serving.supervision import raise_warnings

Content: TypeAlias = Mapping[str, object]
Sees: TypeAlias = Callable[[str | None], bool]

FEW: Final = 8
"""Subjects of one request up to which it is decided together with others."""
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """A subject that was not decided: unknown to the caller, or not of the cohort."""

    subject_id: str
    kind: Literal["not-found", "outside-cohort"]
    detail: str


@dataclass(frozen=True, slots=True)
class Scored:
    """Stored decisions in the order that was asked for, what explains them, and who has none.

    ``explained`` has the explanations of those that warn, and where it was asked for of all.
    """

    decisions: tuple[Decision, ...]
    explained: Mapping[UUID, Content]
    refused: tuple[Refused, ...]


def everywhere(region: str | None) -> bool:
    """See every region: what the service does for itself."""
    del region
    return True


@dataclass(frozen=True, slots=True)
class Asked:
    """Subjects that somebody wants decided: ids, which regions they see, and whether to explain."""

    subjects: Sequence[str]
    sees: Sees = everywhere
    explain: bool = False


def score(
    service: Service,
    live: Live,
    subjects: Sequence[str],
    on: date,
    *,
    sees: Sees = everywhere,
    explain: bool = False,
) -> Scored:
    """Decide subjects as of a day, and store what was decided before it is returned.

    What was decided already of the same features, declaration and model stands, and is returned.

    Args:
        service: The running service.
        live: The model that decides.
        subjects: Ids; one that is named twice is decided once.
        on: The day of view, today or earlier.
        sees: Whether the caller may see a region; a subject elsewhere is as one that is unknown.
        explain: Explain all of them, not only those that warn.

    Raises:
        ModelError: What the features need of others is not there yet.
        LedgerDownError: The ledger cannot be reached; nothing was stored.
    """
    return score_each(service, live, [Asked(subjects, sees, explain)], on)[0]


def score_together(service: Service, live: Live, asked: Asked, on: date) -> Scored:
    """Do what :func:`score` does, with what others ask for at the same time.

    Many subjects are decided by themselves, so that few need not wait for all of them.
    """
    work = partial(score_each, service, live, on=on)
    if len(asked.subjects) > FEW:
        with service.runtime.many:
            return work([asked])[0]
    return service.runtime.together((live, on), asked, work)


def score_each(service: Service, live: Live, asked: Sequence[Asked], on: date) -> list[Scored]:
    """Do what :func:`score` does for several at once; each is told of its own subjects alone.

    A subject is decided where one of those that ask for it may see it, and explained where one of
    these wants it explained.
    """
    everybody = list(dict.fromkeys(subject for one in asked for subject in one.subjects))
    found = gather(service.runtime, service.ledger, live.scenario, everybody, on)
    seen = [_seen(one, found.regions) for one in asked]
    wanted = set[str]().union(*seen)
    inside, outside = eligible(
        found.records, live.scenario, [one for one in everybody if one in wanted], on
    )
    told = {
        subject for one, mine in zip(asked, seen, strict=True) if one.explain for subject in mine
    }
    made_of, kept = _decided(service, live, found, inside, on, told) if inside else ({}, {})
    return [
        _scored(one, mine, made_of, kept, outside) for one, mine in zip(asked, seen, strict=True)
    ]


def _seen(asked: Asked, regions: Mapping[str, str | None]) -> set[str]:
    return {one for one in asked.subjects if one in regions and asked.sees(regions[one])}


def _scored(
    asked: Asked,
    seen: set[str],
    decided: Mapping[str, Decision],
    explained: Mapping[UUID, Content],
    outside: Mapping[str, str],
) -> Scored:
    """Return what one of those that asked is told."""
    mine = list(dict.fromkeys(asked.subjects))
    refused = [
        Refused(one, "not-found", f"nothing is known of subject '{one}'; check its code, or send "
                "its records first")
        for one in mine
        if one not in seen
    ]  # fmt: skip
    refused += [
        Refused(one, "outside-cohort", outside[one])
        for one in mine
        if one in seen and one in outside
    ]
    stored = tuple(decided[one] for one in mine if one in seen and one in decided)
    kept = {one.id: explained[one.id] for one in stored if one.id in explained}
    return Scored(stored, kept, tuple(refused))


def _decided(
    service: Service,
    live: Live,
    found: Gathered,
    inside: Sequence[str],
    on: date,
    told: Collection[str],
) -> tuple[dict[str, Decision], dict[UUID, Content]]:
    """Decide and store the subjects; return their decisions, and the explanations there are."""
    chosen, found = _forgetting(service, live, found, inside, on)
    features = live.pipeline.build(
        found.records, [on], subjects=inside, reference=chosen.reference, check_ids=False
    )
    basis = basis_of(live, found.versions, chosen.name)
    at = service.clock()
    rows = made(
        features,
        live,
        basis,
        earlier=found.earlier,
        regions=found.regions,
        mark=found.mark,
        at=at,
    )
    known = _explained_before(service, rows, told)
    lacking = pl.col(SUBJECT).is_in(list(told)) & ~pl.col("id").is_in([str(one) for one in known])
    wanted = lacking | (pl.col("warn") & ~pl.col("stands"))
    why = explained(
        rows.with_columns(wanted.alias("told")), features, live, found, chosen.reference
    )
    stored, kept = keep(service, live, rows, basis, why, known=known, at=at)
    in_shadow(service, live, features, found, chosen.name, at=at)
    return {one.subject_id: one for one in stored}, kept


def _forgetting(
    service: Service, live: Live, found: Gathered, inside: Sequence[str], on: date
) -> tuple[Chosen, Gathered]:
    """Return the reference without what was voided since, and what was found without its effects.

    The versions of the lake that were read for that are among those of what was found.
    """
    runtime = service.runtime
    chosen = runtime.reference(live, on)
    reference, read = amended(
        runtime,
        live.pipeline,
        chosen,
        inside,
        on,
        mark=found.mark,
        versions=found.versions,
    )
    earlier = runtime.voids.released(found.earlier, found.mark)
    versions = {**read, **found.versions}
    return (
        replace(chosen, reference=reference),
        replace(found, versions=versions, earlier=earlier),
    )


def _explained_before(
    service: Service, rows: pl.DataFrame, told: Collection[str]
) -> dict[UUID, Content]:
    """Return what explains those to be ``told`` whose decision stands already, where it is kept."""
    mine = rows.filter(pl.col("stands") & pl.col(SUBJECT).is_in(list(told)))
    if mine.is_empty():
        return {}
    with service.ledger.begin() as connection:
        return explanations.find(connection, [UUID(one) for one in mine["id"]])


def basis_of(live: Live, versions: Mapping[str, int], reference: str | None) -> Basis:
    """Return what decisions of a model are made with."""
    return Basis(
        scenario=live.scenario.id,
        scenario_digest=live.scenario.digest,
        bundle_digest=live.bundle.digest,
        data_versions=versions,
        reference=reference,
    )


def explained(
    rows: pl.DataFrame,
    features: pl.DataFrame,
    live: Live,
    found: Gathered,
    reference: Reference,
) -> dict[UUID, Content]:
    """Return the explanations of the ``rows`` that are to be ``told``, with evidence."""
    chosen = rows.filter("told")
    if chosen.is_empty():
        return {}
    mine = features.join(chosen.select(SUBJECT), on=SUBJECT, how="semi", maintain_order="left")
    ids = [UUID(one) for one in chosen["id"]]
    return dict(zip(ids, reasons(live, mine, found.records, reference), strict=True))


def reasons(
    live: Live, features: pl.DataFrame, records: MemoryRecords, reference: Reference
) -> list[Content]:
    """Return why each row has its score, as JSON can hold it.

    The records behind a reason are the subject's own: of ties to others those that it has itself.
    """
    made_of = live.explainer.explain(
        features, records=records, around=records, network=reference.network
    )
    return [as_content(one) for one in made_of]


def as_content(explanation: Explanation) -> Content:
    """Return an explanation as JSON can hold it."""
    return cast("Content", msgspec.to_builtins(explanation))


def note(service: Service, live: Live, basis: Basis, *, at: datetime) -> None:
    """Let the ledger know what decisions are made with, unless it does."""
    noted = service.runtime.noted
    scenario = live.scenario
    if basis.id in noted and scenario.digest in noted:
        return
    with service.ledger.begin() as connection:
        decisions.keep_declaration(
            connection, scenario.digest, scenario.canonical, scenario=scenario.id, at=at
        )
        decisions.keep_basis(connection, basis, at=at)
    if len(noted) > 10_000:
        noted.clear()
    noted.update((basis.id, scenario.digest))


def keep(
    service: Service,
    live: Live,
    rows: pl.DataFrame,
    basis: Basis,
    told: Mapping[UUID, Content],
    *,
    known: Mapping[UUID, Content],
    at: datetime,
) -> tuple[list[Decision], dict[UUID, Content]]:
    """Store decisions, their explanations and what changed, all or nothing; read them back.

    ``told`` explains what is to be explained now, ``known`` is what was read of before.
    """
    note(service, live, basis, at=at)
    ids = [UUID(one) for one in rows["id"]]
    with service.ledger.begin() as connection:
        new = decisions.store(connection, to_store(rows))
        explanations.keep(connection, told, at=at)
        changes.append_all(connection, changed(rows, new, at=at))
        stored = decisions.find_all(connection, ids)
        # What stands already may have reasons of before, and those stay; what is new has these.
        older = [one for one in ids if one not in new and one not in known]
        kept = {**told, **known, **(explanations.find(connection, older) if older else {})}
        raise_warnings(service, connection, live.scenario, rows)
    metrics.DECISIONS.labels(live.scenario.id, "champion", "yes").inc(len(ids))
    return stored, kept


def in_shadow(
    service: Service,
    live: Live,
    features: pl.DataFrame,
    found: Gathered,
    reference: str | None,
    *,
    at: datetime,
) -> None:
    """Let the challenger decide the same rows, stored apart; no failure of its own gets out."""
    other = service.runtime.challenger(live.scenario.id)
    if other is None:
        return
    reason = "it reads other features than the champion"
    if other.pipeline.digest == live.pipeline.digest:
        try:
            shadow(service, other, features, found, reference, at=at)
        except XinjianError as error:
            reason = str(error)
        else:
            return
    metrics.SHADOW_ERRORS.labels(live.scenario.id).inc()
    _log.warning("challenger not run", scenario=live.scenario.id, reason=reason)


def shadow(
    service: Service,
    other: Live,
    features: pl.DataFrame,
    found: Gathered,
    reference: str | None,
    *,
    at: datetime,
) -> None:
    """Decide and store with a challenger; the grade in force is the champion's."""
    basis = basis_of(other, found.versions, reference)
    rows = made(
        features,
        other,
        basis,
        earlier=found.earlier,
        regions=found.regions,
        mark=found.mark,
        at=at,
    )
    note(service, other, basis, at=at)
    with service.ledger.begin() as connection:
        decisions.store(connection, to_store(rows), role="challenger")
    metrics.DECISIONS.labels(other.scenario.id, "challenger", "yes").inc(rows.height)


def redecide(service: Service, subjects: Sequence[str], *, on: date | None = None) -> int:
    """Decide subjects anew in every scenario that has a model; return how many were decided.

    Who is not in a scenario's cohort is passed over.

    Raises:
        ModelError: As :func:`score`; what was stored before stays, and doing it again is harmless.
    """
    day = on or service.today()
    champions = [live for live in service.runtime.all() if live.role == "champion"]
    return sum(len(score(service, live, subjects, day).decisions) for live in champions)
