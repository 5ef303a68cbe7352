"""An inspection carried out over the API: planned, approved, frozen, seeded, drawn, verified."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx2
import polars as pl

from models.errors import ConfigError
from models.records.lake import Lake
from models.scenarios.cohort import REGISTER
from models.time import SHANGHAI

if TYPE_CHECKING:
    from serving.service import Service

SOURCE: Final = "演示用随机值（实际使用须为事后公布的公开随机源）"
_INSPECTORS: Final = 60
MOST_TARGETS: Final = 20_000
"""Targets of the plan: a list goes in one request, whose body is limited."""
_KEY_DAYS: Final = 7


def keys(service: Service, folder: Path) -> dict[str, str]:
    """Return keys of a drafter, a chief and a reader, which only the user may read.

    One that is lost, or good for less than a day, is made anew.
    """
    from serving.auth.roles import Role

    wanted = {
        "drafter": {Role.ANALYST},
        "chief": {Role.PUBLISHER},
        "reader": {Role.ANALYST, Role.INSPECTOR},
    }
    return {
        name: _good(service, folder / f"{name}.key")
        or _made(service, folder / f"{name}.key", name, roles)
        for name, roles in wanted.items()
    }


def _good(service: Service, path: Path) -> str | None:
    from serving.auth import tokens
    from serving.ledger import keys as ledger

    token = tokens.parse(path.read_text(encoding="utf-8").strip()) if path.exists() else None
    if token is None:
        return None
    with service.ledger.begin() as connection:
        row = ledger.find(connection, token.id)
    if row is None or not token.matches(row.digest):
        return None
    return token.text if row.live_at(service.clock() + timedelta(days=1)) else None


def _made(service: Service, path: Path, name: str, roles: set[Any]) -> str:
    from serving.auth import issuing
    from serving.auth.caller import Purpose
    from serving.ledger.audit import SYSTEM

    wish = issuing.Wish(
        f"demo-{name}",
        frozenset(roles),
        regions=("",),
        purposes=(Purpose.SUPERVISION, Purpose.INSPECTION, Purpose.WARNING),
        days=_KEY_DAYS,
    )
    _, text = issuing.issue(service, SYSTEM, wish=wish)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    part.touch(stat.S_IRUSR | stat.S_IWUSR, exist_ok=False)
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return text


def declared(scenario: str, today: date) -> dict[str, Any]:
    """Return the plan: one matter, one period of a month from tomorrow."""
    first = today + timedelta(days=1)
    last = min(first + timedelta(days=30), date(first.year, 12, 31))
    return {
        "id": "demo",
        "title": f"{first.year}年双随机抽查计划（演示）",
        "year": first.year,
        "scenario": scenario,
        "departments": ["市场监管局"],
        "matters": [
            {
                "id": "M01",
                "title": "登记事项检查",
                "department": "市场监管局",
                "legal_basis": ["市场主体登记管理条例 第三十八条"],
                "published": f"{first.year}-01-01",
            }
        ],
        "periods": [{"id": "P1", "first": first.isoformat(), "last": last.isoformat()}],
        "ratios": {"A": 0.005, "B": 0.01, "C": 0.03, "D": 0.1},
        "capacity": {"per_month": 3000},
        "caps": {"per_year": 2, "by_grade": {"D": 4}},
    }


def decided(service: Service, scenario: str) -> pl.DataFrame:
    """Return who was decided upon: ``subject_id``, ``grade``, ``probability``."""
    from serving.ledger import draws

    with service.ledger.begin() as connection:
        found = draws.graded(connection, scenario, service.today())
    return found.select("subject_id", "grade", "probability")


def targets(lake: Lake, known: pl.DataFrame) -> list[dict[str, Any]]:
    """Return those decided upon as a list of targets, of the largest city where they are many.

    Whom the register does not place is not listed.
    """
    columns = ("subject_id", "name", "status", "region", "industry")
    register = lake.scan(REGISTER).select(columns).drop_nulls(["status", "region"]).collect()
    found = register.join(known, on="subject_id", how="semi")
    if len(found) > MOST_TARGETS:
        city = pl.col("region").str.head(4)
        found = found.filter(city == found.select(city.mode().sort().first()).item())
    return found.head(MOST_TARGETS).to_dicts()


def carry_out(
    address: str,
    held: Mapping[str, str],
    scenario: str,
    *,
    listed: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Carry a plan out up to its teams, and return what the verification of its draw says.

    What stands already is left as it is, so that this may be cut off and called again.

    Args:
        address: Where the service answers.
        held: Keys of the drafter and the chief.
        scenario: Whose decisions say how likely each target is to be drawn.
        listed: The list of targets, graded by their decisions.
        others: Whom to draw from where there is no list.

    Raises:
        ConfigError: The service refuses a step; the message is its own. Or the draw does not hold.
    """
    with httpx2.Client(base_url=address, timeout=300) as client:
        office = _Office(client, held)
        today = datetime.now(SHANGHAI).date()
        state = office.state()
        if state is None:
            office.ask("drafter", "/v1/plans", plan=declared(scenario, today))
            state = "draft"
        if state == "draft":
            digest = office.read("/v1/plans/demo")["digest"]
            office.ask("chief", "/v1/plans/demo/approve", digest=digest)
            state = "approved"
        if state == "approved":
            if listed:
                office.ask("drafter", "/v1/pools/targets", rows=listed)
            inline = {} if listed else {"population": others}
            office.ask("drafter", "/v1/plans/demo/freeze", sources=[SOURCE], **inline)
            state = "frozen"
        if state == "frozen":
            at = datetime.now(UTC).isoformat()
            value = {"source": SOURCE, "value": secrets.token_hex(32), "published_at": at}
            office.ask("drafter", "/v1/plans/demo/seed", entropy=[value])
            state = "seeded"
        if state == "seeded":
            office.ask("drafter", "/v1/plans/demo/draw")
        if not office.has("/v1/plans/demo/tasks"):
            office.ask("drafter", "/v1/pools/inspectors", rows=_inspectors())
            office.ask("drafter", "/v1/plans/demo/tasks", authority="市场监管局")
        checks = office.read("/v1/plans/demo/checks")
        if broken := [str(one["title"]) for one in checks if not one["holds"]]:
            raise ConfigError(f"the draw does not hold: {'; '.join(broken)}")
        return [str(one["title"]) for one in checks]


