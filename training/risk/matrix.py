"""The matrix that a model learns from: features, labels and groups, at versions that are kept.

One row a date of view and member of its cohort (``snapshots``), or one for each visit that observed
(``visits``; see :mod:`.visits`). It is made part by part into one Parquet file, so that memory is
bounded by a part; what was done when a run was killed is not done again, and the records are those
of the versions that the run began with, whatever was written to the lake since.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

import polars as pl

from models.canonical import digest_of
from models.errors import FitError, LakeMissingError
from models.features.output import Manifest, build_to_parquet, manifest_of
from models.features.peers import Peers, count
from models.features.pipeline import Pipeline
from models.features.spec import AS_OF, KEYS, FeatureSpec
from models.logs import logger
from models.records.bookkeeping import of_records
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.records.reading import LakeRecords
from models.scenarios.absent import check_tables, gaps
from models.scenarios.scenario import Scenario
from models.whole import write_text
from training.labels import labels
from training.risk.audit import groups
from training.risk.past import past
from training.risk.place import write_parquet
from training.risk.visits import peer_counts, peer_dates, visit_features, visit_labels
from training.snapshots import Period, complete_on, period, snapshots

At: TypeAlias = Literal["snapshots", "visits"]
Advance: TypeAlias = Callable[[int], None]

PART: Final = 50_000
"""Subjects whose labels are made at once."""
COMPLETE: Final = "complete_on"
_NOTE: Final = "matrix.json"
_FILE: Final = "matrix.parquet"


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A matrix on disk and what it was made of.

    Columns: ``subject_id``, ``as_of``; ``observed``, ``positive``, ``inclusion_probability``,
    ``observed_on``, ``event_on`` and ``group`` as in :data:`training.labels.SCHEMA`;
    ``complete_on`` Date, the day by whose end the label is known in full; ``weight`` Float64, 1
    until :mod:`.weights` says otherwise; ``past_seen`` and ``past_found`` Float64
    (:mod:`.past`); ``audit_<by>`` String; then the features. Rows by date, then subject, within
    each part of the population; a visit's subject and day may occur twice.
    """

    scenario: Scenario
    features: tuple[FeatureSpec, ...]
    path: Path
    versions: Mapping[str, int]
    period: Period
    at: At = "snapshots"

    def scan(self) -> pl.LazyFrame:
        """Return the matrix lazily: what is not asked for is not read."""
        return pl.scan_parquet(self.path)

    @property
    def frame(self) -> pl.DataFrame:
        """Read the whole matrix into memory."""
        return pl.read_parquet(self.path)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the features, in the order of the columns."""
        return tuple(spec.name for spec in self.features)

    @property
    def rows(self) -> pl.DataFrame:
        """Read every column but the features."""
        own = set(self.names)
        return self.scan().select(c for c in self.scan().collect_schema() if c not in own).collect()


@dataclass(frozen=True, slots=True)
class _Note:
    """What a matrix is made of; a folder whose note differs holds another one."""

    scenario: str
    declaration: str
    features: str
    at: str
    code: str
    versions: Mapping[str, int]

    @classmethod
    def read(cls, path: Path) -> _Note:
        """Read what :meth:`write` wrote."""
        data = cast("dict[str, object]", json.loads(path.read_text(encoding="utf-8")))
        words = {name: str(data[name]) for name in data if name != "versions"}
        return cls(**words, versions=cast("dict[str, int]", data["versions"]))

    def same_work(self, other: _Note) -> bool:
        """Tell whether a matrix that was begun so is the one wanted, versions aside."""
        mine, theirs = asdict(self), asdict(other)
        return all(mine[key] == theirs[key] for key in mine if key != "versions")

    def write(self, path: Path) -> None:
        """Write the note as JSON, whole or not at all."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=2)
        write_text(path, f"{text}\n")


def build_matrix(
    lake: Lake,
    scenario: Scenario,
    work: Path,
    *,
    at: At = "snapshots",
    versions: Mapping[str, int] | None = None,
    contracts: Mapping[str, Contract] = CONTRACTS,
    advance: Advance = lambda _: None,
) -> Matrix:
    """Make the matrix of a scenario in the folder ``work``, or go on with it, or find it there.

    Args:
        lake: Where the records are.
        scenario: What is foretold.
        work: A folder for this matrix alone; it is made where it does not exist.
        at: Rows for the cohort at the scenario's dates, or for each visit.
        versions: Versions of the lake's tables; those that the folder was begun with, else of now.
        contracts: The tables there are, a user's own among them.
        advance: Is told of buckets as they are done: four times of each.

    Raises:
        ConfigError: an unknown table, or none in the lake that tells who is eligible, or what came.
        FitError: the data is too short for a single date, or holds no visit.
        LakeMissingError: a version that the matrix was begun with is no longer there.
    """
    pipeline = Pipeline.of(scenario, contracts)
    if at == "visits" and not scenario.label.observers:
        raise FitError(
            f"the label of scenario '{scenario.id}' is observed by no visits; fit it at snapshots"
        )
    note = _begin(work, _wanted(lake, pipeline, at, versions), pinned=versions is not None)
    parts = list(_parts(lake, note.versions))
    covered = period(parts, scenario)
    check_tables(scenario, note.versions)
    matrix = Matrix(scenario, pipeline.features, work / _FILE, note.versions, covered, at)
    if matrix.path.exists():
        advance(4 * lake.buckets)
        return matrix
    if lost := gaps(scenario, note.versions):
        logger(__name__).warning("tables are lacking", scenario=scenario.id, lost=lost)
    told = list(_labelled(matrix, parts, advance))
    if at == "snapshots":
        features = [_at_snapshots(matrix, lake, told, contracts, advance)]
    else:
        features = list(_at_visits(matrix, pipeline, parts, told, advance))
    _join(matrix, told, features)
    return matrix


