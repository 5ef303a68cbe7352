from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import CodeError, InspectionError
from models.inspection import result_codes
from models.inspection.list_fields import ListMapping
from models.inspection.results import (
    Round,
    clocks,
    masked_name,
    publication,
    read_results,
    records,
)
from models.records.lake import Lake
from models.records.tables.supervision import INSPECTION, RESULT_CODES
from models.scenarios import scenario_named
from tests.models.inspection import listed
from tests.models.inspection.listed import DRAWN_ON, FIRM, ON, PERSON, SHOP

REPORTED = datetime(2026, 3, 20, 2, tzinfo=UTC)
GOOD = read_results(listed.results_frame(), listed.round_(), on=ON).frame


def made() -> pl.DataFrame:
    return records(GOOD, listed.round_(), reported_at=REPORTED, matters=listed.matters())


def public() -> pl.DataFrame:
    return publication(GOOD, listed.round_(), targets=listed.targets(), matters=listed.matters())


def test_the_codes_are_those_of_the_record() -> None:
    assert tuple(result_codes.codes()) == RESULT_CODES
    results = {code: entry.result for code, entry in result_codes.codes().items()}
    assert {code for code, result in results.items() if result == "excluded"} == {"IR7", "IRX"}
    assert {code for code, result in results.items() if result == "pass"} == {"IR1", "IR9"}
    assert [c for c in results if result_codes.meaning(c).positive] == [
        *("IR2", "IR3", "IR4", "IR5", "IR6", "IR8", "IR10", "IRV"),
    ]
    assert result_codes.meaning("IR7").excluded
    assert [c for c in results if result_codes.meaning(c).abnormal] == ["IR4"]
    with pytest.raises(InspectionError, match="did you mean 'IR10'"):
        result_codes.meaning("ir10")


@pytest.mark.parametrize(
    ("text", "scheme", "code"),
    [
        ("IR8", None, "IR8"),
        ("发现问题待后续处理", None, "IR8"),
        ("IR8 发现问题待后续处理", None, "IR8"),
        ("1", None, None),
        ("1", "provincial", "IR1"),
        ("6", "provincial", "IR4"),
        ("6", "earlier", "IR6"),
        ("9", "earlier", "IRX"),
        ("D", "provincial", "IRV"),
        (None, None, None),
    ],
)
def test_codes_are_read(
    text: str | None, scheme: result_codes.Scheme | None, code: str | None
) -> None:
    assert result_codes.parse(text, scheme) == code


def test_good_results_are_kept_whole() -> None:
    found = read_results(listed.results_frame(), listed.round_(), on=ON)
    assert found.faults.is_empty()
    assert found.missing.is_empty()
    assert found.frame["result_code"].to_list() == ["IR1", "IR5", "IR4", "IRX"]
    assert found.frame["inspectors"].to_list()[3] == ["i1", "i2"]


@pytest.mark.parametrize(
    ("heading", "value", "field", "rule"),
    [
        ("任务编号", "T9", "task_id", "is no task"),
        ("事项编码", "M03", "matter_id", "is no matter"),
        ("检查结果", "IR11", "result_code", "cannot be read"),
        ("检查结束日期", "2026-03-01", "ended_on", "is before the draw"),
        ("检查结束日期", "2026-11-21", "ended_on", "is after"),
        ("检查人员", "i1", "inspectors", "is no team of two"),
        ("检查人员", "i1；i1", "inspectors", "is no team of two"),
        ("检查人员", "i1；i3", "inspectors", "was not assigned"),
    ],
)
def test_a_result_that_cannot_be_is_refused_with_its_place(
    heading: str, value: str, field: str, rule: str
) -> None:
    last = [*listed.results_frame()[heading].to_list()[:3], value]
    found = read_results(listed.results_frame(**{heading: last}), listed.round_(), on=ON)
    (fault,) = found.faults.rows(named=True)
    assert (fault["row"], fault["field"]) == (5, field)
    assert fault["rule"].startswith(rule)
    assert found.frame.height == 3
    assert found.missing.rows() == [("T3", "M01")]


