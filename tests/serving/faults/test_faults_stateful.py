"""Whatever officers do, in whatever order: no answer is an error of ours, and the books agree."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from serving.app import create_app
from serving.auth.roles import ADMINISTRATORS, Role
from serving.jobs.compact import compact
from serving.ledger import audit
from serving.runtime.scoring import redecide
from serving.service import Service
from tests.serving import village
from tests.serving.bureau import STEPS
from tests.serving.inspecting.office import Office as PlanOffice
from tests.serving.inspecting.office import firms, people
from tests.serving.posts import penalty, post

Headers = dict[str, str]
BUSINESS = tuple(role for role in Role if role not in ADMINISTRATORS)
SUBJECTS = village.KNOWN[:4]
HURRIED = settings(
    max_examples=4,
    stateful_step_count=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
BEFORE = datetime(2026, 11, 23, 4, tzinfo=UTC)
"""Midday of the day before the plan's period."""
ACTS = ("apply", "accept", "repair", "refuse", "withdraw", "annul", "restore")


@dataclass(frozen=True, slots=True)
class Bureau:
    """A service over a village, and somebody who may do everything."""

    service: Service
    clock: village.Clock
    client: TestClient
    headers: Headers

    def ask(self, method: str, path: str, body: object = None) -> Response:
        answer = self.client.request(method, path, json=body, headers=self.headers)
        assert answer.status_code < 500, f"{method} {path} {body}: {answer.text[:1500]}"
        if answer.status_code >= 400:
            assert answer.json()["detail"], "whoever is refused is told why"
        return answer


@pytest.fixture
def service(database: str, tmp_path: Path, clock: village.Clock) -> Generator[Service]:
    """Return a service over a village of the test's own; shadows the empty one."""
    with village.running(tmp_path / "home", database, clock=clock, rate_limit=0) as made:
        yield made


@pytest.fixture
def bureau(
    service: Service, clock: village.Clock, as_caller: Callable[..., Headers]
) -> Generator[Bureau]:
    headers = as_caller(roles=BUSINESS, purpose="supervision")
    with service.ledger.begin() as connection:  # whatever day the machine goes to
        connection.execute(text("update api_key set expires_at = '2100-01-01'"))
    with TestClient(create_app(service=service), raise_server_exceptions=False) as client:
        yield Bureau(service, clock, client, headers)


def _made(answer: Response) -> Any:  # noqa: ANN401
    """Return the number of what was made, for its bundle; nothing where it was refused."""
    return answer.json()["id"] if answer.status_code == 201 else cast("Any", multiple())


class Handling(RuleBasedStateMachine):
    """Records come in, are decided upon, warn, are repaired and objected to."""

    bureau: Bureau
    records = Bundle("records")
    cases = Bundle("cases")
    objections = Bundle("objections")
    warnings = Bundle("warnings")

    def __init__(self) -> None:
        super().__init__()
        self.run = secrets.token_hex(4)
        self.posted: dict[int, tuple[dict[str, Any], str]] = {}

    @rule(target=records, subject=st.sampled_from(SUBJECTS), serious=st.booleans())
    def record(self, subject: str, serious: bool) -> tuple[str, str]:
        number = len(self.posted)
        severity = "serious" if serious else "general"
        told = {"happened_on": "2024-06-05", "severity": severity, "region": "210100"}
        row = penalty(f"{self.run}{number}", subject_id=subject, **told)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        answer = self._post(number, row)
        assert answer.status_code == 200, answer.text
        self.posted[number] = (row, answer.text)
        (kept,) = answer.json()["rows"]
        return subject, str(kept["record_id"])

    @precondition(lambda self: bool(self.posted))
    @rule(data=st.data(), other=st.booleans())
    def record_again(self, data: st.DataObject, other: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.posted)))
        row, before = self.posted[number]
        answer = self._post(number, {**row, "fine_amount": 1} if other else row)
        assert answer.status_code == (409 if other else 200)
        assert other or answer.text == before

    @rule(subject=st.sampled_from(SUBJECTS))
    def decide(self, subject: str) -> None:
        redecide(self.bureau.service, [subject])
        path = f"/v1/subjects/{subject}/decision?scenario={village.SCENARIO}"
        told = self.bureau.ask("GET", path)
        if told.status_code == 200:
            whole = self.bureau.ask("GET", f"/v1/decisions/{told.json()['id']}?replay=true")
            assert whole.json()["replay"]["identical"], whole.text

    @rule()
    def bring_in(self) -> None:
        compact(self.bureau.service)

    @rule(target=warnings)
    def look(self) -> Any:  # noqa: ANN401
        found = self.bureau.ask("GET", "/v1/warnings?limit=5").json()
        return multiple(*(one["id"] for one in found))

    @rule(warning=warnings, step=st.sampled_from(sorted(STEPS)))
    def step(self, warning: int, step: str) -> None:
        body = {"step": step, **STEPS[step]}
        answer = self.bureau.ask("POST", f"/v1/warnings/{warning}/steps", body)
        assert answer.status_code in {200, 409}, answer.text

    @rule(target=cases, record=records, act=st.sampled_from(ACTS))
    def begin(self, record: tuple[str, str], act: str) -> Any:  # noqa: ANN401
        body = {**self._named(record), "act": act, **self._terms(act)}
        answer = self.bureau.ask("POST", "/v1/repairs", body)
        return _made(answer)

    @rule(case=cases, act=st.sampled_from(ACTS))
    def act(self, case: int, act: str) -> None:
        self.bureau.ask("POST", f"/v1/repairs/{case}/acts", {"act": act, **self._terms(act)})
        assert self.bureau.ask("GET", f"/v1/repairs/{case}").status_code == 200
        assert self.bureau.ask("GET", f"/v1/repairs/{case}/proof").status_code == 200

    @rule(target=objections, record=records)
    def object_to(self, record: tuple[str, str]) -> Any:  # noqa: ANN401
        body = {**self._named(record), "objector": record[0], "ground": "有误"}
        answer = self.bureau.ask("POST", "/v1/objections", body)
        assert answer.status_code in {201, 409}, answer.text
        return _made(answer)

    @rule(objection=objections, outcome=st.sampled_from(["upheld", "partly", "rejected"]))
    def answer(self, objection: int, outcome: str) -> None:
        body = {"outcome": outcome, "answer": "已核实"}
        answer = self.bureau.ask("POST", f"/v1/objections/{objection}/answer", body)
        assert answer.status_code in {200, 409}, answer.text

    @rule(days=st.integers(-1, 120))
    def wait(self, days: int) -> None:
        self.bureau.clock.at += timedelta(days=days)

    @invariant()
    def every_list_can_be_read(self) -> None:
        for path in ("/v1/repairs", "/v1/objections", "/v1/changes", "/v1/jobs"):
            assert self.bureau.ask("GET", path).status_code == 200

    def teardown(self) -> None:
        self.bureau.clock.at = village.NOON
        compact(self.bureau.service)
        with self.bureau.service.ledger.begin() as connection:
            assert audit.verify(connection).whole
            waiting = text("select count(*) from inbox where merged_at is null")
            assert connection.execute(waiting).scalar_one() == 0

    def _post(self, number: int, row: dict[str, Any]) -> Response:
        key = f"{self.run}-{number}"
        answer = post(self.bureau.client, self.bureau.headers, row, key=key)
        assert answer.status_code < 500, answer.text
        return answer

    def _named(self, record: tuple[str, str]) -> dict[str, str]:
        return {"table": "penalty", "subject_id": record[0], "record_id": record[1]}

    def _terms(self, act: str) -> dict[str, bool]:
        return {"performed": True, "pledged": True} if act == "apply" else {}


