"""A row's two times say what the counting rule says, at every date and under every rule book."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features.ends import add_months as add_months_compiled
from models.features.interval import COLUMNS, Counting, array, cut, day_number
from models.records.contracts import CONTRACTS
from models.records.countable import DTYPES, countable
from models.records.fact import add_months
from models.records.publicity import Purpose, Rules, Severity, VoidReason, default_rules
from models.time import AsOf

KINDS = [*sorted({rule.kind for rule in default_rules().listings}), "enforcement"]
Row = dict[str, object]

edges = st.sampled_from(
    [date(2024, 2, 29), date(2026, 3, 31), date(2026, 4, 1), date(2023, 4, 30), date(2025, 8, 31)]
)
days = edges | st.dates(date(2014, 1, 1), date(2032, 12, 31))
flags = st.none() | st.booleans()
columns = st.sets(st.sampled_from(sorted(DTYPES.keys() - {"happened_on", "known_at"}))).map(
    lambda some: some | {"happened_on", "known_at"}
)


def or_wrong(good: st.SearchStrategy[str]) -> st.SearchStrategy[str | None]:
    return st.none() | good | st.just("重大")


def instant(on: date, seconds: int) -> datetime:
    return datetime.combine(on, datetime.min.time(), UTC) + timedelta(seconds=seconds)


# Malformed rows are among them: the gate refuses them, but a frame in memory may hold some.
rows = st.fixed_dictionaries(
    {
        "happened_on": st.none() | days,
        "known_at": st.none() | st.builds(instant, days, st.integers(0, 24 * 3600 - 1)),
        "void_from": st.none() | days,
        "void_reason": or_wrong(st.sampled_from([str(r) for r in VoidReason])),
        "severity": or_wrong(st.sampled_from([str(s) for s in Severity])),
        "published": flags,
        "max_months": st.none() | st.sampled_from([0, 1, 3, 7, 12, 36, 60, -1, 1201, 2**31 - 1]),
        "restrict_until": st.none() | days,
        "corrected": flags,
        "kind": or_wrong(st.sampled_from(KINDS)),
        "removed_on": st.none() | days,
    }
)


@st.composite
def rule_books(
    draw: st.DrawFn, transition: Literal["document_date", "as_of"] = "document_date"
) -> Rules:
    data = default_rules().model_dump()
    data["transition"] = transition
    for version in data["severities"]:
        version["unclassified"] = draw(st.sampled_from(list(Severity)))
        for term in version["terms"].values():
            term["keeps_uncorrected"] = draw(st.booleans())
            term["published"] = draw(st.booleans())
    for rule in data["listings"]:
        rule["keeps_uncorrected"] = draw(st.booleans())
        rule["published"] = draw(st.booleans())
    return Rules.model_validate(data)


def frame(some: list[Row], kept: set[str]) -> pl.DataFrame:
    schema = {name: dtype for name, dtype in DTYPES.items() if name in kept}
    return pl.DataFrame([{n: r[n] for n in schema} for r in some], schema=schema, orient="row")


def counted(table: pl.DataFrame, counting: Counting, as_of: AsOf) -> list[bool]:
    """Ask the two times; whether it happened by then is left to the window."""
    selected = table.select(counting.expressions)
    if counting.exact:
        known, until = counting.times(selected)
    else:
        known, until = counting.times_on(table, as_of)
    day = array(selected, "_day", np.int32)
    on = day_number(as_of.on)
    return ((day <= on) & (known < cut(as_of)) & (until > on)).tolist()


def asked(
    table: pl.DataFrame, as_of: AsOf, purpose: Purpose, rules: Rules | None = None
) -> list[bool]:
    rule = countable(as_of, purpose=purpose, columns=table.columns, rules=rules)
    return table.select(rule).to_series().to_list()


@settings(max_examples=150)
@given(
    some=st.lists(rows, min_size=1, max_size=12),
    kept=columns,
    dates=st.lists(days, min_size=1, max_size=5),
    rules=st.none() | rule_books(),
)
def test_the_two_times_are_the_rule(
    some: list[Row], kept: set[str], dates: list[date], rules: Rules | None
) -> None:
    table = frame(some, kept)
    counting = Counting.of(table.columns, purpose=Purpose.RISK_CLASS, rules=rules)
    assert counting.exact
    for on in dates:
        expected = asked(table, AsOf(on), Purpose.RISK_CLASS, rules)
        assert counted(table, counting, AsOf(on)) == expected


@settings(max_examples=50)
@given(row=rows, kept=columns)
def test_no_row_starts_or_stops_on_another_day(row: Row, kept: set[str]) -> None:
    table = frame([row], kept)
    counting = Counting.of(table.columns, purpose=Purpose.RISK_CLASS)
    _, until = counting.times(table.select(counting.expressions))
    stop = int(until[0])
    last = date(1970, 1, 1) + timedelta(days=stop) if abs(stop) < 60_000 else None
    known = row["known_at"]
    first = known.date() if isinstance(known, datetime) else date(2020, 1, 1)
    for near in (day for day in (last, first) if day is not None):
        for on in (near + timedelta(days=shift) for shift in (-1, 0, 1)):
            expected = asked(table, AsOf(on), Purpose.RISK_CLASS)
            assert counted(table, counting, AsOf(on)) == expected


@settings(max_examples=50)
@given(
    some=st.lists(rows, min_size=1, max_size=8),
    kept=columns,
    on=days,
    purpose=st.sampled_from(Purpose),
    rules=rule_books("as_of"),
)
def test_other_rules_are_asked_at_the_date(
    some: list[Row], kept: set[str], on: date, purpose: Purpose, rules: Rules
) -> None:
    table = frame(some, kept)
    counting = Counting.of(table.columns, purpose=purpose, rules=rules)
    assert not counting.exact
    assert counted(table, counting, AsOf(on)) == asked(table, AsOf(on), purpose, rules)


@pytest.mark.parametrize("purpose", Purpose)
def test_no_purpose_is_taken_for_another(purpose: Purpose) -> None:
    table = frame(
        [
            {
                **dict.fromkeys(DTYPES),
                "happened_on": date(2019, 5, 1) + timedelta(days=90 * n),
                "known_at": datetime(2019, 5, 3, tzinfo=UTC),
                "severity": severity,
                "void_from": void,
                "void_reason": None if void is None else "repaired",
            }
            for n in range(28)
            for severity in ("minor", "serious")
            for void in (None, date(2024, 1, 1))
        ],
        set(DTYPES),
    )
    counting = Counting.of(table.columns, purpose=purpose)
    for on in (date(2021, 1, 1), date(2025, 1, 1), date(2026, 11, 22)):
        assert counted(table, counting, AsOf(on)) == asked(table, AsOf(on), purpose)


def test_every_column_the_rule_may_read_is_listed() -> None:
    assert set(COLUMNS) == set(DTYPES)
    for contract in CONTRACTS.values():
        table = pl.DataFrame(schema=contract.dtypes).select(
            [name for name in COLUMNS if name in contract.columns]
        )
        whole = countable(
            AsOf(date(2026, 1, 1)), purpose=Purpose.RISK_CLASS, columns=contract.columns
        )
        assert set(whole.meta.root_names()) <= set(table.columns)


@given(start=st.dates(date(1, 1, 1), date(8000, 1, 1)), months=st.integers(0, 1200))
def test_months_are_added_as_the_rule_adds_them(start: date, months: int) -> None:
    assert add_months_compiled(day_number(start), months) == day_number(add_months(start, months))


@pytest.mark.parametrize("on", [date(2026, 1, 1), date(1969, 12, 31), date(1988, 6, 1)])
def test_the_cut_is_the_end_of_the_day_in_shanghai(on: date) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=cut(AsOf(on)))
    assert at == AsOf(on).known_before
