"""Posts of live records, as partner systems send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

FIRM = "91210102123456788E"
OTHER = "91210102MA0YXQTC7E"


def penalty(number: int = 1, **changed: object) -> dict[str, Any]:
    """Return a row that keeps its contract."""
    row: dict[str, Any] = {
        "subject_id": FIRM,
        "document_number": f"沈市监罚〔2026〕{number}号",
        "authority": "沈阳市市场监督管理局",
        "happened_on": "2026-01-05",
        "region": "210102",
        "fine_amount": 5000,
    }
    return {**row, **changed}


def post(
    client: TestClient,
    headers: Mapping[str, str],
    *rows: Mapping[str, object],
    key: str = "k-1",
    table: str = "penalty",
    **more: object,
) -> Response:
    """Post rows under an idempotency key."""
    return client.post(
        "/v1/records",
        json={"table": table, "rows": list(rows), **more},
        headers={**headers, "Idempotency-Key": key},
    )
