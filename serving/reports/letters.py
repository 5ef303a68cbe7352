"""两书同达: the two texts that are served together, of a decision and of its repair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from models.codes.masking import mask_text
from models.supervision.repair import Procedure, Status

_FACTS: Final = (
    ("document_number", "决定文书号"),
    ("authority", "作出机关"),
    ("happened_on", "作出日期"),
    ("violation_type", "违法行为类型"),
    ("violation_fact", "违法事实"),
    ("legal_basis", "法律依据"),
    ("penalty_content", "处罚内容"),
    ("reason", "列入事由"),
)


@dataclass(frozen=True, slots=True)
class Letters:
    """The texts: of the decision's publicity, and of its repair."""

    decision_notice: str
    repair_notice: str


def letters(record: Mapping[str, object], now: Status, *, steps: Procedure) -> Letters:
    """Return the two texts of a record, by the procedure that holds when they are served.

    Numbers of persons in them are starred. A day that the record's rule does not know is said to be
    none, never left out.
    """
    facts = "\n".join(
        f"{title}：{mask_text(str(record[name]))}"
        for name, title in _FACTS
        if record.get(name) is not None
    )
    return Letters(_of_decision(facts, now), _of_repair(facts, now, steps))


def _of_decision(facts: str, now: Status) -> str:
    ends = f"自 {now.ends_on} 起停止公示" if now.ends_on else "本类信息无固定公示期限"
    return (
        f"决定信息公示告知书\n\n{facts}\n\n"
        f"上述决定信息将依法公示、共享和使用，{ends}。当前状态：{now.title}。\n"
        "对信息内容有异议的，可提出异议申请；处理期间予以标注。"
    )


def _of_repair(facts: str, now: Status, steps: Procedure) -> str:
    days = "\n".join(
        f"· {one.title}：{one.working_days} 个工作日"
        + (f"，可延长 {one.more} 个工作日" if one.more else "")
        + f"（{one.instrument}）"
        for one in steps.steps.values()
    )
    return (
        f"信用修复告知书\n\n{facts}\n\n"
        f"一、可申请时间：{_from(now)}。\n"
        "二、条件：已纠正失信行为、履行完毕规定义务，并作出信用承诺。\n"
        f"三、办理时限：\n{days}\n"
        "四、准予修复的，终止公示，停止共享和使用，并更新信用评价结果。\n"
        f"五、提供虚假材料或者虚假承诺的，撤销修复、恢复公示，{steps.bar_months} 个月内不得再次申请"
        f"（{steps.bar_instrument}）。"
    )


def _from(now: Status) -> str:
    if now.eligible_from is None:
        return "依规不予提前修复"
    start: date = max(now.eligible_from, now.barred_until or now.eligible_from)
    return f"自 {start} 起"
