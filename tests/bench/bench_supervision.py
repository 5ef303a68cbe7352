"""Supervision at work: warnings after posts, a repair with many neighbours, a day of two hours.

Run: python tests/bench/bench_supervision.py [--parts warning,repair,day] [--posts 200]
     [--neighbours 1000] [--firms 20000] [--records 200000] [--warnings 5000] [--repairs 500]

*warning*: a record that warns is posted, and the list of warnings is asked until it is there; the
API and a worker are processes of their own. *repair*: a record of a firm that many count among
their neighbours is repaired, and the proof is asked until everything was made anew. *day*: two
hours of the service's clock in one process; that no warning is lost or doubled and that every
clock of theirs is right is asserted, so that a wrong day fails.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

import httpx2
import polars as pl
from fastapi.testclient import TestClient
from sqlalchemy import text

from models.codes.uscc import make_uscc
from models.records.lake import Lake
from serving.app import create_app
from serving.jobs.compact import compact
from serving.jobs.worker import IDLE, Worker
from serving.ledger import embedded, inbox
from serving.ledger.engine import Ledger
from serving.ledger.migrate import migrate
from serving.runtime.batch import score_all
from serving.service import Service
from tests.bench.bench_live import database_of, key_of, running
from tests.models.features.firms import Row, firm, frame
from tests.serving import village

FRIDAY: Final = date(2025, 1, 3)
MORNING: Final = datetime(2025, 1, 3, 1, tzinfo=UTC)
"""Nine o'clock in Shanghai."""
HOURS: Final = timedelta(hours=2)
MONDAY, TUESDAY, WEDNESDAY = date(2025, 1, 6), date(2025, 1, 7), date(2025, 1, 8)
_DAY: Final = date(2024, 6, 5)
_ROWS: Final = 1000
_PORT: Final = 18_741
_API: Final = f"http://127.0.0.1:{_PORT}"


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens on the simulated day; ``acknowledged`` warnings are seen on that day."""

    firms: int
    records: int
    warnings: int
    repairs: int
    acknowledged: int = 200


def main() -> None:
    """Print a table for each part."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parts", default="warning,repair,day")
    options.add_argument("--posts", type=int, default=200)
    options.add_argument("--rate", type=float, default=5.0)
    options.add_argument("--neighbours", type=int, default=1000)
    options.add_argument("--firms", type=int, default=20_000)
    options.add_argument("--records", type=int, default=200_000)
    options.add_argument("--warnings", type=int, default=5000)
    options.add_argument("--repairs", type=int, default=500)
    chosen = options.parse_args()
    size = Size(chosen.firms, chosen.records, chosen.warnings, chosen.repairs)
    parts: dict[str, Callable[[Path, str], dict[str, object]]] = {
        "warning": lambda home, at: warning(home, at, chosen.posts, chosen.rate),
        "repair": lambda home, at: repair(home, at, chosen.neighbours),
        "day": lambda home, at: day(home, at, size),
    }
    for name in str(chosen.parts).split(","):
        with tempfile.TemporaryDirectory(prefix="xj-supervision-") as folder:
            server = embedded.start(Path(folder) / "pg")
            try:
                told = parts[name](Path(folder) / "home", database_of(server))
            finally:
                server.cleanup()
        rows = {"what": list(told), name: [_said(one) for one in told.values()]}
        with pl.Config(tbl_rows=-1, fmt_str_lengths=80, tbl_hide_dataframe_shape=True):
            print(pl.DataFrame(rows), flush=True)


def _said(value: object) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"


# A warning after a post


def warning(home: Path, address: str, posts: int, rate: float) -> dict[str, object]:
    """Post records that warn, and look until each warning is in the list."""
    _town(home, firms_of(posts + 20))
    with _processes(home, address) as headers:
        _warned(headers, range(posts, posts + 20), rate)
        took = pl.Series(_warned(headers, range(posts), rate)) * 1e3
    return {
        "posts/s": rate,
        "posts": posts,
        "visible p50 ms": _quantile(took, 0.5),
        "visible p99 ms": _quantile(took, 0.99),
        "visible max ms": _quantile(took, 1.0),
    }


def _quantile(took: pl.Series, share: float) -> float:
    return float(took.quantile(share, "higher") or 0)


def _warned(headers: dict[str, str], numbers: Sequence[int], rate: float) -> list[float]:
    firms, began = firms_of(max(numbers) + 1), time.perf_counter() + 0.1

    def send(place: int, number: int) -> float:
        threading.Event().wait(max(0.0, began + place / rate - time.perf_counter()))
        row = listed(firms[number], number)
        start = time.perf_counter()
        with httpx2.Client(base_url=_API, headers=headers, timeout=60) as client:
            body = {"table": "listing", "source": "bench", "rows": [row]}
            answer = client.post(
                "/v1/records", json=body, headers={"Idempotency-Key": f"w{number}"}
            )
            answer.raise_for_status()
            while not client.get("/v1/warnings", params={"subject": firms[number]}).json():
                threading.Event().wait(0.005)
        return time.perf_counter() - start

    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(send, place, number) for place, number in enumerate(numbers)]
        return [one.result() for one in asked]


