"""Measure the quality of records: aggregations over lazy frames, each read as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import polars as pl
import polars.selectors as cs

from models.codes.calendar import Calendar
from models.errors import ConfigError
from models.records.bookkeeping import IMPORT_RUN, OWN, QUARANTINE, ImportRun, Quarantine
from models.records.contract import Contract, Countable, Record
from models.records.contracts import CONTRACTS
from models.yaml import nearest
from training.quality import samples, timeliness
from training.quality.quality import COUNTS, DIMENSIONS, MATCHES, TARGET, Quality
from training.quality.scope import Scope
from training.quality.times import readable, without_run_times

DUPLICATE: Final = "V10"
"""A duplicate's record is in the lake by definition, so it never counts as corrected."""
ROW: Final = "_row"
"""What tells a source row in quarantine from the others of its table, see :func:`source_rows`."""
RUNS_SHOWN: Final = 200
RECORD_COLUMNS: Final = frozenset({"record_id", "known_at", "happened_on", "findings"})
"""Tables of a lake without these are bookkeeping, not records."""

_CELL: Final = ("month", "authority", "region")
_FILLED: Final = "filled."
_BUCKET: Final = "bucket."


class Tables(Protocol):
    """What is asked of a lake: :class:`models.records.lake.Lake` is one."""

    def tables(self) -> Iterable[str]:
        """Return the names of the tables."""
        ...

    def scan(self, table: str) -> pl.LazyFrame:
        """Return a table's current rows."""
        ...


def measure_lake(
    lake: Tables,
    scope: Scope | None = None,
    *,
    target: float = TARGET,
    contracts: Mapping[str, Contract] = CONTRACTS,
    calendar: Calendar | None = None,
) -> Quality:
    """Measure every record table of ``lake`` that ``scope`` includes.

    Raises :class:`~models.errors.ConfigError` when the scope names a table that is neither in the
    lake nor under contract, or an authority or region of which the lake has no row.
    """
    scope = scope or Scope()
    present = set(lake.tables())
    known = {*contracts, *present} - OWN
    for table in scope.tables:
        if table not in known:
            raise ConfigError(f"there is no table {table!r}{nearest(table, known)}")
    kept = ((name, lake.scan(name)) for name in sorted(present - OWN))
    empty_quarantine, empty_runs = Quarantine.create_empty().lazy(), ImportRun.create_empty().lazy()
    records = {n: f for n, f in kept if set(f.collect_schema().names()) >= RECORD_COLUMNS}
    quarantine = lake.scan(QUARANTINE) if QUARANTINE in present else empty_quarantine
    if scope.authorities or scope.regions:
        _check_names(scope, [*records.values(), quarantine])
    return measure(
        records,
        quarantine,
        lake.scan(IMPORT_RUN) if IMPORT_RUN in present else empty_runs,
        scope=scope,
        target=target,
        contracts=contracts,
        calendar=calendar,
    )


def _check_names(scope: Scope, frames: Sequence[pl.LazyFrame]) -> None:
    """Check authorities and regions against those of all tables, in and out of the scope."""
    named = pl.concat([f.select("authority", "region").unique() for f in frames])
    found = named.collect(engine="streaming")
    scope.check_names(
        frozenset(found["authority"].drop_nulls()), frozenset(found["region"].drop_nulls())
    )


def measure(
    records: Mapping[str, pl.LazyFrame],
    quarantine: pl.LazyFrame,
    runs: pl.LazyFrame,
    *,
    scope: Scope | None = None,
    target: float = TARGET,
    contracts: Mapping[str, Contract] = CONTRACTS,
    calendar: Calendar | None = None,
    timely: Sequence[str] = timeliness.TIMELY_TABLES,
) -> Quality:
    """Measure ``records`` (table → rows), ``quarantine`` and ``runs`` within ``scope``.

    Months are those of ``known_at`` in Asia/Shanghai, null where that cannot be a time of report.
    Reported are the records in the lake and the distinct source rows in quarantine. A row is known
    by its source and its text: one that is reported again, unchanged, is not counted again,
    wherever it stands in the newer file, and equal rows count as often as one run found them.
    ``timely`` names the tables whose reporting time is judged.
    """
    scope = scope or Scope()
    records = {name: frame for name, frame in sorted(records.items()) if scope.includes(name)}
    seen = {name: readable(frame.filter(scope.rows())) for name, frame in records.items()}
    dated = without_run_times(quarantine, runs)
    refused = readable(dated.filter(scope.rows(), *_tables_in(scope)))
    rows = source_rows(refused).with_columns(_month())
    accepted = {
        name: _accepted(frame, contracts.get(name), timed=name in timely, calendar=calendar)
        for name, frame in seen.items()
    }
    # corrections may lie outside the scope, in a later month: they are sought in all records
    cells = [*(_cells(name, frame) for name, frame in accepted.items()), _rejected(rows, records)]
    tripped = [
        sample
        for name, frame in seen.items()
        for sample in samples.tripped_samples(name, frame, contracts.get(name))
    ]
    shown_runs = runs.filter(*_tables_in(scope))
    return Quality(
        target=target,
        scope=scope,
        cells=_months_named(pl.concat([_NO_CELLS, *cells], how="diagonal_relaxed"))
        .group_by(*DIMENSIONS)
        .agg(pl.col(c).sum() for c in COUNTS)
        .sort(*DIMENSIONS, nulls_last=True),
        rules=_rules(rows, seen),
        places=_places(rows),
        columns=_columns(accepted, contracts),
        delays=_delays(accepted),
        samples=samples.few_per_rule([*samples.rejected_samples(refused, contracts), *tripped]),
        runs=_newest_runs(shown_runs),
        matching=_matching(shown_runs),
    )


