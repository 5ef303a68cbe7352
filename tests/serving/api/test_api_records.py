from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from models.codes import uscc
from models.records.contracts import CONTRACTS
from serving.auth.roles import Role
from serving.ledger import audit, changes, inbox, jobs
from serving.ledger.engine import Ledger
from tests.serving.posts import FIRM, penalty, post

Headers = dict[str, str]


@pytest.fixture
def partner(as_caller: Callable[..., Headers]) -> Headers:
    return as_caller(roles=[Role.PARTNER])


def count(ledger: Ledger, table: str) -> int:
    with ledger.begin() as connection:
        return connection.execute(text(f"select count(*) from {table}")).scalar_one()  # noqa: S608


def test_a_batch_is_kept_before_it_is_answered(
    client: TestClient, partner: Headers, ledger: Ledger
) -> None:
    answer = post(client, partner, penalty(1), penalty(2))
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["quarantined"]) == (2, 0)
    with ledger.begin() as connection:
        frame = inbox.pending(connection, [FIRM])["penalty"]
        job = jobs.get(connection, told["job"])
        entries = audit.page(connection)
    assert frame["record_id"].to_list() == [row["record_id"] for row in told["rows"]]
    assert frame["fine_amount"].to_list() == [5000.0, 5000.0]
    assert job is not None
    assert (job.kind, job.payload) == ("redecide", {"subjects": [FIRM]})
    assert [one["action"] for one in entries if one["action"] == "records.post"] == ["records.post"]


def test_the_same_key_and_body_get_the_same_answer_once(
    client: TestClient, partner: Headers, ledger: Ledger
) -> None:
    first, again = (post(client, partner, penalty(), key="once") for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert (count(ledger, "inbox"), count(ledger, "job")) == (1, 1)


def test_the_same_key_with_another_body_is_a_conflict(
    client: TestClient, partner: Headers, ledger: Ledger
) -> None:
    post(client, partner, penalty(), key="once")
    other = post(client, partner, penalty(fine_amount=1), key="once")
    assert other.status_code == 409
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert count(ledger, "inbox") == 1


def test_two_callers_may_use_one_key(
    client: TestClient, partner: Headers, as_caller: Callable[..., Headers], ledger: Ledger
) -> None:
    other = as_caller(roles=[Role.PARTNER])
    assert post(client, partner, penalty(1)).status_code == 200
    assert post(client, other, penalty(2)).status_code == 200
    assert count(ledger, "inbox") == 2


def test_of_many_at_once_with_one_key_one_writes(
    client: TestClient, partner: Headers, ledger: Ledger
) -> None:
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(post, client, partner, penalty(), key="rush") for _ in range(6)]
        answers = [one.result() for one in asked]
    assert {one.status_code for one in answers} == {200}
    assert len({json.dumps(one.json(), sort_keys=True) for one in answers}) == 1
    assert (count(ledger, "inbox"), count(ledger, "job")) == (1, 1)


def test_broken_rows_are_answered_and_the_others_kept(
    client: TestClient, partner: Headers, ledger: Ledger
) -> None:
    bad_code = FIRM[:-1] + ("0" if FIRM[-1] != "0" else "1")
    told = post(
        client,
        partner,
        penalty(1),
        penalty(2, subject_id=bad_code),
        penalty(3, happened_on="2026-02-30"),
        penalty(4, fine_amount="多"),
        penalty(1),
        penalty(5, happened_on="2190-01-01"),
        penalty(6, subject_id=None),
    ).json()
    assert (told["accepted"], told["quarantined"]) == (1, 6)
    rules = [[one["rule"] for one in row["problems"]] for row in told["rows"]]
    assert rules == [[], ["V02"], ["F01"], ["F02"], ["V10"], ["V05"], ["S01"]]
    assert told["rows"][2]["problems"][0]["remedy"]
    assert (count(ledger, "inbox"), count(ledger, "inbox_refused")) == (1, 6)


def test_a_batch_of_nothing_good_queues_nothing(
    client: TestClient, partner: Headers, ledger: Ledger
) -> None:
    told = post(client, partner, penalty(subject_id="x")).json()
    assert (told["accepted"], told["job"]) == (0, None)
    assert (count(ledger, "inbox"), count(ledger, "job")) == (0, 0)


def test_a_natural_person_is_known_by_a_hash_and_never_by_name(
    client: TestClient, partner: Headers, ledger: Ledger
) -> None:
    person = "P_" + "0a" * 16
    named = penalty(1, subject_category="自然人", subject_name="某人")
    told = post(client, partner, {**named, "subject_id": person}, named).json()
    assert [row["status"] for row in told["rows"]] == ["accepted", "quarantined"]
    assert told["rows"][1]["problems"][0]["rule"] == "S03"
    assert told["rows"][1]["problems"][0]["value"] is None
    with ledger.begin() as connection:
        assert inbox.pending(connection, [person])["penalty"]["subject_name"].to_list() == [
            "自然人"
        ]


def test_a_number_of_a_citizen_in_a_text_is_refused_and_starred(
    client: TestClient, partner: Headers, ledger: Ledger
) -> None:
    number = "11010519491231002X"
    told = post(client, partner, penalty(violation_fact=f"当事人（１1010519491231002X）{number}"))
    assert told.json()["rows"][0]["problems"][0]["rule"] == "V09"
    assert number not in told.text
    with ledger.begin() as connection:
        ((_, entry),) = inbox.refused(connection, limit=10)
    assert number not in entry


