from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codes import calendar
from models.errors import ConfigError
from models.records.lake import Lake
from models.time import SHANGHAI
from training.quality import Quality, Scope, measure, measure_lake, met, timeliness
from training.quality.measurement import Tables
from training.quality.quality import COUNTS, Counts
from training.quality.report import render
from training.quality.timeliness import TIMELY_TABLES, bucket_title

Make = Callable[..., pl.LazyFrame]
LakeOf = Callable[[Mapping[str, pl.LazyFrame]], Tables]


def counts(quality: Quality, **where: str | None) -> Counts:
    """Return the counts of the cells that have these values."""
    cells = quality.cells.filter(*(pl.col(c).eq_missing(pl.lit(v)) for c, v in where.items()))
    return Counts(*(int(n) for n in cells.select(pl.col(c).sum() for c in COUNTS).row(0)))


@pytest.fixture
def measured(records: Make, quarantine: Make, runs: Make) -> Callable[..., Quality]:
    """Measure rows per table, with quarantined rows and runs."""

    def run(
        rows: Mapping[str, list[dict[str, Any]]],
        refused: list[dict[str, Any]] | None = None,
        made: list[dict[str, Any]] | None = None,
        scope: Scope | None = None,
        target: float = 0.99,
        timely: Sequence[str] = TIMELY_TABLES,
    ) -> Quality:
        frames = {table: records(table, found) for table, found in rows.items()}
        return measure(
            frames,
            quarantine(refused or []),
            runs(made or []),
            scope=scope,
            target=target,
            timely=timely,
        )

    return run


def test_compliance_is_accepted_by_reported(measured: Callable[..., Quality]) -> None:
    quality = measured({"penalty": [{}] * 98}, [{"line": 2}, {"line": 3}])
    totals = quality.totals
    assert (totals.accepted, totals.rejected, totals.reported) == (98, 2, 100)
    assert totals.compliance_rate == 0.98
    assert totals.missing_to(0.99) == 1
    assert not met(quality)


def test_exactly_on_the_line_is_met(measured: Callable[..., Quality]) -> None:
    assert met(measured({"penalty": [{}] * 99}, [{"line": 2}]))
    assert not met(measured({"penalty": [{}] * 98}, [{"line": 2}]))
    assert met(measured({"penalty": [{}] * 98}, [{"line": 2}], target=0.98))


