"""The report of a night: its steps, and what the ledger and the quality report say after it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from serving.cycle.alone import writing
from serving.cycle.night import QUALITY, verdict_of
from serving.cycle.steps import Told
from serving.ledger import inbox, runs, warnings
from serving.service import Service

STATES: Final = {"done": "完成", "failed": "失败", "left_out": "未执行", "stopped": "中止"}


class Scored(BaseModel):
    """A scenario's run over everybody."""

    model_config = ConfigDict(frozen=True)

    scenario: str
    decided: int
    warned: int
    finished: bool


class NightReport(BaseModel):
    """What a night did and left.

    ``compliance`` is 合规率 of all that was reported, null without a quality report; ``overdue``
    counts open warnings past a due day, ``waiting`` live records that the lake does not have.
    """

    model_config = ConfigDict(frozen=True)

    on: date
    made: datetime
    steps: tuple[Told, ...]
    scored: tuple[Scored, ...]
    compliance: float | None
    open_warnings: int
    overdue: int
    waiting: int


def of(service: Service, told: Sequence[Told], on: date, folder: Path) -> NightReport:
    """Return the report of a night whose steps lie in ``folder``."""
    with service.ledger.begin() as connection:
        done = runs.of_day(connection, on)
        left, late = warnings.tally(connection, service.today())
        waiting, _ = inbox.backlog(connection)
    return NightReport(
        on=on,
        made=service.clock(),
        steps=tuple(told),
        scored=tuple(
            Scored(
                scenario=run.scenario,
                decided=run.decided,
                warned=run.warned,
                finished=run.finished_at is not None,
            )
            for run in done
        ),
        compliance=_compliance(folder / QUALITY),
        open_warnings=left,
        overdue=late,
        waiting=waiting,
    )


def write(report: NightReport, folder: Path) -> Path:
    """Write ``report.json`` and ``report.md``; return the latter.

    Raises:
        ConfigError: There is no room, or no right.
    """
    page = folder / "report.md"
    with writing(folder):
        (folder / "report.json").write_text(report.model_dump_json(indent=1), encoding="utf-8")
        page.write_text(as_markdown(report), encoding="utf-8")
    return page


def as_markdown(report: NightReport) -> str:
    """Return the report as people read it."""
    rate = "未知" if report.compliance is None else f"{report.compliance:.2%}"
    rows = [
        f"| {one.title} | {STATES[one.state]} | {one.seconds:.0f} | {_remark(one)} |"
        for one in report.steps
    ]
    scored = [
        f"| {one.scenario} | {one.decided:,} | {one.warned:,} | {'是' if one.finished else '否'} |"
        for one in report.scored
    ]
    return "\n".join(
        [
            f"# 夜间运行报告 {report.on}",
            "",
            f"- 归集合规率 {rate}",
            f"- 未办结预警 {report.open_warnings:,} 件，其中逾期 {report.overdue:,} 件",
            f"- 待入湖实时记录 {report.waiting:,} 条",
            "",
            "| 步骤 | 状态 | 秒 | 说明 |",
            "|---|---|---|---|",
            *rows,
            "",
            "| 场景 | 判定 | 预警 | 已完成 |",
            "|---|---|---|---|",
            *scored,
            "",
        ]
    )


def _remark(told: Told) -> str:
    """Return what a step found, or the last line of what it said where it failed."""
    if found := verdict_of(told.name, told.code):
        return found
    if told.state == "done":
        return ""
    lines = [line.strip() for line in told.said.splitlines() if line.strip()]
    return (lines[-1] if lines else f"退出码 {told.code}").replace("|", "\\|")[:300]


def _compliance(path: Path) -> float | None:
    if not path.exists():
        return None
    rate = json.loads(path.read_text(encoding="utf-8"))["totals"]["compliance_rate"]
    return None if rate is None else float(rate)
