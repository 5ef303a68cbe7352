"""A town of quarters alike, whose history a test writes: posts, repairs, objections, decisions.

Six firms make a quarter: one to which things happen, three that count it among their neighbours by
a person, a supply and an address, and two that only know each other. All quarters are alike, so two
of them whose histories say the same are judged the same.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import polars as pl
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text

from models.codes.uscc import make_uscc
from models.records.lake import Lake
from serving import fates
from serving.app import create_app
from serving.auth.roles import Role
from serving.jobs.compact import compact
from serving.jobs.worker import IDLE, Worker
from serving.ledger import decisions, draws
from serving.ledger.decisions import Decision
from serving.runtime.batch import score_all
from serving.runtime.scoring import redecide
from serving.service import Service
from tests.models.features.firms import Row, firm, frame
from tests.serving import village
from tests.serving.posts import penalty, post

SCENARIO: Final = village.SCENARIO
QUARTERS: Final = 80
FIRST: Final = 0
"""To this firm of a quarter things happen."""
AROUND: Final = (1, 2, 3)
"""These count it among their neighbours: nobody else does."""
SIZE: Final = 6
_KEPT: Final = ("inputs_digest", "probability", "risk_score", "grade", "vetoes", "warn")


@dataclass(eq=False)
class World:
    """A service over the town, its client and its clock."""

    service: Service
    clock: village.Clock
    client: TestClient
    headers: dict[str, str]
    posts: int = 0
    used: int = 0

    def quarter(self) -> Quarter:
        """Return a quarter in which nothing has happened yet."""
        self.used += 1
        return Quarter(self, firms_of(self.used - 1))

    def tomorrow(self, days: int = 1) -> date:
        """Go on to midday of a later day."""
        self.clock.at += timedelta(days=days)
        return self.service.today()

    def compact(self) -> None:
        """Bring the inbox into the lake."""
        compact(self.service)

    def refer(self) -> None:
        """Make today's reference of the lake, as the nightly run does."""
        runtime = self.service.runtime
        live = runtime.champion(SCENARIO)
        assert live is not None
        runtime.references.build(runtime.lake, live.pipeline, self.service.today())

    def nightly(self) -> None:
        """Decide everybody as the nightly run does."""
        score_all(self.service, SCENARIO)

    def work(self) -> None:
        """Do every new decision that waits."""
        worker = Worker(self.service, "history")
        while worker._decide() < IDLE:
            pass


