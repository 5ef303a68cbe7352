"""An import: every row read ends in exactly one place, once, however often it is repeated."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import SourceError
from models.records.bookkeeping import IMPORT_RUN
from tests.training.sources.world import (
    HEAD,
    NAMES,
    PENALTY,
    REGISTER,
    A,
    B,
    D,
    World,
    mapping,
    penalties,
    registered,
    row,
)
from training.sources import read, run
from training.sources.run import import_mapping

# Counting


def test_every_row_is_in_exactly_one_count(world: World) -> None:
    registered(world)
    world.write(
        "penalty.csv",
        penalties(
            row(1),
            row(2, day="2023/13/40"),
            row(3, code=""),
            row(1),
            "少一列,x",
            row(5, code="00000000000000000X"),
            f"沈罚6号,,{NAMES[B]},2024-01-05,,",
        ),
    )
    tally = world.run(mapping(REGISTER, PENALTY))["penalty"]
    assert (tally.rows_in, tally.accepted, tally.quarantined) == (7, 2, 5)
    assert tally.rules == {"F01": 1, "S01": 2, "V10": 1, "F05": 1}
    assert world.rules() == [(3, "F01"), (4, "S01"), (5, "V10"), (6, "F05"), (7, "S01")]
    assert world.table("penalty")["source_ref"].to_list() == ["penalty.csv#2", "penalty.csv#8"]
    assert (tally.by_code, tally.by_name, tally.unmatched) == (3, 1, 2)


def test_the_run_itself_is_recorded(world: World) -> None:
    world.write("penalty.csv", penalties(row(1), row(2), row(1)))
    tally = world.run(mapping(PENALTY))["penalty"]
    (recorded,) = world.lake.scan(IMPORT_RUN).collect().to_dicts()
    assert recorded["rows_in"] == 3
    assert (recorded["accepted"], recorded["inserted"], recorded["quarantined"]) == (2, 2, 1)
    assert recorded["lake_version"] == world.lake.version("penalty")
    assert tally.files == 1


def test_two_runs_in_one_second_are_two_runs(world: World) -> None:
    world.write("penalty.csv", penalties(row(1)))
    loaded = world.mapping(mapping(PENALTY))
    for micro in (1, 2):
        import_mapping(loaded, world.lake, now=datetime(2024, 6, 1, microsecond=micro, tzinfo=UTC))
    assert world.lake.rows(IMPORT_RUN) == 2


CELL = st.sampled_from(["", "x", "2024-01-05", "2023/13/40", "１２", "<b>1</b>", A, NAMES[B], "-5"])
ROW = st.one_of(
    st.builds(row, st.integers(1, 3), st.sampled_from([A, B, "", "坏"]), st.just("2024-01-05")),
    st.lists(CELL, min_size=6, max_size=6).map(",".join),
    st.sampled_from(["", "一,二", "a,b,c,d,e,f,g", '1,"x', "沈罚9号,,,,,", ",,,,,"]),
)


@given(
    files=st.lists(st.lists(ROW, max_size=6), min_size=1, max_size=3),
    size=st.sampled_from([1, 2, 1000]),
    commit=st.sampled_from([1, 1000]),
    fold=st.booleans(),
    where=st.booleans(),
)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
def test_counts_lake_and_quarantine_agree_on_any_file(
    files: list[list[str]],
    size: int,
    commit: int,
    fold: bool,
    where: bool,
    make_world: Callable[[], World],
) -> None:
    world = make_world()
    for n, rows in enumerate(files):
        # A column of its own, since equal files have equal quarantine entries.
        world.write(
            f"penalty{n}.csv", penalties(*rows).replace("罚款金额\n", f"罚款金额\n\n{n}", 1)
        )
    extra = f"    fold: {str(fold).lower()}\n" + ("    where: 罚款金额 <> 'x'\n" if where else "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "BATCH_ROWS", size)
        patch.setattr(run, "COMMIT_ROWS", commit)
        tally = world.run(mapping(PENALTY + extra))["penalty"]
        assert tally.inserted == (world.lake.rows("penalty") if tally.inserted else 0)
        refused = world.refused()
        assert tally.quarantined == (
            refused.select("file", "line").n_unique() if refused.height else 0
        )
        assert sum(tally.rules.values()) == refused.height
        before = world.versions()
        again = world.run(mapping(PENALTY + extra))["penalty"]
    assert again.unchanged == tally.accepted
    assert again.quarantined == tally.quarantined
    assert world.versions() == before


# Again and again


def test_importing_twice_changes_nothing(world: World) -> None:
    registered(world)
    world.write("penalty.csv", penalties(row(1), row(2, day="昨天"), row(1), row(3, code="")))
    world.run(mapping(REGISTER, PENALTY))
    before = world.versions(), world.refused()
    tally = world.run(mapping(REGISTER, PENALTY))["penalty"]
    assert (tally.inserted, tally.updated, tally.unchanged) == (0, 0, 1)
    assert world.versions() == before[0]
    assert world.refused().equals(before[1])


def test_a_renamed_copy_changes_nothing(world: World) -> None:
    path = world.write("penalty.csv", penalties(row(1), row(2, day="昨天")))
    world.run(mapping(PENALTY))
    before = world.versions()
    path.rename(path.with_name("penalty_2024.csv"))
    assert world.run(mapping(PENALTY))["penalty"].unchanged == 1
    assert world.versions() == before


def test_a_corrected_row_arrives_and_its_refusal_names_it(world: World) -> None:
    world.write("penalty.csv", penalties(row(1, day="2023/13/40"), row(2)))
    world.run(mapping(PENALTY))
    (refused,) = world.refused().to_dicts()
    assert refused["target_record_id"] not in world.table("penalty")["record_id"]
    world.write("penalty.csv", penalties(row(1, day="2023-12-30"), row(2)))
    tally = world.run(mapping(PENALTY))["penalty"]
    assert (tally.inserted, tally.unchanged) == (1, 1)
    assert refused["target_record_id"] in world.table("penalty")["record_id"]
    assert world.refused().height == 1


def test_a_row_whose_subject_was_registered_later_counts_as_corrected(world: World) -> None:
    world.write("penalty.csv", penalties(f"沈罚1号,,{NAMES[A]},2024-01-05,,", row(2)))
    world.run(mapping(PENALTY))
    (refused,) = world.refused().to_dicts()
    assert (refused["rule"], refused["target_record_id"]) == ("S01", None)
    registered(world)
    assert world.run(mapping(REGISTER, PENALTY))["penalty"].inserted == 1
    (answered,) = world.refused().to_dicts()
    assert answered["target_record_id"] in world.table("penalty")["record_id"]
    assert answered | {"target_record_id": None} == refused
    before = world.versions()
    world.run(mapping(REGISTER, PENALTY))
    assert world.versions() == before


def test_another_row_at_the_same_place_answers_nothing(world: World) -> None:
    world.write("penalty.csv", penalties(f"沈罚1号,,{NAMES[A]},2024-01-05,,"))
    world.run(mapping(PENALTY))
    world.write("penalty.csv", penalties(row(9, code=B)))
    world.run(mapping(PENALTY))
    assert world.refused()["target_record_id"].to_list() == [None]


def test_a_later_report_updates_and_is_known_since_then(world: World) -> None:
    source = PENALTY.replace("{after: happened_on, days: 1}", "{from: 报送}")
    for day, fine in (("2024-01-08", 2000), ("2024-03-01", 3000)):
        world.write("penalty.csv", f"{HEAD.strip()},报送\n{row(1, fine=fine)},{day}\n")
        tally = world.run(mapping(source))["penalty"]
    assert tally.updated == 1
    (record,) = world.table("penalty").to_dicts()
    assert record["fine_amount"] == 3000
    assert record["known_at"] == datetime(2024, 2, 29, 16, tzinfo=UTC)


# Duplicates


def test_a_number_sent_twice_is_refused_in_a_file_across_files_and_batches(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "BATCH_ROWS", 2)
    world.write("penalty1.csv", penalties(row(1), row(2), row(3), row(1)))
    world.write("penalty2.csv", penalties(row(2, fine=9), row(4)))
    tally = world.run(mapping(PENALTY))["penalty"]
    assert tally.rules == {"V10": 2}
    places = world.refused().select("file", "line", "column", "target_record_id")
    assert places.select("file", "line").rows() == [("penalty1.csv", 5), ("penalty2.csv", 2)]
    assert set(places["target_record_id"]) <= set(world.table("penalty")["record_id"])
    assert world.table("penalty")["fine_amount"].to_list() == [2000] * 4


def test_the_second_counts_where_the_first_was_refused(world: World) -> None:
    world.write("penalty.csv", penalties(row(1, day="昨天"), row(1)))
    tally = world.run(mapping(PENALTY))["penalty"]
    assert (tally.rules, tally.accepted) == ({"F01": 1}, 1)


def test_sources_of_one_table_share_its_records(world: World) -> None:
    """Else each import would write the one's row and then the other's, for ever."""
    world.write("penalty.csv", penalties(row(1)))
    world.write("other.csv", penalties(row(1, fine=9), row(2)))
    other = PENALTY.replace("id: penalty", "id: other").replace("penalty*.csv", "other.csv")
    tallies = world.run(mapping(PENALTY, other))
    assert tallies["other"].rules == {"V10": 1}
    before = world.versions()
    world.run(mapping(PENALTY, other))
    assert world.versions() == before


def test_fold_keeps_the_earliest_row_of_all_files(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "BATCH_ROWS", 2)
    monkeypatch.setattr(run, "COMMIT_ROWS", 1)
    days = ["2024-03-01", "2024-02-01", "2024-04-01"]
    world.write("penalty1.csv", penalties(*(row(1, day=day) for day in days), row(2)))
    world.write("penalty2.csv", penalties(row(1, day="2024-01-09"), row(1, day="2024-05-01")))
    tally = world.run(mapping(PENALTY + "    fold: true\n"))["penalty"]
    assert (tally.collapsed, tally.accepted, tally.quarantined) == (4, 2, 0)
    days_kept = world.table("penalty")["happened_on"].to_list()
    assert sorted(days_kept) == [date(2024, 1, 5), date(2024, 1, 9)]
    before = world.versions()
    assert world.run(mapping(PENALTY + "    fold: true\n"))["penalty"].unchanged == 2
    assert world.versions() == before


def test_fill_completes_and_never_overwrites(world: World) -> None:
    registered(world)
    world.write(
        "more.csv",
        f"统一社会信用代码,企业名称,地址\n{A},沈阳改名公司,和平区一号\n{D},抚顺新公司,新抚区二号\n",
    )
    more = """
  - id: more
    target: subject
    files: [more.csv]
    known_at: {on: 2021-01-01}
    fill: true
