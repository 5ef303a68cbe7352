"""How departments send each table: kind of file, headings, units, words for values."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from training.synth import department_layouts
from training.synth.layout import YES_NO, Layout, same

_SEVERITY: Final = MappingProxyType({"minor": "轻微", "general": "一般", "serious": "严重"})
_BASE: Final = ("uscc", "region", "happened_on", "known_at")
_OFFICE: Final = ("authority", "authority_code")

SUBJECT: Final = Layout(
    "subject",
    "csv",
    {
        "uscc": "统一社会信用代码",
        "name": "企业名称",
        "subject_type": "主体类型",
        "status": "登记状态",
        "enterprise_type": "企业类型",
        "ownership": "所有制",
        "industry": "行业代码",
        "happened_on": "成立日期",
        "registered_capital": "注册资本（万元）",
        "paid_capital": "实缴资本（万元）",
        "employees": "从业人数",
        "revoked_on": "吊销日期",
        "closed_on": "注销日期",
        "address": "住所",
        "zone": "功能区",
        "organisation_code": "组织机构代码",
        "business_scope": "经营范围",
        "region": "行政区划代码",
        "authority": "登记机关",
        "authority_code": "登记机关统一社会信用代码",
        "known_at": "归集时间",
    },
    wan=frozenset({"registered_capital", "paid_capital"}),
)
LICENCE: Final = Layout(
    "licence",
    "csv",
    {
        "subject_name": "XK_XDR_MC",
        "subject_category": "XK_XDR_LB",
        "uscc": "XK_XDR_SHXYM",
        "legal_representative": "XK_FRDB",
        "document_name": "XK_XKWS",
        "document_number": "XK_WSH",
        "kind": "XK_XKLB",
        "certificate_name": "XK_XKZS",
        "certificate_number": "XK_XKBH",
        "content": "XK_NR",
        "happened_on": "XK_JDRQ",
        "valid_from": "XK_YXQZ",
        "valid_to": "XK_YXQZI",
        "authority": "XK_XKJG",
        "authority_code": "XK_XKJGDM",
        "valid": "XK_ZT",
        "source_authority": "XK_LYDW",
        "source_authority_code": "XK_LYDWDM",
        "remark": "BZ",
        "region": "行政区划代码",
        "known_at": "报送时间",
    },
    strict=True,
    words={"valid": MappingProxyType({"true": "1", "false": "2"})},
)
PENALTY: Final = Layout(
    "penalty",
    "csv",
    {
        "subject_name": "CF_XDR_MC",
        "subject_category": "CF_XDR_LB",
        "uscc": "CF_XDR_SHXYM",
        "legal_representative": "CF_FRDB",
        "document_number": "CF_WSH",
        "violation_type": "CF_WFXW",
        "violation_fact": "CF_SY",
        "legal_basis": "CF_YJ",
        "penalty_kinds": "CF_CFLB",
        "penalty_content": "CF_NR",
        "fine_amount": "CF_NR_FK",
        "confiscated_amount": "CF_NR_WFFF",
        "revoked_certificate": "CF_NR_ZKDX",
        "happened_on": "CF_JDRQ",
        "valid_to": "CF_YXQ",
        "publish_until": "CF_GSJZQ",
        "authority": "CF_CFJG",
        "authority_code": "CF_CFJGDM",
        "source_authority": "CF_SJLY",
        "source_authority_code": "CF_SJLYDM",
        "remark": "BZ",
        "severity": "失信程度",
        "published": "是否公示",
        "max_months": "最长公示月数",
        "restrict_until": "限制期至",
        "corrected": "是否已纠正",
        "region": "行政区划代码",
        "known_at": "报送时间",
    },
    strict=True,
    wan=frozenset({"fine_amount", "confiscated_amount"}),
    words={"severity": _SEVERITY, "published": YES_NO, "corrected": YES_NO},
)
LISTING: Final = Layout(
    "listing",
    "gb18030",
    {
        "subject_name": "企业名称",
        "uscc": "统一社会信用代码",
        "kind": "名录类型",
        "document_number": "列入决定书文号",
        "reason_code": "事由代码",
        "reason": "列入原因",
        "happened_on": "列入日期",
        "removed_on": "移出日期",
        "remove_reason": "移出原因",
        "severity": "失信程度",
        "published": "是否公示",
        "max_months": "最长公示月数",
        "corrected": "是否已纠正",
        "authority": "列入机关",
        "authority_code": "列入机关统一社会信用代码",
        "region": "行政区划代码",
        "known_at": "归集时间",
    },
    words={
        "kind": MappingProxyType(
            {
                "abnormal": "经营异常名录",
                "serious": "严重违法失信名单",
                "debtor": "失信被执行人",
                "tax_serious": "重大税收违法失信主体",
                "wage_arrears": "拖欠农民工工资失信联合惩戒对象",
                "honour": "守信激励对象",
            }
        ),
        "severity": _SEVERITY,
        "published": YES_NO,
        "corrected": YES_NO,
    },
)
JUDGMENT: Final = Layout(
    "judgment",
    "gb18030",
    {
        "uscc": "统一社会信用代码",
        "case_number": "案号",
        "kind": "案件类型",
        "party_role": "当事人地位",
        "cause": "案由",
        "amount": "标的金额（万元）",
        "happened_on": "立案日期",
        "concluded_on": "结案日期",
        "authority": "法院",
        "authority_code": "法院统一社会信用代码",
        "region": "行政区划代码",
    },
    wan=frozenset({"amount"}),
    words={
        "kind": MappingProxyType(
            {
                "civil": "民事",
                "enforcement": "执行",
                "administrative": "行政",
                "criminal": "刑事",
                "bankruptcy": "破产",
            }
        ),
        "party_role": MappingProxyType(
            {"defendant": "被告", "plaintiff": "原告", "debtor": "被执行人"}
        ),
    },
    assumed=30,
)
REPAIR: Final = Layout(
    "repair",
    "csv",
    {
        "uscc": "统一社会信用代码",
        "target_table": "修复对象",
        "target_document_number": "修复对象文书号",
        "applied_on": "申请日期",
        "happened_on": "修复决定日期",
        "decision": "修复决定",
        "effective_on": "生效日期",
        "authority": "认定单位",
        "authority_code": "认定单位统一社会信用代码",
        "region": "行政区划代码",
        "known_at": "归集时间",
    },
    words={
        "target_table": MappingProxyType({"penalty": "行政处罚", "listing": "名录名单"}),
        "decision": MappingProxyType(
            {"approved": "同意修复", "refused": "不予修复", "annulled": "撤销原决定"}
        ),
    },
)
PLEDGE: Final = Layout(
    "pledge",
    "jsonl",
    same(*_BASE, "kind", "content", "due_on", "fulfilment", "settled_on", *_OFFICE),
)
LAYOUTS: Final = (
    SUBJECT,
    Layout("change", "parquet", same(*_BASE, "item", "old_value", "new_value", *_OFFICE)),
    Layout("person_role", "parquet", same(*_BASE, "person_id", "role", "share_ratio", "ended_on")),
    Layout("relation", "parquet", same(*_BASE, "other_id", "kind", "ratio")),
    LICENCE,
    PENALTY,
    Layout(
        "inspection",
        "parquet",
        same(
            *_BASE,
            "subject_name",
            "document_number",
            "matter",
            "method",
            "result",
            "result_code",
            "problem",
            "draw_id",
            "draw_mode",
            "inclusion_probability",
            "inspector_id",
            *_OFFICE,
        ),
    ),
    Layout(
        "sampling",
        "parquet",
        same(
            *_BASE,
            "subject_name",
            "document_number",
            "product",
            "batch",
            "result",
            "failed_items",
            "problem",
            *_OFFICE,
        ),
    ),
    Layout(
        "complaint",
        "parquet",
        same(
            *_BASE,
            "subject_name",
            "document_number",
            "channel",
            "kind",
            "content",
            "department",
            "accepted",
            "outcome",
            "closed_on",
            *_OFFICE,
        ),
    ),
    LISTING,
    JUDGMENT,
    Layout(
        "annual_report",
        "parquet",
        same(*_BASE, "year", "assets", "revenue", "profit", "tax_paid", "employees", *_OFFICE),
    ),
    Layout(
        "tax_event",
        "parquet",
        same(*_BASE, "kind", "tax_type", "amount", "period", "rating", *_OFFICE),
    ),
    Layout("social_insurance", "parquet", same(*_BASE, "period", "insured", "arrears_amount")),
    PLEDGE,
    REPAIR,
    Layout(
        "invoice",
        "parquet",
        same(
            *_BASE,
            "counterpart_id",
            "direction",
            "amount",
            "tax_amount",
            "invoice_count",
            "reversed_amount",
        ),
    ),
    *department_layouts.LAYOUTS,
    replace(PENALTY, source="case_penalty"),
    replace(
        LISTING,
        source="bid_listing",
        words={**LISTING.words, "kind": MappingProxyType({"bidding": "招标投标失信名单"})},
    ),
)
"""All tables, in the order in which they are made."""