# A repair with many neighbours


def repair(home: Path, address: str, neighbours: int) -> dict[str, object]:
    """Repair a record, and ask for the proof until everything was made anew."""
    firms = firms_of(neighbours + 1)
    ties: list[Row] = [
        {"subject_id": one, "other_id": firms[0], "kind": "supply"} for one in firms[1:]
    ]
    on = datetime.now(UTC).date() - timedelta(days=170)
    _town(home, firms, ties, punish=[0], on=on)
    with _processes(home, address) as headers, httpx2.Client(
        base_url=_API, headers=headers, timeout=120
    ) as client:  # fmt: skip
        for start in range(0, len(firms), 500):
            body = {"subjects": list(firms[start : start + 500])}
            client.post("/v1/scenarios/town/score", json=body).raise_for_status()
        record = frame("penalty", [punished(firms[0], on)])["record_id"][0]
        named = {"table": "penalty", "subject_id": firms[0], "record_id": record}
        opened = client.post("/v1/repairs", json={**named, "performed": True, "pledged": True})
        case = opened.raise_for_status().json()["id"]
        began = time.perf_counter()
        done = client.post(f"/v1/repairs/{case}/acts", json={"act": "repair"}).raise_for_status()
        answered = time.perf_counter() - began
        assert done.json()["status"]["state"] == "repaired"
        while (proof := _proof(client, case))["waiting"]:
            threading.Event().wait(0.05)
        settled = time.perf_counter() - began
        asked = time.perf_counter()
        proof = _proof(client, case)
        reading = time.perf_counter() - asked
    decided = cast("list[dict[str, Any]]", proof["decided"])
    assert len(decided) == len(firms)
    return {
        "neighbours": neighbours,
        "act answered s": answered,
        "every decision made anew s": settled,
        "decisions in the proof": len(decided),
        "of these, score lower": sum(one["score"] < one["score_before"] for one in decided),
        "of these, another grade": sum(one["grade"] != one["grade_before"] for one in decided),
        "changes told": proof["changed"],
        "proof read s": reading,
    }


def _proof(client: httpx2.Client, case: int) -> dict[str, Any]:
    (proof,) = client.get(f"/v1/repairs/{case}/proof").raise_for_status().json()
    return proof


# A simulated day


def day(home: Path, address: str, size: Size) -> dict[str, object]:
    """Let two hours of the service's clock pass, and check every warning."""
    firms = firms_of(size.firms)
    _town(home, firms, punish=range(size.repairs))
    ledger = Ledger.at(address)
    migrate(ledger)
    headers = {"X-API-Key": key_of(ledger)}
    _promoted(ledger)
    ledger.close()
    clock = village.Clock(MORNING)
    service = Service.open(village.settings(home, address, rate_limit=0), clock=clock)
    service.runtime.refresh()
    app = create_app(service=service)
    with TestClient(app, headers=headers) as client:
        score_all(service, village.SCENARIO)
        before = _count(service, "select count(*) from warning")
        began = time.perf_counter()
        told = _hours(service, client, clock, firms, size)
        told |= {"simulated s": HOURS.total_seconds(), "real s": time.perf_counter() - began}
        told |= checked(service, client, clock, firms, size, before=before)
    service.close()
    return told


