from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import text

from serving.auth.secret import seal
from serving.jobs import deliver
from serving.jobs.hosts import Target
from serving.ledger import changes, hooks
from serving.ledger.changes import ChangeKind
from serving.ledger.hooks import Delivery, Status
from serving.service import Service
from serving.settings import ServeSettings

SECRET = b"secret"
URL = "http://10.20.0.1/hook"


@dataclass
class Partner:
    """A partner that answers as it is told and remembers what it was sent."""

    answers: list[int | OSError] = field(default_factory=list[int | OSError])
    got: list[tuple[Target, bytes, dict[str, str]]] = field(
        default_factory=list[tuple[Target, bytes, dict[str, str]]]
    )

    def __call__(self, where: Target, body: bytes, headers: dict[str, str]) -> int:
        self.got.append((where, body, headers))
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, OSError):
            raise answer
        return answer

    @property
    def told(self) -> list[list[str]]:
        return [
            [one["subject_id"] for one in json.loads(body)["changes"]] for _, body, _ in self.got
        ]


@pytest.fixture
def settings(settings: ServeSettings) -> ServeSettings:
    return settings.model_copy(update={"hook_hosts": "10.20.0.0/16,127.0.0.1/32"})


Make = Callable[..., int]


@pytest.fixture
def make(service: Service) -> Make:
    def made(url: str = URL, **more: object) -> int:
        given: dict[str, Any] = {"kinds": [], "regions": [""], "cursor": 0, "by": "t", **more}
        secret = seal(service.settings, SECRET, context=deliver.context(url))
        with service.ledger.begin() as connection:
            return hooks.create(connection, "平台", url=url, secret=secret, **given)

    return made


def change(service: Service, *subjects: str, region: str = "210102") -> None:
    with service.ledger.begin() as connection:
        for one in subjects:
            changes.append(
                connection,
                ChangeKind.DECISION,
                subject_id=one,
                region=region,
                payload={"grade": "D"},
                at=service.clock(),
            )


def go(service: Service, partner: Partner) -> None:
    deliver.plan(service)
    while deliver.deliver(service, send=partner):
        deliver.plan(service)


def run(service: Service, statement: str) -> None:
    with service.ledger.begin() as connection:
        connection.execute(text(statement))


def due(service: Service) -> None:
    run(service, "update hook_delivery set next_at = now() where status = 'waiting'")


def log(service: Service, hook: int) -> list[Delivery]:
    with service.ledger.begin() as connection:
        return hooks.deliveries(connection, hook)[::-1]


def test_a_partner_is_told_of_every_change_once_and_in_order(service: Service, make: Make) -> None:
    partner = Partner()
    make()
    change(service, "a", "b")
    go(service, partner)
    change(service, "c")
    go(service, partner)
    go(service, partner)
    assert partner.told == [["a", "b"], ["c"]]


