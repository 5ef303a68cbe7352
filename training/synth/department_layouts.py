"""How departments with a matter of their own send its table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from training.synth.layout import Layout, same

_PLACE: Final = {"region": "行政区划代码", "known_at": "归集时间"}


def _csv(
    code: str, day: str, office: str, own: Mapping[str, str], *, number: str | None = None
) -> Mapping[str, str]:
    """Return headings of a text file: the code first, the office and the report last."""
    numbered = {} if number is None else {"document_number": number}
    return MappingProxyType(
        {
            "uscc": code,
            **numbered,
            "happened_on": day,
            **own,
            "authority": office,
            "authority_code": f"{office}代码",
            **_PLACE,
        }
    )


_BASE: Final = ("uscc", "region", "happened_on", "known_at")
_OFFICE: Final = ("authority", "authority_code")

LAYOUTS: Final = (
    Layout(
        "equipment",
        "csv",
        _csv(
            "使用单位代码",
            "检验日期",
            "登记机关",
            {
                "registration_code": "使用登记证号",
                "subject_name": "使用单位名称",
                "kind": "检验类别",
                "category": "设备类别",
                "result": "检验结果",
                "due_on": "下次检验日期",
                "overdue_days": "超期天数",
                "service_years": "使用年限",
                "problem": "不合格项目",
            },
        ),
    ),
    Layout(
        "env_monitor",
        "parquet",
        same(
            *_BASE,
            "outlet",
            "medium",
            "method",
            "pollutant",
            "result",
            "value",
            "emission_limit",
            "value_unit",
            "exceedance",
            "missing_share",
            *_OFFICE,
        ),
    ),
    Layout(
        "env_event",
        "gb18030",
        _csv(
            "统一社会信用代码",
            "发生日期",
            "处理机关",
            {
                "kind": "事件类型",
                "level": "事件级别",
                "content": "信访内容",
                "corrected_on": "完成改正日期",
            },
            number="事件编号",
        ),
    ),
    Layout(
        "safety_event",
        "parquet",
        same(
            *_BASE,
            "document_number",
            "kind",
            "accident_level",
            "deaths",
            "injured",
            "loss_amount",
            "hazards",
            "content",
            "due_on",
            "rectified_on",
            *_OFFICE,
        ),
    ),
    Layout(
        "transport_event",
        "parquet",
        same(
            *_BASE,
            "document_number",
            "vehicle_id",
            "business",
            "kind",
            "times",
            "overload_share",
            "deaths",
            "injured",
            "liability",
            *_OFFICE,
        ),
    ),
    Layout(
        "wage_event",
        "gb18030",
        _csv(
            "统一社会信用代码",
            "受理日期",
            "受理机关",
            {
                "subject_name": "用人单位名称",
                "kind": "事件类型",
                "workers": "涉及人数",
                "amount": "欠薪金额（万元）",
                "overdue_days": "逾期天数",
                "account_balance": "工资专户余额（万元）",
                "settled_on": "结清日期",
            },
            number="案件编号",
        ),
        wan=frozenset({"amount", "account_balance"}),
    ),
    Layout(
        "bid",
        "parquet",
        same(
            *_BASE,
            "tender_number",
            "lot",
            "subject_name",
            "kind",
            "method",
            "result",
            "rank",
            "bidders",
            "bid_amount",
            "price_ratio",
            "similarity",
            "shared_traces",
            *_OFFICE,
        ),
    ),
    Layout(
        "medical_event",
        "parquet",
        same(
            *_BASE,
            "document_number",
            "kind",
            "institution",
            "result",
            "visits",
            "fund_amount",
            "deducted_amount",
            "suspicions",
            "problem",
            "recovered_amount",
            *_OFFICE,
        ),
    ),
    Layout(
        "finance_event",
        "jsonl",
        same(
            *_BASE,
            "event_number",
            "kind",
            "smoke_index",
            "promised_return",
            "investors",
            "amount",
            "content",
            *_OFFICE,
        ),
    ),
    Layout(
        "ad_monitor",
        "csv",
        _csv(
            "广告主代码",
            "广告发布日期",
            "监测机关",
            {
                "monitor_number": "固证编号",
                "medium": "媒介类型",
                "category": "广告类别",
                "finding": "监测结论",
                "clauses": "涉嫌违法条款数",
                "broadcasts": "发布次数",
                "content": "广告语",
            },
        ),
    ),
    Layout(
        "opinion",
        "jsonl",
        same(*_BASE, "opinion_number", "channel", "topic", "tone", "reads", *_OFFICE),
    ),
    Layout(
        "public_contract",
        "csv",
        _csv(
            "机关代码",
            "登记日期",
            "认定机关",
            {
                "contract_number": "合同号",
                "subject_name": "政府机构名称",
                "counterpart_id": "对方统一社会信用代码",
                "kind": "合同类别",
                "event": "合同事项",
                "amount": "合同金额（万元）",
                "unpaid_amount": "拖欠金额（万元）",
                "overdue_days": "逾期天数",
                "due_on": "履约期限",
            },
        ),
        wan=frozenset({"amount", "unpaid_amount"}),
    ),
)
"""Departments' tables, in the order in which they are made."""
