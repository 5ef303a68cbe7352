"""A lake's features in one file: the same rows, in bounded parts, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from structlog.testing import capture_logs

from models.errors import ConfigError, LakeMissingError, RecordError
from models.features import output
from models.features.output import Manifest, build_to_parquet, manifest_of
from models.features.pipeline import Pipeline, build
from models.features.reference import Reference
from models.records.lake import Lake
from models.records.reading import LakeRecords
from models.scenarios import catalogue
from models.time import today
from tests.models.features.firms import AS_OF, firm, penalty, records, scenario

DATES = [date(2024, 1, 1), date(2025, 1, 1), date(2025, 7, 1)]
DECLARED = catalogue()["dishonesty_warning"]
KEYS = ["as_of", "subject_id"]


@pytest.mark.parametrize("rows", [1_000_000, 700, 1])
def test_the_file_holds_the_rows_of_build_whatever_the_parts(
    province: Lake, tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "PART_ROWS", rows)
    out = tmp_path / "f.parquet"
    steps: list[int] = []
    build_to_parquet(province, DECLARED, DATES, out, advance=steps.append)
    whole = build(LakeRecords(province), DECLARED, DATES)
    assert_frame_equal(pl.read_parquet(out).sort(KEYS), whole, check_exact=True)
    assert sum(steps) == 3 * province.buckets
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.parquet", "f.parquet.manifest.json"]


def test_the_manifest_says_what_it_was_made_of(province: Lake, tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    made = build_to_parquet(province, DECLARED, DATES[::-1], out)
    assert Manifest.read(manifest_of(out)) == made
    said = json.loads(manifest_of(out).read_text(encoding="utf-8"))
    assert said["scenario"] == "dishonesty_warning"
    assert said["scenario_digest"] == DECLARED.digest
    assert said["features_digest"] == Pipeline.of(DECLARED).digest
    assert said["dates"] == [str(on) for on in DATES]
    assert said["versions"] == province.versions()
    assert sum(said["rows"].values()) == pl.read_parquet(out).height
    assert said["code"]


def test_the_reference_is_kept_where_it_is_asked_for(province: Lake, tmp_path: Path) -> None:
    out, kept = tmp_path / "f.parquet", tmp_path / "reference"
    build_to_parquet(province, DECLARED, DATES, out, reference=kept)
    reference = Reference.load(kept)
    row = pl.read_parquet(out)[0]
    subject, on = row["subject_id"].item(), row["as_of"].item()
    alone = build(LakeRecords(province), DECLARED, [on], subjects=[subject], reference=reference)
    assert_frame_equal(alone, row, check_exact=True)


def test_a_killed_run_goes_on_on_the_versions_it_began_with(
    province: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "lake"
    shutil.copytree(province.url, copied)
    lake, out = Lake.open(copied), tmp_path / "f.parquet"
    monkeypatch.setattr(output, "PART_ROWS", 1)
    before = lake.versions()

    done: list[int] = []

    def stop(steps: int) -> None:
        done.append(steps)
        if sum(done) > lake.buckets + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_to_parquet(lake, DECLARED, DATES, out, advance=stop)
    assert not out.exists()
    lake.merge("penalty", records(penalty=[penalty(3)]).frames["penalty"])
    assert lake.versions() != before

    parts = {
        path: path.stat().st_mtime_ns for path in tmp_path.glob("f.parquet.parts/base-*.parquet")
    }
    assert parts
    seen: list[dict[Path, int]] = []

    def look(_: int) -> None:
        seen.append({path: path.stat().st_mtime_ns for path in parts if path.exists()})

    with capture_logs() as told:
        made = build_to_parquet(lake, DECLARED, DATES, out, advance=look)
    assert [(one["event"], one["versions"]) for one in told] == [("resumed", before)]
    assert seen[0] == seen[1] == parts
    assert made.versions == before
    whole = build(LakeRecords(province), DECLARED, DATES)
    assert_frame_equal(pl.read_parquet(out).sort(KEYS), whole, check_exact=True)


def test_what_lies_of_other_work_is_not_gone_on_with(province: Lake, tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    work = tmp_path / "f.parquet.parts"
    work.mkdir()
    (work / "manifest.json").write_text('{"scenario": "another"}', encoding="utf-8")
    (work / "base-00000.parquet").write_bytes(b"nothing")
    build_to_parquet(province, DECLARED, DATES[:1], out)
    assert pl.read_parquet(out).height > 0


def small(tmp_path: Path) -> Lake:
    lake = Lake.open(tmp_path / "lake", buckets=2)
    made = records(subject=[firm(n) for n in range(5)], penalty=[penalty(1)]).frames
    for table in ("subject", "penalty"):
        lake.merge(table, made[table])
    return lake


def test_a_small_lake_with_few_tables_will_do(tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    made = build_to_parquet(small(tmp_path), scenario(), [AS_OF], out)
    assert made.rows == {"2025-01-01": 5}
    rows = pl.read_parquet(out)
    assert rows["penalty_count_365d"].sum() == 1
    assert rows["relation_person_count"].null_count() == 5


def killed(steps: int) -> None:
    del steps
    raise KeyboardInterrupt


def failed(steps: int) -> None:
    del steps
    raise RecordError("a wrong row")


def test_a_run_that_ended_with_an_error_is_begun_anew(tmp_path: Path) -> None:
    lake, out = small(tmp_path), tmp_path / "f.parquet"
    with pytest.raises(RecordError):
        build_to_parquet(lake, scenario(), [AS_OF], out, advance=failed)
    assert not (tmp_path / "f.parquet.parts").exists()
    lake.merge("penalty", records(penalty=[penalty(3)]).frames["penalty"])
    made = build_to_parquet(lake, scenario(), [AS_OF], out)
    assert made.versions == lake.versions()
    assert pl.read_parquet(out)["penalty_count_365d"].sum() == 2


@pytest.mark.parametrize(("elsewhere", "check_ids"), [(True, True), (False, False), (False, True)])
def test_a_run_goes_on_only_on_its_own_lake_and_terms(
    tmp_path: Path, elsewhere: bool, check_ids: bool
) -> None:
    lake, out = small(tmp_path), tmp_path / "f.parquet"
    with pytest.raises(KeyboardInterrupt):
        build_to_parquet(lake, scenario(), [AS_OF], out, advance=killed)
    assert (tmp_path / "f.parquet.parts").is_dir()
    (tmp_path / "b").mkdir()
    other = small(tmp_path / "b") if elsewhere else lake
    with capture_logs() as told:
        made = build_to_parquet(other, scenario(), [AS_OF], out, check_ids=check_ids)
    assert bool(told) == (not elsewhere and check_ids)
    assert (made.lake, made.check_ids) == (other.url, check_ids)


def test_places_that_are_taken(tmp_path: Path) -> None:
    lake, out = small(tmp_path), tmp_path / "f.parquet"
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is a file; name a new folder"):
        build_to_parquet(lake, scenario(), [AS_OF], out, reference=file)
    with pytest.raises(ConfigError, match="cannot both be"):
        build_to_parquet(lake, scenario(), [AS_OF], out, reference=out)
    (tmp_path / "g.parquet.parts").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="the parts go there"):
        build_to_parquet(lake, scenario(), [AS_OF], tmp_path / "g.parquet")
    manifest_of(out).mkdir()
    with pytest.raises(ConfigError, match="the manifest goes there"):
        build_to_parquet(lake, scenario(), [AS_OF], out)
    assert not (tmp_path / "f.parquet.parts").exists()


@pytest.mark.skipif(os.access("/", os.W_OK), reason="whoever may write everywhere is not refused")
def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    lake = small(tmp_path)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="cannot be written to"):
        build_to_parquet(lake, scenario(), [AS_OF], closed / "f.parquet")


def test_errors_that_a_user_can_mend(tmp_path: Path) -> None:
    lake, out = small(tmp_path), tmp_path / "f.parquet"
    declared = scenario()
    with pytest.raises(ConfigError, match="that day has not come"):
        build_to_parquet(lake, declared, [today() + timedelta(days=1)], out)
    with pytest.raises(ConfigError, match="given twice"):
        build_to_parquet(lake, declared, [AS_OF, AS_OF], out)
    with pytest.raises(ConfigError, match="no date"):
        build_to_parquet(lake, declared, [], out)
    with pytest.raises(ConfigError, match="no folder"):
        build_to_parquet(lake, declared, [AS_OF], tmp_path / "nowhere" / "f.parquet")
    with pytest.raises(ConfigError, match="nobody is eligible as of 2019-01-01;"):
        build_to_parquet(lake, declared, [date(2019, 1, 1), AS_OF], out)
    with pytest.raises(LakeMissingError, match="empty"):
        build_to_parquet(Lake.open(tmp_path / "none"), declared, [AS_OF], out)
    assert not out.exists()
    out.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="exists"):
        build_to_parquet(lake, declared, [AS_OF], out)
    assert out.read_text(encoding="utf-8") == "mine"
    with pytest.raises(ConfigError, match="is not empty"):
        build_to_parquet(
            lake, declared, [AS_OF], tmp_path / "g.parquet", reference=tmp_path / "lake"
        )


def test_a_record_id_that_two_files_hold_is_an_error(tmp_path: Path) -> None:
    lake = small(tmp_path)
    # as a foreign writer would leave it: the same file twice in the table's log
    (version,) = (lake.version("penalty"),)
    log = tmp_path / "lake" / "penalty" / "_delta_log" / f"{version:020}.json"
    lines = log.read_text(encoding="utf-8").splitlines()
    (added,) = (json.loads(line) for line in lines if '"add"' in line)
    folder = tmp_path / "lake" / "penalty"
    path = added["add"]["path"]
    twin = path.replace(".parquet", "-twin.parquet")
    shutil.copy(folder / path, folder / twin)
    added["add"]["path"] = twin
    (log.parent / f"{version + 1:020}.json").write_text(json.dumps(added) + "\n", encoding="utf-8")

    again = Lake.open(tmp_path / "lake")
    assert again.rows("penalty") == 2
    out = tmp_path / "f.parquet"
    with pytest.raises(RecordError, match="occurs more than once"):
        build_to_parquet(again, scenario(), [AS_OF], out)
    assert not out.exists()
    made = build_to_parquet(again, scenario(), [AS_OF], out, check_ids=False)
    assert made.rows == {"2025-01-01": 5}