def test_nobody_posts_that_a_fact_was_known_before(client: TestClient, partner: Headers) -> None:
    answer = post(client, partner, penalty(known_at="2020-01-01T00:00:00Z"))
    assert answer.status_code == 422
    assert "the service makes this column" in answer.json()["errors"][0]["message"]


def test_an_unknown_column_refuses_the_batch_with_the_nearest_name(
    client: TestClient, partner: Headers, ledger: Ledger
) -> None:
    answer = post(client, partner, penalty(1), penalty(2, fine_amounts=3))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "body.rows.1.fine_amounts"
    assert "did you mean 'fine_amount'" in error["message"]
    assert count(ledger, "inbox") == 0


def test_an_unknown_table_is_not_found_with_the_nearest_name(
    client: TestClient, partner: Headers
) -> None:
    answer = post(client, partner, penalty(), table="penalties")
    assert answer.status_code == 404
    assert "did you mean 'penalty'" in answer.json()["detail"]


def test_a_systems_own_number_names_the_record_and_needs_the_systems_name(
    client: TestClient, partner: Headers
) -> None:
    assert post(client, partner, penalty(source_id="7")).status_code == 422
    ids = {
        (source, number): post(
            client, partner, penalty(number, source_id="7"), key=f"{source}-{number}", source=source
        ).json()["rows"][0]["record_id"]
        for source in ("a", "b")
        for number in (1, 2)
    }
    assert ids["a", 1] == ids["a", 2] != ids["b", 1]


def test_a_row_of_another_region_or_authority_refuses_the_batch(
    client: TestClient, as_caller: Callable[..., Headers], ledger: Ledger
) -> None:
    shenyang = as_caller(roles=[Role.PARTNER], regions=("2101",))
    for row in (penalty(region="210202"), penalty(region=None)):
        answer = post(client, shenyang, penalty(2), row)
        assert answer.status_code == 403
        assert answer.json()["errors"] == [
            {"field": "body.rows.1", "message": "its region or authority is not the caller's"}
        ]
    assert count(ledger, "inbox") == 0
    assert post(client, shenyang, penalty()).status_code == 200
    other = as_caller(roles=[Role.PARTNER], departments=("沈阳市生态环境局",))
    assert post(client, other, penalty()).status_code == 403


def test_a_repair_is_told_to_partners(client: TestClient, partner: Headers, ledger: Ledger) -> None:
    post(client, partner, penalty(void_from="2026-06-01", void_reason="repaired"))
    with ledger.begin() as connection:
        (change,) = changes.read(connection, 0, limit=10)
    assert (change.kind, change.subject_id, change.region) == ("repair", FIRM, "210102")
    assert change.payload["void_reason"] == "repaired"


def test_strict_rows_keep_the_publication_standard(client: TestClient, partner: Headers) -> None:
    told = post(client, partner, penalty(), strict=True).json()
    assert {one["rule"] for one in told["rows"][0]["problems"]} >= {"V01"}


def test_a_reader_may_not_write(client: TestClient, as_caller: Callable[..., Headers]) -> None:
    assert post(client, as_caller(roles=[Role.VIEWER]), penalty()).status_code == 403
    assert post(client, {}, penalty()).status_code == 401


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 201])
def test_a_key_that_is_none_is_refused(client: TestClient, partner: Headers, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    headers += [(name.encode(), value.encode()) for name, value in partner.items()]
    body = {"table": "penalty", "rows": [penalty()]}
    assert client.post("/v1/records", json=body, headers=headers).status_code == 422


def test_rows_have_a_number_of_at_most_a_thousand(client: TestClient, partner: Headers) -> None:
    whole = [penalty(number) for number in range(1000)]
    assert post(client, partner, *whole, key="full").json()["accepted"] == 1000
    assert post(client, partner, *whole, penalty(1000), key="more").status_code == 422
    assert post(client, partner, key="none").status_code == 422


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["2026-01-05", FIRM, "\x00", "' or 1=1 --", "${jndi:x}", "1e999", "9" * 400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
COLUMNS = sorted({"source_id", *(c for contract in CONTRACTS.values() for c in contract.columns)})


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=10,
    phases=[Phase.generate],
)
@given(data=st.data())
def test_no_row_at_all_is_an_error_of_ours(
    client: TestClient, partner: Headers, data: st.DataObject
) -> None:
    table = data.draw(st.sampled_from(sorted(CONTRACTS)))
    columns = st.sampled_from([*CONTRACTS[table].columns, *COLUMNS[:2], "x\x00"])
    rows = data.draw(st.lists(st.dictionaries(columns, JSON, max_size=6), min_size=1, max_size=3))
    body = json.dumps({"table": table, "source": "s", "rows": rows})
    headers = {**partner, "Idempotency-Key": uuid4().hex}
    answer = client.post(
        "/v1/records", content=body, headers={**headers, "Content-Type": "application/json"}
    )
    assert answer.status_code in {200, 403, 422}, answer.text
    if answer.status_code == 200:
        told = answer.json()
        assert told["accepted"] + told["quarantined"] == len(rows)
        assert all((row["status"] == "accepted") != bool(row["problems"]) for row in told["rows"])


def test_a_code_is_put_into_its_normal_form(
    client: TestClient, partner: Headers, ledger: Ledger
) -> None:
    written = f" {FIRM.lower()[:8]}　{FIRM.lower()[8:]}"
    assert uscc.normalise(written) == FIRM
    assert post(client, partner, penalty(subject_id=written)).json()["accepted"] == 1
    with ledger.begin() as connection:
        assert set(inbox.pending(connection, [FIRM])) == {"penalty"}
