"""Slots for what a text model reads out of decisions: null until it has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from models.features import text
from models.features.text import GROUPS, SEVERITIES
from models.records.contracts import CONTRACTS
from models.records.reading import MemoryRecords
from tests.models.features.firms import AS_OF, FIRMS, Row, penalty, records, scenario

SPECS = text.specs(scenario(), CONTRACTS)


def built(data: MemoryRecords, *dates: date, subjects: Sequence[str] = FIRMS[:1]) -> pl.DataFrame:
    wanted = pl.Series("subject_id", subjects, dtype=pl.String)
    return text.build(data, SPECS, subjects=wanted, dates=dates or (AS_OF,))


def told(name: str, *rows: Row) -> object:
    return built(records(penalty=rows))[f"penalty_text_{name}_365d"].item()


def read(
    leaf: str | None, severity: str | None, on: date = date(2024, 6, 1), /, **more: object
) -> Row:
    return penalty(0, on, violation_leaf=leaf, violation_severity=severity, **more)


def test_the_slots() -> None:
    names = [s.name for s in SPECS]
    assert names[:2] == ["penalty_text_market_count_365d", "penalty_text_food_count_365d"]
    assert len(names) == len(GROUPS) + 2
    assert all(s.family == "text" and s.table == "penalty" for s in SPECS)
    assert SPECS[1].title == "近365天食品类违法的行政处罚次数"


def test_there_are_none_without_penalties() -> None:
    assert text.specs(scenario("{tables: [complaint], windows: [365d]}"), CONTRACTS) == ()
    wanted = pl.Series("subject_id", FIRMS[:2])
    assert text.build(records(), (), subjects=wanted, dates=[AS_OF]).width == 0


def test_without_the_columns_all_is_null() -> None:
    made = built(records(penalty=[penalty(0)]), subjects=FIRMS[:2])
    assert made.height == 2
    assert made.null_count().row(0) == (2,) * len(SPECS)
    assert built(MemoryRecords({})).null_count().row(0) == (1,) * len(SPECS)


def test_leaves_are_counted_by_group() -> None:
    rows = [read("M07", "minor"), read("M10", "major", date(2024, 7, 1)), read("F02", "serious")]
    rows[2] = {**rows[2], "document_number": "罚二"}
    assert told("market_count", *rows) == 2
    assert told("food_count", *rows) == 1
    assert told("tax_count", *rows) == 0


def test_the_gravest_counts() -> None:
    rows = [read("M07", "minor"), read("M10", "major", date(2024, 7, 1))]
    assert told("severity_max", *rows) == 1.0 + SEVERITIES.index("major")
    assert told("grave_count", *rows) == 0
    assert told("grave_count", *rows, read("J01", "serious", date(2024, 8, 1))) == 1


def test_who_has_no_penalty_has_zeros_where_penalties_are_read() -> None:
    made = built(records(penalty=[read("M07", "minor")]), subjects=[FIRMS[1]]).row(0, named=True)
    assert made["penalty_text_market_count_365d"] == 0
    assert made["penalty_text_grave_count_365d"] == 0
    assert made["penalty_text_severity_max_365d"] is None


def test_a_penalty_that_nobody_has_read_makes_null() -> None:
    rows = [read("M07", "minor"), read(None, "minor", date(2024, 7, 1))]
    assert told("market_count", *rows) is None
    assert told("severity_max", *rows) == 1


def test_only_what_counts_at_the_date_counts() -> None:
    void = {"void_from": date(2024, 9, 1), "void_reason": "repaired"}
    rows = [read("M07", "minor", **void), read("M07", "minor", date(2023, 1, 1))]
    made = built(records(penalty=rows), date(2024, 8, 31), date(2024, 9, 1))
    assert made["penalty_text_market_count_365d"].to_list() == [1, 0]


def test_one_column_alone_fills_its_own_slots() -> None:
    data = records(penalty=[read("M07", "minor")])
    short = MemoryRecords({"penalty": data.frames["penalty"].drop("violation_severity")})
    row = built(short).row(0, named=True)
    assert row["penalty_text_market_count_365d"] == 1
    assert row["penalty_text_severity_max_365d"] is None


def test_what_is_left_out_gives_no_slot() -> None:
    declared = scenario()
    features = declared.features.model_copy(update={"exclude": ("violation_leaf",)})
    short = text.specs(declared.model_copy(update={"features": features}), CONTRACTS)
    assert [s.name for s in short] == [
        "penalty_text_severity_max_365d",
        "penalty_text_grave_count_365d",
    ]
