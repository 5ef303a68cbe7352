"""Deciding everybody: the lake's features part by part, decided and copied into the ledger.

A run that was killed goes on where it stopped, on the versions of the lake that it began with: the
features lie under ``<home>/serving/runs/<id>`` until the run is over, and a part's decisions and
the note that it is done are one transaction. Subjects of whom live records wait that the lake does
not have are left to :func:`.scoring.score`, which sees them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final
from uuid import UUID

import polars as pl

from models.errors import ConfigError
from models.features.digest import keyed
from models.features.output import Manifest, build_to_parquet, manifest_of
from models.features.reference import Reference
from models.features.spec import SUBJECT
from models.logs import logger
from models.published import CHAMPION
from models.records.lake.layout import bucket_of
from models.records.reading import LakeRecords, MemoryRecords
from models.scenarios.cohort import REGISTER
from serving import metrics
from serving.ledger import changes, decisions, explanations, runs
from serving.ledger.runs import Run
from serving.runtime.gather import regions_of
from serving.runtime.live import Live
from serving.runtime.references import needed
from serving.runtime.rows import changed, made, to_store
from serving.runtime.runtime import Runtime
from serving.runtime.scoring import Content, basis_of, note, reasons, score
from serving.runtime.voided import left_to_live
from serving.service import Service
from serving.supervision import raise_warnings

_FEATURES: Final = "features.parquet"
PART: Final = 50_000
"""Decisions of one transaction."""

_log = logger(__name__)


class StoppedError(Exception):
    """The run was told to stop; called again, it goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What every part of a run needs. ``waiting``: subjects that are left to the live path."""

    service: Service
    live: Live
    other: Live | None
    run: Run
    versions: dict[str, int]
    reference: Reference
    name: str | None
    waiting: frozenset[str]


def score_all(
    service: Service,
    scenario: str,
    as_of: date | None = None,
    *,
    advance: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    threads: int = 1,
) -> Run:
    """Decide the whole cohort of a scenario as of a day, and return the finished run.

    Args:
        service: The running service; its models are loaded.
        scenario: One that has a model.
        as_of: The day of view, today by default.
        advance: Is told how many subjects of how many are decided.
        stop: Is asked between parts; where it says so, :class:`StoppedError` is raised.
        threads: How many processors LightGBM may use.

    Raises:
        ConfigError: The scenario has no model or nobody in its cohort, or the day is to come.
        LedgerDownError: The ledger went away; called again, the run goes on.
    """
    live = service.runtime.champion(scenario)
    if live is None:
        raise ConfigError(_why_none(service.runtime, scenario))
    on = as_of or service.today()
    if on > service.today():
        raise ConfigError(f"{on} has not come yet; decide as of {service.today()} or before")
    run = _begun(service, live, on)
    folder = service.runtime.shelf.folder / "runs" / str(run.id)
    out, manifest = _features(service, live, run, folder)
    work = _prepared(service, live, run, folder, manifest)
    total = sum(manifest.rows.values())
    for part, rows in _parts(out, total, run):
        if stop():
            raise StoppedError
        _decide(work, part, rows, threads)
        if advance is not None:
            advance(min((part + 1) * PART, total), total)
    for some in _slices(sorted(work.waiting)):
        score(service, live, some, on)
    with service.ledger.begin() as connection:
        runs.finish(connection, run.id, at=service.clock())
        done = runs.read(connection, run.id)
    shutil.rmtree(folder, ignore_errors=True)
    _log.info("scored", scenario=scenario, as_of=str(on), decided=done.decided, warned=done.warned)
    return done


def _why_none(runtime: Runtime, scenario: str) -> str:
    refusal = runtime.refused.get((scenario, CHAMPION))
    if refusal is not None:
        return f"the model of scenario '{scenario}' is refused: {refusal.reason}"
    return (
        f"scenario '{scenario}' has no model that decides; promote one"
        if runtime.registry_says is None
        else f"scenario '{scenario}' has no model that was live here, and {runtime.registry_says}"
    )


def _begun(service: Service, live: Live, on: date) -> Run:
    with service.ledger.begin() as connection:
        return runs.begin(
            connection,
            live.scenario.id,
            on,
            scenario_digest=live.scenario.digest,
            bundle_digest=live.bundle.digest,
            at=service.clock(),
        )


def _features(service: Service, live: Live, run: Run, folder: Path) -> tuple[Path, Manifest]:
    """Return the file of the cohort's features, which is made unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    out, reference = folder / _FEATURES, folder / "reference"
    if not (out.exists() and manifest_of(out).exists()):
        shutil.rmtree(reference, ignore_errors=True)  # of just before a kill: it is saved again
        build_to_parquet(
            service.runtime.lake,
            live.scenario,
            [run.as_of],
            out,
            contracts=service.runtime.contracts,
            reference=reference if needed(live.pipeline) else None,
        )
    return out, Manifest.read(manifest_of(out))


def _prepared(service: Service, live: Live, run: Run, folder: Path, manifest: Manifest) -> _Work:
    """Put the reference where everybody finds it, and look who is left to the live path."""
    runtime, versions = service.runtime, dict(manifest.versions)
    name = None
    if needed(live.pipeline):
        name = runtime.references.keep(
            folder / "reference", live.pipeline, run.as_of, versions=versions
        )
    with service.ledger.begin() as connection:
        runs.pin(connection, run.id, versions)
        waiting = runs.waiting(connection, run.inbox_mark, versions)
    reference = runtime.references.named(live.pipeline, name, run.as_of)
    waiting |= _misinformed(service, live, run, reference, folder, waiting)
    other = runtime.challenger(live.scenario.id)
    return _Work(
        service=service,
        live=live,
        other=other if other and other.pipeline.digest == live.pipeline.digest else None,
        run=run,
        versions={table: at for table, at in versions.items() if table in live.scenario.tables},
        reference=reference,
        name=name,
        waiting=waiting,
    )


