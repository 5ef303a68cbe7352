"""One import: every source of a mapping through the gate into the lake.

Each batch is one atomic commit and every id is stable, so an import that is killed leaves the last
whole batch, and running it again completes it without doing anything twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar

import polars as pl

from models.logs import logger
from models.records.bookkeeping import IMPORT_RUN, QUARANTINE, ImportRun, Quarantine
from models.records.identity import stable_id
from models.records.lake import Lake
from training.sources.identity import Register, build_register
from training.sources.mapping import Mapping, Plan
from training.sources.prepare import Prepared, prepare
from training.sources.quarantine import Origin, answered, entries, open_entries
from training.sources.read import Batch, find_files, read_batches
from training.sources.seen import Seen
from training.sources.shown import headings

Advance = Callable[[int], None]
log = logger(__name__)

COMMIT_ROWS: Final = 1_000_000
"""Good rows that one commit brings into the lake, at least, while there are more to come."""

WORKERS: Final = 2
"""Batches prepared at once: the work is half in Python, so more would only hold more memory."""

_STATED: Final = "__stated__"

Item = TypeVar("Item")
Done = TypeVar("Done")


@dataclass(slots=True)
class Tally:
    """Counts of one source in one run; ``rules`` counts broken rules, by rule id."""

    source: str
    table: str
    strict: bool
    files: int = 0
    rows_in: int = 0
    filtered: int = 0
    collapsed: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    quarantined: int = 0
    by_code: int = 0
    by_organisation: int = 0
    by_name: int = 0
    unmatched: int = 0
    unused: tuple[str, ...] = ()
    rules: dict[str, int] = field(default_factory=dict[str, int])

    def count(self, prepared: Prepared) -> None:
        """Add what the preparation of a batch tells."""
        batch, methods = prepared.batch, prepared.methods
        self.rows_in += batch.frame.height + len(batch.broken)
        self.filtered += batch.frame.height - prepared.rows.height
        self.by_code += methods.get("code", 0)
        self.by_organisation += methods.get("organisation", 0)
        self.by_name += methods.get("name", 0)
        self.unmatched += methods.get(None, 0)
        self.unused = headings(dict.fromkeys((*self.unused, *prepared.unused)))

    @property
    def accepted(self) -> int:
        """Return the rows now in the lake because of this source."""
        return self.inserted + self.updated + self.unchanged


@dataclass(frozen=True, slots=True)
class _Run:
    lake: Lake
    mapping: Mapping
    root: Path
    run_id: str
    started_at: datetime
    person_key: bytes | None


def import_mapping(
    mapping: Mapping,
    lake: Lake,
    *,
    root: Path | None = None,
    person_key: bytes | None = None,
    advance: Advance = lambda _: None,
    now: datetime | None = None,
) -> list[Tally]:
    """Import every source of ``mapping`` into ``lake`` and return what happened to each row.

    ``root`` is the folder the file patterns are looked up in (the mapping's own by default);
    ``advance`` is told of rows as they are done. Rows that break a rule are kept in the table
    ``quarantine``. Raises :class:`SourceError` for a file that cannot be read as a whole.
    """
    started = now or datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%S.%f}-{mapping.digest[:8]}"
    run = _Run(lake, mapping, root or mapping.path.parent, run_id, started, person_key)
    files = [
        find_files(plan.source, run.root) if plan.source.files else [] for plan in mapping.plans
    ]
    seen: dict[str, Seen] = {}
    return [
        _import_source(run, plan, paths, seen.setdefault(plan.contract.name, Seen()), advance)
        for plan, paths in zip(mapping.plans, files, strict=True)
    ]


def _import_source(run: _Run, plan: Plan, paths: list[Path], seen: Seen, advance: Advance) -> Tally:
    tally = Tally(plan.source.id, plan.contract.name, plan.source.strict, files=len(paths))
    register = _register(run.lake)
    started = datetime.now(UTC)
    # A source that only fills must meet records again; all others keep to the first row of one.
    seen = Seen() if plan.source.fill else seen
    settling = _Settling(run, plan, tally, seen, open_entries(run.lake, plan))

    def prepared(item: tuple[str, Batch]) -> tuple[str, Prepared]:
        return item[0], prepare(
            item[1], plan, register, person_key=run.person_key, started=run.started_at
        )

    for digest, done in _ahead(prepared, _batches(plan, paths, run.root)):
        settling.take(done, digest)
        advance(done.batch.frame.height + len(done.batch.broken))
    settling.flush()
    if tally.unused:
        log.warning("columns nothing uses", source=tally.source, columns=", ".join(tally.unused))
    _record_run(run, plan, tally, started)
    return tally


def _ahead(work: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
    """Yield ``work`` of each item in order, a few of them being worked on ahead."""
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: deque[Future[Done]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _batches(plan: Plan, paths: list[Path], root: Path) -> Iterator[tuple[str, Batch]]:
    if plan.source.options.query is not None:
        from training.sources.sql import read_sql

        for batch in read_sql(plan.source):
            yield plan.source.id, batch
    copies: Counter[str] = Counter()
    for path in paths:
        # Folders tell files of one name apart, their order files of one content.
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        content = _digest(path)
        digest = f"{content}~{copies[content]}" if copies[content] else content
        copies[content] += 1
        for batch in read_batches(plan.source, path):
            yield digest, replace(batch, file=name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        whole = blake2b(digest_size=16)
        while chunk := file.read(1 << 20):
            whole.update(chunk)
    return whole.hexdigest()


def _register(lake: Lake) -> Register:
    tables = lake.tables()
    return build_register(
        lake.scan("subject") if "subject" in tables else None,
        lake.scan("change") if "change" in tables else None,
    )


@dataclass(frozen=True, slots=True)
class _Settling:
    """What becomes of a source's batches: counted, kept in the lake, or put in quarantine.

    Good rows wait in ``pending`` until they are worth a commit. ``open`` holds the entries of
    earlier runs that name no record yet, ``answers`` the records now found for them. Each waiting
    frame stands with the columns it says something about.
    """

    run: _Run
    plan: Plan
    tally: Tally
    seen: Seen
    open: pl.DataFrame
    pending: list[tuple[frozenset[str], pl.DataFrame]] = field(
        default_factory=list[tuple[frozenset[str], pl.DataFrame]]
    )
    answers: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame])

    def take(self, prepared: Prepared, digest: str) -> None:
        """Settle one batch of the file whose content has this digest."""
        self.tally.count(prepared)
        good, problems = prepared.good, prepared.problems
        if self.plan.source.fold:
            # The earliest row of a record may be in the last file, so all rows wait for it.
            good = self._folded(good)
        else:
            good, repeated = self._first_of_key(good)
            problems = pl.concat([problems, repeated])
        self.pending.append((prepared.stated, good))
        self._answer(prepared, good, digest)
        self._quarantine(prepared, problems, digest)
        waiting = sum(frame.height for _, frame in self.pending)
        if waiting >= COMMIT_ROWS and not self.plan.source.fold:
            self.flush()

    def flush(self) -> None:
        """Bring the waiting rows into the lake, in one commit for each set of columns stated."""
        stated = list(dict.fromkeys(columns for columns, _ in self.pending))
        frames = [
            frame.with_columns(pl.lit(stated.index(columns)).alias(_STATED))
            for columns, frame in self.pending
        ]
        good = pl.concat(frames) if frames else pl.DataFrame()
        self.pending.clear()
        if good.is_empty():
            return
        if self.plan.source.fold:
            good = self._folded(good)
            first = self.seen.first(good["record_id"])
            self.tally.collapsed += int((~first).sum())
            good = good.filter(first)
        for index, columns in enumerate(stated):
            self._merge(good.filter(pl.col(_STATED) == index).drop(_STATED), columns)
        answers = pl.concat(self.answers) if self.answers else pl.DataFrame()
        self.answers.clear()
        if not answers.is_empty():
            self.run.lake.merge(QUARANTINE, answers, fill=True)

    def _merge(self, good: pl.DataFrame, stated: frozenset[str]) -> None:
        if good.is_empty():
            return
        table, silent = self.plan.contract.name, set(good.columns) - stated
        if table in self.run.lake.tables():
            # A source without a column says nothing about it: what is stored stays.
            good = good.drop(silent & set(self.run.lake.schema(table)))
        merged = self.run.lake.merge(table, good, fill=self.plan.source.fill)
        self.tally.inserted += merged.inserted
        self.tally.updated += merged.updated
        self.tally.unchanged += merged.unchanged

    def _first_of_key(self, good: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Keep the first row of each record; the others are refused as V10."""
        first = self.seen.first(good["record_id"])
        return good.filter(first), good.filter(~first).select(
            "source_ref",
            rule=pl.lit("V10"),
            column=pl.lit(self.plan.contract.key[-1]),
            value=pl.col("record_id"),
        )

    def _folded(self, good: pl.DataFrame) -> pl.DataFrame:
        """Keep the earliest row of each record."""
        ordered = good.sort("happened_on", nulls_last=True, maintain_order=True)
        kept = ordered.unique("record_id", keep="first", maintain_order=True)
        self.tally.collapsed += good.height - kept.height
        return kept

    def _quarantine(self, prepared: Prepared, problems: pl.DataFrame, digest: str) -> None:
        origin = Origin(self.plan, self.run.run_id, self.run.started_at)
        refused = entries(prepared, problems, origin, digest=digest)
        if refused.is_empty():
            return
        self.tally.quarantined += refused.select("file", "line").n_unique()
        for rule, count in refused["rule"].value_counts().iter_rows():
            self.tally.rules[rule] = self.tally.rules.get(rule, 0) + count
        # Filling, so that a rerun leaves the entries of the run that found them.
        self.run.lake.merge(QUARANTINE, Quarantine.validate(refused), fill=True)

    def _answer(self, prepared: Prepared, good: pl.DataFrame, digest: str) -> None:
        """Note which rows, refused for want of a subject or a number, are records now."""
        if not self.open.is_empty():
            self.answers.append(answered(self.open, prepared, good, self.plan, digest=digest))


def _record_run(run: _Run, plan: Plan, tally: Tally, started: datetime) -> None:
    counts = {
        name: getattr(tally, name)
        for name in ImportRun.column_names()
        if name in {*Tally.__slots__, "accepted"}
    }
    table = plan.contract.name
    row = counts | {
        "record_id": stable_id(f"{run.run_id}#{tally.source}"),
        "run_id": run.run_id,
        "mapping_digest": run.mapping.digest,
        "lake_version": run.lake.version(table) if table in run.lake.tables() else None,
        "started_at": started,
        "finished_at": datetime.now(UTC),
    }
    schema = {n: c.dtype for n, c in ImportRun.columns().items()}
    run.lake.merge(IMPORT_RUN, ImportRun.validate(pl.DataFrame([row], schema=schema)))