@pytest.mark.slow
def test_whatever_is_done_to_records_decisions_and_warnings_the_books_agree(
    bureau: Bureau,
) -> None:
    machine = type("Handled", (Handling,), {"bureau": bureau})
    run_state_machine_as_test(machine, settings=HURRIED)


class Carrying(RuleBasedStateMachine):
    """A plan is drafted, approved, frozen, seeded, drawn, visited, published and closed."""

    office: PlanOffice
    towns: Iterator[int]

    def __init__(self) -> None:
        super().__init__()
        town = next(self.towns)  # nobody of another example's, whose plans use up the visits
        self.firms = firms(60 * town)[-60:]
        self.office.plan = f"plan_{secrets.token_hex(6)}"
        self.office.clock.at = BEFORE
        self.office.arrive()
        assert self.office.draft().status_code == 201
        self.reached = 0

    @rule(ahead=st.sampled_from([0, 0, 0, 1, 2, -1, -2, -9]))
    def go_on(self, ahead: int) -> None:
        """Try what is next, mostly; else something else, which is refused or harmless."""
        acts = self._acts()
        place = min(max(self.reached + ahead, 0), len(acts) - 1)
        answer = acts[place]()
        assert answer.status_code < 500, answer.text[:1500]
        if place == self.reached:
            assert answer.status_code in {200, 201}, (place, answer.text[:800])
            self.reached += 1
        elif place > self.reached:
            assert answer.status_code in {404, 409, 422}, (place, answer.text[:800])

    @invariant()
    def it_can_be_read_at_every_stage(self) -> None:
        for path in ("", "/record", "/verify", "/tasks", "/results", "/publication", "/estimate"):
            answer = self.office.get(path, who=self.office.chief)
            assert answer.status_code < 500, (path, answer.text[:800])

    def _acts(self) -> list[Callable[[], Response]]:
        office = self.office
        return [
            office.approve,
            lambda: office.freeze(population=self.firms),
            office.seed,
            lambda: office.post("draw", office.drafter),
            lambda: office.post("tasks", office.drafter, authority="沈阳市市场监督管理局"),
            self._results,
            lambda: office.post("publish", office.chief),
            lambda: office.post("close", office.chief),
        ]

    def _results(self) -> Response:
        office = self.office
        if office.clock.at < BEFORE + timedelta(days=1):
            office.later(days=2)  # no task ends before its first day
        return office.post("results", office.inspector, rows=office.filled(self._tasks()))

    def _tasks(self) -> dict[str, Any]:
        answer = self.office.get("/tasks", who=self.office.chief)
        return answer.json() if answer.status_code == 200 else {"tasks": []}


@pytest.mark.slow
def test_whatever_is_tried_with_a_plan_it_goes_its_way_to_the_end(
    plan_office: PlanOffice,
) -> None:
    machine = type("Carried", (Carrying,), {"office": plan_office, "towns": count(1)})
    run_state_machine_as_test(machine, settings=HURRIED)


@pytest.fixture
def plan_office(bureau: Bureau, as_caller: Callable[..., Headers]) -> PlanOffice:
    bureau.clock.at = BEFORE
    office = PlanOffice(bureau.client, as_caller, bureau.clock)
    assert office.lists("pools/inspectors", rows=people()).status_code == 201
    return office