def _hours(
    service: Service, client: TestClient, clock: village.Clock, firms: Sequence[str], size: Size
) -> dict[str, object]:
    """Post, repair, decide and empty the inbox as the clock goes on."""
    worker, repaired = Worker(service, "day"), 0
    batches = -(-size.records // _ROWS)
    for number, rows in enumerate(_batches(firms, size)):
        clock.at = MORNING + HOURS * (number / batches)
        for table, some in rows.items():
            _post(client, table, some, f"{table}-{number}")
        while repaired < size.repairs * (number + 1) // batches:
            _repair(client, firms[repaired])
            repaired += 1
        _decided(worker)
        with service.ledger.begin() as connection:
            waiting, _ = inbox.backlog(connection)
        if waiting >= 20_000:
            compact(service)
    clock.at = MORNING + HOURS
    compact(service)
    for number in _numbers(service, "select id from warning order by id limit :n", size):
        step = {"step": "acknowledge"}
        assert client.post(f"/v1/warnings/{number}/steps", json=step).is_success
    return {"records": size.records, "repairs": repaired}


def _decided(worker: Worker) -> None:
    while worker._decide() < IDLE:
        pass


def _numbers(service: Service, asked: str, size: Size) -> list[int]:
    with service.ledger.begin() as connection:
        return list(connection.execute(text(asked), {"n": size.acknowledged}).scalars())


def checked(
    service: Service,
    client: TestClient,
    clock: village.Clock,
    firms: Sequence[str],
    size: Size,
    *,
    before: int,
) -> dict[str, object]:
    """Assert that every warning is there, once and with the right days; return the counts."""
    wanted = set(firms[-size.warnings :])
    with service.ledger.begin() as connection:
        found = pl.DataFrame(
            [tuple(row) for row in connection.execute(text(_WARNINGS), {"first": before})],
            schema=_RAISED,
            orient="row",
        )
    by_veto = found.filter(pl.col("rules").list.contains("veto"))
    assert by_veto["subject_id"].is_unique().all(), "a warning was raised twice"
    assert set(by_veto["subject_id"]) == wanted, "a warning is lost, or one is of nobody's doing"
    assert _count(service, _DOUBLED) == 0, "a subject has two warnings open"
    assert _count(service, _UNWARNED) == 0, "a decision that warns raised none"
    assert set(by_veto["begun_on"]) == {FRIDAY}
    assert set(by_veto["acknowledge_due"]) == {MONDAY}, "one working day from a Friday"
    assert set(by_veto["close_due"]) == {WEDNESDAY}, "three working days from a Friday"
    late = {on: _late(client, clock, on) for on in (FRIDAY, MONDAY, TUESDAY)}
    seen = _count(service, "select count(*) from warning where state <> 'new'")
    red = _count(service, "select count(*) from warning where level = 'red' and state = 'new'")
    assert (late[FRIDAY], late[MONDAY], late[TUESDAY]) == (0, 0, red), late
    repaired = _count(service, _REPAIRED)
    assert repaired == size.repairs, "a repair did not bring new decisions"
    return {
        "decisions": _count(service, "select count(*) from decision"),
        "warnings expected": size.warnings,
        "warnings raised": by_veto.height,
        "warnings of other rules": found.height - by_veto.height,
        "lost": 0,
        "doubled": 0,
        "acknowledged in time": seen,
        "late on Monday": late[MONDAY],
        "late on Tuesday": late[TUESDAY],
        "repairs decided anew": repaired,
    }


def _late(client: TestClient, clock: village.Clock, on: date) -> int:
    """Return how many warnings the list says are late at midday of a day."""
    clock.on(on)
    found, before = 0, None
    while True:
        asked = {"overdue": True, "limit": 200} | ({"before": before} if before else {})
        page = client.get("/v1/warnings", params=asked).json()
        found += sum(one["level"] == "red" for one in page)
        if len(page) < 200:
            return found
        before = page[-1]["id"]


_RAISED: Final = {
    "subject_id": pl.String(),
    "rules": pl.List(pl.String()),
    "level": pl.String(),
    "begun_on": pl.Date(),
    "acknowledge_due": pl.Date(),
    "close_due": pl.Date(),
}
_WARNINGS: Final = """
select subject_id, rules, level, begun_on, acknowledge_due, close_due from warning
where id > :first order by id
"""
_DOUBLED: Final = """
select count(*) from (select 1 from warning where state <> 'closed'
group by scenario, subject_id having count(*) > 1) as twice
"""
_UNWARNED: Final = """
select count(*) from decision d where warn and not exists (
    select from warning w where w.scenario = d.scenario and w.subject_id = d.subject_id)
"""
_REPAIRED: Final = """
select count(*) from repair_effect e join repair_act a on a.id = e.act_id
join repair_case c on c.id = a.case_id where a.kind = 'repair' and exists (
    select from decision d where d.subject_id = c.subject_id and d.inbox_mark >= e.inbox_seq)
"""


def _count(service: Service, asked: str) -> int:
    with service.ledger.begin() as connection:
        return int(connection.execute(text(asked)).scalar_one())


def _batches(firms: Sequence[str], size: Size) -> Iterator[dict[str, list[dict[str, object]]]]:
    """Yield rows by table: harmless ones of some firms, and those that warn among them.

    What a firm has of the day comes in two parts, so that most are decided anew at least twice.
    """
    batches = -(-size.records // _ROWS)
    plain, numbers = size.records - size.warnings, count()
    quiet = max(1, plain // batches)
    warned = iter(enumerate(firms[-size.warnings :]))
    each = max(1, -(-2 * size.firms // batches))
    left = plain
    for batch in range(batches):
        some = [firms[(batch * each + n) % len(firms)] for n in range(each)]
        many = left if batch == batches - 1 else min(left, quiet)
        left -= many
        rows = [visited(some[n % each], next(numbers)) for n in range(many)]
        share = size.warnings * (batch + 1) // batches - size.warnings * batch // batches
        yield {
            "inspection": rows,
            "listing": [listed(who, n) for n, who in (next(warned) for _ in range(share))],
        }


def _post(client: TestClient, table: str, rows: list[dict[str, object]], key: str) -> None:
    for start in range(0, len(rows), _ROWS):
        body = {"table": table, "source": "bench", "rows": rows[start : start + _ROWS]}
        named = {"Idempotency-Key": f"{key}-{start}"}
        answer = client.post("/v1/records", json=body, headers=named).json()
        assert answer["quarantined"] == 0, answer["rows"][0]


def _repair(client: TestClient, subject: str) -> None:
    record = frame("penalty", [punished(subject, _DAY)])["record_id"][0]
    named = {"table": "penalty", "subject_id": subject, "record_id": record}
    opened = client.post("/v1/repairs", json={**named, "performed": True, "pledged": True})
    assert opened.is_success, opened.text
    acted = client.post(f"/v1/repairs/{opened.json()['id']}/acts", json={"act": "repair"})
    assert acted.is_success, acted.text


# The town


def firms_of(number: int) -> list[str]:
    """Return the codes of made-up firms."""
    return [make_uscc("91", "210100", body=f"BN{n:06d}") for n in range(number)]


def listed(subject: str, number: int) -> dict[str, object]:
    """Return a row that warns: the subject is on the list of serious breaches."""
    told = {"subject_id": subject, "source_id": f"l{number}", "kind": "serious", "region": "210102"}
    return {**told, "happened_on": "2025-01-02", "authority": "沈阳市市场监督管理局"}


def visited(subject: str, number: int) -> dict[str, object]:
    """Return a row that warns of nothing: a visit that found nothing."""
    told = {"subject_id": subject, "source_id": f"v{number}", "result": "pass", "region": "210102"}
    return {**told, "happened_on": "2025-01-02", "authority": "沈阳市市场监督管理局"}


def punished(subject: str, on: date) -> Row:
    """Return a penalty that can be repaired some months later."""
    told = {"subject_id": subject, "document_number": f"罚{subject}", "severity": "general"}
    return {**told, "happened_on": on, "region": "210102"}


def _town(
    home: Path,
    firms: Sequence[str],
    ties: Sequence[Row] = (),
    *,
    punish: Sequence[int] = (),
    on: date = _DAY,
) -> None:
    """Put the lake of these firms and the village's model under a service's home."""
    lake = Lake.open(home / "lake", buckets=16)
    told = {"region": "210102", "industry": "H6210", "ownership": "私营/自然人"}
    first = date(2016, 1, 1)
    register = [
        {**firm(), **told, "subject_id": one, "happened_on": first + timedelta(days=n % 2000)}
        for n, one in enumerate(firms)
    ]
    lake.merge("subject", frame("subject", register))
    lake.merge("relation", frame("relation", ties))
    # Record ids of the lake go with the place in its frame: one frame for each.
    penalties = [frame("penalty", [punished(firms[n], on)]) for n in punish]
    lake.merge("penalty", pl.concat([frame("penalty", ()), *penalties]))
    for table in ("inspection", "listing", "complaint", "annual_report", "licence", "person_role"):
        lake.merge(table, frame(table, ()))
    village.place(village.bundle(), home)


@contextmanager
def _processes(home: Path, address: str) -> Generator[dict[str, str]]:
    """Run an API and a worker; yield the headers of somebody who may do all that is done here."""
    ledger = Ledger.at(address)
    migrate(ledger)
    headers = {"X-API-Key": key_of(ledger)}
    _promoted(ledger)
    ledger.close()
    environment = {**os.environ, "XINJIAN_HOME": str(home), "XINJIAN_DATABASE_URL": address}
    environment |= {"PYTHONPATH": str(Path.cwd()), "XINJIAN_RATE_LIMIT": "0"}
    with running(environment, "api", "--port", str(_PORT)), running(environment, "worker"):
        _ready(headers)
        yield headers


def _ready(headers: dict[str, str]) -> None:
    """Wait until the API answers and its model decides."""
    for _ in range(900):
        try:
            found = httpx2.get(f"{_API}/v1/models", headers=headers, timeout=30)
            if found.is_success and village.SCENARIO in found.text:
                return
        except httpx2.HTTPError:
            pass
        threading.Event().wait(0.1)
    raise SystemExit("the API did not become ready")


def _promoted(ledger: Ledger) -> None:
    """Let the bench's key do what an officer and a manager may."""
    with ledger.begin() as connection:
        connection.execute(
            text(
                "update api_key set roles = '{data_manager,inspector,analyst}', "
                "expires_at = '2100-01-01', created_at = '2024-01-01'"
            )
        )


if __name__ == "__main__":
    main()
