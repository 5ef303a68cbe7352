from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from models.inspection import standalone
from models.inspection.pool import Pool
from models.inspection.progress import State
from models.inspection.record import DrawRecord
from models.inspection.verify import line_of
from serving.auth.roles import Role
from serving.ledger.engine import Ledger
from tests.serving.inspecting.office import PLAN, SOURCES, Headers, Office, code, declared, firms


def test_anybody_recomputes_a_draw_from_what_is_public(office: Office, tmp_path: Path) -> None:
    office.drawn()
    content = office.get("/record").content
    pool = office.get("/pool", who=office.drafter).content
    told = office.get("/verify").json()
    assert sha256(pool).hexdigest() == told["commitment"]["commitment"]
    assert sha256(content).hexdigest() == told["record_digest"]
    assert told["seed"] == json.loads(content)["seed"]
    record, file = tmp_path / "record.json", tmp_path / "pool.txt"
    record.write_bytes(content)
    file.write_bytes(pool)
    assert standalone.main([str(record), str(file)]) == 0
    checks = office.get("/checks", who=office.drafter).json()
    assert len(checks) > 8
    assert all(one["holds"] for one in checks)


def test_every_subject_checks_its_own_line_without_an_account(office: Office) -> None:
    office.drawn()
    record = DrawRecord.parse(office.get("/record").content, "record")
    pool = Pool.read(office.get("/pool", who=office.drafter).content)
    chosen = {one.subject_id for one in record.drawn}
    for number in range(6):
        subject = code(number)
        told = office.get(f"/lines/{subject}").json()
        wanted = line_of(pool, record.seed.seed, subject)
        assert told == {name: getattr(wanted, name) for name in told}
        assert told["drawn"] == (subject in chosen)
        digest = sha256((record.seed.seed + subject).encode()).hexdigest()
        assert told["u"] == (int(digest, 16) >> 203) / 2**53
    assert office.get("/lines/nobody").status_code == 404


def test_the_pool_itself_is_not_public(office: Office, as_caller: Callable[..., Headers]) -> None:
    office.drawn()
    assert office.get("/pool").status_code == 401
    assert office.get("/pool", who=as_caller(roles=[Role.VIEWER])).status_code == 403
    assert 'probability":' not in office.get("/verify").text


def test_nothing_is_public_before_the_freeze(office: Office) -> None:
    assert office.get("/verify").status_code == 404
    office.draft()
    assert office.get("/verify").json()["type"] == "/problems/no-such-plan"
    office.approve()
    assert office.get("/verify").json()["type"] == "/problems/not-frozen"
    office.freeze()
    told = office.get("/verify").json()
    assert (told["state"], told["seed"], told["record"]) == ("frozen", None, None)
    assert told["commitment"]["sources"] == SOURCES
    assert office.get("/record").status_code == 409
    assert office.get(f"/lines/{code(1)}").status_code == 409


def test_a_seed_before_the_freeze_is_refused(office: Office) -> None:
    office.draft()
    office.approve()
    answer = office.seed()
    assert answer.status_code == 409
    assert (answer.json()["state"], answer.json()["allowed"]) == ("approved", ["frozen"])


@pytest.mark.parametrize(
    ("moved", "told"),
    [
        ({"hours": -2}, "not after the freeze"),
        ({"days": 1}, "wait for the value"),
    ],
)
def test_a_value_that_was_or_will_be_known_is_refused(
    office: Office, moved: dict[str, float], told: str
) -> None:
    office.draft()
    office.approve()
    office.freeze()
    values = office.values()
    at = (office.clock.at + timedelta(**moved)).isoformat()
    answer = office.seed([values[0], {**values[1], "published_at": at}])
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert office.get("/verify").json()["state"] == "frozen"


@pytest.mark.parametrize("change", ["source", "nonce", "zone"])
def test_other_values_than_those_announced_are_refused(office: Office, change: str) -> None:
    office.draft()
    office.approve()
    office.freeze()
    one, two = office.values()
    wrong = {
        "source": {**two, "source": "福彩3D 2026300"},
        "nonce": {**two, "digest": "0" * 64},
        "zone": {**two, "published_at": "2026-11-23T09:00:00"},
    }[change]
    assert office.seed([one, wrong]).status_code == 422
    assert office.seed([one, two]).status_code == 200


def test_a_drawn_plan_is_not_drawn_again_and_nothing_goes_back(office: Office) -> None:
    record = office.drawn()
    assert office.approve().status_code == 409
    for answer in (office.freeze(), office.seed(), office.post("draw", office.drafter)):
        assert answer.status_code == 409
        assert answer.json()["state"] == "drawn"
    assert office.get("/record").json() == record


