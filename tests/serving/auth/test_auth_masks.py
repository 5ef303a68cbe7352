from __future__ import annotations

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from serving.auth import masks
from serving.auth.caller import Caller, Purpose
from serving.auth.opening import opened, record_for
from serving.auth.roles import Role
from serving.ledger import audit
from serving.service import Service

PENALTY = CONTRACTS["penalty"]
ROW = {
    "record_id": "0" * 32,
    "subject_id": "91210100MA0000001X",
    "legal_representative": "欧阳某某",
    "violation_fact": "当事人张三（身份证号210102199001011234，电话13812345678）无证经营",
    "happened_on": date(2026, 1, 2),
    "amount": 5000,
}


def caller(role: Role, purpose: Purpose | None = None) -> Caller:
    return Caller("user:1", "user", "test", frozenset({role}), ("",), purpose=purpose)


def trail(service: Service) -> list[tuple[object, ...]]:
    with service.ledger.begin() as connection:
        return [
            (row["actor"], row["action"], row["target"], row["purpose"])
            for row in audit.page(connection)
        ]


def test_persons_are_starred_and_the_rest_stays() -> None:
    shown = masks.masked_row(ROW, PENALTY)
    assert shown["legal_representative"] == "欧**"
    told = str(shown["violation_fact"])
    assert "199001011234" not in told
    assert "13812345678" not in told
    assert "无证经营" in told
    kept = ("record_id", "subject_id", "happened_on", "amount")
    assert {name: shown[name] for name in kept} == {name: ROW[name] for name in kept}


def test_a_frame_is_masked_like_its_rows() -> None:
    rows = [ROW, ROW | {"legal_representative": None, "violation_fact": None}]
    frame = pl.DataFrame(rows)
    assert masks.masked(frame, PENALTY).to_dicts() == [
        masks.masked_row(row, PENALTY) for row in rows
    ]


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.name)
def test_no_personal_column_of_any_table_is_shown(contract: Contract) -> None:
    secret = "13812345678"
    row: dict[str, object] = dict.fromkeys(contract.personal, secret)
    shown = masks.masked_row(row, contract)
    assert secret not in str(shown)
    if row:
        assert masks.masked(pl.DataFrame([row]), contract).to_dicts() == [shown]


def test_a_personal_column_that_is_no_text_becomes_null() -> None:
    contract = replace(PENALTY, personal=PENALTY.personal | {"amount"})
    assert masks.masked_row(ROW, contract)["amount"] is None
    assert masks.masked(pl.DataFrame([ROW]), contract)["amount"].to_list() == [None]


@pytest.mark.parametrize("role", Role)
def test_a_role_shows_persons_for_its_purposes_only(role: Role) -> None:
    shown = {purpose for purpose in Purpose if masks.shows(caller(role, purpose))}
    assert shown == masks.SHOWING.get(role, frozenset())
    assert not masks.shows(caller(role))
    assert Purpose.STATISTICS not in shown


def test_what_is_shown_of_persons_is_audited_with_its_purpose(service: Service) -> None:
    inspector = caller(Role.INSPECTOR, Purpose.INSPECTION)
    target = "subject:91210100MA0000001X"
    for other in (
        *(caller(role, Purpose.INSPECTION) for role in (Role.VIEWER, Role.ANALYST)),
        caller(Role.VIEWER),
    ):
        shown = record_for(service, other, ROW, contract=PENALTY, target=target)
        assert shown == masks.masked_row(ROW, PENALTY) != ROW
    assert trail(service) == []
    assert record_for(service, inspector, ROW, contract=PENALTY, target=target) == ROW
    assert trail(service) == [("user:1", "personal.read", target, "inspection")]


def test_what_holds_no_person_is_not_audited(service: Service) -> None:
    inspector = caller(Role.INSPECTOR, Purpose.INSPECTION)
    for plain in ({name: ROW[name] for name in ("record_id", "amount")}, {}):
        assert record_for(service, inspector, plain, contract=PENALTY, target="x") == plain
    assert trail(service) == []


def test_without_an_audit_nothing_is_shown(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(recorder: audit.Recorder, *entries: audit.Entry) -> None:
        del recorder
        raise OSError(len(entries))

    monkeypatch.setattr(audit.Recorder, "record", failing)
    with pytest.raises(OSError, match="1"):
        opened(service, caller(Role.INSPECTOR, Purpose.REPAIR), "x")