def test_a_delivery_is_signed_over_time_and_body(service: Service, make: Make) -> None:
    partner = Partner()
    make()
    change(service, "a")
    go(service, partner)
    ((_, body, headers),) = partner.got
    stamp = headers["X-Xinjian-Timestamp"]
    signed = hmac.new(SECRET, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Xinjian-Signature"] == f"v1={signed}"
    assert abs(int(stamp) - service.clock().timestamp()) < 300
    assert deliver.sign(SECRET, int(stamp) + 1, body) != headers["X-Xinjian-Signature"]
    assert deliver.sign(b"other", int(stamp), body) != headers["X-Xinjian-Signature"]


def test_what_failed_is_sent_again_the_same_and_holds_up_what_follows(
    service: Service, make: Make
) -> None:
    partner = Partner([500, OSError("no route")])
    hook = make()
    change(service, "a")
    go(service, partner)
    change(service, "b")
    go(service, partner)
    assert partner.told == [["a"]]
    (waits,) = log(service, hook)
    assert (waits.status, waits.answer, waits.error) == (
        Status.WAITING,
        500,
        "the partner answered 500",
    )
    for _ in range(2):
        due(service)
        go(service, partner)
    assert partner.told == [["a"], ["a"], ["a"], ["b"]]
    assert partner.got[0][1] == partner.got[2][1]
    assert len({one[2]["X-Xinjian-Delivery"] for one in partner.got[:3]}) == 1
    assert [one.status for one in log(service, hook)] == [Status.DELIVERED] * 2


def test_a_partner_that_never_takes_it_is_given_up_and_can_be_sent_it_by_hand(
    service: Service, make: Make
) -> None:
    partner = Partner([503] * hooks.ATTEMPTS)
    hook = make()
    change(service, "a")
    deliver.plan(service)
    for _ in range(hooks.ATTEMPTS):
        due(service)
        assert deliver.deliver(service, send=partner)
    (dead,) = log(service, hook)
    assert (dead.status, dead.attempts) == (Status.DEAD, hooks.ATTEMPTS)
    change(service, "b")
    go(service, partner)
    assert partner.told[-1] == ["b"]
    with service.ledger.begin() as connection:
        assert not hooks.again(connection, hook + 1, dead.id)
        assert hooks.again(connection, hook, dead.id)
    go(service, partner)
    assert partner.told[-1] == ["a"]


def test_each_wait_is_longer_than_the_last(service: Service, make: Make) -> None:
    partner = Partner([503] * 3)
    make()
    change(service, "a")
    deliver.plan(service)
    waits: list[float] = []
    for _ in range(3):
        due(service)
        deliver.deliver(service, send=partner)
        with service.ledger.begin() as connection:
            left = text("select extract(epoch from next_at - clock_timestamp()) from hook_delivery")
            waits.append(float(connection.execute(left).scalar_one()))
    assert waits == [pytest.approx(10, abs=3), pytest.approx(20, abs=3), pytest.approx(40, abs=3)]


def test_a_redirect_is_no_success(service: Service, make: Make) -> None:
    hook = make()
    change(service, "a")
    go(service, Partner([302]))
    assert log(service, hook)[0].status is Status.WAITING


def test_a_hook_is_told_of_its_regions_and_kinds_alone(service: Service, make: Make) -> None:
    shenyang, repairs = Partner(), Partner()
    make(regions=["2101"])
    change(service, "dalian", region="210202")
    change(service, "shenyang", region="210102")
    go(service, shenyang)
    assert shenyang.told == [["shenyang"]]
    make(kinds=["repair"])
    go(service, repairs)
    assert repairs.got == []
    with service.ledger.begin() as connection:
        newest = changes.latest(connection)
        assert [one.cursor for one in hooks.listing(connection)] == [newest, newest]


def test_many_changes_go_in_several_deliveries(service: Service, make: Make) -> None:
    partner = Partner()
    make()
    count = deliver.MOST * 2 + 5
    change(service, *(str(n) for n in range(count)))
    go(service, partner)
    assert [len(one) for one in partner.told] == [deliver.MOST, deliver.MOST, 5]
    assert [s for one in partner.told for s in one] == [str(n) for n in range(count)]


def test_a_hook_that_is_off_is_told_when_it_is_on_again(service: Service, make: Make) -> None:
    partner = Partner()
    hook = make()
    with service.ledger.begin() as connection:
        hooks.set_active(connection, hook, active=False)
    change(service, "a")
    go(service, partner)
    assert partner.got == []
    with service.ledger.begin() as connection:
        hooks.set_active(connection, hook, active=True)
    go(service, partner)
    assert partner.told == [["a"]]


def test_who_dies_while_delivering_leaves_it_to_the_next(service: Service, make: Make) -> None:
    make()
    change(service, "a")
    deliver.plan(service)
    with service.ledger.begin() as connection:
        assert hooks.take(connection) is not None
    partner = Partner()
    assert not deliver.deliver(service, send=partner)
    due(service)
    go(service, partner)
    assert partner.told == [["a"]]


def test_a_host_that_is_no_longer_allowed_is_not_sent_to(service: Service, make: Make) -> None:
    partner = Partner()
    hook = make(url="http://192.168.0.1/")
    change(service, "a")
    go(service, partner)
    assert partner.got == []
    assert "XINJIAN_HOOK_HOSTS" in str(log(service, hook)[0].error)


class Listener(BaseHTTPRequestHandler):
    """A real HTTP server of a partner's."""

    got: list[tuple[str, bytes]]
    status: int

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.got.append((self.headers["Host"], self.rfile.read(length)))
        self.send_response(self.status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def listener() -> Generator[tuple[type[Listener], str]]:
    own = type("Own", (Listener,), {"got": [], "status": 200})
    server = ThreadingHTTPServer(("127.0.0.1", 0), own)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield own, f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "ended"), [(200, "delivered"), (307, "waiting"), (500, "waiting")]
)
def test_it_goes_over_real_http(
    service: Service, make: Make, listener: tuple[type[Listener], str], status: int, ended: str
) -> None:
    own, url = listener
    own.status = status
    hook = make(url=url)
    change(service, "a")
    deliver.plan(service)
    assert deliver.deliver(service)
    ((host, body),) = own.got
    assert host == url.split("/")[2]
    assert json.loads(body)["changes"][0]["subject_id"] == "a"
    assert log(service, hook)[0].status == ended


def test_nobody_there_is_a_failure_to_try_again(service: Service, make: Make) -> None:
    hook = make(url="http://127.0.0.1:1/")
    change(service, "a")
    deliver.plan(service)
    assert deliver.deliver(service)
    assert log(service, hook)[0].status is Status.WAITING