@given(st.integers(0, 30), st.integers(0, 12), st.data(), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_the_rows_missing_to_a_target_are_the_fewest(
    accepted: int, rejected: int, data: st.DataObject, target: float
) -> None:
    corrected = data.draw(st.integers(0, min(accepted, rejected)))
    duplicates = data.draw(st.integers(0, rejected - corrected)) if accepted else 0
    counts = Counts(accepted, rejected, corrected, duplicates)

    def met_with(waiting: int, settled: int) -> bool:
        whole = counts.reported - settled
        return not whole or (accepted + waiting) / whole >= target

    found = counts.missing_to(target)
    fewest = min(
        waiting + settled
        for waiting in range(counts.outstanding + 1)
        for settled in range(corrected + duplicates + 1)
        if met_with(waiting, settled)
    )
    assert found == fewest


@pytest.mark.parametrize(
    ("scope", "near"),
    [
        (Scope(authorities=("大连市生态环境厅",)), "大连市生态环境局"),
        (Scope(authorities=("x",)), "there are 25, such as "),
        (Scope(regions=("210190",)), "did you mean '210100'"),
        (Scope(regions=("37",)), "210100, 210200"),
        (Scope(tables=("penalti",)), "penalty"),
    ],
)
def test_a_name_the_lake_does_not_know_is_refused(
    province: Tables, scope: Scope, near: str
) -> None:
    with pytest.raises(ConfigError, match=near):
        measure_lake(province, scope)


def test_an_empty_lake_refuses_no_name(lake_of: LakeOf) -> None:
    scope = Scope(authorities=("甲局",), regions=("210100",))
    assert measure_lake(lake_of({}), scope).totals.reported == 0


def test_a_rule_is_counted_apart_where_it_refuses_and_where_it_notes(
    measured: Callable[..., Quality],
) -> None:
    quality = measured({"penalty": [{"findings": ["V02"]}] * 2}, [{}])
    assert quality.rules.select("rule", "rows", "rejected", "noted").rows() == [("V02", 3, 1, 2)]


def test_a_row_known_only_since_its_run_is_of_no_month(
    measured: Callable[..., Quality], at: Callable[..., Any]
) -> None:
    moment = datetime(2024, 3, 5, 1, 2, 3, 456, tzinfo=UTC)
    begun = "20240305T010203.000456-abcdef01"
    refused = [
        {"raw": "2", "run_id": begun, "known_at": moment},
        {"raw": "3", "run_id": begun, "known_at": at(2024, 2, 1)},
        {"raw": "4", "run_id": "0", "known_at": moment},
        {"raw": "5", "run_id": "1", "known_at": moment},
    ]
    made = [{"started_at": moment}]
    quality = measured({}, refused, made)
    found = quality.by("month").select("month", "rejected").rows()
    assert found == [("2024-02", 1), ("2024-03", 1), (None, 2)]
    assert measured({}, refused, made, scope=Scope(since="2024-03")).totals.rejected == 1


def test_a_row_that_breaks_three_rules_is_one_rejected_row(
    measured: Callable[..., Quality],
) -> None:
    broken = [{"line": 7, "rule": rule} for rule in ("V01", "V02", "V07")]
    quality = measured({}, broken)
    assert quality.totals.rejected == 1
    assert quality.rules.select("rule", "rows").rows() == [("V01", 1), ("V02", 1), ("V07", 1)]


def test_two_columns_under_one_rule_are_one_row_of_the_rule(
    measured: Callable[..., Quality],
) -> None:
    broken = [{"rule": "V01", "column": column} for column in ("legal_basis", "valid_to")]
    quality = measured({}, broken)
    assert quality.rules["rows"].to_list() == [1]
    assert quality.places.select("column", "rows").rows() == [("legal_basis", 1), ("valid_to", 1)]


def test_a_row_reported_again_unchanged_is_not_counted_again(
    measured: Callable[..., Quality],
) -> None:
    again = [{"run_id": "1"}, {"run_id": "2"}]
    assert measured({}, again).totals.rejected == 1
    mended = [{"raw": '{"a": 1}'}, {"raw": '{"a": 2}'}]
    assert measured({}, mended).totals.rejected == 2


def test_a_newer_export_that_moves_the_lines_repeats_nothing(
    measured: Callable[..., Quality], at: Callable[..., Any]
) -> None:
    old = [
        {"line": 2, "raw": "a", "rule": "V01"},
        {"line": 2, "raw": "a", "rule": "V02"},
        {"line": 5, "raw": "b", "rule": "V10"},
        {"line": 6, "raw": "b", "rule": "V10"},
    ]
    new = [
        {**row, "line": cast("int", row["line"]) + 3, "run_id": "2", "known_at": at(2024, 4, 2)}
        for row in old
    ]
    new += [{"line": 2, "raw": "c", "rule": "V01", "run_id": "2"}]
    quality = measured({}, old + new)
    assert (quality.totals.rejected, quality.totals.duplicates) == (4, 2)
    assert quality.rules.select("rule", "month", "rows").rows() == [
        ("V01", "2024-03", 2),
        ("V02", "2024-03", 1),
        ("V10", "2024-03", 2),
    ]
    assert dict(quality.places.select("rule", "rows").iter_rows()) == {"V01": 2, "V02": 1, "V10": 2}


def test_equal_rows_of_one_file_are_rows_of_their_own(measured: Callable[..., Quality]) -> None:
    equal = [{"line": line, "rule": rule} for line in (2, 3, 4) for rule in ("V01", "V02")]
    assert measured({}, equal).totals.rejected == 3


def test_the_same_line_of_two_files_is_two_rows(measured: Callable[..., Quality]) -> None:
    assert measured({}, [{"file": "a.csv"}, {"file": "b.csv"}]).totals.rejected == 2


def test_months_end_at_midnight_in_shanghai(
    measured: Callable[..., Quality], at: Callable[..., Any]
) -> None:
    last, first = at(2024, 3, 31, 23, 59), at(2024, 4, 1, 0, 0)
    quality = measured(
        {"penalty": [{"known_at": last}, {"known_at": first}]},
        [{"line": 2, "known_at": last}, {"line": 3, "known_at": first}],
    )
    for month in ("2024-03", "2024-04"):
        found = counts(quality, month=month)
        assert (found.accepted, found.rejected) == (1, 1)


def test_cells_are_by_table_month_authority_and_region(measured: Callable[..., Quality]) -> None:
    quality = measured(
        {
            "penalty": [{}, {"authority": "乙局"}, {"region": "210200"}, {"authority": None}],
            "licence": [{}],
        },
        [{"authority": "乙局", "region": None}],
    )
    assert quality.cells.select("table", "authority", "region", "accepted", "rejected").rows() == [
        ("licence", "甲局", "210100", 1, 0),
        ("penalty", "乙局", "210100", 1, 0),
        ("penalty", "乙局", None, 0, 1),
        ("penalty", "甲局", "210100", 1, 0),
        ("penalty", "甲局", "210200", 1, 0),
        ("penalty", None, "210100", 1, 0),
    ]


def test_a_rejected_row_whose_record_came_later_is_corrected(
    measured: Callable[..., Quality],
) -> None:
    here, missing = "a" * 32, "b" * 32
    totals = measured(
        {"penalty": [{"record_id": here}]},
        [
            {"line": 2, "target_record_id": here},
            {"line": 3, "target_record_id": missing},
            {"line": 4, "target_record_id": None},
        ],
    ).totals
    assert (totals.rejected, totals.corrected, totals.outstanding) == (3, 1, 2)
    assert totals.compliance_rate == 0.25
    assert totals.compliance_after_correction == pytest.approx(1 / 3)


def test_a_duplicate_is_never_corrected(measured: Callable[..., Quality]) -> None:
    here = "a" * 32
    totals = measured(
        {"penalty": [{"record_id": here}]},
        [
            {"line": 2, "rule": "V10", "target_record_id": here},
            {"line": 3, "rule": "V10", "target_record_id": here},
            {"line": 3, "rule": "V01", "target_record_id": here},
        ],
    ).totals
    assert (totals.duplicates, totals.corrected, totals.outstanding) == (2, 0, 0)
    assert totals.duplicate_rate == pytest.approx(2 / 3)


def test_a_correction_counts_in_the_rows_own_month_and_from_outside_the_scope(
    measured: Callable[..., Quality], at: Callable[..., Any]
) -> None:
    here = "a" * 32
    quality = measured(
        {"penalty": [{"record_id": here, "known_at": at(2024, 5, 1)}]},
        [{"target_record_id": here, "known_at": at(2024, 3, 5)}],
        scope=Scope(until="2024-03"),
    )
    assert (quality.totals.accepted, quality.totals.corrected) == (0, 1)


def test_a_record_of_another_table_corrects_nothing(measured: Callable[..., Quality]) -> None:
    here = "a" * 32
    quality = measured({"licence": [{"record_id": here}]}, [{"target_record_id": here}])
    assert quality.totals.corrected == 0


# 2024: Labour Day 1 to 5 May is off, 28 April and 11 May (weekend days) are worked.
@pytest.mark.parametrize(
    ("decided", "reported", "late"),
    [
        (date(2024, 3, 1), date(2024, 3, 12), 0),  # Fri; 7th working day
        (date(2024, 3, 1), date(2024, 3, 13), 1),  # 8th
        (date(2024, 4, 26), date(2024, 5, 9), 0),  # Fri; 28 to 30 April and 6 to 9 May are 7
        (date(2024, 4, 26), date(2024, 5, 10), 1),
        (date(2024, 4, 29), date(2024, 5, 11), 0),  # Mon; 30 April and 6 to 11 May are 7
        (date(2024, 4, 29), date(2024, 5, 13), 1),
    ],
)
def test_late_from_the_eighth_working_day(
    decided: date,
    reported: date,
    late: int,
    measured: Callable[..., Quality],
    at: Callable[..., Any],
) -> None:
    known = at(reported.year, reported.month, reported.day, 23, 59)
    totals = measured({"penalty": [{"happened_on": decided, "known_at": known}]}).totals
    assert (totals.timed, totals.late) == (1, late)
    assert totals.late_rate == late
    assert totals.timely_rate == 1 - late


def test_one_minute_after_the_last_day_is_late(
    measured: Callable[..., Quality], at: Callable[..., Any]
) -> None:
    row = {"happened_on": date(2024, 3, 1), "known_at": at(2024, 3, 13, 0, 0)}
    assert measured({"licence": [row]}).totals.late == 1


@pytest.mark.parametrize(
    ("decided", "last", "reported"),
    [
        (date(2024, 3, 6), date(2024, 3, 15), (2024, 3, 16, 9)),  # Saturday after a Friday
        (date(2024, 9, 27), date(2024, 10, 12), (2024, 10, 13, 12)),  # Sunday, 12 October is worked
    ],
)
def test_the_weekend_after_the_seventh_working_day_is_late(
    decided: date,
    last: date,
    reported: tuple[int, ...],
    measured: Callable[..., Quality],
    at: Callable[..., Any],
) -> None:
    assert calendar.deadline(decided) == last
    punctual = {"happened_on": decided, "known_at": at(last.year, last.month, last.day, 23, 59)}
    quality = measured({"penalty": [punctual, {"happened_on": decided, "known_at": at(*reported)}]})
    assert (quality.totals.timed, quality.totals.late) == (2, 1)
    assert [bucket_title(b) for b in quality.delays["bucket"]] == ["7", "8–10"]


@given(st.dates(date(2023, 1, 1), date(2023, 11, 30)), st.integers(0, 30))
def test_late_is_after_the_deadline_on_any_day(decided: date, after: int) -> None:
    known = decided + timedelta(days=after)
    noon = datetime.combine(known, time(12), tzinfo=SHANGHAI).astimezone(UTC)
    frame = pl.LazyFrame(
        {"happened_on": [decided], "known_at": [noon], "known_assumed": [False]}
    ).with_columns(findings=pl.lit(None, pl.List(pl.String)))
    counted = timeliness.with_days(frame).select(**timeliness.counts()).collect()
    assert counted["late"].item() == (known > calendar.deadline(decided))


@pytest.mark.parametrize("sentinel", [-(10**17), -62_135_596_800_001_000, 253_402_300_800_000_000])
def test_a_time_that_cannot_be_is_unknown(
    sentinel: int, records: Make, quarantine: Make, runs: Make, at: Callable[..., Any]
) -> None:
    impossible = pl.lit(sentinel).cast(pl.Datetime("us", "UTC"))
    here = pl.col("region") == "110101"
    unlikely = pl.when(here).then(impossible).otherwise("known_at").alias("known_at")
    rows = [{"findings": ["V08"], "region": "110101"}, {"known_at": at(2024, 3, 5)}]
    broken = [{"region": "110101", "line": 2}, {"line": 3}]
    quality = measure(
        {"penalty": records("penalty", rows).with_columns(unlikely)},
        quarantine(broken).with_columns(
            unlikely, happened_on=pl.lit(2_932_897, pl.Int32).cast(pl.Date)
        ),
        runs([]),
    )
    found = quality.by("month").select("month", "accepted", "rejected", "timed", "uncalendared")
    assert found.rows() == [("2024-03", 1, 1, 1, 0), (None, 1, 1, 0, 1)]
    assert {sample.rule for sample in quality.samples} == {"V02", "V08"}
    assert "（月份不明）" in render(quality)
    assert quality.to_json()


def test_what_became_known_at_an_unknown_time_is_in_no_range(
    measured: Callable[..., Quality],
) -> None:
    rows = [
        {"known_at": datetime(9999, 1, 1, tzinfo=UTC)},
        {"known_at": datetime(2, 1, 1, tzinfo=UTC)},
    ]
    for scope in (Scope(since="1999-01"), Scope(until="2025-01")):
        assert measured({"penalty": rows}, scope=scope).totals.accepted == 0
    assert measured({"penalty": rows}).totals.accepted == 2


def test_every_decision_is_timed_or_says_why_not(
    measured: Callable[..., Quality], at: Callable[..., Any]
) -> None:
    long_ago = {"happened_on": date(1999, 3, 1), "known_at": at(2024, 3, 5)}
    rows = [
        {},
        {"known_assumed": True},
        {**long_ago},
        {**long_ago, "known_assumed": True},
        {"findings": ["V12"]},
        {"findings": ["V12"], "known_assumed": True},
    ]
    totals = measured({"penalty": rows}).totals
    assert (totals.timed, totals.assumed, totals.uncalendared, totals.exempt) == (1, 2, 1, 2)
    assert totals.late == 0


def test_tables_that_need_not_be_public_are_not_timed(measured: Callable[..., Quality]) -> None:
    quality = measured({"inspection": [{"result": "pass"}]})
    assert quality.totals.timed == 0
    assert quality.totals.timely_rate is None
    assert quality.delays.is_empty()


def test_other_tables_can_be_timed(measured: Callable[..., Quality]) -> None:
    quality = measured({"inspection": [{"result": "pass"}]}, timely=["inspection"])
    assert quality.totals.timed == 1


def test_delays_are_counted_in_buckets(
    measured: Callable[..., Quality], at: Callable[..., Any]
) -> None:
    same_day = {"happened_on": date(2024, 3, 5)}
    long_after = {"happened_on": date(2024, 3, 5), "known_at": at(2024, 12, 2)}
    quality = measured({"penalty": [same_day, same_day, long_after]})
    assert quality.delays.select("bucket", "rows").rows() == [(0, 2), (12, 1)]
    assert int(quality.delays["rows"].sum()) == quality.totals.timed


def test_completeness_is_over_what_is_reported(measured: Callable[..., Quality]) -> None:
    rows = [{"legal_basis": "《安全生产法》第九条"}, {"severity": "minor"}]
    quality = measured({"penalty": rows})
    shares = {
        column: (filled, required) for _, column, _, filled, required in quality.columns.iter_rows()
    }
    assert shares["legal_basis"] == (1, True)
    assert shares["fine_amount"] == (0, False)
    assert shares["authority"] == (2, True)
    # what the import writes, what the platform judges, what only an outcome fills
    assert not {"record_id", "findings", "void_from", "severity", "corrected"} & set(shares)
    assert quality.totals.filled == sum(filled for filled, _ in shares.values())
    assert quality.totals.fields == 2 * len(shares)


def test_a_column_the_stored_table_lacks_counts_as_empty(
    records: Make, quarantine: Make, runs: Make
) -> None:
    frame = records("penalty", [{}]).drop("remark")
    quality = measure({"penalty": frame}, quarantine([]), runs([]))
    remark = quality.columns.filter(pl.col("column") == "remark")
    assert remark.select("records", "filled").row(0) == (1, 0)


def test_findings_are_counted_by_rule_and_cell(measured: Callable[..., Quality]) -> None:
    rows = [{"findings": ["V08", "V11"]}, {"findings": ["V11"], "authority": "乙局"}, {}]
    quality = measured({"penalty": rows})
    assert quality.rules.select("rule", "authority", "rows").rows() == [
        ("V08", "甲局", 1),
        ("V11", "乙局", 1),
        ("V11", "甲局", 1),
    ]
    assert quality.totals.rejected == 0


def test_matching_is_of_each_sources_newest_run(
    measured: Callable[..., Quality], at: Callable[..., Any]
) -> None:
    made = [
        {"by_code": 5, "unmatched": 3, "started_at": at(2024, 3, 1)},
        {"by_code": 6, "by_name": 2, "unmatched": 0, "started_at": at(2024, 3, 2)},
        {"source": "licence", "table": "licence", "by_code": 9},
    ]
    quality = measured({}, [], made)
    assert quality.runs.height == 3
    matching = quality.matching.select("source", "by_code", "by_name", "unmatched")
    assert matching.rows() == [("licence", 9, 0, 0), ("penalty", 6, 2, 0)]


def test_the_worst_authority_is_the_surely_worst(measured: Callable[..., Quality]) -> None:
    rows = [{"authority": "大局"}] * 70 + [{"authority": "小局"}]
    refused = [{"authority": "大局", "line": n} for n in range(30)]
    refused += [{"authority": "小局", "line": 99}]
    worst = measured({"penalty": rows}, refused).worst()
    assert worst["authority"].to_list() == ["大局", "小局"]
    assert worst["compliance_rate"].to_list() == [0.7, 0.5]


def test_an_authority_more_than_half_late_is_named(
    measured: Callable[..., Quality], at: Callable[..., Any]
) -> None:
    late = {"known_at": at(2024, 6, 3)}
    rows = [{**late}, {**late}, {}, {**late, "authority": "乙局"}, {"authority": "乙局"}]
    refused = [{"line": 2}, {"line": 3, "authority": "乙局"}]
    named = measured({"penalty": rows}, refused).worst().select("authority", "named")
    assert dict(named.iter_rows()) == {"甲局": True, "乙局": False}


@pytest.mark.parametrize(
    ("scope", "accepted", "rejected"),
    [
        (Scope(), 5, 3),
        (Scope(tables=("licence",)), 1, 0),
        (Scope(authorities=("乙局",)), 1, 1),
        (Scope(regions=("210200",)), 1, 1),
        (Scope(regions=("210000",)), 4, 3),
        (Scope(regions=("11", "2102")), 2, 1),
        (Scope(since="2024-04"), 1, 0),
        (Scope(until="2024-03"), 4, 3),
        (Scope(since="2024-03", until="2024-04", authorities=("甲局",), tables=("penalty",)), 3, 2),
    ],
)
def test_scope(
    scope: Scope,
    accepted: int,
    rejected: int,
    measured: Callable[..., Quality],
    at: Callable[..., Any],
) -> None:
    quality = measured(
        {
            "penalty": [
                {},
                {"authority": "乙局"},
                {"region": "210203"},
                {"region": "110101", "known_at": at(2024, 4, 1, 0)},
            ],
            "licence": [{}],
        },
        [{"line": 2}, {"line": 3, "authority": "乙局"}, {"line": 4, "region": "210200"}],
        scope=scope,
    )
    assert (quality.totals.accepted, quality.totals.rejected) == (accepted, rejected)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"since": "2024-13"}, "2024-13"),
        ({"until": "2024"}, "2024-01"),
        ({"since": "0000-01"}, "1900 to 2199"),
        ({"since": "0001-01"}, "1900 to 2199"),
        ({"until": "9999-12"}, "1900 to 2199"),
        ({"since": "2024-05", "until": "2024-04"}, "swap"),
        ({"regions": ("沈阳",)}, "210100"),
    ],
)
def test_a_wrong_scope_says_what_is_wrong(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Scope(**wrong)


def test_an_unknown_table_is_an_error_with_the_nearest_name(lake_of: LakeOf) -> None:
    with pytest.raises(ConfigError, match="penalty"):
        measure_lake(lake_of({}), Scope(tables=("penality",)))


def test_an_empty_lake_is_measured_and_not_met(lake_of: LakeOf) -> None:
    quality = measure_lake(lake_of({}))
    assert quality.totals == Counts()
    assert quality.totals.compliance_rate is None
    assert quality.totals.missing_to(0.99) == 0
    assert not met(quality)
    assert quality.by("month").is_empty()
    assert quality.worst().is_empty()


def test_a_lake_without_quarantine_or_runs(lake_of: LakeOf, records: Make) -> None:
    quality = measure_lake(lake_of({"penalty": records("penalty", [{}, {}])}))
    assert quality.totals.compliance_rate == 1.0
    assert met(quality)


def test_tables_that_are_no_records_are_left_out(lake_of: LakeOf, records: Make) -> None:
    other = pl.LazyFrame({"version": [1]})
    quality = measure_lake(lake_of({"penalty": records("penalty", [{}]), "promotion": other}))
    assert quality.totals.accepted == 1


def test_a_table_without_contract_is_measured(lake_of: LakeOf, records: Make) -> None:
    frame = records("pledge", [{"kind": "信用修复"}]).rename({"kind": "sort"})
    quality = measure_lake(lake_of({"own": frame}))
    assert quality.totals.accepted == 1
    assert "sort" in quality.columns["column"].to_list()


def test_a_real_lake(tmp_path: Path, province: Tables) -> None:
    lake = Lake.open(str(tmp_path / "lake"))
    for table in province.tables():
        lake.merge(table, province.scan(table).collect())
    assert measure_lake(lake).to_json() == measure_lake(province).to_json()


def test_cells_add_up_to_every_other_view(province: Tables) -> None:
    quality = measure_lake(province)
    for dimension in ("table", "month", "authority", "region"):
        view = quality.by(dimension)
        assert int(view["reported"].sum()) == quality.totals.reported
    columns = quality.columns
    assert int(columns["filled"].sum()) == quality.totals.filled
    assert int(columns["records"].sum()) == quality.totals.fields
    assert int(quality.delays["rows"].sum()) == quality.totals.timed


@given(st.tuples(*[st.integers(0, 10**6)] * 4), st.floats(0.01, 1))
def test_missing_to_is_the_least_that_meets_the_target(
    numbers: tuple[int, int, int, int], target: float
) -> None:
    found = Counts(accepted=numbers[0], rejected=numbers[1], timed=numbers[2])
    missing = found.missing_to(target)
    reported = found.reported
    assert found.accepted + missing >= target * reported - 1e-6
    if missing:
        assert found.accepted + missing - 1 < target * reported
