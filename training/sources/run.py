"""One import: every source of a mapping through the gate into the lake.

Each batch is one atomic commit and every id is stable, so an import that is killed leaves the last
whole batch, and running it again completes it without doing anything twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final

import polars as pl

from models.codes import uscc
from models.logs import logger
from models.records import gate
from models.records.bookkeeping import IMPORT_RUN, QUARANTINE, ImportRun, Quarantine
from models.records.contract import Contract
from models.records.lake import Lake
from training.sources.assign import Assignment, assign
from training.sources.convert import convert, select_rows
from training.sources.identity import (
    METHODS,
    Register,
    build_register,
    identify,
    record_ids,
    stable_id,
)
from training.sources.mapping import Mapping, Plan
from training.sources.read import LINE, Batch, BrokenRow, find_files, read_batches

Advance = Callable[[int], None]
log = logger(__name__)

_REMADE: Final = ("subject_id", "record_id", "known_at")


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
    run_id = f"{started:%Y%m%dT%H%M%S}-{mapping.digest[:8]}"
    run = _Run(lake, mapping, root or mapping.path.parent, run_id, started, person_key)
    files = [
        find_files(plan.source, run.root) if plan.source.files else [] for plan in mapping.plans
    ]
    seen: dict[str, set[str]] = {}
    return [
        _import_source(run, plan, paths, seen.setdefault(plan.contract.name, set()), advance)
        for plan, paths in zip(mapping.plans, files, strict=True)
    ]


def _import_source(
    run: _Run, plan: Plan, paths: list[Path], seen: set[str], advance: Advance
) -> Tally:
    tally = Tally(plan.source.id, plan.contract.name, plan.source.strict, files=len(paths))
    register = _register(run.lake)
    taken = set[str]() if plan.source.fold else seen
    started = datetime.now(UTC)
    for digest, batch in _batches(plan, paths):
        work = _Work(run, plan, register, tally, taken, digest)
        work.do(batch)
        advance(batch.frame.height + len(batch.broken))
    if tally.unused:
        log.warning("columns nothing uses", source=tally.source, columns=", ".join(tally.unused))
    _record_run(run, plan, tally, started)
    return tally


def _batches(plan: Plan, paths: list[Path]) -> Iterator[tuple[str, Batch]]:
    if plan.source.options.query is not None:
        from training.sources.sql import read_sql

        for batch in read_sql(plan.source):
            yield plan.source.id, batch
    for path in paths:
        digest = _digest(path)
        for batch in read_batches(plan.source, path):
            yield digest, batch


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
class _Work:
    """One batch on its way from source rows to lake and quarantine."""

    run: _Run
    plan: Plan
    register: Register
    tally: Tally
    seen: set[str]
    digest: str

    @property
    def contract(self) -> Contract:
        return self.plan.contract

    def do(self, batch: Batch) -> None:
        source, tally = self.plan.source, self.tally
        tally.rows_in += batch.frame.height + len(batch.broken)
        taken = select_rows(batch.frame, self.plan)
        tally.filtered += batch.frame.height - taken.height
        assignment = assign(self.plan, taken.columns)
        tally.unused = assignment.unused
        records, problems = self._records(taken, assignment, batch.file)
        gated = gate.check(records, self.contract, strict=source.strict)
        problems = pl.concat([problems, self._new_problems(gated.problems, problems)])
        good = gated.good.join(
            problems.select("source_ref").unique(),
            on="source_ref",
            how="anti",
            maintain_order="left",
        )
        good, repeated = self._first_of_key(good)
        problems = pl.concat([problems, repeated])
        self._keep(good)
        self._quarantine(records, problems, taken, batch)

    def _records(
        self, taken: pl.DataFrame, assignment: Assignment, file: str
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the contract's columns for every row, and what stood in the way so far."""
        converted = convert(taken, self.plan, assignment)
        who = identify(
            converted.frame,
            self.contract,
            self.register,
            strict=self.plan.source.strict,
            person_key=self.run.person_key,
        )
        self._count_methods(who.frame)
        ref = pl.concat_str([pl.lit(file), pl.col(LINE).cast(pl.String)], separator="#")
        noted = pl.DataFrame({"V13": converted.normalised, "V02": who.warned})
        findings = [pl.when(rule).then(pl.lit(rule)) for rule in noted.columns]
        frame = who.frame.with_columns(
            ref.alias("source_ref"),
            record_ids(who.frame, self.contract),
            noted.select(findings=pl.concat_list(findings).list.drop_nulls()).to_series(),
        )
        if "subject_type" in self.contract.columns:
            own = pl.coalesce("subject_type", uscc.subject_type_expr("subject_id"))
            frame = frame.with_columns(own.alias("subject_type"))
        problems = pl.concat([converted.problems, who.problems])
        refs = frame.select(LINE, "source_ref")
        return frame, problems.join(refs, on=LINE, how="left").select(
            "source_ref", "rule", "column", "value"
        )

    def _count_methods(self, frame: pl.DataFrame) -> None:
        counts = dict(frame["method"].value_counts().iter_rows())
        for method in METHODS:
            name = f"by_{method}"
            setattr(self.tally, name, getattr(self.tally, name) + counts.get(method, 0))
        self.tally.unmatched += frame["subject_id"].null_count()

    def _new_problems(self, found: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
        """Leave out what the gate only sees because a cell could not be read before."""
        again = found.join(known, on=["source_ref", "column"], how="anti", nulls_equal=True)
        made = found["column"].is_in(_REMADE) if not found.is_empty() else None
        return again if made is None else again.filter(~pl.col("column").is_in(["subject_id"]))

    def _first_of_key(self, good: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Keep the first row of each record; the others are folded, or refused as V10."""
        if self.plan.source.fold:
            good = good.sort("happened_on", nulls_last=True, maintain_order=True)
        first = good["record_id"].is_first_distinct() & ~good["record_id"].is_in(self.seen)
        kept = good.filter(first)
        self.seen.update(kept["record_id"])
        if self.plan.source.fold:
            self.tally.collapsed += good.height - kept.height
            return kept, gate.empty_problems()
        again = good.filter(~first).select(
            "source_ref",
            rule=pl.lit("V10"),
            column=pl.lit(self.contract.key[-1]),
            value=pl.col("record_id"),
        )
        return kept, again

    def _keep(self, good: pl.DataFrame) -> None:
        if good.is_empty():
            return
        merged = self.run.lake.merge(self.contract.name, good, fill=self.plan.source.fill)
        self.tally.inserted += merged.inserted
        self.tally.updated += merged.updated
        self.tally.unchanged += merged.unchanged

    def _quarantine(
        self, records: pl.DataFrame, problems: pl.DataFrame, taken: pl.DataFrame, batch: Batch
    ) -> None:
        entries = [self._broken(row, batch.file) for row in batch.broken]
        frames = [pl.DataFrame(entries, schema=_QUARANTINE_SCHEMA)] if entries else []
        if not problems.is_empty():
            frames.append(self._refused(records, problems, taken, batch.file))
        if not frames:
            return
        refused = pl.concat(frames).unique("record_id", maintain_order=True)
        self.tally.quarantined += refused.select("file", "line").n_unique()
        for rule, count in refused["rule"].value_counts().iter_rows():
            self.tally.rules[rule] = self.tally.rules.get(rule, 0) + count
        self.run.lake.merge(QUARANTINE, Quarantine.validate(refused))

    def _refused(
        self, records: pl.DataFrame, problems: pl.DataFrame, taken: pl.DataFrame, file: str
    ) -> pl.DataFrame:
        bad = records.join(problems.select("source_ref").unique(), on="source_ref", how="semi")
        lines = taken.filter(pl.col(LINE).is_in(bad[LINE].implode()))
        raw = lines.select(LINE, raw=pl.struct(pl.exclude(LINE)).struct.json_encode())
        rows = bad.select(
            "source_ref",
            LINE,
            "authority",
            "region",
            "happened_on",
            "known_at",
            target_record_id="record_id",
        ).join(raw, on=LINE)
        joined = problems.join(rows, on="source_ref").with_columns(
            pl.col("known_at").fill_null(self.run.started_at),
            file=pl.lit(file),
            line=pl.col(LINE),
            **self._origin(),
        )
        ids = [
            stable_id(f"{self.digest}#{self.plan.source.id}#{line}#{rule}#{column}")
            for line, rule, column in joined.select("line", "rule", "column").iter_rows()
        ]
        return joined.with_columns(record_id=pl.Series(ids, dtype=pl.String)).select(
            _QUARANTINE_SCHEMA.names()
        )

    def _broken(self, row: BrokenRow, file: str) -> dict[str, object]:
        return {
            "record_id": stable_id(f"{self.digest}#{self.plan.source.id}#{row.line}#{row.rule}"),
            "run_id": self.run.run_id, "source": self.plan.source.id, "table": self.contract.name,
            "strict": self.plan.source.strict, "rule": row.rule, "column": row.column,
            "value": row.value, "file": file, "line": row.line,
            "authority": self.plan.source.constants.get("authority"),
            "known_at": self.run.started_at, "raw": row.raw,
        }  # fmt: skip

    def _origin(self) -> dict[str, pl.Expr]:
        return {
            "run_id": pl.lit(self.run.run_id),
            "source": pl.lit(self.plan.source.id),
            "table": pl.lit(self.contract.name),
            "strict": pl.lit(self.plan.source.strict),
        }


_QUARANTINE_SCHEMA: Final = pl.Schema({n: c.dtype for n, c in Quarantine.columns().items()})


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
