from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from models.records.countable import countable_record
from models.records.publicity import Purpose
from models.time import AsOf
from serving import fates
from serving.auth.roles import Role
from serving.jobs.compact import compact
from serving.ledger import audit, changes, hooks, inbox, jobs
from tests.serving.bureau import TODAY, Office
from tests.serving.posts import FIRM, OTHER, penalty, post


def counts(office: Office, record: str, on: date = TODAY) -> bool:
    with office.service.ledger.begin() as connection:
        found = fates.find(office.service, connection, "penalty", subject=FIRM, record_id=record)
    assert found is not None
    return countable_record(found.record, AsOf(on), purpose=Purpose.CREDIT_SCORE)


def repaired(office: Office, record: str) -> int:
    case = int(office.apply(record).json()["id"])
    assert office.act(case, "accept").status_code == 200
    assert office.act(case, "repair").status_code == 200
    return case


def test_an_application_before_its_day_is_told_from_which_day(office: Office) -> None:
    record = office.record(happened_on="2026-10-05")
    answer = office.apply(record)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/too-early")
    assert answer.json()["allowed_from"] == "2027-01-05"
    office.clock.on(date(2026, 12, 31))
    assert office.apply(record).status_code == 422
    assert office.get("/v1/repairs").json() == []
    status = office.get(f"/v1/subjects/{FIRM}/records/penalty/{record}/repair").json()
    assert (status["state"], status["eligible_from"]) == ("published", "2027-01-05")


@pytest.mark.parametrize("lacking", ["performed", "pledged"])
def test_an_application_without_its_conditions_is_refused(office: Office, lacking: str) -> None:
    answer = office.apply(office.record(), None, **{lacking: False})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/conditions-missing")


def test_a_repair_goes_its_way_and_the_record_counts_no_more(office: Office) -> None:
    record = office.record()
    assert counts(office, record)
    told = office.apply(record).json()
    assert told["status"]["state"] == "applied"
    assert told["status"]["allowed"] == ["accept", "refuse", "withdraw", "repair", "annul"]
    assert told["status"]["clocks"][0]["step"] == "accept"
    assert told["status"]["clocks"][0]["due_on"] == "2026-11-25"
    accepted = office.act(told["id"], "accept").json()["status"]
    assert accepted["clocks"][0]["due_on"] == "2026-12-04"
    done = office.act(told["id"], "repair", note="已核实").json()
    assert done["status"]["state"] == "repaired"
    assert [one["kind"] for one in done["acts"]] == ["apply", "accept", "repair"]
    assert not counts(office, record)
    with office.service.ledger.begin() as connection:
        (row,) = inbox.pending(connection, [FIRM])["penalty"].to_dicts()
        change = changes.read(connection, 0, limit=10)[-1]
        urgent = jobs.listing(connection, kind="redecide")[0]
        entries = [one["action"] for one in audit.page(connection)]
    assert (row["void_from"], row["void_reason"], row["fine_amount"]) == (TODAY, "repaired", 5000)
    assert (change.kind, change.payload["void_reason"]) == ("repair", "repaired")
    assert urgent.payload == {"subjects": [FIRM]}
    assert entries[-3:] == ["repair.apply", "repair.accept", "repair.repair"]


def test_fraud_found_later_restores_the_record_and_bars_the_next_application(
    office: Office,
) -> None:
    record = office.record()
    case = repaired(office, record)
    office.clock.on(TODAY + timedelta(days=10))
    status = office.act(case, "restore", note="材料虚假").json()["status"]
    assert (status["state"], status["void_from"]) == ("published", None)
    assert status["barred_until"] == "2027-11-30"
    assert counts(office, record, TODAY + timedelta(days=10))
    again = office.act(case, "apply")
    assert (again.status_code, again.json()["allowed_from"]) == (422, "2027-11-30")


def test_the_lake_follows_a_repair_and_its_undoing(office: Office) -> None:
    record = office.record()
    compact(office.service)
    case = repaired(office, record)
    compact(office.service)
    (proof,) = office.get(f"/v1/repairs/{case}/proof").json()
    assert proof["merged_at"] is not None
    assert not counts(office, record)
    day = TODAY + timedelta(days=1)
    office.clock.on(day)
    office.act(case, "restore")
    assert counts(office, record, day)
    compact(office.service)
    assert counts(office, record, day)
    assert office.service.runtime.lake.subject("penalty", FIRM).height == 1


