"""A village with a model, whose firms are portrayed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from serving.app import create_app
from serving.auth.roles import Role
from serving.service import Service
from tests.serving import village
from tests.serving.portrait.easel import Easel


@pytest.fixture
def clock() -> village.Clock:
    return village.Clock()


@pytest.fixture
def service(database: str, tmp_path: Path, clock: village.Clock) -> Generator[Service]:
    home = tmp_path / "home"
    village.furnish(home)
    opened = Service.open(village.settings(home, database), clock=clock)
    opened.runtime.refresh()
    yield opened
    opened.close()


@pytest.fixture
def app(service: Service) -> FastAPI:
    return create_app(service=service)


@pytest.fixture
def easel(
    service: Service,
    client: TestClient,
    clock: village.Clock,
    as_caller: Callable[..., dict[str, str]],
) -> Easel:
    inspector = as_caller(roles=[Role.INSPECTOR])
    with service.ledger.begin() as connection:  # whatever day the test goes to
        connection.execute(text("update api_key set expires_at = '2100-01-01'"))
    return Easel(service, client, clock, as_caller, inspector)