def declaration_digest(scenario: Scenario) -> str:
    """Return the SHA-256 of what of a scenario decides about its matrix.

    Two scenarios that differ in model, grades or actions only share one.
    """
    parts = {"id", "subject", "cohort", "label", "snapshots", "features", "audit"}
    return digest_of(scenario.model_dump(mode="json", include=parts))


def _wanted(lake: Lake, pipeline: Pipeline, at: At, versions: Mapping[str, int] | None) -> _Note:
    now = of_records(versions or lake.versions())
    if not now:
        raise LakeMissingError(f"the lake {lake.url} is empty; import records first")
    return _Note(
        scenario=pipeline.scenario.id,
        declaration=declaration_digest(pipeline.scenario),
        # The catalogue without the directions that the model chooses: they change no value.
        features=hashlib.sha256("\n".join(s.name for s in pipeline.features).encode()).hexdigest(),
        at=at,
        code=version("xinjian"),
        versions=now,
    )


def _begin(work: Path, wanted: _Note, *, pinned: bool) -> _Note:
    """Go on with the same matrix at the versions it was begun with, or begin it anew."""
    path = work / _NOTE
    if path.is_file():
        begun = _Note.read(path)
        if begun.same_work(wanted) and (not pinned or begun.versions == wanted.versions):
            return begun
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    wanted.write(path)
    return wanted


