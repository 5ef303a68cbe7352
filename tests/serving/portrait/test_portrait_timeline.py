from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from models.records.countable import countable_record
from models.records.publicity import Purpose
from models.supervision.portrait import Place
from models.time import AsOf
from serving.auth.roles import Role
from serving.portrait.timeline import NOT_EVENTS
from tests.models.features.firms import AS_OF, FIRMS, penalty
from tests.serving import village
from tests.serving.portrait.easel import Easel, rich

TABLES = ("penalty", "inspection", "listing", "complaint", "annual_report")


def oracle(firm: int, on: date, tables: tuple[str, ...] = TABLES) -> set[tuple[str, str]]:
    """Return what counts by the scalar twin of the counting rule."""
    return {
        (table, row["record_id"])
        for table in tables
        for row in village.stored(firm, table).to_dicts()
        if countable_record(row, AsOf(on), purpose=Purpose.RISK_CLASS)
    }


def keys(timeline: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["table"], one["record_id"]) for one in timeline["records"]]


def pages(easel: Easel, firm: int, **query: str | int | list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    more: dict[str, str] = {}
    while True:
        one = easel.line(firm, **query, **more)
        found += keys(one)
        if one["next"] is None:
            return found
        more = {"cursor": one["next"]}


def test_pages_hold_every_record_that_counts_once_and_newest_first(easel: Easel) -> None:
    firm = rich()
    whole = easel.line(firm, limit=200)
    days = [one["happened_on"] for one in whole["records"]]
    assert days == sorted(days, reverse=True)
    assert set(keys(whole)) == oracle(firm, AS_OF)
    assert sum(whole["counts"].values()) == len(whole["records"]) > 5
    assert pages(easel, firm, limit=2) == keys(whole)
    assert whole["next"] is None


def test_what_arrives_between_two_pages_moves_none(easel: Easel) -> None:
    firm = rich()
    whole = keys(easel.line(firm, limit=200))
    first = easel.line(firm, limit=3)
    village.post(easel.service, "penalty", penalty(firm, AS_OF - timedelta(days=1), known_at=at(0)))
    rest = easel.line(firm, limit=200, cursor=first["next"])
    assert keys(first) + keys(rest) == whole
    assert len(keys(easel.line(firm, limit=200))) == len(whole) + 1


def at(days: int) -> datetime:
    return village.NOON + timedelta(days=days)


def test_a_page_can_be_of_some_tables_and_of_a_period(easel: Easel) -> None:
    firm = rich()
    some = pages(easel, firm, limit=2, table=["penalty", "complaint"])
    assert set(some) == oracle(firm, AS_OF, ("penalty", "complaint"))
    days = sorted(one["happened_on"] for one in easel.line(firm, limit=200)["records"])
    since, until = days[1], days[-2]
    within = easel.line(firm, limit=200, since=since, until=until)["records"]
    assert [one["happened_on"] for one in within] == [d for d in days[::-1] if since <= d <= until]


def test_an_entry_tells_titles_and_the_end_of_its_publicity(easel: Easel) -> None:
    firm = rich()
    line = easel.line(firm, table=["penalty"])
    entry = line["records"][0]
    assert entry["counts"] is True
    assert entry["title"] == "行政处罚"
    assert entry["ends_on"] > str(AS_OF)
    assert line["titles"]["penalty"].keys() == {n for e in line["records"] for n in e["fields"]}
    assert line["titles"]["penalty"]["fine_amount"] == "罚款金额"
    assert not {"source_ref", "findings", "known_assumed"} & entry["fields"].keys()


@pytest.mark.parametrize("reason", ["repaired", "annulled", "expired"])
def test_what_has_ended_is_never_shown_as_counting(easel: Easel, reason: str) -> None:
    firm = rich()
    before = easel.line(firm, limit=200)
    table, record = next(key for key in keys(before) if key[0] == "penalty")
    easel.void(firm, table, record, reason)
    after = easel.line(firm, limit=200)
    assert set(keys(before)) - set(keys(after)) == {(table, record)}
    assert after["counts"]["penalty"] == before["counts"]["penalty"] - 1


def test_what_is_disputed_is_marked_and_does_not_count(easel: Easel) -> None:
    firm = rich()
    before = easel.line(firm, limit=200)
    table, record = next(key for key in keys(before) if key[0] == "penalty")
    easel.dispute(firm, table, record, AS_OF)
    after = easel.line(firm, limit=200)
    assert keys(after) == keys(before)
    marked = [one for one in after["records"] if one["disputed"]]
    assert [(one["record_id"], one["counts"]) for one in marked] == [(record, False)]
    assert after["counts"]["penalty"] == before["counts"]["penalty"] - 1
    yesterday = str(AS_OF - timedelta(days=1))
    assert not any(one["disputed"] for one in easel.line(firm, as_of=yesterday)["records"])


def test_any_day_of_the_past_shows_what_counted_then(easel: Easel) -> None:
    rng = random.Random(11)
    for _ in range(12):
        firm, back = rng.randrange(len(village.KNOWN)), rng.randrange(1500)
        on = AS_OF - timedelta(days=back)
        assert set(pages(easel, firm, limit=200, as_of=str(on))) == oracle(firm, on), (firm, on)


def test_the_past_does_not_change_by_what_becomes_known_later(easel: Easel) -> None:
    firm, on = rich(), AS_OF - timedelta(days=200)
    query = {"as_of": str(on), "sections": "identity,timeline,clocks,grades,dimensions,peers"}
    before = easel.draw(firm, **query)
    late = penalty(firm, on - timedelta(days=30), document_number="迟到", known_at=at(0))
    village.post(easel.service, "penalty", late)
    record = next(r for t, r in keys(before["timeline"]) if t == "penalty")
    easel.void(firm, "penalty", record, "repaired")
    easel.score(firm)
    assert easel.draw(firm, **query) == before
    assert record not in {r for _, r in keys(easel.line(firm, limit=200))}


def test_an_end_to_come_is_not_told_of_a_day_before_it(easel: Easel) -> None:
    firm = rich()
    row = {"kind": "debtor", "happened_on": AS_OF - timedelta(days=400), "reason": "未履行"}
    removed = {"removed_on": AS_OF - timedelta(days=10), "remove_reason": "履行完毕"}
    known = datetime(2024, 1, 1, tzinfo=UTC)
    entry = {"subject_id": FIRMS[firm], **row, **removed, "known_at": known}
    village.post(easel.service, "listing", entry)
    then = easel.line(firm, table=["listing"], as_of=str(AS_OF - timedelta(days=20)))["records"]
    debts = [one for one in then if one["fields"]["kind"] == "debtor"]
    assert len(debts) == 1
    assert not {"removed_on", "remove_reason"} & debts[0]["fields"].keys()
    now = easel.line(firm, table=["listing"])["records"]
    assert not [one for one in now if one["fields"]["kind"] == "debtor"]


def test_before_the_data_begin_it_is_empty_and_says_so(easel: Easel) -> None:
    drawn = easel.draw(rich(), as_of="1999-01-01")
    assert [one["kind"] for one in drawn["notes"]] == ["before-the-data"]
    assert drawn["timeline"]["records"] == []
    assert drawn["identity"] is None
    assert drawn["grades"]["scenarios"] == []
    assert easel.draw(rich())["notes"] == []


def test_a_day_to_come_and_other_wrong_questions_are_refused(easel: Easel) -> None:
    day = str(AS_OF + timedelta(days=1))
    asked: list[tuple[dict[str, str | int], str]] = [
        ({"as_of": day}, "day-of-view"),
        ({"sections": "identiy"}, "unknown-section"),
        ({"sections": " , "}, "no-section"),
        ({"table": "penalties"}, "unknown-table"),
        ({"table": "subject"}, "unknown-table"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "MTIz"}, "cursor"),
        ({"limit": 201}, "invalid"),
        ({"limit": 0}, "invalid"),
    ]
    for query, kind in asked:
        answer = easel.ask(0, **query)  # pyright: ignore[reportArgumentType]
        assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{kind}"), query
    assert "identity" in easel.ask(0, sections="identiy").json()["detail"]
    assert easel.ask(0, scenario="nowhere").status_code == 404