def test_of_two_officers_at_once_one_draws(office: Office) -> None:
    office.draft()
    office.approve()
    office.freeze()
    office.seed()
    path = f"/v1/plans/{PLAN}/draw"

    def draw(_: int) -> int:
        return office.client.post(path, json={}, headers=office.drafter).status_code

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(draw, range(3))) == [200, 409, 409]


def test_a_pool_that_was_changed_in_the_ledger_is_not_drawn_from(
    office: Office, ledger: Ledger
) -> None:
    office.draft()
    office.approve()
    office.freeze()
    office.seed()
    with ledger.begin() as connection:
        connection.execute(text("alter table inspection_pool disable trigger append_only"))
        content = connection.execute(text("select content from inspection_pool")).scalar_one()
        lines = sorted({**dict.fromkeys(bytes(content).splitlines(keepends=True))})
        changed = b"".join(sorted([lines[0].replace(b"912101", b"912102"), *lines[1:]]))
        connection.execute(text("update inspection_pool set content = :c"), {"c": changed})
    (check,) = office.get("/checks", who=office.drafter).json()
    assert (check["name"], check["holds"]) == ("frozen", False)
    answer = office.post("draw", office.drafter)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/pool-changed")
    assert "changed after it was frozen" in answer.json()["detail"]
    assert office.get("/verify").json()["state"] == "seeded"


def test_a_record_that_was_changed_in_the_ledger_is_found(office: Office, ledger: Ledger) -> None:
    office.drawn()
    with ledger.begin() as connection:
        connection.execute(text("alter table inspection_draw disable trigger append_only"))
        connection.execute(
            text("update inspection_draw set record = replace(record, :old, :new)"),
            {"old": '"result": "', "new": '"result":  "'},
        )
    checks = {one["name"]: one for one in office.get("/checks", who=office.drafter).json()}
    assert not checks["record"]["holds"]
    assert checks["subjects"]["holds"]


def test_a_plan_with_periods_draws_each_and_keeps_to_the_cap(office: Office) -> None:
    periods = [
        {"id": "Q3", "first": "2026-07-01", "last": "2026-09-30"},
        {"id": "Q4", "first": "2026-11-24", "last": "2026-12-31"},
    ]
    assert office.draft(declared(periods=periods, caps={"per_year": 1})).status_code == 201
    office.approve()
    assert office.freeze().status_code == 422
    assert office.freeze(period="Q5").json()["type"] == "/problems/no-such-period"
    drawn: list[set[str]] = []
    for name in ("Q3", "Q4"):
        assert office.freeze(period=name).status_code == 200
        assert office.seed(period=name).status_code == 200
        assert office.post("draw", office.drafter, period=name).status_code == 200
        record = office.get("/record", period=name).json()
        drawn.append({one["subject_id"] for one in record["drawn"]})
    assert drawn[0]
    assert drawn[1]
    assert not drawn[0] & drawn[1]
    states = {one["id"]: one["state"] for one in office.get(who=office.drafter).json()["periods"]}
    assert states == {"Q3": "drawn", "Q4": "drawn"}


def test_mandatory_subjects_are_drawn_for_certain(office: Office) -> None:
    office.draft(declared(mandatory=[{"list": "serious_dishonest"}]))
    office.approve()
    rows = firms()
    rows[7] = {**rows[7], "mandatory": "serious_dishonest"}
    assert office.freeze(population=rows).status_code == 200
    office.seed()
    office.post("draw", office.drafter)
    told = office.get(f"/lines/{code(7)}").json()
    assert (told["drawn"], told["pi"], told["key"], told["rank"]) == (True, 1.0, None, None)


ORDER = [one.value for one in State]


@settings(
    max_examples=5,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tried=st.lists(st.sampled_from(ORDER[1:5]), min_size=6, max_size=12))
def test_whatever_is_tried_in_whatever_order_nothing_goes_back(
    office: Office, tried: list[str]
) -> None:
    office.plan = f"plan_{secrets.token_hex(6)}"
    assert office.draft().status_code == 201
    acts = {
        "approved": office.approve,
        "frozen": lambda: office.freeze(population=firms(40)),
        "seeded": office.seed,
        "drawn": lambda: office.post("draw", office.drafter),
    }
    reached = 0
    for to in tried:
        may = ORDER[reached + 1] == to
        answer = acts[to]()
        assert answer.status_code == (200 if may else 409), (ORDER[reached], to, answer.text)
        reached += may
        (period,) = office.get(who=office.drafter).json()["periods"]
        assert period["state"] == ORDER[reached]
        assert [one["state"] for one in period["steps"]] == ORDER[: reached + 1]
