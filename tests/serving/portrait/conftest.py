"""A village with a model, whose firms are portrayed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from serving.auth.roles import Role
from serving.service import Service
from tests.serving import village
from tests.serving.portrait.easel import Easel


@pytest.fixture
def service(running: Service) -> Service:
    return running


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