def _tables_in(scope: Scope) -> list[pl.Expr]:
    return [pl.col("table").is_in(list(scope.tables))] if scope.tables else []


def _month() -> pl.Expr:
    """Return the month of report as months since year 0: cheaper to group by than text."""
    day = pl.col("known_at").dt.convert_time_zone("Asia/Shanghai")
    return (day.dt.year() * 12 + day.dt.month().cast(pl.Int32) - 1).alias("month")


def _months_named(frame: pl.DataFrame) -> pl.DataFrame:
    year = (pl.col("month") // 12).cast(pl.String).str.zfill(4)
    month = (pl.col("month") % 12 + 1).cast(pl.String).str.zfill(2)
    return frame.with_columns(month=pl.concat_str(year, month, separator="-"))


def source_rows(refused: pl.LazyFrame) -> pl.LazyFrame:
    """Add ROW, which tells source rows apart, however many rules they break and runs repeat them.

    It is the text and not the place: an export with the newest first moves every line. What one
    run finds more than once, such as the copies of a decision (V10), is numbered in that run.
    """
    text = pl.struct("table", "source", "raw").hash().alias(ROW)
    copy = pl.struct("file", "line").rank("dense").over(ROW, "run_id").alias("copy")
    numbered = pl.struct(pl.col(ROW), copy).hash().alias(ROW)
    return refused.with_columns(text).with_columns(numbered)


def reported_columns(contract: Contract | None, stored: Sequence[str]) -> tuple[str, ...]:
    """Return the columns whose filling tells of the reporter.

    Left out: what the import writes itself, what the platform judges later (severity and the like),
    and what stays empty until an outcome is known.
    """
    if contract is None:
        return tuple(c for c in stored if c not in samples.HOUSEKEEPING)
    judged = set(Countable.column_names()) - set(Record.column_names())
    left_out = samples.HOUSEKEEPING | judged | contract.outcome
    return tuple(c for c in contract.columns if c not in left_out)


def _accepted(
    frame: pl.LazyFrame, contract: Contract | None, *, timed: bool, calendar: Calendar | None
) -> pl.DataFrame:
    """Count the records of one table per cell, in one pass."""
    stored = frame.collect_schema().names()
    columns = reported_columns(contract, stored)
    filled = {f"{_FILLED}{c}": pl.col(c).count() if c in stored else pl.lit(0) for c in columns}
    delays: dict[str, pl.Expr] = {}
    if timed:
        frame = timeliness.with_days(frame, calendar=calendar)
        in_bucket = timeliness.buckets()
        delays = {f"{_BUCKET}{bucket}": count for bucket, count in in_bucket.items()}
        delays |= timeliness.counts(calendar=calendar)
    counted = frame.group_by(_month(), "authority", "region").agg(
        accepted=pl.len(), **filled, **delays
    )
    return counted.collect(engine="streaming")


def _cells(table: str, accepted: pl.DataFrame) -> pl.DataFrame:
    filled = [c for c in accepted.columns if c.startswith(_FILLED)]
    return accepted.select(
        pl.lit(table).alias("table"),
        *_CELL,
        *(c for c in COUNTS if c in accepted.columns),
        filled=pl.sum_horizontal(pl.lit(0), *filled),
        fields=pl.col("accepted").cast(pl.Int64) * len(filled),
    )


def _rejected(rows: pl.LazyFrame, records: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    """Count the quarantined source rows per cell; holds one short line per such row in memory."""
    duplicate = (pl.col("rule") == DUPLICATE).any()
    each = (
        rows.group_by("table", ROW)
        .agg(pl.col(*_CELL, "target_record_id").min(), duplicate=duplicate)
        .collect(engine="streaming")
    )
    found = pl.concat([_NO_TARGETS, *(_found(t, each, records) for t in sorted(records))])
    each = each.join(found, on=["table", "target_record_id"], how="left").with_columns(
        corrected=pl.col("found").is_not_null() & ~pl.col("duplicate")
    )
    return each.group_by("table", *_CELL).agg(
        rejected=pl.len(),
        corrected=pl.col("corrected").sum(),
        duplicates=pl.col("duplicate").sum(),
    )


def _found(table: str, each: pl.DataFrame, records: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    """Return the ids, among the quarantined rows of ``table``, whose record is in the lake."""
    targets = each.filter(pl.col("table") == table).select("target_record_id").drop_nulls().unique()
    if targets.is_empty():
        return _NO_TARGETS
    record_ids = records[table].select(target_record_id="record_id")
    return (
        record_ids.join(targets.lazy(), on="target_record_id", how="semi")
        .select(pl.lit(table).alias("table"), "target_record_id", found=pl.lit(value=True))
        .collect(engine="streaming")
    )


def _rules(rows: pl.LazyFrame, records: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    """Count rows per rule and cell: source rows that break it, records that trip it."""
    # a row that is reported again counts where it was first met, as it does among the cells
    first = rows.group_by("table", "rule", ROW).agg(pl.col(*_CELL).min())
    broken = first.group_by("table", *_CELL, "rule").agg(rejected=pl.len())
    tripped = [
        frame.filter(pl.col("findings").list.len() > 0)
        .select(_month(), "authority", "region", rule=pl.col("findings").list.unique())
        .explode("rule", empty_as_null=False)
        .group_by(*_CELL, "rule")
        .agg(noted=pl.len())
        .with_columns(table=pl.lit(table))
        for table, frame in records.items()
    ]
    counted = pl.collect_all([broken, *tripped], engine="streaming")
    found = pl.concat([_NO_RULES, *counted], how="diagonal_relaxed")
    order = ("rule", *DIMENSIONS)
    # a rule can be both: the gate refuses some rows for it and only notes it on others
    summed = found.group_by("table", *_CELL, "rule").agg(pl.col("rejected", "noted").sum())
    named = _months_named(summed).with_columns(rows=pl.col("rejected") + pl.col("noted"))
    return named.select(*order, "rows", "rejected", "noted").sort(*order, nulls_last=True)


def _places(rows: pl.LazyFrame) -> pl.DataFrame:
    counted = rows.group_by("rule", "table", "column").agg(rows=pl.col(ROW).n_unique())
    order = ("rule", "table", "column")
    found = counted.collect(engine="streaming").cast({"rows": pl.Int64})
    return found.sort(*order, nulls_last=True)


def _columns(
    accepted: Mapping[str, pl.DataFrame], contracts: Mapping[str, Contract]
) -> pl.DataFrame:
    found: list[tuple[str, str, int, int, bool]] = []
    for table, frame in accepted.items():
        contract = contracts.get(table)
        required = _required(contract) if contract else ()
        records = int(frame["accepted"].sum())
        for column in (c for c in frame.columns if c.startswith(_FILLED)):
            name = column.removeprefix(_FILLED)
            found.append((table, name, records, int(frame[column].sum()), name in required))
    return pl.DataFrame(found, schema=_COLUMNS, orient="row")


def _required(contract: Contract) -> frozenset[str]:
    """Return the columns a report must fill: the publication standard's where there is one."""
    schema = contract.strict or contract.schema
    return frozenset(n for n, column in schema.columns().items() if not column.nullable)


def _delays(accepted: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    found = [
        frame.unpivot(
            cs.starts_with(_BUCKET), index=_CELL, variable_name="bucket", value_name="rows"
        )
        .filter(pl.col("rows") > 0)
        .with_columns(
            pl.col("bucket").str.strip_prefix(_BUCKET).cast(pl.Int64),
            table=pl.lit(table),
        )
        for table, frame in accepted.items()
        if any(c.startswith(_BUCKET) for c in frame.columns)
    ]
    order = (*DIMENSIONS, "bucket")
    delays = _months_named(pl.concat([_NO_DELAYS, *found], how="diagonal_relaxed"))
    return delays.select(*order, "rows").sort(*order, nulls_last=True)


def _newest_runs(runs: pl.LazyFrame) -> pl.DataFrame:
    order = ("started_at", "source", "record_id")
    newest = runs.sort(*order, descending=[True, False, False]).head(RUNS_SHOWN)
    return newest.select(pl.exclude("record_id", "subject_id")).collect(engine="streaming")


def _matching(runs: pl.LazyFrame) -> pl.DataFrame:
    """Return how each source's newest run found the subjects; reruns must not count twice."""
    newest = runs.sort("started_at", "record_id").group_by("source", "table").last()
    return (
        newest.select("source", "table", "rows_in", "accepted", "quarantined", *MATCHES)
        .collect(engine="streaming")
        .sort("source", "table")
    )


_NO_CELLS: Final = pl.DataFrame(
    schema={
        "table": pl.String(),
        "month": pl.Int32(),
        "authority": pl.String(),
        "region": pl.String(),
        **dict.fromkeys(COUNTS, pl.Int64()),
    }
)
_NO_RULES: Final = _NO_CELLS.select(*DIMENSIONS).with_columns(
    rule=pl.lit(None, pl.String),
    rejected=pl.lit(None, pl.Int64),
    noted=pl.lit(None, pl.Int64),
)
_NO_DELAYS: Final = _NO_CELLS.select(*DIMENSIONS).with_columns(
    bucket=pl.lit(None, pl.Int64), rows=pl.lit(None, pl.Int64)
)
_NO_TARGETS: Final = pl.DataFrame(
    schema={"table": pl.String(), "target_record_id": pl.String(), "found": pl.Boolean()}
)
_COLUMNS: Final = {
    "table": pl.String(),
    "column": pl.String(),
    "records": pl.Int64(),
    "filled": pl.Int64(),
    "required": pl.Boolean(),
}