def test_an_annulled_record_takes_no_more_acts(office: Office) -> None:
    record = office.record()
    case = office.apply(record, act="annul").json()["id"]
    assert not counts(office, record)
    for act in ("apply", "repair", "restore", "annul", "accept"):
        answer = office.act(case, act)
        assert (answer.status_code, answer.json()["allowed"]) == (409, [])
        assert answer.json()["state"] == "annulled"


def test_a_record_that_its_own_system_ended_is_not_repaired_again(office: Office) -> None:
    record = office.record(void_from="2026-10-01", void_reason="annulled")
    answer = office.apply(record)
    assert (answer.status_code, answer.json()["state"]) == (409, "annulled")


def test_a_step_that_the_state_forbids_is_told_the_allowed_ones(office: Office) -> None:
    case = office.apply(office.record()).json()["id"]
    answer = office.act(case, "restore")
    assert answer.status_code == 409
    assert answer.json()["allowed"] == ["refuse", "withdraw", "repair", "annul"]
    assert office.act(case, "accept").status_code == 200
    assert office.act(case, "accept").status_code == 409
    assert office.act(case, "refuse").status_code == 200
    assert [one["kind"] for one in office.get(f"/v1/repairs/{case}").json()["acts"]] == [
        "apply",
        "accept",
        "refuse",
    ]


def test_the_acts_of_one_day_count_as_they_were_recorded(office: Office) -> None:
    case = office.apply(office.record()).json()["id"]
    office.act(case, "refuse")
    assert office.act(case, "apply").json()["status"]["state"] == "applied"
    twice = office.act(case, "apply")
    assert (twice.status_code, twice.json()["state"]) == (409, "applied")
    shown = office.get(f"/v1/repairs/{case}").json()["acts"]
    assert [one["kind"] for one in shown] == ["apply", "refuse", "apply"]


def test_of_two_officers_at_once_one_decides(office: Office) -> None:
    case = office.apply(office.record()).json()["id"]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(office.act, case, act) for act in ("repair", "refuse") * 2]
        codes = sorted(one.result().status_code for one in asked)
    assert codes == [200, 409, 409, 409]
    assert len(office.get(f"/v1/repairs/{case}").json()["acts"]) == 2


def test_a_record_of_another_region_is_as_one_that_is_not_there(office: Office) -> None:
    record = office.record()
    case = office.apply(record).json()["id"]
    dalian = office.as_caller(roles=[Role.DATA_MANAGER], regions=("2102",))
    assert office.apply(record, dalian).status_code == 404
    for path in (f"/v1/repairs/{case}", f"/v1/repairs/{case}/proof"):
        assert office.get(path, dalian).status_code == 404
    assert office.get("/v1/repairs", dalian).json() == []
    assert office.apply("0" * 32).status_code == 404
    viewer = office.as_caller(roles=[Role.VIEWER])
    assert office.apply(record, viewer).status_code == 403


def test_the_proof_names_who_is_decided_anew_and_what_was_queued(office: Office) -> None:
    record = office.record()
    office.tie()
    case = repaired(office, record)
    (proof,) = office.get(f"/v1/repairs/{case}/proof").json()
    assert proof["subjects"] == [FIRM, OTHER]
    assert [one["status"] for one in proof["jobs"]] == ["queued", "queued"]
    assert (proof["merged_at"], proof["decided"], proof["told"]) == (None, [], [])
    assert proof["changes"] == [None]
    assert office.get("/v1/changes").json()["changes"][-1]["kind"] == "repair"
    (proof,) = office.get(f"/v1/repairs/{case}/proof").json()
    assert proof["changes"] != [None]


