"""Features of a whole lake, bucket by bucket, into one Parquet file with a manifest beside it.

Memory is bounded by a part: some buckets, or one bucket and some of the dates. Parts lie in
``OUT.parts`` until the file is whole; a run that was killed goes on where it stopped, on the lake's
versions that it began with, while one that ended with an error leaves nothing. The file appears
under its name only when it is complete. Its rows lie part by part, and within a part by date, then
subject.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Final, cast

import polars as pl

from models.errors import ConfigError, LakeMissingError
from models.features.network import Network
from models.features.peers import Peers
from models.features.pipeline import Pipeline, check_dates
from models.features.reference import Reference
from models.features.spec import AS_OF, KEYS
from models.features.subject import GROUPS
from models.logs import logger
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.records.reading import LakeRecords
from models.scenarios.scenario import Scenario
from models.time import not_in_future, today
from models.whole import write_text

PART_ROWS: Final = 100_000
"""Rows (subjects times dates) that are in memory at once, as near as buckets allow."""

_NOTE: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a feature file was made of: enough to make it again."""

    scenario: str
    scenario_digest: str
    features: int
    features_digest: str
    code: str
    dates: tuple[str, ...]
    versions: Mapping[str, int]
    rows: Mapping[str, int]
    """By date."""
    lake: str = ""
    check_ids: bool = True

    def write(self, path: Path) -> None:
        """Write the manifest as JSON, whole or not at all."""
        write_text(path, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read what :meth:`write` wrote."""
        data = cast("dict[str, object]", json.loads(path.read_text(encoding="utf-8")))
        return cls(
            scenario=str(data["scenario"]),
            scenario_digest=str(data["scenario_digest"]),
            features=cast("int", data["features"]),
            features_digest=str(data["features_digest"]),
            code=str(data["code"]),
            dates=tuple(cast("list[str]", data["dates"])),
            versions=cast("dict[str, int]", data["versions"]),
            rows=cast("dict[str, int]", data["rows"]),
            lake=str(data.get("lake", "")),
            check_ids=bool(data.get("check_ids", True)),
        )

    def same_work(self, other: Manifest) -> bool:
        """Tell whether a run that began with ``other`` can be gone on with."""
        mine, theirs = asdict(self), asdict(other)
        return all(mine[key] == theirs[key] for key in mine if key not in {"versions", "rows"})


def manifest_of(out: Path) -> Path:
    """Return where the manifest of a feature file lies."""
    return out.with_name(f"{out.name}.{_NOTE}")


def build_to_parquet(
    lake: Lake,
    scenario: Scenario,
    dates: Sequence[date],
    out: Path,
    *,
    contracts: Mapping[str, Contract] = CONTRACTS,
    reference: Path | None = None,
    check_ids: bool = True,
    advance: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Write the features of the cohorts of ``dates`` to ``out``; see :func:`.pipeline.build`.

    Args:
        lake: Where the records are; its versions are pinned when the run begins.
        scenario: What is foretold.
        dates: Dates of view.
        out: The Parquet file; ``OUT.manifest.json`` beside it tells what it was made of.
        contracts: The tables there are, a user's own among them.
        reference: Folder that keeps the reference for single subjects; none where left out.
        check_ids: Whether a record id that occurs twice in a bucket is an error.
        advance: Is told of buckets as they are done: three times of each.

    Raises:
        ConfigError: ``out`` exists or cannot be written, a date is repeated or has not come yet, a
            table is unknown, or nobody is in the cohort of a date.
        LakeMissingError: the lake has no tables.
        RecordError: a record id occurs twice, or a column has a wrong type.
    """
    days = _checked(dates, out, reference)
    pipeline = Pipeline.of(scenario, contracts)
    work = out.with_name(f"{out.name}.parts")
    begun = _begin(work, _manifest(lake, pipeline, days, check_ids=check_ids))
    with _removed_after_error(work):
        bases, network = _bases(lake, pipeline, days, begun, work=work, advance=advance)
        rows = _rows(scenario, days, bases)
        peers = Peers.of(_counts(pipeline, bases))
        _finish(pipeline, bases, peers, out)
        advance(lake.buckets)
        if reference is not None:
            Reference(pipeline.digest, days, network, peers).save(reference)
        done = replace(begun, rows=rows)
        done.write(manifest_of(out))
        out.with_name(f"{out.name}.part").replace(out)
    shutil.rmtree(work)
    return done


@contextmanager
def _removed_after_error(work: Path) -> Generator[None]:
    """Leave the parts only to a run that goes on after a kill: an error would come again."""
    try:
        yield
    except Exception:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _bases(
    lake: Lake,
    pipeline: Pipeline,
    days: Sequence[date],
    begun: Manifest,
    *,
    work: Path,
    advance: Callable[[int], None],
) -> tuple[list[Path], Network]:
    """Write what each part knows by itself; return the files, and the network they read."""
    parts = list(_parts(lake, begun.versions, len(days)))
    network = _network(work, pipeline, lake, begun.versions, advance)
    for number, (buckets, places) in enumerate(parts):
        _base(
            work / f"base-{number:05}.parquet",
            pipeline,
            LakeRecords(lake, bucket=buckets, versions=begun.versions),
            days[places],
            network=network,
            check_ids=begun.check_ids,
        )
        advance(len(buckets) * (places.stop >= len(days)))
    return [work / f"base-{number:05}.parquet" for number in range(len(parts))], network


def _checked(dates: Sequence[date], out: Path, reference: Path | None) -> tuple[date, ...]:
    check_dates(dates)
    if out.exists():
        raise ConfigError(f"{out} exists; name another file, or remove it first")
    if not out.parent.is_dir():
        raise ConfigError(f"{out.parent} is no folder; make it first, or name another file")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{out.parent} cannot be written to; name another folder")
    work, manifest = out.with_name(f"{out.name}.parts"), manifest_of(out)
    if work.exists() and not work.is_dir():
        raise ConfigError(f"{work} is no folder, and the parts go there; remove it first")
    if manifest.is_dir():
        raise ConfigError(f"{manifest} is a folder, and the manifest goes there; remove it first")
    if reference is not None:
        _check_reference(reference, out)
    return tuple(sorted(not_in_future(on, today=today()).on for on in dates))


def _check_reference(reference: Path, out: Path) -> None:
    taken = {one.resolve() for one in (out, out.with_name(f"{out.name}.parts"), manifest_of(out))}
    if reference.resolve() in taken:
        raise ConfigError(f"the reference and the features cannot both be {reference}; name two")
    if reference.exists() and not reference.is_dir():
        raise ConfigError(f"{reference} is a file; name a new folder for the reference")
    if reference.exists() and any(reference.iterdir()):
        raise ConfigError(f"{reference} is not empty; name a new folder for the reference")


def _manifest(lake: Lake, pipeline: Pipeline, days: Sequence[date], *, check_ids: bool) -> Manifest:
    versions = lake.versions()
    if not versions:
        raise LakeMissingError(f"the lake {lake.url} is empty; import records first")
    return Manifest(
        scenario=pipeline.scenario.id,
        scenario_digest=pipeline.scenario.digest,
        features=len(pipeline.features),
        features_digest=pipeline.digest,
        code=version("xinjian"),
        dates=tuple(on.isoformat() for on in days),
        versions=versions,
        rows={},
        lake=lake.url,
        check_ids=check_ids,
    )


def _begin(work: Path, wanted: Manifest) -> Manifest:
    """Go on with the same work where some of it lies, or begin anew."""
    note = work / _NOTE
    if note.exists():
        with suppress(ValueError, KeyError):
            begun = Manifest.read(note)
            if wanted.same_work(begun) and wanted.versions.keys() >= begun.versions.keys():
                logger(__name__).warning("resumed", versions=dict(begun.versions))
                return begun
    if work.exists():
        shutil.rmtree(work)
    work.mkdir()
    wanted.write(note)
    return wanted


def _parts(lake: Lake, versions: Mapping[str, int], dates: int) -> Iterator[tuple[range, slice]]:
    """Yield buckets and places of dates that together give about :data:`PART_ROWS` rows."""
    counted = ["subject"] if "subject" in versions else list(versions)
    subjects = max(lake.rows(table, version=versions[table]) for table in counted)
    a_bucket = max(1, subjects // lake.buckets)
    width = min(lake.buckets, max(1, PART_ROWS // (a_bucket * dates)))
    at_once = dates if width > 1 else min(dates, max(1, PART_ROWS // a_bucket))
    for first in range(0, lake.buckets, width):
        for start in range(0, dates, at_once):
            buckets = range(first, min(first + width, lake.buckets))
            yield buckets, slice(start, start + at_once)


def _network(
    work: Path,
    pipeline: Pipeline,
    lake: Lake,
    versions: Mapping[str, int],
    advance: Callable[[int], None],
) -> Network:
    folder = work / "network"
    if folder.exists():
        advance(lake.buckets)
        return Network.load(folder, versions)
    buckets = range(lake.buckets) if pipeline.related else range(0)
    parts = (LakeRecords(lake, bucket=bucket, versions=versions) for bucket in buckets)
    network = pipeline.network(parts, advance=advance)
    advance(lake.buckets - len(buckets))
    making = work / "network.part"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    network.save(making)
    making.rename(folder)
    return network


def _base(
    path: Path,
    pipeline: Pipeline,
    records: LakeRecords,
    days: Sequence[date],
    *,
    network: Network,
    check_ids: bool,
) -> None:
    if path.exists():
        return
    base = pipeline.base(records, days, network=network, check_ids=check_ids)
    making = path.with_suffix(".part")
    base.write_parquet(making)
    making.replace(path)


def _rows(scenario: Scenario, days: Sequence[date], bases: list[Path]) -> dict[str, int]:
    counted = pl.scan_parquet(bases).group_by(AS_OF).len().collect()
    rows = {str(on): int(many) for on, many in counted.iter_rows()}
    nobody = [on for on in days if str(on) not in rows]
    if nobody:
        raise ConfigError(
            f"scenario '{scenario.id}': nobody is eligible as of {', '.join(map(str, nobody))}; "
            "xinjian scenario show tells which condition nobody meets"
        )
    return {str(on): rows[str(on)] for on in days}


def _counts(pipeline: Pipeline, bases: list[Path]) -> Iterator[pl.DataFrame]:
    compared = [spec.name.removeprefix("peers_") for spec in pipeline.family("peers")]
    if compared:
        for path in bases:
            yield pipeline.counts(pl.read_parquet(path, columns=[*KEYS, *compared, *GROUPS]))


def _finish(pipeline: Pipeline, bases: list[Path], peers: Peers, out: Path) -> None:
    """Add the percentiles part by part, then lay the parts together."""
    done: list[Path] = []
    for path in bases:
        whole = path.with_name(path.name.replace("base-", "whole-"))
        pipeline.finish(pl.read_parquet(path), peers).write_parquet(whole)
        done.append(whole)
    pl.scan_parquet(done).sink_parquet(out.with_name(f"{out.name}.part"), maintain_order=True)
