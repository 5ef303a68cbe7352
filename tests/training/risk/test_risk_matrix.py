"""The matrix: labels and features of one cohort, at versions that are kept."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from structlog.testing import capture_logs

from models.errors import ConfigError, FitError, LakeMissingError
from models.features.pipeline import build
from models.records.lake import Lake
from models.records.reading import LakeRecords
from models.scenarios.label import Rows
from tests.training.risk.world import FIRMS, frame, scenario
from training.labels import labels
from training.risk import matrix as module
from training.risk.matrix import Matrix, build_matrix, declaration_digest
from training.snapshots import complete_on

KEYS = ["as_of", "subject_id"]


@pytest.fixture(scope="module")
def snapshots(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return build_matrix(lake, scenario(), tmp_path_factory.mktemp("matrix") / "m")


@pytest.fixture(scope="module")
def visits(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return build_matrix(lake, scenario(), tmp_path_factory.mktemp("matrix") / "m", at="visits")


def test_labels_are_those_of_the_cohort(lake: Lake, snapshots: Matrix) -> None:
    rows = snapshots.rows.sort(KEYS)
    dates = rows["as_of"].unique().sort().to_list()
    told = labels(LakeRecords(lake), scenario(), dates, within=snapshots.period).sort(KEYS)
    assert_frame_equal(rows.select(told.columns), told)
    assert rows["positive"].sum() > 100
    assert (rows["weight"] == 1).all()
    for on, complete in rows.select("as_of", "complete_on").unique().iter_rows():
        assert complete == complete_on(scenario(), on)


def test_features_are_the_pipelines(lake: Lake, snapshots: Matrix) -> None:
    dates = snapshots.rows["as_of"].unique().sort().to_list()[-2:]
    built = build(LakeRecords(lake), scenario(), dates).sort(KEYS)
    mine = snapshots.scan().filter(pl.col("as_of").is_in(dates)).collect().sort(KEYS)
    assert_frame_equal(mine.select(built.columns), built)
    assert snapshots.frame.columns[-len(snapshots.names) :] == list(snapshots.names)


def test_a_visit_is_a_row_with_what_was_known_before_it(lake: Lake, visits: Matrix) -> None:
    inspected = LakeRecords(lake).frame("inspection").collect()
    end = visits.period.end - timedelta(days=5)
    reported = inspected.filter(pl.col("happened_on") <= end)
    assert visits.rows.height == reported.height
    assert visits.rows["observed"].all()
    assert visits.rows["positive"].sum() == (reported["result"] == "fail").sum()
    assert (visits.rows["complete_on"] - visits.rows["as_of"]).unique().to_list() == [
        timedelta(days=5)
    ]
    chance = visits.rows["inclusion_probability"]
    assert chance.count() == reported["inclusion_probability"].count()
    # counted by hand: earlier visits of the last 180 days that were known by the end of the day
    row = visits.frame.filter(pl.col("inspection_count_180d") >= 2).row(0, named=True)
    before = inspected.filter(
        pl.col("subject_id") == row["subject_id"],
        pl.col("happened_on") < row["as_of"],
        pl.col("happened_on") >= row["as_of"] - timedelta(days=180),
    )
    assert before.height == row["inspection_count_180d"]
    failed = (before["result"] == "fail").sum()
    assert failed == row["inspection_result_fail_count_180d"]


def test_features_at_visits_are_the_pipelines_but_for_peers(lake: Lake, visits: Matrix) -> None:
    days = sorted(visits.rows["as_of"].unique())
    on = days[len(days) // 2]
    mine = visits.frame.filter(pl.col("as_of") == on).unique(KEYS).sort("subject_id")
    built = build(LakeRecords(lake), scenario(), [on], subjects=mine["subject_id"].to_list())
    own = [name for name in built.columns if not name.startswith("peers_")]
    assert_frame_equal(mine.select(own), built.select(own))


def test_peers_at_visits_are_those_of_the_latest_date_before(lake: Lake, visits: Matrix) -> None:
    grid = [on for on in visits.frame["as_of"].unique().sort() if on > date(2022, 1, 1)]
    on = next(day for day in grid if day in _calendar(visits))
    mine = visits.frame.filter(pl.col("as_of") == on).unique(KEYS).sort("subject_id")
    built = build(LakeRecords(lake), scenario(), [on], subjects=mine["subject_id"].to_list())
    names = [name for name in built.columns if name.startswith("peers_")]
    assert names
    assert_frame_equal(mine.select(names), built.select(names))
    first = visits.frame.sort("as_of").head(1)
    assert first[names[0]][0] is None or first["as_of"][0] >= _calendar(visits)[0]


def _calendar(visits: Matrix) -> list[date]:
    from training.risk.visits import peer_dates

    return list(peer_dates(scenario(), visits.period))


def test_two_visits_of_one_day_are_two_rows(own_lake: Lake, tmp_path: Path) -> None:
    on = date(2022, 3, 3)
    twice = [
        {"subject_id": FIRMS[1], "happened_on": on, "result": result, "matter": result}
        for result in ("pass", "fail")
    ]
    own_lake.merge("inspection", frame("inspection", twice))
    made = build_matrix(own_lake, scenario(), tmp_path / "m", at="visits")
    both = made.frame.filter(pl.col("subject_id") == FIRMS[1], pl.col("as_of") == on)
    assert sorted(both["positive"].to_list()) == [False, True]
    assert both["inspection_count_180d"].n_unique() == 1


def test_a_whole_matrix_is_found_again(own_lake: Lake, tmp_path: Path) -> None:
    made = build_matrix(own_lake, scenario(), tmp_path / "m")
    written = made.path.stat().st_mtime_ns
    done: list[int] = []
    again = build_matrix(own_lake, scenario(), tmp_path / "m", advance=done.append)
    assert again.path.stat().st_mtime_ns == written
    assert sum(done) == 4 * own_lake.buckets
    assert {path.name for path in made.path.parent.iterdir()} == {"matrix.json", "matrix.parquet"}


def test_an_interrupted_matrix_goes_on_at_its_versions(
    own_lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = build_matrix(own_lake, scenario(), tmp_path / "whole").frame

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "build_to_parquet", killed)
        with pytest.raises(KeyboardInterrupt):
            build_matrix(own_lake, scenario(), tmp_path / "m")
    assert list((tmp_path / "m").glob("labels-*.parquet"))
    late = {"subject_id": FIRMS[2], "happened_on": date(2020, 5, 5), "result": "fail"}
    own_lake.merge("inspection", frame("inspection", [late]))
    again = build_matrix(own_lake, scenario(), tmp_path / "m")
    assert_frame_equal(again.frame, expected)
    assert again.versions["inspection"] == own_lake.version("inspection") - 1
    fresh = build_matrix(own_lake, scenario(), tmp_path / "fresh")
    assert fresh.versions["inspection"] == own_lake.version("inspection")
    pinned = build_matrix(own_lake, scenario(), tmp_path / "pinned", versions=again.versions)
    assert_frame_equal(pinned.frame, expected)


def test_another_declaration_is_another_matrix(own_lake: Lake, tmp_path: Path) -> None:
    build_matrix(own_lake, scenario(), tmp_path / "m")
    other = scenario(snapshots="{every: 90d}")
    made = build_matrix(own_lake, other, tmp_path / "m")
    days = made.rows["as_of"].unique().sort().diff().drop_nulls().unique().to_list()
    assert days == [timedelta(days=90)]
    assert declaration_digest(other) != declaration_digest(scenario())
    # grades and model make no other rows
    assert declaration_digest(scenario(calibrate="platt")) == declaration_digest(scenario())


def test_a_version_that_is_gone_is_named(own_lake: Lake, tmp_path: Path) -> None:
    versions = {**own_lake.versions(), "inspection": 99}
    with pytest.raises(LakeMissingError, match=r"version 99 of table 'inspection'.*new run"):
        build_matrix(own_lake, scenario(), tmp_path / "m", versions=versions)


def test_an_empty_lake_is_said(tmp_path: Path) -> None:
    with pytest.raises(LakeMissingError, match="import records"):
        build_matrix(Lake.open(tmp_path / "lake"), scenario(), tmp_path / "m")


def test_tables_that_the_lake_lacks_are_said(own_lake: Lake, tmp_path: Path) -> None:
    declared = scenario(label="{any_of: [{table: inspection}, {table: sampling}], horizon: 60d}")
    with capture_logs() as lines:
        build_matrix(own_lake, declared, tmp_path / "m")
    (line,) = [line for line in lines if line["event"] == "tables are lacking"]
    assert "湖中没有表 sampling（抽样检验）：只由它得知的结果记不到" in line["lost"]
    cohort = declared.cohort.model_copy(update={"seen_in": (Rows(table="sampling"),)})
    unseen = declared.model_copy(update={"cohort": cohort})
    with pytest.raises(ConfigError, match="looks at the subjects of sampling, and the lake has no"):
        build_matrix(own_lake, unseen, tmp_path / "n")


def test_records_that_are_too_short_are_said(own_lake: Lake, tmp_path: Path) -> None:
    label = "{table: inspection, horizon: 9000d, observed_by: inspection}"
    with pytest.raises(FitError, match="9005 days"):
        build_matrix(own_lake, scenario(label=label), tmp_path / "m")


def test_nobody_in_the_cohort_is_said(own_lake: Lake, tmp_path: Path) -> None:
    where = "{table: inspection, where: \"matter == '无'\"}"
    label = f"{{table: inspection, horizon: 60d, observed_by: {where}}}"
    with pytest.raises(FitError, match="no visit"):
        build_matrix(
            own_lake,
            scenario(label=label, snapshots="{every: 60d, first: 2030-01-01}"),
            tmp_path / "m",
            at="visits",
        )


def test_visits_need_a_label_that_inspections_observe(own_lake: Lake, tmp_path: Path) -> None:
    declared = scenario(label="{table: penalty, horizon: 60d}")
    with pytest.raises(FitError, match="snapshots"):
        build_matrix(own_lake, declared, tmp_path / "m", at="visits")


def test_a_folder_of_another_matrix_is_made_anew(own_lake: Lake, tmp_path: Path) -> None:
    made = build_matrix(own_lake, scenario(), tmp_path / "m")
    shutil.copy(made.path, tmp_path / "m" / "left.parquet")
    build_matrix(own_lake, scenario(id="other"), tmp_path / "m")
    assert not (tmp_path / "m" / "left.parquet").exists()
