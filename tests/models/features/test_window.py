"""What the window family promises whoever declares and builds it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from models.errors import ConfigError, RecordError
from models.features.window import Category, WindowSpec, build_windows
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.records.reading import LakeRecords, MemoryRecords, Records
from models.time import Span

TODAY = date(2026, 5, 20)
SPEC = WindowSpec(
    table="inspection",
    windows=(30, 365),
    measures=("amount",),
    categories=(Category("result", ("pass", "fail")), Category("matter")),
    trends=((30, 365),),
)
SCHEMA = {
    "record_id": pl.String(),
    "subject_id": pl.String(),
    "happened_on": pl.Date(),
    "known_at": pl.Datetime("us", "UTC"),
    "void_from": pl.Date(),
    "void_reason": pl.String(),
    "result": pl.String(),
    "matter": pl.String(),
    "amount": pl.Float64(),
}


def event(days_ago: int, subject: str = "甲", **values: object) -> dict[str, object]:
    happened = TODAY - timedelta(days=days_ago)
    known = datetime.combine(happened, datetime.min.time(), UTC)
    return {"subject_id": subject, "happened_on": happened, "known_at": known} | values


def table(*events: dict[str, object]) -> pl.DataFrame:
    numbered = [
        {**dict.fromkeys(SCHEMA), "record_id": f"{n:032x}", **row} for n, row in enumerate(events)
    ]
    return pl.DataFrame(numbered, schema=SCHEMA, orient="row")


def built(
    events: pl.DataFrame,
    *,
    subjects: list[str] | None = None,
    dates: list[date] | None = None,
    spec: WindowSpec = SPEC,
) -> pl.DataFrame:
    wanted = pl.Series(subjects or ["甲"], dtype=pl.String)
    return build_windows(events, spec, subjects=wanted, dates=dates or [TODAY])


def row(events: pl.DataFrame, *, spec: WindowSpec = SPEC, on: date = TODAY) -> dict[str, object]:
    return built(events, dates=[on], spec=spec).row(0, named=True)


def test_a_subject_in_numbers() -> None:
    found = row(
        table(
            event(1, result="fail", matter="消防", amount=100.0),
            event(20, result="pass", matter="食品", amount=0.5),
            event(20, result="fail", matter="消防"),
            event(300, result="excluded", matter="广告", amount=7.0),
            event(366, result="fail", matter="特种设备", amount=9_000.0),
        )
    )
    assert found == {
        "subject_id": "甲",
        "as_of": TODAY,
        "inspection_count_30d": 3,
        "inspection_count_365d": 4,
        "inspection_amount_sum_30d": 100.5,
        "inspection_amount_sum_365d": 107.5,
        "inspection_result_pass_count_30d": 1,
        "inspection_result_fail_count_30d": 2,
        "inspection_result_pass_count_365d": 1,
        "inspection_result_fail_count_365d": 2,
        "inspection_result_distinct_30d": 2,
        "inspection_result_distinct_365d": 3,
        "inspection_matter_distinct_30d": 2,
        "inspection_matter_distinct_365d": 3,
        "inspection_recency": 1,
        "inspection_trend_30d_365d": 3 * 365 / (4 * 30),
        "inspection_amount_max_30d": 100,
        "inspection_amount_max_365d": 100,
        "inspection_result_pass_share_30d": 1 / 3,
        "inspection_result_fail_share_30d": 2 / 3,
        "inspection_result_pass_share_365d": 0.25,
        "inspection_result_fail_share_365d": 0.5,
    }


def test_the_columns_are_as_declared() -> None:
    frame = built(table(event(3)))
    names = [feature.name for feature in SPEC.features]
    expect = {"subject_id": pl.String(), "as_of": pl.Date()} | dict.fromkeys(names, pl.Float64())
    assert dict(frame.schema) == expect
    shares = [f for f in SPEC.features if f.stat == "share" and f.level == "fail"]
    assert [(f.column, f.days, f.name) for f in shares] == [
        ("result", 30, "inspection_result_fail_share_30d"),
        ("result", 365, "inspection_result_fail_share_365d"),
    ]


def test_a_window_holds_its_first_day_and_not_the_day_of_view() -> None:
    found = row(table(event(0), event(30), event(31), event(365), event(366)))
    assert found["inspection_count_30d"] == 1
    assert found["inspection_count_365d"] == 3
    assert found["inspection_recency"] == 30


def test_recency_looks_further_back_than_every_window() -> None:
    found = row(table(event(5_000, amount=3.0)))
    assert found["inspection_recency"] == 5_000
    assert found["inspection_count_365d"] == 0
    assert found["inspection_trend_30d_365d"] is None


@pytest.mark.parametrize(
    "events",
    [
        pl.DataFrame(),
        table(),
        table(event(3, "乙"), event(4, "丙")),
        table(event(-3), event(0)),
        table(event(3, void_from=TODAY + timedelta(days=9), void_reason="annulled")),
    ],
    ids=["no columns", "no rows", "others' rows", "rows to come", "annulled rows"],
)
def test_a_subject_without_records_is_a_row_of_zeros_and_nulls(events: pl.DataFrame) -> None:
    found = row(events)
    for feature in SPEC.features:
        zero = 0 if feature.stat in {"count", "sum", "distinct"} else None
        assert found[feature.name] == zero, feature.name


def test_rows_go_by_date_then_by_subject_in_the_order_given() -> None:
    dates = [TODAY, TODAY - timedelta(days=40), TODAY - timedelta(days=2)]
    frame = built(
        table(event(3, "乙"), event(41, "丙"), event(1, "丙")),
        subjects=["丙", "甲", "乙"],
        dates=dates,
    )
    assert frame["as_of"].to_list() == [on for on in dates for _ in range(3)]
    assert frame["subject_id"].to_list() == ["丙", "甲", "乙"] * 3
    assert frame["inspection_count_30d"].to_list() == [1, 0, 1, 1, 0, 0, 0, 0, 1]


def test_no_subjects_and_no_dates_are_no_rows() -> None:
    none = pl.Series([], dtype=pl.String)
    for subjects, dates in ((none, [TODAY]), (pl.Series(["甲"]), list[date]())):
        frame = build_windows(table(event(1)), SPEC, subjects=subjects, dates=dates)
        assert frame.schema == built(table(event(1))).schema
        assert frame.is_empty()


def test_a_record_counts_until_it_is_voided() -> None:
    events = table(event(10, void_from=TODAY, void_reason="repaired", amount=5.0), event(9))
    before, after = TODAY - timedelta(days=1), TODAY
    counts = built(events, dates=[before, after])["inspection_count_30d"].to_list()
    assert counts == [2, 1]
    assert row(events, on=before)["inspection_amount_sum_30d"] == 5.0


@pytest.mark.parametrize(("micros", "counts"), [(-1, 1), (0, 0)])
def test_a_record_is_known_until_midnight_in_shanghai(micros: int, counts: int) -> None:
    midnight = datetime(TODAY.year, TODAY.month, TODAY.day, 16, tzinfo=UTC)
    events = table(event(5, known_at=midnight + timedelta(microseconds=micros)))
    assert row(events)["inspection_count_30d"] == counts


def test_publicity_ends_inside_the_pass() -> None:
    penalties = table(event(300), event(80)).with_columns(
        severity=pl.Series(["general", "general"]),
        published=pl.lit(value=True),
        max_months=pl.Series([None, 2], dtype=pl.Int32),
        restrict_until=pl.lit(None, pl.Date),
        corrected=pl.lit(None, pl.Boolean),
    )
    dates = [TODAY - timedelta(days=20), TODAY - timedelta(days=18), TODAY]
    counts = built(penalties, dates=dates)["inspection_count_365d"].to_list()
    assert counts == [2, 1, 1]


def test_a_list_counts_each_level_once_a_record() -> None:
    spec = WindowSpec("penalty", (30,), categories=(Category("kinds", ("01", "03")),))
    kinds = [["01", "01", "03"], ["03"], [], None, ["99", None]]
    events = table(*(event(2) for _ in kinds)).with_columns(
        kinds=pl.Series(kinds, dtype=pl.List(pl.String()))
    )
    found = row(events, spec=spec)
    assert found["penalty_kinds_01_count_30d"] == 1
    assert found["penalty_kinds_03_count_30d"] == 2
    assert found["penalty_kinds_distinct_30d"] == 3
    assert found["penalty_kinds_03_share_30d"] == 2 / 5


@pytest.mark.parametrize("levels", [(), ("m0", "m499")])
def test_many_distinct_values_are_counted_exactly(levels: tuple[str, ...]) -> None:
    spec = WindowSpec("complaint", (30, 365), categories=(Category("matter", levels),))
    events = table(*(event(1 + n % 360, matter=f"m{n % 500}") for n in range(3_000)))
    found = row(events, spec=spec)
    near = events.filter(pl.col("happened_on") >= TODAY - timedelta(days=30))
    assert found["complaint_matter_distinct_30d"] == near["matter"].n_unique()
    assert found["complaint_matter_distinct_365d"] == 500
    for level in levels:
        assert found[f"complaint_matter_{level}_count_365d"] == 6


def test_thousands_of_records_of_one_day_add_up_alike_in_any_order() -> None:
    rng = np.random.default_rng(3)
    events = table(*(event(4, amount=float(a)) for a in rng.normal(0, 1e6, 5_000)))
    found = built(events)
    for seed in range(3):
        assert built(events.sample(fraction=1, shuffle=True, seed=seed)).equals(found)


def test_threads_do_not_disturb_each_other() -> None:
    parts = [
        table(*(event(1 + n % 300, matter=f"{n % 70}", amount=n / 7) for n in range(start, 2_000)))
        for start in range(8)
    ]
    alone = [built(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(built, parts * 4))
    assert all(a.equals(b) for a, b in zip(alone * 4, together, strict=True))


def test_one_call_does_not_change_what_another_gave() -> None:
    found = built(table(*(event(n, amount=n / 3, result="fail") for n in range(1, 90))))
    kept = found.clone().to_dict(as_series=False)
    built(table(*(event(n, amount=-1.0, result="pass") for n in range(1, 200))))
    assert found.to_dict(as_series=False) == kept


def test_a_lake_a_bucket_and_a_subject_in_memory_are_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    subjects = [f"91210000MA{n:08d}" for n in range(300)]
    lake = Lake.open(tmp_path / "lake", buckets=3)
    for batch in range(3):  # three files a bucket: sorted each, not together
        rows = [
            event(
                int(rng.integers(0, 800)),
                str(rng.choice(subjects)),
                record_id=f"{batch * 1_000 + n:032x}",
                result=str(rng.choice(["pass", "fail", "excluded"])),
                matter=f"m{rng.integers(0, 90)}",
                amount=float(rng.normal()),
            )
            for n in range(1_000)
        ]
        lake.merge("inspection", table(*rows))
    dates = [TODAY, TODAY - timedelta(days=100)]
    whole = from_records(LakeRecords(lake), subjects, dates)
    parts = [from_records(LakeRecords(lake, bucket=b), subjects, dates) for b in range(3)]
    some = pl.any_horizontal(pl.col("inspection_recency").is_not_null())
    key = ["as_of", "subject_id"]
    assert_frame_equal(
        pl.concat(part.filter(some) for part in parts).sort(key),
        whole.filter(some).sort(key),
        check_exact=True,
    )
    for subject in subjects[::37]:
        own = MemoryRecords({"inspection": lake.subject("inspection", subject)})
        alone = from_records(own, [subject], dates)
        assert alone.equals(whole.filter(pl.col("subject_id") == subject))


def from_records(records: Records, subjects: list[str], dates: list[date]) -> pl.DataFrame:
    columns = SPEC.reads(records.columns("inspection"))
    return built(records.frame("inspection", columns).collect(), subjects=subjects, dates=dates)


def test_a_repeated_record_is_refused() -> None:
    events = table(event(1), event(2))
    with pytest.raises(RecordError, match=r"record 0+1 of inspection occurs more than once"):
        built(pl.concat([events, events[1:]]))
    # the lake keeps ids unique, so they need not be read
    assert built(events.drop("record_id")).equals(built(events))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.col("happened_on").cast(pl.Datetime("us")), "inspection.happened_on is Datetime"),
        (pl.col("known_at").dt.replace_time_zone(None), "inspection.known_at is Datetime"),
        (pl.col("subject_id").cast(pl.Categorical()), "inspection.subject_id is Categorical"),
        (pl.lit("多").alias("amount"), "inspection.amount is String; a measure is a number"),
    ],
)
def test_columns_of_a_wrong_type_are_refused(change: pl.Expr, message: str) -> None:
    with pytest.raises(RecordError, match=re.escape(message)):
        built(table(event(1)).with_columns(change))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(RecordError, match=r"no column 'matter'.*read all of subject_id"):
        built(table(event(1)).drop("matter"))


@pytest.mark.parametrize("subjects", [["甲", "甲"], ["甲", None], [1, 2]])
def test_subjects_are_unique_texts(subjects: list[object]) -> None:
    with pytest.raises(RecordError, match="give"):
        build_windows(table(event(1)), SPEC, subjects=pl.Series(subjects), dates=[TODAY])


def test_a_date_is_given_once() -> None:
    with pytest.raises(ConfigError, match="2026-05-20 is given twice"):
        built(table(event(1)), dates=[TODAY, TODAY])


def test_numbers_of_any_type_are_measures() -> None:
    for dtype in (pl.Int32(), pl.Int64(), pl.Float32(), pl.Decimal(12, 2)):
        events = table(event(1, amount=3.0)).with_columns(pl.col("amount").cast(dtype))
        assert row(events)["inspection_amount_sum_30d"] == 3.0
    nothing = table(event(1)).with_columns(pl.lit(None).alias("amount"))
    assert row(nothing)["inspection_amount_max_30d"] is None


@pytest.mark.parametrize(
    ("windows", "trends", "message"),
    [
        ((), (), "give each once, shortest first"),
        ((30, 7), (), "give each once, shortest first"),
        ((7, 7), (), "give each once, shortest first"),
        ((0, 7), (), "at least 1"),
        ((7, 30), ((7, 90),), "trend 7d over 90d of t: give a short and a longer window"),
        ((7, 30), ((30, 7),), "out of 7d, 30d"),
    ],
)
def test_windows_that_cannot_be_meant_are_refused(
    windows: tuple[int, ...], trends: tuple[tuple[int, int], ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        WindowSpec("t", windows, trends=trends)


def test_features_have_one_name_each() -> None:
    with pytest.raises(ConfigError, match="have one name, such as 't_kind_a_count_7d'"):
        WindowSpec("t", (7,), categories=(Category("kind", ("a", "a")),))


def test_a_contract_gives_its_measures_and_categories() -> None:
    spec = WindowSpec.of(
        CONTRACTS["penalty"],
        windows=[Span(90), Span(365)],
        levels={"penalty_kinds": ["03", "08"]},
        trends=[(Span(90), Span(365))],
    )
    assert spec == WindowSpec(
        table="penalty",
        windows=(90, 365),
        measures=("fine_amount", "confiscated_amount"),
        categories=(
            Category("penalty_kinds", ("03", "08")),
            Category("severity"),
            Category("procedure"),
            Category("violation_type"),
        ),
        trends=((90, 365),),
    )
    narrow = WindowSpec.of(CONTRACTS["penalty"], windows=[Span(90)], columns=["fine_amount"])
    assert narrow == WindowSpec("penalty", (90,), measures=("fine_amount",))


def test_what_is_written_after_the_outcome_is_no_feature() -> None:
    pledge = CONTRACTS["pledge"]
    spec = WindowSpec.of(pledge, windows=[Span(90)])
    assert [category.column for category in spec.categories] == ["kind"]
    for asked in ({"columns": ["fulfilment"]}, {"levels": {"fulfilment": ["breached"]}}):
        with pytest.raises(ConfigError, match=r"pledge\.fulfilment is written after the outcome"):
            WindowSpec.of(pledge, windows=[Span(90)], **asked)  # pyright: ignore[reportArgumentType]


def test_a_column_that_is_no_feature_is_named_with_the_nearest() -> None:
    penalty = CONTRACTS["penalty"]
    with pytest.raises(ConfigError, match="'fine_amont'; did you mean 'fine_amount'"):
        WindowSpec.of(penalty, windows=[Span(90)], columns=["fine_amont"])
    with pytest.raises(ConfigError, match="fine_amount is a measure; only a category has levels"):
        WindowSpec.of(penalty, windows=[Span(90)], levels={"fine_amount": ["1"]})


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_every_contract_builds(name: str) -> None:
    contract = CONTRACTS[name]
    spec = WindowSpec.of(contract, windows=[Span(30), Span(365)])
    empty = pl.DataFrame(schema=contract.dtypes)
    columns = spec.reads(contract.columns)
    assert set(columns) <= set(contract.columns)
    one = pl.DataFrame(
        {
            **{column: [None] for column in columns},
            "subject_id": ["甲"],
            "happened_on": [TODAY - timedelta(days=3)],
            "known_at": [datetime(2026, 5, 18, tzinfo=UTC)],
        },
        schema={column: contract.dtypes[column] for column in columns},
    )
    assert row(empty, spec=spec)[f"{name}_count_30d"] == 0
    assert row(one, spec=spec)[f"{name}_count_30d"] == 1


def test_the_counting_rule_reads_all_its_columns() -> None:
    columns = WindowSpec.of(CONTRACTS["listing"], windows=[Span(30)], columns=[]).reads(
        CONTRACTS["listing"].columns
    )
    assert {"void_from", "severity", "max_months", "restrict_until", "kind", "removed_on"} <= set(
        columns
    )


def test_a_table_without_categories_has_windows_too() -> None:
    events = pl.DataFrame(
        {
            "record_id": ["0" * 32],
            "subject_id": ["a"],
            "happened_on": [date(2025, 1, 2)],
            "known_at": [datetime(2025, 1, 3, tzinfo=UTC)],
            "void_reason": pl.Series([None], dtype=pl.String),
        }
    )
    spec = WindowSpec("annual_report", windows=(30,))
    built = build_windows(events, spec, subjects=pl.Series(["a", "b"]), dates=[date(2025, 1, 10)])
    assert built["annual_report_count_30d"].to_list() == [1.0, 0.0]
