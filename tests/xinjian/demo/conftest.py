"""The ledger of the service's tests, for those of the demonstration."""

from __future__ import annotations

from tests.serving.conftest import database, ledger, server

__all__ = ["database", "ledger", "server"]
