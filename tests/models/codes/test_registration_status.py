from __future__ import annotations

import pytest

from models.codes import registration_status
from models.codes.registration_status import RegistrationStatus

S = RegistrationStatus


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("存续", S.ACTIVE),
        ("存续（在营、开业、在册）", S.ACTIVE),
        ("在营", S.ACTIVE),
        ("在业", S.ACTIVE),
        ("开业", S.ACTIVE),
        ("正常", S.ACTIVE),
        ("A", S.ACTIVE),
        ("k", S.ACTIVE),
        ("active", S.ACTIVE),
        ("吊销，未注销", S.REVOKED_LICENCE),
        ("吊销未注销", S.REVOKED_LICENCE),
        ("吊销", S.REVOKED_LICENCE),
        ("吊销营业执照", S.REVOKED_LICENCE),
        ("DA", S.REVOKED_LICENCE),
        ("撤销登记", S.REVOKED_REG),
        ("撤销", S.REVOKED_REG),
        ("C", S.REVOKED_REG),
        ("注销", S.CANCELLED),
        ("已注销", S.CANCELLED),
        ("吊销后注销", S.CANCELLED),
        ("吊销，已注销", S.CANCELLED),
        ("DX", S.CANCELLED),
        ("迁出", S.MOVED_OUT),
        ("QX", S.MOVED_OUT),
        ("歇业", S.SUSPENDED),
        ("清算", S.LIQUIDATION),
        ("简易注销公告中", S.LIQUIDATION),
        ("拟强制注销", S.FORCED),
        ("另册管理", S.FORCED),
        ("？", None),
        ("", None),
        (None, None),
    ],
)
def test_wild_spellings(text: str | None, status: RegistrationStatus | None) -> None:
    assert registration_status.parse(text) is status


@pytest.mark.parametrize("status", RegistrationStatus)
def test_every_status_has_a_meaning_and_reads_back(status: RegistrationStatus) -> None:
    assert registration_status.parse(registration_status.label(status)) is status
    assert registration_status.parse(status.value) is status
    for code in registration_status.meaning(status).codes:
        assert registration_status.parse(code) is status


def test_what_statuses_do_to_scoring() -> None:
    scored = {status for status in S if registration_status.is_scored(status.value)}
    assert scored == {S.ACTIVE, S.REVOKED_LICENCE, S.SUSPENDED, S.LIQUIDATION, S.FORCED}
    revoked = registration_status.meaning(S.REVOKED_LICENCE)
    assert (revoked.best_grade, revoked.draw) == ("D", "liquidation")
    assert registration_status.meaning(S.SUSPENDED).draw == "off_site"
    assert registration_status.meaning(S.MOVED_OUT).hand_over
    assert registration_status.meaning(S.LIQUIDATION).watch
    assert registration_status.meaning(S.ACTIVE).best_grade is None