def _parts(lake: Lake, versions: Mapping[str, int]) -> Iterator[LakeRecords]:
    """Yield the lake's buckets, as many together as hold about :data:`PART` subjects."""
    many = {table: _rows_of(lake, table, one) for table, one in versions.items()}
    subjects = many.get("subject", max(many.values()))
    width = max(1, lake.buckets * PART // max(subjects, 1))
    for first in range(0, lake.buckets, width):
        buckets = range(first, min(first + width, lake.buckets))
        yield LakeRecords(lake, bucket=buckets, versions=versions)


def _rows_of(lake: Lake, table: str, pinned: int) -> int:
    try:
        return lake.rows(table, version=pinned)
    except LakeMissingError as error:
        raise LakeMissingError(
            f"the matrix was begun on version {pinned} of table '{table}', which is gone from the "
            f"lake {lake.url} ({error}); begin a new run on the versions of today"
        ) from error


def _buckets(part: LakeRecords) -> int:
    return len(cast("range", part.bucket))


def _labelled(matrix: Matrix, parts: Sequence[LakeRecords], advance: Advance) -> Iterator[Path]:
    """Make the files with everything but the features; yield those that have rows."""
    dates = snapshots(matrix.scenario, matrix.period)
    if matrix.at == "snapshots" and not dates:
        raise FitError(_too_short(matrix))
    rows = 0
    for number, part in enumerate(parts):
        path = matrix.path.with_name(f"labels-{number:05}.parquet")
        if not path.exists():
            write_parquet(_told(matrix, part, dates), path)
        if many := pl.scan_parquet(path).select(pl.len()).collect().item():
            rows += many
            yield path
        advance(_buckets(part))
    if not rows:
        what = "nobody was in the cohort of any date" if dates else "there is no visit"
        raise FitError(
            f"scenario '{matrix.scenario.id}': {what} between {matrix.period.start} and "
            f"{matrix.period.end}; xinjian scenario show tells which condition nobody meets"
        )


def _told(matrix: Matrix, part: LakeRecords, dates: Sequence[date]) -> pl.DataFrame:
    scenario, covered = matrix.scenario, matrix.period
    if matrix.at == "visits":
        made = visit_labels(part, scenario, within=covered)
        complete = pl.col(AS_OF) + scenario.snapshots.embargo.delta
    else:
        made = labels(part, scenario, dates, within=covered)
        days = {on: complete_on(scenario, on) for on in dates}
        complete = pl.col(AS_OF).replace_strict(days, return_dtype=pl.Date)
    made = made.with_columns(complete.alias(COMPLETE), pl.lit(1.0).alias("weight"))
    earlier = past(part, scenario, made.select(KEYS).unique(maintain_order=True))
    audited = groups(part, earlier, scenario.audit.by)
    return made.join(audited, on=KEYS, how="left", maintain_order="left")


def _too_short(matrix: Matrix) -> str:
    scenario, covered = matrix.scenario, matrix.period
    needed = complete_on(scenario, covered.start) - covered.start
    return (
        f"scenario '{scenario.id}': the records from {covered.start} to {covered.end} are too "
        f"short for one date of view, whose outcome is known after {needed.days} days; import more "
        "of the past"
    )


def _at_snapshots(
    matrix: Matrix,
    lake: Lake,
    told: Sequence[Path],
    contracts: Mapping[str, Contract],
    advance: Advance,
) -> Path:
    """Make the feature file of the dates at which anybody was in the cohort."""
    out = matrix.path.with_name("features.parquet")
    if out.exists():
        advance(3 * lake.buckets)
        return out
    dates = (
        pl.scan_parquet(list(told)).select(pl.col(AS_OF).unique().sort()).collect()[AS_OF].to_list()
    )
    _pin(out, matrix, lake, dates, contracts)
    build_to_parquet(lake, matrix.scenario, dates, out, contracts=contracts, advance=advance)
    return out


def _pin(
    out: Path,
    matrix: Matrix,
    lake: Lake,
    dates: Sequence[date],
    contracts: Mapping[str, Contract],
) -> None:
    """Begin the feature file on the matrix's versions: a run goes on with those it began with."""
    note = out.with_name(f"{out.name}.parts") / "manifest.json"
    if note.exists() or of_records(lake.versions()) == dict(matrix.versions):
        return
    features = Pipeline.of(matrix.scenario, contracts)
    note.parent.mkdir(exist_ok=True)
    Manifest(
        scenario=matrix.scenario.id,
        scenario_digest=matrix.scenario.digest,
        features=len(features.features),
        features_digest=features.digest,
        code=version("xinjian"),
        dates=tuple(map(str, dates)),
        versions=matrix.versions,
        rows={},
        lake=lake.url,
    ).write(note)


def _at_visits(
    matrix: Matrix,
    pipeline: Pipeline,
    parts: Sequence[LakeRecords],
    told: Sequence[Path],
    advance: Advance,
) -> Iterator[Path]:
    """Make a feature file for each part of the population that was visited."""
    network = pipeline.network(parts)
    dates = peer_dates(matrix.scenario, matrix.period)
    counted = (_counted(matrix, pipeline, part, dates, advance) for part in parts)
    peers = Peers.of(pl.read_parquet(path) for path in list(counted))
    visited = {path.name.removeprefix("labels-"): path for path in told}
    for number, part in enumerate(parts):
        name = f"{number:05}.parquet"
        path = matrix.path.with_name(f"features-{name}")
        if name in visited:
            if not path.exists():
                keys = pl.read_parquet(visited[name], columns=list(KEYS)).unique()
                made = visit_features(pipeline, part, keys, network=network, peers=peers)
                write_parquet(pl.concat([pipeline.schema().to_frame(), *made]), path)
            yield path
        advance(2 * _buckets(part))


def _counted(
    matrix: Matrix,
    pipeline: Pipeline,
    part: LakeRecords,
    dates: Sequence[date],
    advance: Advance,
) -> Path:
    first = cast("range", part.bucket).start
    path = matrix.path.with_name(f"peers-{first:05}.parquet")
    if not path.exists():
        nothing = count(pl.DataFrame(), ())
        write_parquet(pl.concat([nothing, *peer_counts(pipeline, part, dates)]), path)
    advance(_buckets(part))
    return path


def _join(matrix: Matrix, told: Sequence[Path], features: Sequence[Path]) -> None:
    """Lay labels and features together, row for row; the parts are removed."""
    making = matrix.path.with_suffix(".part")
    left = pl.scan_parquet(list(told))
    joined = pl.scan_parquet(list(features)).join(left, on=KEYS, how="inner", maintain_order="left")
    joined.select(*left.collect_schema().names(), *matrix.names).sink_parquet(making)
    rows, expected = (
        frame.select(pl.len()).collect().item() for frame in (pl.scan_parquet(making), left)
    )
    if rows != expected:
        raise FitError(
            f"the matrix has {rows} rows for {expected} labels: labels and features of scenario "
            f"'{matrix.scenario.id}' are not of one cohort; remove {matrix.path.parent} and repeat"
        )
    making.replace(matrix.path)
    for path in (*told, *features):
        path.unlink()
        manifest_of(path).unlink(missing_ok=True)
    for path in matrix.path.parent.glob("peers-*.parquet"):
        path.unlink()