def _misinformed(
    service: Service,
    live: Live,
    run: Run,
    reference: Reference,
    folder: Path,
    waiting: frozenset[str],
) -> frozenset[str]:
    """Return whose neighbours had a record voided that the lake does not have as void."""
    keys = left_to_live(
        service.runtime.voids, live.pipeline, reference.network, waiting, run.as_of,
        mark=run.inbox_mark,
    )  # fmt: skip
    if not len(keys):
        return frozenset()
    everybody = pl.scan_parquet(folder / _FEATURES).select(SUBJECT).unique().collect()[SUBJECT]
    return frozenset(everybody.filter(keyed(everybody).is_in(pl.Series(keys).implode())))


def _parts(out: Path, total: int, run: Run) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield the parts that are not done yet, by their number."""
    whole = pl.scan_parquet(out)
    for part, start in enumerate(range(0, total, PART)):
        if part not in run.parts:
            yield part, whole.slice(start, PART).collect()


def _decide(work: _Work, part: int, rows: pl.DataFrame, threads: int) -> None:
    """Decide one part, and store it with the note that it is done."""
    service, live, run = work.service, work.live, work.run
    features = rows.filter(~pl.col(SUBJECT).is_in(sorted(work.waiting)))
    subjects = features[SUBJECT].to_list()
    at, basis = service.clock(), basis_of(live, work.versions, work.name)
    note(service, live, basis, at=at)
    with service.ledger.begin() as connection:
        earlier = decisions.earlier(connection, live.scenario.id, subjects, run.as_of)
    regions = _regions(work, subjects)
    earlier = service.runtime.voids.released(earlier, run.inbox_mark)
    decided = made(
        features, live, basis, earlier=earlier, regions=regions, mark=run.inbox_mark, at=at,
        threads=threads,
    )  # fmt: skip
    told = _explained(work, features, decided)
    new, warned = to_store(decided), int(decided["warn"].sum())
    with service.ledger.begin() as connection:
        done = runs.part_done(
            connection, run.id, part, decided=decided.height, warned=warned, at=service.clock()
        )
        if not done:  # by another process, which was not as dead as it seemed
            return
        decisions.store_many(connection, new)
        explanations.keep(connection, told, at=at)
        changes.append_all(connection, changed(decided, None, at=at))
        raise_warnings(service, connection, live.scenario, decided)
    metrics.DECISIONS.labels(live.scenario.id, "champion", "yes").inc(decided.height)
    if work.other is not None:
        _shadow(work, work.other, features, earlier, regions, threads)


def _shadow(
    work: _Work,
    other: Live,
    features: pl.DataFrame,
    earlier: pl.DataFrame,
    regions: dict[str, str | None],
    threads: int,
) -> None:
    """Let the challenger decide the part; done again, it stores nothing twice."""
    service, at = work.service, work.service.clock()
    basis = basis_of(other, work.versions, work.name)
    note(service, other, basis, at=at)
    decided = made(
        features, other, basis, earlier=earlier, regions=regions, mark=work.run.inbox_mark, at=at,
        threads=threads,
    )  # fmt: skip
    with service.ledger.begin() as connection:
        decisions.store_many(connection, to_store(decided), role="challenger")
    metrics.DECISIONS.labels(other.scenario.id, "challenger", "yes").inc(decided.height)


def _explained(work: _Work, features: pl.DataFrame, decided: pl.DataFrame) -> dict[UUID, Content]:
    """Return why each that warns does, with the records of its own behind the reasons."""
    chosen = decided.filter(pl.col("warn") & ~pl.col("stands"))
    if chosen.is_empty():
        return {}
    mine = features.join(chosen.select(SUBJECT), on=SUBJECT, how="semi", maintain_order="left")
    records = _own(work, mine[SUBJECT].to_list(), sorted(work.versions))
    ids = [UUID(one) for one in chosen["id"]]
    return dict(zip(ids, reasons(work.live, mine, records, work.reference), strict=True))


def _regions(work: _Work, subjects: list[str]) -> dict[str, str | None]:
    """Return the subjects' regions: the register's, and of the few it does not know their rows'."""
    found = regions_of(_own(work, subjects, [REGISTER], columns=_PLACED))
    rest = [one for one in subjects if found.get(one) is None]
    if rest:
        found |= regions_of(_own(work, rest, sorted(work.versions), columns=_PLACED))
    return found


_PLACED: Final = (SUBJECT, "region", "happened_on")


def _own(
    work: _Work, subjects: list[str], tables: list[str], *, columns: tuple[str, ...] | None = None
) -> MemoryRecords:
    """Return the rows of subjects in the lake that the run reads."""
    lake = work.service.runtime.lake
    buckets = sorted({bucket_of(one, lake.buckets) for one in subjects})
    records = LakeRecords(lake, bucket=buckets, versions=work.versions)
    there = [table for table in tables if table in work.versions]
    if columns is not None:
        there = [table for table in there if set(columns) <= set(records.columns(table))]
    frames = pl.collect_all(
        [records.frame(table, columns).filter(pl.col(SUBJECT).is_in(subjects)) for table in there]
    )
    return MemoryRecords(dict(zip(there, frames, strict=True)))


def _slices(subjects: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(subjects), 500):
        yield subjects[start : start + 500]
