"""An office of supervision for tests of the routes."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from serving.app import create_app
from serving.service import Service
from tests.serving.bureau import Office, manager_and_officer, timed


@pytest.fixture
def office(service: Service, as_caller: Callable[..., dict[str, str]]) -> Generator[Office]:
    """Return an office whose clock stands at midday of 2026-11-20."""
    running, clock = timed(service)
    manager, officer = manager_and_officer(as_caller)
    with service.ledger.begin() as connection:  # whatever day the test goes to
        connection.execute(text("update api_key set expires_at = '2100-01-01'"))
    with TestClient(create_app(service=running), raise_server_exceptions=False) as client:
        yield Office(running, clock, client, as_caller, manager, officer)