@pytest.mark.parametrize("day", ["2026-03-02", "2026-04-01"])
def test_a_result_of_other_days_than_the_task_is_a_fault(day: str) -> None:
    """Certificates and leave were looked at for the task's days alone."""
    given = listed.results_frame(检查结束日期=[day, "2026-03-05", "2026-03-06", "2026-03-09"])
    found = read_results(given, listed.round_(), on=ON)
    (fault,) = found.faults.to_dicts()
    assert (fault["field"], fault["row"]) == ("ended_on", 2)
    assert fault["rule"] == "is not within the days of this task, 2026-03-03 to 2026-03-31"
    assert found.frame.height == 3


def test_a_result_on_the_day_of_the_draw_is_good() -> None:
    days = [str(DRAWN_ON)] * 4
    same = replace(listed.round_(), tasks=listed.tasks().frame.with_columns(starts=DRAWN_ON))
    assert read_results(listed.results_frame(检查结束日期=days), same, on=ON).faults.is_empty()


def test_two_results_of_one_task_and_matter_are_refused_both() -> None:
    frame = listed.results_frame(事项编码=["M01", "M01", "M01", "M01"])
    found = read_results(frame, listed.round_(), on=ON)
    assert found.faults["row"].to_list() == [2, 3]
    assert found.refused == 2
    assert found.missing.rows() == [("T1", "M01"), ("T1", "M02")]


def test_a_row_on_which_nothing_was_filled_in_is_still_to_come() -> None:
    nothing = listed.results_frame(
        检查结果=["IR1", None, None, "IRX"],
        检查结束日期=["2026-03-05", "/", None, "2026-03-09"],
        发现问题=[None, "", "卫生差", None],
    )
    found = read_results(nothing, listed.round_(), on=ON)
    assert found.blank == 1
    assert set(found.faults["row"]) == {4}
    assert found.missing.rows() == [("T1", "M02"), ("T2", "M01")]


def test_own_headings_are_mapped() -> None:
    frame = listed.results_frame().rename({"检查结果": "结论"})
    mapping = ListMapping.model_validate(
        {"columns": {"result_code": {"from": "结论", "map": {"IR1": "IR8"}}}}
    )
    found = read_results(frame, listed.round_(), on=ON, mapping=mapping)
    assert found.frame["result_code"][0] == "IR8"


def test_publication_is_due_after_twenty_working_days() -> None:
    on = date(2026, 4, 2)
    told = GOOD.select("task_id", "matter_id", published_on=pl.lit(date(2026, 4, 3))).head(2)
    found = clocks(GOOD, on=on, published=told)
    # 2026-04-06 is off: 清明节 is the Sunday before.
    assert found["publish_by"].to_list() == [
        *(date(2026, 4, 2), date(2026, 4, 2), date(2026, 4, 3), date(2026, 4, 7)),
    ]
    assert found["working_days_left"].to_list() == [None, None, 1, 2]
    assert found["late"].to_list() == [True, True, False, False]
    assert clocks(GOOD, on=date(2026, 4, 7))["late"].to_list() == [True, True, True, False]
    assert clocks(GOOD, on=date(2026, 4, 7))["working_days_left"].to_list() == [-2, -2, -1, 0]


def test_a_year_without_a_calendar_is_an_error() -> None:
    late = GOOD.with_columns(ended_on=pl.lit(date(2099, 1, 5)))
    with pytest.raises(CodeError, match="2099"):
        clocks(late, on=ON)


def test_personal_data_is_not_published() -> None:
    found = public()
    assert found["subject_id"].to_list() == [FIRM, FIRM, None, None]
    assert found["subject_name"].to_list() == [
        *("沈阳某某商贸有限公司", "沈阳某某商贸有限公司", "某＊＊", "某＊＊"),
    ]
    text = found.write_csv()
    hidden = (SHOP, PERSON, "i1", "i2", "检查员", "辽00", "未按规定标示广告", "小吃店")
    assert [word for word in hidden if word in text] == []
    assert found["result"].to_list()[0] == "未发现问题"
    assert found["matter"].to_list()[1] == "广告监督检查"


@given(st.text(min_size=1))
def test_a_masked_name_shows_one_symbol_of_two_or_more(name: str) -> None:
    shown = pl.DataFrame({"name": [name]}).select(masked_name("name")).item()
    assert shown == (name[0] if len(name) > 1 else "＊") + "＊＊"


