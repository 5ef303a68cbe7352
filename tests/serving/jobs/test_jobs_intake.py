from __future__ import annotations

import json
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.records.bookkeeping import Quarantine
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.identity import record_ids
from serving.jobs import intake
from serving.jobs.intake import ROW, Sent, Taken
from tests.serving.posts import FIRM, penalty

AT = datetime(2026, 11, 22, 1, 2, 3, 456789, tzinfo=UTC)


def sent(table: str = "penalty", *, strict: bool = False) -> Sent:
    return Sent(CONTRACTS[table], "sys", "caller", "api:caller:0", AT, strict=strict)


def take(*rows: dict[str, object]) -> Taken:
    return intake.take(list(rows), sent())


def rules(taken: Taken) -> list[tuple[int, str, str | None]]:
    return [(one.row, one.rule, one.column) for one in taken.troubles]


def test_a_row_becomes_a_record_of_its_contract() -> None:
    good = take(penalty(penalty_kinds=["03"], corrected=True)).good
    assert good.drop(ROW).schema == pl.Schema(CONTRACTS["penalty"].dtypes)
    (row,) = good.iter_rows(named=True)
    assert row["happened_on"] == date(2026, 1, 5)
    assert (row["known_at"], row["known_assumed"]) == (AT, False)
    assert row["source_ref"] == "api:caller:0#0"
    assert row["penalty_kinds"] == ["03"]


def test_a_record_has_the_id_that_an_import_gives_it() -> None:
    good = take(penalty()).good
    whole = good.with_columns(source_id=pl.lit(None, pl.String))
    assert (
        good["record_id"].to_list()
        == record_ids(whole, CONTRACTS["penalty"], source="other").to_list()
    )


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("happened_on", "2026-1-5", "F01"),
        ("happened_on", "2026-02-30", "F01"),
        ("happened_on", "2026-01-05T00:00:00Z", "F01"),
        ("happened_on", 20260105, "F01"),
        ("fine_amount", "5000", "F02"),
        ("fine_amount", True, "F02"),
        ("fine_amount", float("inf"), "F02"),
        ("fine_amount", 10**400, "F02"),
        ("max_months", 2**40, "F02"),
        ("max_months", 1.5, "F02"),
        ("corrected", "是", "F03"),
        ("corrected", 1, "F03"),
        ("penalty_kinds", "03", "F04"),
        ("penalty_kinds", [3], "F04"),
        ("document_number", 5, "F04"),
        ("document_number", {"a": 1}, "F04"),
        ("severity", "bad", "F03"),
        ("fine_amount", -1, "F04"),
        ("subject_id", FIRM[:-1] + "0", "V02"),
        ("subject_id", 7, "F04"),
    ],
)
def test_a_value_of_the_wrong_type_names_its_rule(column: str, value: object, rule: str) -> None:
    taken = take(penalty(1), penalty(2, **{column: value}))
    assert rules(taken)[0] == (1, rule, column)
    assert taken.good[ROW].to_list() == [0]


def test_what_is_missing_because_it_could_not_be_read_is_not_missing_too() -> None:
    assert rules(take(penalty(happened_on="soon"))) == [(0, "F01", "happened_on")]


def test_text_is_tidied_and_the_finding_noted() -> None:
    good = take(penalty(remark="ＡＢ１２\x00\u200b "), penalty(2, remark=" plain ")).good
    assert good["remark"].to_list() == ["AB12", "plain"]
    assert good["findings"].to_list() == [["V13"], []]


def test_an_empty_text_is_no_text() -> None:
    assert take(penalty(remark=" \u200b")).good["remark"].to_list() == [None]


def test_a_whole_number_may_be_written_with_a_fraction_of_nothing() -> None:
    assert take(penalty(max_months=36.0)).good["max_months"].to_list() == [36]


def test_a_subject_gets_its_type_from_its_code() -> None:
    row: dict[str, object] = {"subject_id": FIRM, "name": "某公司", "happened_on": "2020-01-01"}
    good = intake.take([row], sent("subject")).good
    assert good["subject_type"].to_list() == ["企业"]


def test_columns_that_no_row_may_have_are_told_with_their_first_row() -> None:
    rows = [penalty(), penalty(known_at="x"), penalty(nothing=1, known_at="y")]
    assert intake.unknown_columns(rows, CONTRACTS["penalty"]) == {"known_at": 1, "nothing": 2}


def test_refused_rows_are_entries_of_the_lakes_quarantine() -> None:
    rows = [penalty(happened_on="x", remark="电话13812345678"), penalty(2, fine_amount="y")]
    made = sent()
    taken = intake.take(rows, made)
    frame = intake.quarantine_frame(intake.quarantined(taken.troubles, rows, made))
    assert Quarantine.validate(frame).height == 2
    assert "138****5678" in frame["raw"][0]
    assert json.loads(frame["raw"][1])["fine_amount"] == "y"
    assert frame["line"].to_list() == [0, 1]
    again = intake.quarantine_frame(intake.quarantined(taken.troubles, rows, made))
    assert again["record_id"].to_list() == frame["record_id"].to_list()


ANYTHING: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud800", "2026-01-05", FIRM, "\x00", "9" * 400, "0001-01-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@st.composite
def any_rows(draw: st.DrawFn) -> tuple[Contract, list[dict[str, object]]]:
    contract = CONTRACTS[draw(st.sampled_from(sorted(CONTRACTS)))]
    names = st.sampled_from([c for c in (*contract.columns, "source_id") if c not in intake.MADE])
    row: st.SearchStrategy[dict[str, object]] = st.dictionaries(names, ANYTHING, max_size=6)
    return contract, draw(st.lists(row, min_size=1, max_size=4))


@given(any_rows())
@example((CONTRACTS["penalty"], [{"authority": "\ud800", "fine_amount": ["\ud800"]}]))
def test_every_row_is_good_or_says_why(made: tuple[Contract, list[dict[str, object]]]) -> None:
    contract, rows = made
    post = sent(contract.name)
    taken = intake.take(rows, post)
    bad = {one.row for one in taken.troubles}
    assert sorted([*taken.good[ROW], *bad]) == list(range(len(rows)))
    entries = intake.quarantined(taken.troubles, rows, post)
    assert intake.quarantine_frame(entries).height == len(taken.troubles)
    json.dumps([one.value for one in taken.troubles]).encode()