def test_records_of_other_departments_are_counted_only(easel: Easel) -> None:
    firm = rich()
    village.post(
        easel.service,
        "penalty",
        penalty(firm, AS_OF - timedelta(days=9), authority="甲局", known_at=at(0)),
    )
    one = easel.as_caller(roles=[Role.INSPECTOR], departments=("甲局",))
    line = easel.draw(firm, one, sections="timeline")["timeline"]
    assert [entry["authority"] for entry in line["records"]] == ["甲局"]
    assert line["withheld"] == len(oracle(firm, AS_OF))
    assert line["counts"] == {"penalty": 1}


def test_a_place_is_read_as_it_was_written() -> None:
    place = Place(AS_OF, "penalty", "0" * 32)
    assert Place.of(place.token()) == place


def test_no_table_of_ties_is_in_a_time_line(easel: Easel) -> None:
    for table in NOT_EVENTS:
        assert easel.ask(0, table=table).status_code == 422


def test_a_firm_without_any_record_has_an_empty_line(easel: Easel) -> None:
    firm = len(FIRMS) - 1
    assert easel.ask(firm).status_code == 404
    village.post(
        easel.service,
        "subject",
        {"subject_id": FIRMS[firm], "name": "乙", "happened_on": date(2024, 1, 1)},
    )
    line = easel.line(firm)
    assert (line["records"], line["counts"], line["next"]) == ([], {}, None)


def test_live_and_stored_records_are_one_line(easel: Easel) -> None:
    firm = rich()
    stored = pl.Series([record for _, record in keys(easel.line(firm, limit=200))])
    posted = penalty(firm, AS_OF - timedelta(days=3), document_number="新", known_at=at(0))
    village.post(easel.service, "penalty", posted)
    easel.void(firm, "penalty", village.stored(firm, "penalty")["record_id"][0])
    merged = keys(easel.line(firm, limit=200))
    assert len(merged) == len(set(merged)) == stored.len()