class _Office:
    def __init__(self, client: httpx2.Client, held: Mapping[str, str]) -> None:
        self.client, self.held = client, held

    def has(self, path: str) -> bool:
        answer = self.client.get(path, headers=self._key("chief"))
        return answer.status_code != HTTPStatus.NOT_FOUND

    def state(self) -> str | None:
        plan = "/v1/plans/demo"
        return str(self.read(plan)["periods"][0]["state"]) if self.has(plan) else None

    def read(self, path: str) -> Any:  # noqa: ANN401 - whatever the route answers
        return self._told(self.client.get(path, headers=self._key("chief")))

    def ask(self, who: str, path: str, **body: object) -> None:
        self._told(self.client.post(path, json=body, headers=self._key(who)))

    def _key(self, who: str) -> dict[str, str]:
        return {"X-API-Key": self.held[who]}

    def _told(self, answer: httpx2.Response) -> Any:  # noqa: ANN401 - as above
        if not answer.is_success:
            raise ConfigError(f"{answer.request.url.path}: {answer.status_code} {answer.text}")
        return answer.json()


def _inspectors() -> list[dict[str, Any]]:
    """Return inspectors without names: nobody is made up."""
    return [
        {
            "人员编号": f"i{number:03d}",
            "姓名": f"执法人员{number:03d}",
            "执法证编号": f"辽{number:04d}",
            "有效期至": "2099-12-31",
            "所属单位": "执法支队",
            "可检查事项": "M01",
        }
        for number in range(_INSPECTORS)
    ]
