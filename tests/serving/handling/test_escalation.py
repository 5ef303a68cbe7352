from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from serving.jobs import own
from serving.ledger import audit, changes, jobs, warnings
from serving.ledger.jobs import Status
from serving.supervision import escalate_overdue
from tests.serving.bureau import Office, decision
from tests.serving.posts import FIRM, OTHER


def heard(office: Office, number: int) -> list[tuple[str | None, str | None]]:
    with office.service.ledger.begin() as connection:
        taken = warnings.steps(connection, number)
    return [(one.assignee, one.outcome) for one in taken if one.step == "escalate"]


def warned(office: Office, number: int = 1, subject: str = FIRM) -> int:
    (kept,) = office.warn(decision(number, subject))
    return kept.id


def test_a_late_warning_goes_up_to_the_head_and_everybody_hears_once(office: Office) -> None:
    number = warned(office)  # red: to be acknowledged by the 23rd, closed by the 25th
    days = [date(2026, 11, day) for day in (23, 24, 25, 26, 27, 30)]
    taken: list[int] = []
    for day in (*days, date(2026, 12, 31)):
        office.clock.on(day)
        taken += [escalate_overdue(office.service), escalate_overdue(office.service)]
    assert taken == [0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
    assert heard(office, number) == [
        ("分管负责人", "acknowledge_late"),
        ("分管负责人", "close_late"),
        ("主要负责人", "close_late"),
    ]
    told = office.get(f"/v1/warnings/{number}").json()
    assert (told["state"], told["assignee"], told["version"]) == ("new", None, 4)
    with office.service.ledger.begin() as connection:
        last = changes.read(connection, 0, limit=20)[-1]
        entry = audit.page(connection)[-1]
    assert last.payload["escalated_to"] == "主要负责人"
    assert (entry["action"], entry["actor"]) == ("warning.escalate", "system")


def test_what_is_closed_is_quiet_and_what_is_reopened_begins_anew(office: Office) -> None:
    number = warned(office)
    office.clock.on(date(2026, 11, 26))
    assert escalate_overdue(office.service) == 1
    office.step(number, "acknowledge")
    office.step(number, "close", outcome="no_action")
    office.clock.on(date(2026, 12, 8))
    assert escalate_overdue(office.service) == 0
    office.step(number, "reopen", note="又有情况")
    assert escalate_overdue(office.service) == 0
    office.clock.on(date(2026, 12, 14))
    assert escalate_overdue(office.service) == 1
    assert [late for _, late in heard(office, number)] == ["close_late", "close_late"]


def test_several_at_once_say_it_once(office: Office) -> None:
    numbers = [warned(office), warned(office, 2, OTHER)]
    office.clock.on(date(2026, 11, 26))
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(escalate_overdue, office.service) for _ in range(3)]
        taken = sum(one.result() for one in asked)
    assert (taken, [len(heard(office, one)) for one in numbers]) == (2, [1, 1])


def test_a_job_of_the_worker_does_it(office: Office) -> None:
    warned(office)
    office.clock.on(date(2026, 11, 26))
    with office.service.ledger.begin() as connection:
        assert warnings.any_late(connection, office.service.today())
        number = jobs.enqueue(connection, "escalate", payload={}, created_by="test")
        (job,) = jobs.claim(connection, "w", kinds=("escalate",), limit=1)
    assert job.status is Status.RUNNING
    assert own.do(office.service, number, worker="w") == "1 escalations"


@pytest.mark.parametrize("day", [date(2040, 12, 31)])
def test_beyond_the_calendar_nobody_is_called_late(office: Office, day: date) -> None:
    office.clock.on(day)
    warned(office)
    assert escalate_overdue(office.service) == 0
