"""Input that is too much, too deep, or no text at all: refused in plain words, never our error."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text

from models.logs import configure, logger
from serving.app import create_app
from serving.auth.roles import ADMINISTRATORS, Role
from serving.jobs import intake
from serving.problems import MEDIA
from serving.service import Service
from serving.settings import ServeSettings
from tests.serving.posts import FIRM, penalty, post

Headers = dict[str, str]
AsCaller = Callable[..., Headers]
BUSINESS = tuple(role for role in Role if role not in ADMINISTRATORS)
MANY = 20
DEEP = 100_000


@pytest.fixture
def partner(as_caller: AsCaller) -> Headers:
    return as_caller(roles=[Role.PARTNER])


def send(client: TestClient, headers: Headers, content: bytes | Iterator[bytes]) -> Response:
    told = {**headers, "Idempotency-Key": "k", "Content-Type": "application/json"}
    return client.post("/v1/records", content=content, headers=told)


def in_chunks(content: bytes, size: int = 2**16) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def counted(service: Service, table: str) -> int:
    with service.ledger.begin() as connection:
        return connection.execute(text(f"select count(*) from {table}")).scalar_one()  # noqa: S608


# One key, many at once


def test_one_key_at_once_has_one_effect_and_one_answer(
    client: TestClient, service: Service, partner: Headers
) -> None:
    with ThreadPoolExecutor(MANY) as pool:
        asked = [pool.submit(post, client, partner, penalty(1), key="same") for _ in range(MANY)]
        answers = [one.result() for one in asked]
    assert {one.status_code for one in answers} == {200}
    assert len({one.text for one in answers}) == 1
    assert sum("Idempotency-Replayed" not in one.headers for one in answers) == 1
    assert [counted(service, table) for table in ("inbox", "job", "inbox_request")] == [1, 1, 1]


def test_of_two_bodies_under_one_key_at_once_one_is_kept_and_the_other_told(
    client: TestClient, service: Service, partner: Headers
) -> None:
    with ThreadPoolExecutor(MANY) as pool:
        asked = [
            pool.submit(post, client, partner, penalty(number % 2), key="same")
            for number in range(MANY)
        ]
        answers = [one.result() for one in asked]
    kinds = {one.status_code for one in answers}
    assert kinds == {200, 409}
    assert sum(one.status_code == 200 for one in answers) == MANY // 2
    refused = next(one for one in answers if one.status_code == 409)
    assert refused.json()["type"] == "/problems/idempotency-key-reused"
    assert counted(service, "inbox") == 1


# Large and deep


@pytest.mark.parametrize("told", [True, False], ids=["told", "in chunks"])
def test_a_body_beyond_the_limit_is_a_413_on_a_route_that_reads_json(
    client: TestClient, service: Service, partner: Headers, *, told: bool
) -> None:
    row = penalty(1, remark="x" * (service.settings.body_limit + 1))
    content = json.dumps({"table": "penalty", "rows": [row]}).encode()
    answer = send(client, partner, content if told else in_chunks(content))
    assert (answer.status_code, answer.headers["content-type"]) == (413, MEDIA)
    assert str(service.settings.body_limit) in answer.json()["detail"]
    assert counted(service, "inbox") == 0


def test_the_score_of_a_body_beyond_the_limit_is_a_413_too(
    client: TestClient, service: Service, as_caller: AsCaller
) -> None:
    content = b'{"features": "' + b"x" * service.settings.body_limit + b'"}'
    headers = as_caller(roles=[Role.ANALYST]) | {"Content-Type": "application/json"}
    path = "/v1/scenarios/food_safety/score"
    answer = client.post(path, content=in_chunks(content), headers=headers)
    assert answer.status_code == 413


@pytest.mark.slow
def test_ten_megabytes_that_are_allowed_are_read_and_answered(
    client: TestClient, service: Service, partner: Headers
) -> None:
    row = penalty(1, remark="x" * (service.settings.body_limit - 1000))
    answer = send(client, partner, json.dumps({"table": "penalty", "rows": [row]}).encode())
    assert answer.status_code in {200, 422}
    assert len(answer.content) < 10_000, "what was too long is not said back"


@pytest.mark.parametrize("opening", ["[", '{"a":'], ids=["lists", "objects"])
@pytest.mark.parametrize("depth", [300, DEEP])
@pytest.mark.parametrize("inside", [False, True])
def test_json_that_goes_deep_is_refused(
    client: TestClient,
    service: Service,
    partner: Headers,
    opening: str,
    depth: int,
    *,
    inside: bool,
) -> None:
    closing = "]" if opening == "[" else "}"
    nested = opening * depth + "1" + closing * depth
    row = json.dumps(penalty(1))[:-1] + f', "remark": {nested}}}'
    content = f'{{"table": "penalty", "rows": [{row}]}}' if inside else nested
    answer = send(client, partner, content.encode())
    assert answer.status_code in {200, 400, 422}, answer.text[:500]
    if answer.status_code == 200:
        assert answer.json()["quarantined"] == 1
    assert counted(service, "inbox") == 0


# What is no number, no text


NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "9" * 400, "9" * 5000, "-0", "1e-400"]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:9])
@pytest.mark.parametrize("column", ["fine_amount", "happened_on", "subject_id"])
def test_numbers_that_are_none_come_to_nothing(
    client: TestClient, partner: Headers, number: str, column: str
) -> None:
    told = json.dumps({"table": "penalty", "rows": [penalty(1, **{column: "@"})]})
    answer = send(client, partner, told.replace('"@"', number).encode())
    assert answer.status_code in {200, 400, 422}, answer.text[:500]
    if answer.status_code == 200 and number not in {"-0", "1e-400"}:
        assert answer.json()["accepted"] == 0


@pytest.mark.parametrize("bad", ["\\u0000", "\\ud800", "\\udfff\\ud800", "\u202e", "\\u001b[31m"])
@pytest.mark.parametrize("column", ["subject_id", "document_number", "authority", "region"])
def test_characters_that_are_none_are_kept_out(
    client: TestClient, service: Service, partner: Headers, bad: str, column: str
) -> None:
    told = json.dumps({"table": "penalty", "rows": [penalty(1, **{column: "a@b"})]})
    answer = send(client, partner, told.replace("@", bad).encode())
    assert answer.status_code == 200, answer.text
    with service.ledger.begin() as connection:
        asked = text("select record from inbox union all select entry from inbox_refused")
        kept = [str(one) for one in connection.execute(asked).scalars()]
    assert kept
    for one in kept:
        one.encode()  # half a character cannot be
        assert "\x00" not in one
    frame = intake.quarantine_frame(kept) if not counted(service, "inbox") else None
    if frame is not None:
        for name in ("region", "authority", "value"):
            assert "\x00" not in (frame[name][0] or ""), name


HOSTILE: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b"0",
    b'"\\ud800"',
    b"{}",
    b'{"a": NaN}',
    b"{" + b'"a":{' * 2000,
    b"\xff\xfe{}",
    b'{"\\u0000": "\\u0000"}',
    b'{"__proto__": {"x": 1}, "kind": "\' or 1=1 --", "table": "x\\n{\\"level\\":\\"error\\"}"}',
    b"9" * 5000,
]


@pytest.mark.slow
def test_no_route_takes_hostile_bodies_for_anything(app: FastAPI, as_caller: AsCaller) -> None:
    headers = as_caller(roles=BUSINESS, purpose="supervision")
    headers |= {"Content-Type": "application/json", "Idempotency-Key": "x"}
    paths: dict[str, dict[str, object]] = app.openapi()["paths"]
    asked = [
        (method, re.sub(r"\{\w+\}", "1", path))
        for path, methods in paths.items()
        for method, told in methods.items()
        if method in {"post", "put", "patch", "delete"} and isinstance(told, dict)
    ]
    assert len(asked) > 30
    with TestClient(app, raise_server_exceptions=False) as client:
        for method, path in asked:
            for content in HOSTILE:
                answer = client.request(method, path, content=content, headers=headers)
                # 429 of too many failed proofs; 503 of what a service without models or lake says.
                assert answer.status_code < 500 or answer.status_code == 503, (path, content[:40])
                if answer.status_code >= 400:
                    assert answer.headers["content-type"] == MEDIA, (path, content[:40])


# What reaches the log


FORGED = 'x\n{"event": "login", "level": "info"}\r\x1b[2J'


@pytest.mark.parametrize("form", ["json", "console"])
def test_nobody_writes_lines_of_their_own_into_the_log(
    form: str, service: Service, partner: Headers, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    restore: Callable[[], None] = lambda: configure("auto", "info")  # noqa: E731
    request.addfinalizer(restore)
    stream = io.StringIO()
    quoted = "".join(f"%{byte:02x}" for byte in FORGED.encode())
    gone = {"home": tmp_path, "database_url": "postgresql://127.0.0.1:9/x", "database_wait": 0.2}
    away = Service.open(ServeSettings.model_validate(gone))
    configure(form, "info", stream=stream)  # type: ignore[arg-type]
    for running in (service, away):
        app = create_app(service=running)

        @app.get("/broken/{name}")
        def broken(name: str) -> None:
            logger("test").warning("seen", name=name)
            raise ZeroDivisionError

        with TestClient(app, raise_server_exceptions=False) as client:
            headers = {**partner, "X-Request-ID": FORGED.encode().hex(), "X-Purpose": "supervision"}
            client.get(f"/v1/subjects/{quoted}/decision?scenario={quoted}", headers=headers)
            client.get(f"/broken/{quoted}", headers=headers)
            post(client, headers, penalty(1, subject_id=FORGED), table=FORGED[:60])
            post(client, headers, penalty(1, subject_id=FORGED))
    away.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) > 4
    assert not [line for line in lines if line.startswith('{"event": "login"')]
    assert "\x1b[2J" not in stream.getvalue()
    if form == "json":
        assert all(json.loads(line) for line in lines)


def test_hostile_names_find_nothing(client: TestClient, as_caller: AsCaller) -> None:
    headers = as_caller(roles=BUSINESS)
    for name in ("' or '1'='1", "x'; drop table decision; --", "%00", "%0a", "${jndi:ldap://x}"):
        for path in (
            f"/v1/subjects/{name}/decision?scenario=food_safety",
            f"/v1/subjects/{FIRM}/decision?scenario={name}",
            f"/v1/changes?after={name}",
            f"/v1/jobs?kind={name}",
            f"/v1/repairs?subject={name}",
        ):
            answer = client.get(path, headers=headers)
            # 503 is what a service without models says, in a sentence of its own.
            assert answer.status_code in {200, 404, 422, 503}, path
            assert "/problems/" in answer.text or answer.status_code == 200
