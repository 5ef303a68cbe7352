"""Records of departments' tables come by the interface as those of any table do."""

from __future__ import annotations

from collections.abc import Callable

from fastapi.testclient import TestClient

from serving.auth.roles import Role
from serving.ledger import inbox
from serving.ledger.engine import Ledger
from tests.serving.posts import FIRM, post


def lift(number: int = 1, **changed: object) -> dict[str, object]:
    row: dict[str, object] = {
        "subject_id": FIRM,
        "registration_code": f"梯11辽A{number:05d}",
        "kind": "定期检验",
        "category": "电梯",
        "result": "不合格",
        "overdue_days": 40,
        "happened_on": "2026-01-05",
    }
    return {**row, **changed}


def test_a_departments_record_is_checked_by_its_contract_and_kept(
    client: TestClient, as_caller: Callable[..., dict[str, str]], ledger: Ledger
) -> None:
    partner = as_caller(roles=[Role.PARTNER])
    answer = post(client, partner, lift(1), lift(2, category="飞机"), table="equipment")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["quarantined"]) == (1, 1)
    with ledger.begin() as connection:
        frame = inbox.pending(connection, [FIRM])["equipment"]
    assert frame["overdue_days"].to_list() == [40]