@pytest.mark.parametrize(
    ("kinds", "regions", "told"),
    [
        (["repair"], ["2101"], [("市场监管", "waiting")]),
        (["decision"], [""], []),
        (["repair"], ["2102"], []),
    ],
)
def test_the_proof_names_the_partners_that_were_told(
    office: Office, kinds: list[str], regions: list[str], told: list[tuple[str, str]]
) -> None:
    case = repaired(office, office.record())
    with office.service.ledger.begin() as connection:
        hooks.create(
            connection,
            "市场监管",
            url="https://partner.example/hook",
            kinds=kinds,
            regions=regions,
            secret=b"-",
            cursor=0,
            by="test",
        )
        newest = changes.latest(connection)
        hook = hooks.idle(connection)
        assert hook is not None
        hooks.advance(connection, hook, upto=newest, deliver=True)
    (proof,) = office.get(f"/v1/repairs/{case}/proof").json()
    assert [(one["hook"], one["status"]) for one in proof["told"]] == told


def test_both_letters_are_written_from_the_record_and_its_rule(office: Office) -> None:
    record = office.record(violation_fact="经营者（电话13800138000）未公示")
    path = f"/v1/subjects/{FIRM}/records/penalty/{record}/letters"
    told = office.get(path).json()
    assert "自 2026-09-05 起" in told["repair_notice"]
    assert "10 个工作日，可延长 10 个工作日" in told["repair_notice"]
    assert "自 2027-06-05 起停止公示" in told["decision_notice"]
    assert "13800138000" not in told["decision_notice"] + told["repair_notice"]


def test_an_objection_marks_the_record_at_once_until_it_is_answered(office: Office) -> None:
    record = office.record()
    body = {"table": "penalty", "subject_id": FIRM, "record_id": record, "ground": "金额有误"}
    made = office.client.post(
        "/v1/objections", json={**body, "objector": FIRM}, headers=office.manager
    )
    assert made.status_code == 201
    number = made.json()["id"]
    assert made.json()["due_on"] == "2026-12-01"
    path = f"/v1/subjects/{FIRM}/records/penalty/{record}/repair"
    assert office.get(path).json()["disputed"] is True
    twice = office.client.post(
        "/v1/objections", json={**body, "objector": FIRM}, headers=office.manager
    )
    assert (twice.status_code, twice.json()["allowed"]) == (409, ["settle"])
    office.clock.on(date(2026, 12, 2))
    assert [one["id"] for one in office.get("/v1/objections", overdue=True).json()] == [number]
    answer = {"outcome": "rejected", "answer": "经核实无误"}
    url = f"/v1/objections/{number}/answer"
    told = office.client.post(url, json=answer, headers=office.manager)
    assert (told.status_code, told.json()["outcome"]) == (200, "rejected")
    assert office.client.post(url, json=answer, headers=office.manager).status_code == 409
    assert office.get(path).json()["disputed"] is False
    assert office.get("/v1/objections", waiting=True).json() == []


def test_a_stranger_may_not_object(office: Office) -> None:
    record = office.record()
    body = {"table": "penalty", "subject_id": FIRM, "record_id": record, "ground": "x"}
    answer = office.client.post(
        "/v1/objections", json={**body, "objector": OTHER}, headers=office.manager
    )
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/stranger")
    assert office.get("/v1/repairs").json() == []


def test_a_record_posted_again_by_its_source_stays_repaired(office: Office) -> None:
    record = office.record()
    repaired(office, record)
    same = penalty(1, happened_on="2026-06-05", severity="general")
    assert post(office.client, office.manager, same, key="again").status_code == 200
    assert not counts(office, record)


NUMBERS = count(2)
"""Of documents: each walk is of a record of its own."""
ACTS = ("apply", "accept", "refuse", "withdraw", "repair", "restore", "annul")


@pytest.mark.slow
@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    walk=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 200)), min_size=2, max_size=7),
)
def test_after_any_walk_a_record_counts_just_where_its_state_says(
    office: Office, walk: list[tuple[str, int]]
) -> None:
    office.clock.on(TODAY)
    record = office.record(next(NUMBERS))
    case = office.apply(record).json()["id"]
    day = TODAY
    for act, later in walk:
        day += timedelta(days=later)
        office.clock.on(day)
        before = office.get(f"/v1/repairs/{case}").json()
        answer = office.act(case, act)
        assert answer.status_code in {200, 409, 422}, answer.text
        if answer.status_code != 200:
            assert office.get(f"/v1/repairs/{case}").json() == before
    status = office.get(f"/v1/repairs/{case}").json()["status"]
    living = status["state"] in {"published", "eligible", "applied"}
    assert counts(office, record, day) is living
    assert (status["void_from"] is None) is living
