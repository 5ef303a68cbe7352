from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from models.errors import (
    BundleError,
    ConfigError,
    LakeConflictError,
    LakeMissingError,
    LedgerDownError,
    XinjianError,
)
from serving.problems import MEDIA, Problem


class Body(BaseModel):
    count: int


@pytest.fixture
def failing(app: FastAPI) -> FastAPI:
    @app.post("/checked")
    def checked(body: Body) -> int:
        return body.count

    @app.get("/broken")
    def broken() -> None:
        message = "a secret path"
        raise RuntimeError(message)

    return app


def test_a_path_that_is_not_there_is_a_problem(client: TestClient) -> None:
    answer = client.get("/nowhere", headers={"X-Request-ID": "caller-0001"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == MEDIA
    assert answer.json() == {
        "type": "/problems/no-such-path",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no /nowhere; see /docs for what there is",
        "instance": "caller-0001",
    }


def test_a_wrong_field_is_named_with_value_and_rule(failing: FastAPI) -> None:
    with TestClient(failing) as client:
        answer = client.post("/checked", json={"count": "many"})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "body.count"
    assert "'many'" in error["message"]


def test_what_is_no_json_is_malformed(failing: FastAPI) -> None:
    with TestClient(failing) as client:
        answer = client.post(
            "/checked", content=b'{"count": ', headers={"content-type": "application/json"}
        )
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed")


def test_an_error_of_ours_shows_nothing_of_the_inside(failing: FastAPI) -> None:
    with TestClient(failing, raise_server_exceptions=False) as client:
        answer = client.get("/broken")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == MEDIA
    assert "secret" not in answer.text
    assert answer.json()["instance"] in answer.json()["detail"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("x"), 422),
        (LakeMissingError("x"), 404),
        (LakeConflictError("x"), 409),
        (LedgerDownError("host 10.1.2.3"), 503),
        (BundleError("x"), 503),
    ],
)
def test_errors_of_the_tree_have_their_status(
    app: FastAPI, error: XinjianError, status: int
) -> None:
    @app.get("/raises")
    def raises() -> None:
        raise error

    with TestClient(app) as client:
        answer = client.get("/raises")
    assert answer.status_code == status
    assert answer.headers["content-type"] == MEDIA
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert "10.1.2.3" not in answer.text


def test_a_problem_keeps_its_own_members_and_never_loses_the_standard_ones(app: FastAPI) -> None:
    @app.get("/state")
    def state() -> None:
        raise Problem(409, "state", "no", more={"allowed": ["a"], "status": 1})

    with TestClient(app) as client:
        told = client.get("/state").json()
    assert told["allowed"] == ["a"]
    assert told["status"] == 409
