from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.records.countable import publicity_end_record, repairable_from_record
from models.risk.changes import changes_of
from models.supervision.clocks import CLOCKS, clocks, ordered, with_status
from models.supervision.repair import Act, Kind, status
from models.time import AsOf
from tests.models.features.firms import AS_OF, FIRMS, firm, frame, penalty, records

PENALTIES = st.lists(
    st.tuples(
        st.dates(AS_OF - timedelta(days=1300), AS_OF - timedelta(days=2)),
        st.sampled_from(["minor", "general", "serious", None]),
        st.sampled_from([None, AS_OF + timedelta(days=30), AS_OF - timedelta(days=30)]),
    ),
    max_size=8,
)
LISTINGS = st.lists(
    st.tuples(
        st.dates(AS_OF - timedelta(days=1300), AS_OF - timedelta(days=2)),
        st.sampled_from(["abnormal", "serious", "debtor", "wage_arrears", "honour"]),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(PENALTIES)
def test_clocks_of_penalties_are_the_days_that_the_rules_tell(
    made: list[tuple[date, str | None, date | None]],
) -> None:
    rows = frame(
        "penalty",
        [
            penalty(0, on, severity=severity, restrict_until=until, document_number=str(n),
                    published=True)
            for n, (on, severity, until) in enumerate(made)
        ],
    )  # fmt: skip
    found = clocks(rows, "penalty", AS_OF)
    assert found.schema == CLOCKS
    by_id = {row["record_id"]: row for row in rows.to_dicts()}
    for clock in found.to_dicts():
        record = by_id[clock["record_id"]]
        first = repairable_from_record(record, AsOf(AS_OF))
        restricted = record["restrict_until"]
        opens = max(first, restricted) if first and restricted else first
        assert clock["opens_on"] == opens
        assert clock["ends_on"] == publicity_end_record(record, AsOf(AS_OF))
        assert clock["state"] == (
            "fixed" if opens is None else "waiting" if opens > AS_OF else "open"
        )


@settings(max_examples=40, deadline=None)
@given(PENALTIES, LISTINGS)
def test_clocks_and_guidance_agree_on_what_can_be_done_and_when(
    penalties: list[tuple[date, str | None, date | None]], listings: list[tuple[date, str]]
) -> None:
    own = records(
        subject=[firm(0)],
        penalty=[penalty(0, on, severity=s, restrict_until=u, document_number=str(n))
                 for n, (on, s, u) in enumerate(penalties)],
        listing=[{"subject_id": FIRMS[0], "happened_on": on, "kind": kind, "reason_code": "2",
                  "document_number": str(n)} for n, (on, kind) in enumerate(listings)],
    )  # fmt: skip
    found = changes_of(own, FIRMS[0], AS_OF, tables=("penalty", "listing"))
    expected = {one.records[0].record_id: one.available_from for one in (*found.now, *found.later)}
    told = pl.concat([clocks(own.frames[t], t, AS_OF) for t in ("penalty", "listing")])
    opening = told.filter(pl.col("state") != "fixed")
    assert dict(opening.select("record_id", "opens_on").iter_rows()) == expected
    fixed = {one.record.record_id for one in found.fixed}
    assert set(told.filter(pl.col("state") == "fixed")["record_id"].to_list()) == fixed


@pytest.mark.parametrize(
    ("valid_to", "state"),
    [
        (AS_OF + timedelta(days=61), "valid"),
        (AS_OF + timedelta(days=60), "soon"),
        (AS_OF, "soon"),
        (AS_OF - timedelta(days=1), "expired"),
        (AS_OF - timedelta(days=365), "expired"),
        (AS_OF - timedelta(days=366), None),
    ],
)
def test_a_licence_is_valid_ends_soon_or_ended_lately(valid_to: date, state: str | None) -> None:
    row = {"happened_on": date(2020, 1, 1), "document_number": "1", "valid_to": valid_to}
    found = clocks(frame("licence", [row]), "licence", AS_OF)
    assert found["state"].to_list() == ([state] if state else [])


def test_a_licence_that_another_follows_has_no_clock() -> None:
    base = {"happened_on": date(2020, 1, 1), "certificate_name": "食品经营许可证"}
    rows = [
        {**base, "document_number": "1", "valid_to": AS_OF - timedelta(days=5)},
        {**base, "document_number": "2", "valid_to": AS_OF + timedelta(days=900)},
    ]
    found = clocks(frame("licence", rows), "licence", AS_OF)
    assert found.select("what", "state").rows() == [("食品经营许可证", "valid")]


def test_what_was_done_to_a_record_moves_its_clock() -> None:
    rows = frame("penalty", [penalty(0, date(2023, 6, 1)), penalty(0, date(2023, 7, 1))])
    plain = clocks(rows, "penalty", AS_OF)
    assert plain["state"].to_list() == ["open", "open"]
    one, two = rows.to_dicts()
    applied = [Act(date(2024, 8, 1), Kind.APPLY, "1")]
    fraud = [
        *(Act(date(2024, 8, 1), Kind.APPLY, "1"), Act(date(2024, 8, 9), Kind.REPAIR, "2")),
        Act(date(2024, 9, 1), Kind.RESTORE, "3"),
    ]
    statuses = {
        ("penalty", one["record_id"]): status(one, applied, AS_OF),
        ("penalty", two["record_id"]): status(two, fraud, AS_OF),
    }
    moved = with_status(plain, statuses, AS_OF)
    assert moved["state"].to_list() == ["applied", "waiting"]
    assert moved["opens_on"][1] == moved["next_on"][1] == date(2025, 9, 1)


def test_clocks_are_ordered_by_what_is_due() -> None:
    rows = frame("penalty", [penalty(0), penalty(0, date(2023, 6, 1), document_number="2")])
    licence = {"happened_on": date(2020, 1, 1), "document_number": "1",
               "valid_to": AS_OF + timedelta(days=5)}  # fmt: skip
    found = [
        clocks(rows, "penalty", AS_OF),
        clocks(frame("licence", [licence]), "licence", AS_OF),
    ]
    assert ordered(pl.concat(found))["state"].to_list() == ["soon", "open", "waiting"]


def test_other_tables_and_no_records_have_no_clocks() -> None:
    assert clocks(frame("penalty", []), "penalty", AS_OF).is_empty()
    inspection = frame("inspection", [{"result": "pass", "happened_on": date(2024, 1, 1)}])
    assert clocks(inspection, "inspection", AS_OF).is_empty()
