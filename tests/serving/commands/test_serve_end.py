from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager

import pytest
import uvicorn

from serving.commands import serve
from xinjian.cli import main


@pytest.fixture(autouse=True)
def as_before() -> Generator[None]:
    """Put the handler back that the test's own process had."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_an_api_that_is_told_to_end_closes_its_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn ends, then sends itself the signal again: an embedded server must not outlive it."""
    closed: list[bool] = []

    @contextmanager
    def ready(_: object) -> Generator[None]:
        try:
            yield
        finally:
            closed.append(True)

    def run(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(serve, "_ready", ready)
    monkeypatch.setattr(serve.threads, "one_each", lambda: None)
    monkeypatch.setattr(uvicorn, "run", run)
    assert main(["serve", "api"]) == 0
    assert closed == [True]
