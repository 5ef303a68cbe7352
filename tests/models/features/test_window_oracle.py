"""Every feature, to the bit, against plain Polars expressions over random records."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import add
from typing import cast

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features.window import Category, WindowFeature, WindowSpec, build_windows
from models.records.countable import countable
from models.records.publicity import Rules, default_rules
from models.time import AsOf

SPEC = WindowSpec(
    table="penalty",
    windows=(1, 7, 400),
    measures=("fine_amount", "points"),
    categories=(
        Category("violation_type"),
        Category("severity", ("minor", "general", "serious")),
        Category("penalty_kinds", ("01", "03", "08")),
        Category("penalty_tags"),
        Category("urgent", ("true", "false")),
    ),
    trends=((7, 400), (1, 7)),
)
SCHEMA = {
    "record_id": pl.String(),
    "subject_id": pl.String(),
    "happened_on": pl.Date(),
    "known_at": pl.Datetime("us", "UTC"),
    "void_from": pl.Date(),
    "void_reason": pl.String(),
    "severity": pl.String(),
    "max_months": pl.Int32(),
    "fine_amount": pl.Float64(),
    "points": pl.Int64(),
    "violation_type": pl.String(),
    "penalty_kinds": pl.List(pl.String()),
    "penalty_tags": pl.List(pl.String()),
    "urgent": pl.Boolean(),
}
SUBJECTS = ["甲", "乙", "丙", "丁"]
TODAY = date(2026, 5, 20)
Row = dict[str, object]

days = st.integers(-40, 40).map(lambda n: TODAY + timedelta(days=n)) | st.integers(-500, 0).map(
    lambda n: TODAY + timedelta(days=n)
)
# What float64 adds differently in another order, what it has two of, and what is no value at all.
amounts = st.sampled_from([0.1, 0.2, 0.3, 1e16, -1e16, 1.0, -0.0, 0.0, math.nan, None]) | st.floats(
    -1e9, 1e9
)


@st.composite
def records(draw: st.DrawFn) -> Row:
    happened = draw(days)
    reason = draw(st.sampled_from([None, None, None, "repaired", "expired", "annulled"]))
    delay = draw(st.sampled_from([0, 0, 0, 5, 60]))
    return {
        "record_id": f"{draw(st.integers(0, 2**64)):032x}",
        "subject_id": draw(st.sampled_from([*SUBJECTS, "不在册"])),
        "happened_on": happened,
        "known_at": datetime.combine(happened, datetime.min.time(), UTC) + timedelta(days=delay),
        "void_from": None if reason is None else draw(days),
        "void_reason": reason,
        "severity": draw(st.sampled_from([None, "minor", "general", "serious"])),
        "max_months": draw(st.sampled_from([None, None, 1])),
        "fine_amount": draw(amounts),
        "points": draw(st.none() | st.integers(0, 12)),
        "violation_type": draw(st.sampled_from([None, "无证经营", "虚假宣传", "价格欺诈"])),
        "penalty_kinds": draw(kinds),
        "penalty_tags": draw(kinds),
        "urgent": draw(st.none() | st.booleans()),
    }


kinds = st.none() | st.lists(st.sampled_from(["01", "03", "08", "10", None]), max_size=4)
tables = st.lists(records(), max_size=30, unique_by=lambda row: cast("str", row["record_id"]))
some_dates = st.lists(days, min_size=1, max_size=4, unique=True)


def table_of(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def built(
    rows: pl.DataFrame,
    dates: list[date],
    *,
    subjects: list[str] = SUBJECTS,
    rules: Rules | None = None,
    spec: WindowSpec = SPEC,
) -> pl.DataFrame:
    wanted = pl.Series(subjects, dtype=pl.String)
    return build_windows(rows, spec, subjects=wanted, dates=dates, rules=rules)


def oracle(rows: pl.DataFrame, on: date, rules: Rules | None = None) -> pl.DataFrame:
    """Give the features as of one date from masked expressions, a feature at a time."""
    rule = countable(AsOf(on), purpose=SPEC.purpose, columns=rows.columns, rules=rules)
    amount = pl.col("fine_amount")
    known = rows.filter(rule, pl.col("happened_on") < on).with_columns(
        pl.when(amount == 0).then(0.0).otherwise(amount.fill_nan(None)).alias("fine_amount")
    )
    per_subject = known.group_by("subject_id").agg(
        [expected(feature, on).alias(feature.name) for feature in SPEC.features]
    )
    zero = [f.name for f in SPEC.features if f.stat in {"count", "sum", "distinct"}]
    frame = pl.DataFrame({"subject_id": SUBJECTS}).join(
        per_subject, on="subject_id", how="left", maintain_order="left"
    )
    return frame.select(
        "subject_id",
        pl.lit(on).alias("as_of"),
        *(pl.col(f.name).cast(pl.Float64) for f in SPEC.features),
    ).with_columns(pl.col(zero).fill_null(0))


def expected(feature: WindowFeature, on: date) -> pl.Expr:
    if feature.days is None:
        return (pl.lit(on) - pl.col("happened_on").max()).dt.total_days()
    inside = happened_within(on, feature.days)
    if feature.over is not None:
        short, long = inside.sum(), happened_within(on, feature.over).sum()
        return pl.when(long > 0).then((short * feature.over) / (long * feature.days))
    if feature.column is None:
        return inside.sum()
    if feature.level is None:
        return of_column(feature, inside)
    column = pl.col(feature.column)
    if isinstance(SCHEMA[feature.column], pl.List):
        has = column.list.contains(feature.level)
    else:
        has = column.cast(pl.String) == feature.level
    count = (has.fill_null(value=False) & inside).sum()
    if feature.stat == "count":
        return count
    return pl.when(inside.sum() > 0).then(count / inside.sum())


def of_column(feature: WindowFeature, inside: pl.Expr) -> pl.Expr:
    assert feature.column is not None
    values = pl.col(feature.column).filter(inside)
    match feature.stat:
        case "sum":
            day = pl.col("happened_on").filter(inside)
            ordered = values.sort_by(day, values, descending=[True, False]).drop_nulls().implode()
            return ordered.map_elements(left_sum, return_dtype=pl.Float64)
        case "max":
            return values.max()
        case _:
            is_list = isinstance(SCHEMA[feature.column], pl.List)
            return (values.explode() if is_list else values).drop_nulls().n_unique()


def happened_within(on: date, days: int) -> pl.Expr:
    return pl.col("happened_on") >= on - timedelta(days=days)


def left_sum(values: pl.Series) -> float:
    """Add from the left, as is stated; Polars adds in blocks."""
    return reduce(add, cast("list[float]", values.to_list()), 0.0)


def assert_same_bits(left: pl.DataFrame, right: pl.DataFrame) -> None:
    assert left.schema == right.schema
    assert left.select("subject_id", "as_of").equals(right.select("subject_id", "as_of"))
    for name in left.columns[2:]:
        a, b = left[name], right[name]
        assert a.is_null().to_list() == b.is_null().to_list(), name
        bits = [s.fill_null(0.0).to_numpy().view(np.int64).tolist() for s in (a, b)]
        assert bits[0] == bits[1], (name, a.to_list(), b.to_list())


@settings(max_examples=60)
@given(rows=tables, dates=some_dates)
def test_every_feature_is_what_plain_expressions_say(rows: list[Row], dates: list[date]) -> None:
    table = table_of(rows)
    assert_same_bits(built(table, dates), pl.concat([oracle(table, on) for on in dates]))


@settings(max_examples=15)
@given(rows=tables, dates=some_dates)
def test_rules_by_the_date_of_view_hold_at_each_date(rows: list[Row], dates: list[date]) -> None:
    rules = Rules.model_validate(default_rules().model_dump() | {"transition": "as_of"})
    table = table_of(rows)
    expect = pl.concat([oracle(table, on, rules) for on in dates])
    assert_same_bits(built(table, dates, rules=rules), expect)


@settings(max_examples=25)
@given(rows=tables, dates=some_dates, order=st.randoms())
def test_neither_the_order_of_rows_nor_company_changes_a_bit(
    rows: list[Row], dates: list[date], order: object
) -> None:
    together = built(table_of(rows), dates)
    shuffled = rows.copy()
    order.shuffle(shuffled)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    assert_same_bits(built(table_of(shuffled), dates), together)
    in_order = table_of(rows).sort("subject_id", "happened_on", "record_id")
    assert_same_bits(built(in_order, dates), together)
    for on in dates:
        assert_same_bits(built(in_order, [on]), together.filter(pl.col("as_of") == on))
    for subject in SUBJECTS:
        own = in_order.filter(pl.col("subject_id") == subject)
        alone = built(own, dates, subjects=[subject])
        assert_same_bits(alone, together.filter(pl.col("subject_id") == subject))


@settings(max_examples=30)
@given(rows=tables, dates=some_dates, more=tables)
def test_what_was_not_yet_there_changes_nothing(
    rows: list[Row], dates: list[date], more: list[Row]
) -> None:
    last = max(dates)
    future = [
        row | {"happened_on": last + timedelta(days=n % 3), "known_at": after(last, n)}
        for n, row in enumerate(more)
    ]
    late = [row | {"known_at": after(last, n + 1)} for n, row in enumerate(more)]
    annulled = [row | {"void_from": last, "void_reason": "annulled"} for row in more]
    before = built(table_of(rows), dates)
    for extra in (future, late, annulled):
        numbered = [row | {"record_id": f"x{n}"} for n, row in enumerate(extra)]
        assert_same_bits(built(table_of(rows + numbered), dates), before)


def after(last: date, seconds: int) -> datetime:
    return AsOf(last).known_before + timedelta(seconds=seconds)


@given(rows=tables, on=days)
def test_polars_sums_agree_within_a_few_ulps(rows: list[Row], on: date) -> None:
    table = table_of(rows).with_columns(pl.col("fine_amount").fill_nan(None).abs())
    found = built(table, [on])
    rule = countable(AsOf(on), purpose=SPEC.purpose, columns=table.columns)
    window = pl.col("happened_on").is_between(on - timedelta(days=400), on - timedelta(days=1))
    sums = table.filter(rule, window).group_by("subject_id").agg(pl.col("fine_amount").sum())
    expect = dict(sums.iter_rows())
    for subject, total in found.select("subject_id", "penalty_fine_amount_sum_400d").iter_rows():
        assert math.isclose(total, expect.get(subject, 0.0), rel_tol=64 * 2**-53)