def test_results_become_records_of_the_lake(tmp_path: Path) -> None:
    found = made()
    assert found.columns == list(INSPECTION.columns)
    assert found["result"].to_list() == ["pass", "fail", "fail", "excluded"]
    assert found["draw_mode"].unique().to_list() == ["random_targeted"]
    assert found["inclusion_probability"].to_list() == [0.25, 0.25, 0.04, 1.0]
    assert found["draw_id"].unique().to_list() == ["catering_2026/Q1"]
    assert found["happened_on"].to_list()[0] == date(2026, 3, 5)
    assert found["matter"].to_list()[:2] == ["食品销售监督检查", "广告监督检查"]
    lake = Lake.open(tmp_path / "lake", buckets=2)
    assert lake.merge("inspection", found).inserted == 4
    again = lake.merge("inspection", made())
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, 4)


def test_a_scenario_of_random_inspections_observes_the_records() -> None:
    label = scenario_named("random_inspection_priority").label
    (observer,), (event,) = label.observers, label.events
    assert observer.table == event.table == INSPECTION.name
    assert observer.condition is not None
    assert event.condition is not None
    days = {"as_of": ON, "due": ON}
    seen = observer.condition.keep(made().lazy(), **days)
    found = event.condition.mark(seen, "found", **days).collect()
    assert found["found"].to_list() == [False, True, True]
    assert found["inclusion_probability"].to_list() == [0.25, 0.25, 0.04]


def test_a_corrected_result_is_the_same_record() -> None:
    corrected = GOOD.with_columns(result_code=pl.lit("IR8"), ended_on=pl.lit(date(2026, 3, 10)))
    after = records(corrected, listed.round_(), reported_at=REPORTED, matters=listed.matters())
    assert after["record_id"].to_list() == made()["record_id"].to_list()
    assert after["record_id"].n_unique() == 4


def test_results_that_are_no_records_are_refused() -> None:
    early = datetime(2026, 3, 8, tzinfo=UTC)
    with pytest.raises(InspectionError, match="1 rules are broken by the results"):
        records(GOOD, listed.round_(), reported_at=early, matters=listed.matters())
    naive = REPORTED.replace(tzinfo=None)
    with pytest.raises(InspectionError, match="no time zone"):
        records(GOOD, listed.round_(), reported_at=naive, matters=listed.matters())
    strange = GOOD.with_columns(task_id=pl.lit("T9"))
    with pytest.raises(InspectionError, match="task 'T9'"):
        records(strange, listed.round_(), reported_at=REPORTED, matters=listed.matters())
    other = GOOD.with_columns(matter_id=pl.lit("M09"))
    with pytest.raises(InspectionError, match="matter 'M09'"):
        records(other, listed.round_(), reported_at=REPORTED, matters=listed.matters())


TEAMS = listed.round_().teams
CHANCES = listed.round_().drawn


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"draw_id": ""}, "a draw has an id"),
        ({"authority": " "}, "an authority"),
        ({"mode": "complaint"}, "one of the modes"),
        ({"teams": TEAMS.head(5)}, "1 tasks have no team of 2, the first 'T3'"),
        ({"teams": pl.concat([TEAMS, listed.teams(("T4", "i1", "i2"))])}, "no task of this draw"),
        ({"drawn": CHANCES.head(2)}, "who was not drawn"),
        ({"drawn": CHANCES.with_columns(inclusion_probability=pl.lit(0.0))}, "not in"),
        ({"drawn": pl.concat([CHANCES, CHANCES])}, "more than once"),
        ({"drawn": CHANCES.with_columns(drawn=pl.lit(value=False))}, "who was not drawn"),
    ],
)
def test_a_round_of_parts_that_do_not_belong_together_is_refused(
    changed: dict[str, object], words: str
) -> None:
    parts: dict[str, object] = {
        "draw_id": "d",
        "mode": "random_untargeted",
        "drawn_on": DRAWN_ON,
        "authority": "局",
        "teams": TEAMS,
        "drawn": CHANCES,
    }
    with pytest.raises(InspectionError, match=words):
        Round.of(tasks=listed.tasks(), **(parts | changed))  # pyright: ignore[reportArgumentType]