"""
    tally = world.run(mapping(REGISTER, more))["more"]
    assert (tally.inserted, tally.updated, tally.quarantined) == (1, 1, 0)
    subjects = {s["subject_id"]: s for s in world.table("subject").to_dicts()}
    assert (subjects[A]["name"], subjects[A]["address"]) == (NAMES[A], "和平区一号")
    assert subjects[D]["name"] == "抚顺新公司"
    before = world.versions()
    world.run(mapping(REGISTER, more))
    assert world.versions() == before


# Quarantine


def test_a_refused_row_is_kept_whole_with_its_place(world: World) -> None:
    fact = "违法事实：" + "很长" * 20_000
    content = f'处罚决定书文号,统一社会信用代码,处罚决定日期,违法事实,奇怪的列\n沈罚1号,{A},2024-01-05,"甲\n乙",1\n沈罚2号,{A},昨天,"{fact}",\n'  # noqa: E501
    world.write("penalty.csv", content)
    world.run(mapping(PENALTY))
    (refused,) = world.refused().to_dicts()
    assert (refused["file"], refused["line"]) == ("penalty.csv", 4)
    assert (refused["rule"], refused["column"], refused["value"]) == ("F01", "happened_on", "昨天")
    assert json.loads(refused["raw"]) == {
        "处罚决定书文号": "沈罚2号",
        "统一社会信用代码": A,
        "处罚决定日期": "昨天",
        "违法事实": fact,
        "奇怪的列": None,
    }
    assert refused["authority"] == "沈阳市市场监督管理局"
    assert world.table("penalty")["violation_fact"].to_list() == ["甲\n乙"]


def test_a_row_that_breaks_three_rules_has_three_entries(world: World) -> None:
    world.write("penalty.csv", penalties(f"沈罚1号,{A},x,昨天,罚款,很多", f",{A},x,昨天,罚款,-1"))
    tally = world.run(mapping(PENALTY))["penalty"]
    assert world.rules() == [(2, "F01"), (2, "F02"), (3, "F01"), (3, "F04"), (3, "V01")]
    assert (tally.quarantined, tally.rows_in) == (2, 2)


def test_a_missing_number_leaves_no_id_to_wait_for(world: World) -> None:
    world.write("penalty.csv", penalties(f",{A},x,2024-01-05,,", f"沈罚2号,{A},x,昨天,,"))
    world.run(mapping(PENALTY))
    assert [t is None for t in world.refused()["target_record_id"]] == [True, False]


def test_files_of_one_name_are_told_apart_by_folder(world: World) -> None:
    for year in (2023, 2024):
        world.write(f"{year}/处罚.csv", penalties(row(year), row(f"{year}b", day="昨天")))
    world.run(mapping(PENALTY.replace("penalty*.csv", "*/处罚.csv")))
    assert world.refused()["file"].to_list() == ["2023/处罚.csv", "2024/处罚.csv"]
    assert world.table("penalty")["source_ref"].to_list() == ["2023/处罚.csv#2", "2024/处罚.csv#2"]


def test_cells_of_any_stored_type_can_be_refused(world: World) -> None:
    stamp = datetime(2024, 1, 5, tzinfo=UTC)
    frame = pl.DataFrame(
        {"文号": ["x"], "坏": ["昨天"], "t": [stamp], "l": [[1]], "s": [{"a": 1}], "b": [b"\xff"]}
    )
    frame.write_parquet(world.folder / "a.parquet")
    world.run(
        mapping(PENALTY.replace("penalty*.csv", "a.parquet") + "    columns: {happened_on: 坏}\n")
    )
    raw = json.loads(world.refused()["raw"][0])
    assert set(raw) == {"文号", "坏", "t", "l", "s", "b"}
    assert raw["l"] == [1]


def test_columns_called_like_ours_are_only_columns(world: World) -> None:
    names = ["subject_id", "record_id", "source_ref", "findings", "rule", "raw", "method", "line"]
    head = HEAD.strip() + "," + ",".join(names)
    world.write("penalty.csv", f"{head}\n{row(1)}{',x' * 8}\n{row(2, day='昨天')}{',y' * 8}\n")
    tally = world.run(mapping(PENALTY))["penalty"]
    assert (tally.accepted, tally.quarantined) == (1, 1)
    assert tally.unused == tuple(names)
    assert world.table("penalty")["subject_id"].to_list() == [A]
    assert json.loads(world.refused()["raw"][0])["record_id"] == "y"


def test_no_column_of_a_contract_is_lost_to_our_own(world: World) -> None:
    world.write(
        "inspection.csv",
        f"统一社会信用代码,检查日期,监督检查形式,检查结果\n{A},2024-01-05,双随机,pass\n",
    )
    source = PENALTY.replace("penalty*.csv", "inspection.csv").replace("penalty", "inspection")
    world.run(mapping(source))
    assert world.table("inspection")["method"].to_list() == ["双随机"]


# Files of one source


def test_files_of_one_source_may_have_other_columns(world: World) -> None:
    world.write("penalty1.csv", penalties(row(1)).replace("罚款金额\n", "CF_NR_FK\n"))
    world.write(
        "penalty2.csv",
        f"行政处罚决定书文号,统一社会信用代码,处罚决定日期,别的\n沈罚2号,{A},2024-01-05,x\n",
    )
    tally = world.run(mapping(PENALTY))["penalty"]
    assert tally.accepted == 2
    assert tally.unused == ("别的",)
    assert world.table("penalty")["fine_amount"].to_list() == [2e7, None]


def test_unused_columns_of_every_file_are_reported(world: World) -> None:
    world.write("penalty1.csv", penalties(row(1)).replace("罚款金额\n", "甲列\n"))
    world.write("penalty2.csv", penalties(row(2)).replace("罚款金额\n", "乙列\n"))
    assert world.run(mapping(PENALTY))["penalty"].unused == ("甲列", "乙列")


def test_a_missing_column_names_the_file(world: World) -> None:
    world.write("penalty1.csv", penalties(row(1)).replace("罚款金额\n", "甲列\n"))
    world.write("penalty2.csv", penalties(row(2)).replace("罚款金额\n", "乙列\n"))
    with pytest.raises(SourceError, match=r"no column '甲列' .* in penalty2.csv"):
        world.run(mapping(PENALTY + "    columns: {remark: 甲列}\n"))


def test_a_missing_file_stops_the_import_before_it_begins(world: World) -> None:
    registered(world)
    with pytest.raises(SourceError, match="no file matches 'penalty"):
        world.run(mapping(REGISTER, PENALTY))
    assert world.lake.tables() == []


@pytest.mark.parametrize("content", [HEAD, HEAD.strip()])
def test_a_file_without_rows_is_an_import_of_nothing(content: str, world: World) -> None:
    world.write("penalty.csv", content)
    tally = world.run(mapping(PENALTY))["penalty"]
    assert (tally.rows_in, tally.accepted, tally.quarantined) == (0, 0, 0)
    assert world.lake.tables() == [IMPORT_RUN]


def database(path: Path, frame: pl.DataFrame) -> None:
    columns = ", ".join(f'"{name}" TEXT' for name in frame.columns)
    places = ", ".join("?" * frame.width)
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE penalty ({columns})")
    connection.executemany(f"INSERT INTO penalty VALUES ({places})", frame.rows())  # noqa: S608
    connection.commit()
    connection.close()


def test_every_kind_of_source_gives_the_same_records(make_world: Callable[[], World]) -> None:
    rows = [row(1), row(2, day="昨天"), row(3, code=B)]
    frame = pl.read_csv(penalties(*rows).encode(), infer_schema=False)
    held: list[pl.DataFrame] = []
    for kind in ("csv", "parquet", "jsonl", "xlsx", "sql"):
        world = make_world()
        name = f"penalty.{kind}"
        given = f'files: ["{name}"]'
        match kind:
            case "csv":
                world.write(name, penalties(*rows))
            case "parquet":
                frame.write_parquet(world.folder / name)
            case "jsonl":
                frame.write_ndjson(world.folder / name)
            case "xlsx":
                frame.write_excel(world.folder / name)
            case _:
                database(world.folder / "penalty.db", frame)
                address = f"sqlite:///{world.folder}/penalty.db"
                options = json.dumps({"url": address, "query": "SELECT * FROM penalty"})
                given = f"options: {options}"
        source = PENALTY.replace('files: ["penalty*.csv"]', given)
        tally = world.run(mapping(source))["penalty"]
        assert (tally.accepted, tally.rules) == (2, {"F01": 1}), kind
        before = world.versions()
        world.run(mapping(source))
        assert world.versions() == before, kind
        refused = world.refused()
        assert json.loads(refused["raw"][0])["处罚决定日期"] == "昨天"
        held.append(world.table("penalty").drop("source_ref"))
    assert all(records.equals(held[0]) for records in held[1:])


def test_all_rows_may_be_filtered_out(world: World) -> None:
    world.write("penalty.csv", penalties(row(1), row(2)))
    tally = world.run(mapping(PENALTY + "    where: 罚款金额 = 'x'\n"))["penalty"]
    assert (tally.rows_in, tally.filtered, tally.accepted) == (2, 2, 0)


def test_another_row_of_a_database_refused_at_the_same_place_is_kept_too(world: World) -> None:
    path = world.folder / "penalty.db"
    options = json.dumps({"url": f"sqlite:///{path}", "query": "SELECT * FROM penalty"})
    source = mapping(PENALTY.replace('files: ["penalty*.csv"]', f"options: {options}"))
    for number in (1, 2):
        path.unlink(missing_ok=True)
        cells = penalties(row(number, day="昨天"), row(9)).encode()
        database(path, pl.read_csv(cells, infer_schema=False))
        world.run(source)
    kept = [json.loads(raw)["处罚决定书文号"] for raw in world.refused()["raw"]]
    assert sorted(kept) == ["沈罚1号", "沈罚2号"]
    before = world.versions()
    world.run(source)
    assert world.versions() == before