@dataclass(eq=False)
class Quarter:
    """Six firms; ``records`` are the first's by number, ``cases`` those that were acted on."""

    world: World
    firms: tuple[str, ...]
    records: dict[int, str] = field(default_factory=dict[int, str])
    tables: dict[int, str] = field(default_factory=dict[int, str])
    cases: dict[int, int] = field(default_factory=dict[int, int])
    objections: dict[int, int] = field(default_factory=dict[int, int])

    def post(self, number: int, table: str = "penalty", /, **columns: object) -> str:
        """Post the ``number``-th record of the first firm, or say more of it."""
        world = self.world
        world.posts += 1
        self.tables[number] = table
        # A source's number names one record of all: said of another firm, it would move the record.
        own = {"source_id": f"{table}-{number}-{self.firms[FIRST]}"} if table != "penalty" else {}
        row = {**ROWS[table](number), "subject_id": self.firms[FIRST], **own, **columns}
        key = f"k-{world.posts}"
        answer = post(world.client, world.headers, row, key=key, table=table, source="t")
        assert answer.status_code == 200, answer.text
        (one,) = answer.json()["rows"]
        assert one["status"] == "accepted", one
        self.records[number] = str(one["record_id"])
        return self.records[number]

    def repeat(self, number: int) -> None:
        """Import a file into the lake that says a record as it was posted, and nothing of later."""
        service, table = self.world.service, self.tables[number]
        with service.ledger.begin() as connection:
            found = fates.find(
                service,
                connection,
                table,
                subject=self.firms[FIRST],
                record_id=self.records[number],
            )
        assert found is not None
        said = found.row.with_columns(known_at=service.clock(), source_ref=pl.lit("t.csv#1"))
        told = said.cast(found.row.schema).drop("void_from", "void_reason")  # its file has neither
        service.runtime.lake.merge(table, told)

    def act(self, number: int, act: str) -> Response:
        """Do something to a record, the first time or the next."""
        terms = {"performed": True, "pledged": True} if act == "apply" else {}
        if number in self.cases:
            return self._send(f"/v1/repairs/{self.cases[number]}/acts", {"act": act, **terms})
        answer = self._send("/v1/repairs", {"act": act, **self._named(number), **terms})
        if answer.status_code == 201:
            self.cases[number] = int(answer.json()["id"])
        return answer

    def dispute(self, number: int) -> Response:
        """Object to a record, as its subject."""
        body = {**self._named(number), "objector": self.firms[FIRST], "ground": "有误"}
        answer = self._send("/v1/objections", body)
        if answer.status_code == 201:
            self.objections[number] = int(answer.json()["id"])
        return answer

    def settle(self, number: int) -> Response:
        """Answer the objection to a record."""
        body = {"outcome": "rejected", "answer": "无误"}
        return self._send(f"/v1/objections/{self.objections[number]}/answer", body)

    def status(self, number: int) -> dict[str, Any]:
        """Return where a record stands."""
        told = self._named(number)
        path = "/v1/subjects/{subject_id}/records/{table}/{record_id}/repair".format(**told)
        return self._read(path)

    def proof(self, number: int) -> list[dict[str, Any]]:
        """Return what followed from what was done to a record."""
        return self._read(f"/v1/repairs/{self.cases[number]}/proof")

    def report(self, kind: str = "public") -> dict[str, Any]:
        """Issue a report of the first firm."""
        return self._read(f"/v1/subjects/{self.firms[FIRST]}/report", kind=kind)

    def decide(self) -> None:
        """Decide the quarter now, from the lake and the inbox."""
        redecide(self.world.service, self.firms)

    def standing(self, place: int = FIRST) -> Decision:
        """Return the decision that stands of a firm."""
        with self.world.service.ledger.begin() as connection:
            found = decisions.current(connection, SCENARIO, self.firms[place])
        assert found is not None
        return found

    def judged(self) -> list[dict[str, object]]:
        """Return what everybody's standing decisions say."""
        told = [self.standing(place) for place in range(SIZE)]
        return [{name: getattr(one, name) for name in _KEPT} for one in told]

    def drawn_from(self) -> list[dict[str, object]]:
        """Return what a draw would know of everybody."""
        with self.world.service.ledger.begin() as connection:
            graded = draws.graded(connection, SCENARIO, self.world.service.today())
        mine = graded.filter(pl.col("subject_id").is_in(self.firms)).to_dicts()
        told = {str(one.pop("subject_id")): one for one in mine}
        return [told[one] for one in self.firms]

    def shown(self) -> list[object]:
        """Return what reports of the first firm show beside its register."""
        sections = [self.report(kind)["sections"] for kind in ("public", "special")]
        told = [one for some in sections for one in some if one["table"] != "subject"]
        # Rows of one day are in the order of their numbers, which are other ones in each quarter.
        return [
            {
                **one,
                "rows": sorted(one["rows"]),
                "disputed": sorted(one["rows"][n] for n in one["disputed"]),
            }
            for one in told
        ]

    def timeline(self) -> list[dict[str, object]]:
        """Return what the first firm's portrait shows as its history, and what it counts."""
        told = self._read(f"/v1/subjects/{self.firms[FIRST]}/portrait", sections="timeline")
        told = told["timeline"]
        rows = [{k: v for k, v in one.items() if k not in _OWN} for one in told["records"]]
        assert told["next"] is None, "one page has them all"
        return [told["counts"], *sorted(rows, key=str)]

    def known(self) -> list[dict[str, object]]:
        """Return the first firm's records as they are now, whichever way they came."""
        service = self.world.service
        with service.ledger.begin() as connection:
            found = fates.of_subject(service, connection, self.firms[FIRST], sorted(ROWS))
        place = {record: number for number, record in self.records.items()}
        rows = [one for frame in found.values() for one in frame.to_dicts()]
        told = sorted(rows, key=lambda one: place[one["record_id"]])
        return [{name: one[name] for name in one if name not in _OWN} for one in told]

    def _named(self, number: int) -> dict[str, str]:
        table, record = self.tables[number], self.records[number]
        return {"table": table, "subject_id": self.firms[FIRST], "record_id": record}

    def _send(self, path: str, body: Mapping[str, object]) -> Response:
        return self.world.client.post(path, json=dict(body), headers=self.world.headers)

    def _read(self, path: str, **asked: str) -> Any:  # noqa: ANN401 - JSON
        answer = self.world.client.get(path, params=asked, headers=self.world.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


def _penalty(number: int) -> dict[str, object]:
    return penalty(number, happened_on="2024-06-05", severity="general")


def _listing(number: int) -> dict[str, object]:
    told = {"kind": "serious", "region": "210102"}
    return {**told, "happened_on": f"2023-06-{number:02}", "authority": "沈阳市市场监督管理局"}


def _inspection(number: int) -> dict[str, object]:
    told = {"result": "fail", "region": "210102"}
    return {**told, "happened_on": f"2024-11-{number:02}", "authority": "沈阳市市场监督管理局"}


ROWS: Final = {"penalty": _penalty, "listing": _listing, "inspection": _inspection}
"""What is posted of a record, by its table."""
_OWN: Final = ("record_id", "subject_id", "source_ref", "known_at")


def firms_of(quarter: int) -> tuple[str, ...]:
    """Return the firms of a quarter."""
    numbers = range(SIZE * quarter, SIZE * (quarter + 1))
    return tuple(make_uscc("91", "210100", body=f"QQ{n:06d}") for n in numbers)


@contextmanager
def opened(home: Path, database: str, callers: Callable[..., dict[str, str]]) -> Generator[World]:
    """Yield a world over a database of its own."""
    shutil.copytree(_lake(), home / "lake")
    village.place(village.bundle(), home)
    clock = village.Clock()
    service = Service.open(village.settings(home, database, rate_limit=0), clock=clock)
    service.runtime.refresh()
    app = create_app(service=service)
    with TestClient(app, raise_server_exceptions=False) as client:
        headers = callers(app, roles=[Role.DATA_MANAGER])
        with service.ledger.begin() as connection:  # whatever day the history goes to
            connection.execute(text("update api_key set expires_at = '2100-01-01'"))
        yield World(service, clock, client, headers)
    service.close()


@cache
def _lake() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="xj-quarters-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    lake = Lake.open(folder / "lake", buckets=2)
    rows: dict[str, list[Row]] = {}
    for quarter in range(QUARTERS):
        for table, some in _rows(quarter):
            rows.setdefault(table, []).extend(some)
    for table in (*rows, "inspection", "listing", "complaint", "licence"):
        lake.merge(table, frame(table, rows.get(table, ())))
    return folder / "lake"


def _rows(quarter: int) -> Iterable[tuple[str, list[Row]]]:
    ones = firms_of(quarter)
    places = [f"沈阳市和平区南京街{quarter}号{n % 3 or '甲'}座" for n in range(SIZE)]
    places[4], places[5] = (f"沈阳市和平区青年大街{quarter}号{n}座" for n in (4, 5))
    yield (
        "subject",
        [
            {**firm(), "subject_id": ones[n], "address": places[n], "region": "210102",
             "industry": "H6210", "happened_on": date(2016, 1, 1) + timedelta(days=90 * n)}
            for n in range(SIZE)
        ],
    )  # fmt: skip
    shared = [(0, "A"), (1, "A"), (4, "B"), (5, "B")]
    yield (
        "person_role",
        [
            {"subject_id": ones[n], "person_id": f"P_{quarter}{who}", "role": "executive"}
            for n, who in shared
        ],
    )
    ties = [(2, 0), (4, 5)]
    yield (
        "relation",
        [{"subject_id": ones[n], "other_id": ones[m], "kind": "supply"} for n, m in ties],
    )
    yield (
        "annual_report",
        [
            {"subject_id": one, "happened_on": date(y + 1, 5, 1), "year": y}
            for one in ones
            for y in (2021, 2022, 2023)
        ],
    )
    old: Row = {"subject_id": ones[4], "happened_on": date(2024, 3, 1), "severity": "serious"}
    yield "penalty", [{**old, "document_number": f"旧{quarter}"}]
