"""An office as a client of the service: its people, its lists and its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from httpx2 import Response

from models.codes import uscc
from serving.auth.roles import Role
from tests.serving.village import Clock

Headers = dict[str, str]
PLAN = "catering_2026"
MANY = 120
SOURCES = ["双色球 2026140", "drand 5300000"]
MATTERS: list[dict[str, Any]] = [
    {
        "id": "M01",
        "title": "餐饮服务监督检查",
        "department": "市场监管局",
        "legal_basis": ["食品安全法 第一百一十条"],
        "published": "2026-01-01",
    }
]


def declared(**changed: object) -> dict[str, Any]:
    """Return a plan of one period; ``changed`` replace keys."""
    plan: dict[str, Any] = {
        "id": PLAN,
        "title": "2026年餐饮服务双随机抽查计划",
        "year": 2026,
        "scenario": "food_safety",
        "departments": ["市场监管局"],
        "matters": MATTERS,
        "periods": [{"id": "Q4", "first": "2026-11-24", "last": "2026-12-31"}],
        "ratios": {"A": 0.05, "B": 0.1, "C": 0.2, "D": 0.5},
        "capacity": {"per_month": 100},
        "caps": {"per_year": 2, "by_grade": {"D": 4}},
    }
    return {**plan, **changed}


def firms(many: int = MANY) -> list[dict[str, Any]]:
    """Return firms of two regions, inline; ids are codes whose check symbol fits."""
    rng = np.random.default_rng(4)
    risk = rng.beta(0.8, 6, many).round(6)
    grades = np.array(list("ABCD"))[np.digitize(risk, [0.05, 0.12, 0.25])]
    return [
        {
            "subject_id": code(number),
            "grade": str(grade),
            "probability": float(p),
            "region": ("210102", "210202")[number % 2],
            "industry": "H62",
            "name": f"某餐饮店{number}",
            "address": f"某路{number}号",
        }
        for number, (grade, p) in enumerate(zip(grades, risk, strict=True))
    ]


def code(number: int) -> str:
    """Return a code of a firm."""
    stem = f"91210100{number:08d}"
    return next(
        one
        for middle in "0123456789ABCDEFGHJKLMNPQRTUWXY"
        for last in "0123456789ABCDEFGHJKLMNPQRTUWXY"
        if uscc.is_valid(one := f"{stem}{middle}{last}")
    )


def people(many: int = 6) -> list[dict[str, Any]]:
    """Return inspectors under a department's headings."""
    return [
        {
            "人员编号": f"i{number}",
            "姓名": f"检查员{number}",
            "执法证编号": f"辽{number:03d}",
            "有效期至": "2027-12-31",
            "所属单位": "执法支队",
            "可检查事项": "M01,M02",
        }
        for number in range(many)
    ]


class Office:
    """People who call; each has a key of their own, renewed as time goes by."""

    def __init__(self, client: TestClient, as_caller: Callable[..., Headers], clock: Clock) -> None:
        self.client, self.clock, self._as = client, clock, as_caller
        self.plan = PLAN
        self.drafter: Headers = {}
        self.chief: Headers = {}
        self.inspector: Headers = {}
        self.arrive()

    def arrive(self, **scope: Any) -> None:  # noqa: ANN401
        """Give everybody a key that is good for a day."""
        self.drafter = self._as(roles=[Role.ANALYST], **scope)
        self.chief = self._as(roles=[Role.PUBLISHER], **scope)
        self.inspector = self._as(roles=[Role.INSPECTOR], **scope)

    def later(self, **by: float) -> None:
        """Let time go by."""
        self.clock.at += timedelta(**by)
        if by.get("days"):
            self.arrive()

    def get(self, path: str = "", *, who: Headers | None = None, **query: Any) -> Response:  # noqa: ANN401
        """Ask for a page of the plan; by nobody without ``who``."""
        return self.client.get(f"/v1/plans/{self.plan}{path}", params=query, headers=who or {})

    def post(self, path: str, who: Headers, **body: Any) -> Response:  # noqa: ANN401
        """Act on the plan, a second later."""
        self.later(seconds=1)
        return self.client.post(f"/v1/plans/{self.plan}/{path}", json=body, headers=who)

    def draft(self, plan: object = None, **more: Any) -> Response:  # noqa: ANN401
        """Draft a plan."""
        body = {"plan": plan or declared(id=self.plan), **more}
        return self.client.post("/v1/plans", json=body, headers=self.drafter)

    def approve(self, digest: str | None = None) -> Response:
        """Approve the plan as it is read now."""
        seen = digest or self.get(who=self.chief).json()["digest"]
        return self.post("approve", self.chief, digest=seen)

    def freeze(self, **more: Any) -> Response:  # noqa: ANN401
        """Freeze the pool of the firms."""
        body: dict[str, Any] = {"sources": SOURCES, "population": firms()}
        return self.post("freeze", self.drafter, **{**body, **more})

    def values(self, **by: float) -> list[dict[str, Any]]:
        """Return the public values as they come out so much later."""
        self.later(**(by or {"minutes": 5}))
        at = self.clock.at.isoformat()
        drawn = ("01,05,12,19,27,33+08", "9f3c" * 16)
        return [
            {"source": source, "value": value, "published_at": at}
            for source, value in zip(SOURCES, drawn, strict=True)
        ]

    def seed(self, entropy: Sequence[Mapping[str, Any]] | None = None, **more: Any) -> Response:  # noqa: ANN401
        """Make the seed from public values."""
        given = self.values() if entropy is None else entropy
        return self.post("seed", self.drafter, entropy=given, **more)

    def drawn(self, plan: object = None, **freeze: Any) -> dict[str, Any]:  # noqa: ANN401
        """Carry the plan out up to its draw, and return the record."""
        for answer in (self.draft(plan), self.approve(), self.freeze(**freeze), self.seed()):
            assert answer.status_code in {200, 201}, answer.text
        answer = self.post("draw", self.drafter)
        assert answer.status_code == 200, answer.text
        return self.get("/record").json()

    def another(self, name: str, **changed: Any) -> dict[str, Any]:  # noqa: ANN401
        """Turn to another plan, and return its declaration."""
        self.plan = name
        return declared(id=name, **changed)

    def assign(self, **more: Any) -> Response:  # noqa: ANN401
        """Draw the teams."""
        body = {"authority": "沈阳市市场监督管理局", **more}
        return self.post("tasks", self.drafter, **body)

    def lists(self, name: str, **body: Any) -> Response:  # noqa: ANN401
        """Import a list."""
        return self.client.post(f"/v1/{name}", json=body, headers=self.drafter)

    def sent(self, plan: object = None, **freeze: Any) -> dict[str, Any]:  # noqa: ANN401
        """Carry the plan out up to its teams, and return the tasks."""
        self.drawn(plan, **freeze)
        assert self.lists("pools/inspectors", rows=people()).status_code == 201
        answer = self.assign()
        assert answer.status_code == 201, answer.text
        return answer.json()

    def filled(self, tasks: Mapping[str, Any], *, bad: int = 3) -> list[dict[str, Any]]:
        """Return the results of all tasks as teams fill them in; the first ``bad`` failed."""
        day = self.clock.at.date().isoformat()
        return [
            {
                "任务编号": task["task_id"],
                "事项编码": matter,
                "检查结果": "IR5" if place < bad else "IR1",
                "检查结束日期": day,
                "检查人员": "；".join(task["team"]),
                "发现问题": "后厨未按规定消毒" if place < bad else None,
            }
            for place, task in enumerate(tasks["tasks"])
            for matter in task["matters"]
        ]
