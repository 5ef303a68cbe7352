"""Of each scenario of the catalogue: who is eligible, what makes its label, and what does not.

Rows happen 60 days before the day of view where they make a subject eligible, and on ``AFTER``, ten
days after it, where they tell what came, unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

AS_OF: Final = date(2025, 3, 31)
BEFORE: Final = AS_OF - timedelta(days=60)
AFTER: Final = AS_OF + timedelta(days=10)
DUE: Final = AS_OF + timedelta(days=100)

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Case:
    """What a scenario is tried with: rows by table."""

    found: tuple[tuple[str, Row], ...]
    """Each alone makes the label positive."""
    clean: tuple[tuple[str, Row], ...]
    """Each alone leaves it negative, or null where nobody looked."""
    seen: tuple[tuple[str, Row], ...] = ()
    """Together they make the subject eligible."""
    industry: str = "5212"
    prefix: str = "91"
    """How the subject's code begins: 91 enterprise, 92 individual business, 11 state organ."""
    others: tuple[str, ...] = field(default=())
    """Industries that are not the scenario's."""


def law(name: str, **more: object) -> tuple[str, Row]:
    """Return a penalty that cites a law, such as 价格法》第四十二条."""
    basis = f"依据《中华人民共和国{name}" + ("" if "》" in name else "》第一条")
    return "penalty", {"document_number": "罚1", "legal_basis": basis, **more}


def licence(certificate: str) -> tuple[str, Row]:
    return "licence", {"document_number": "许1", "certificate_name": certificate}


def visit(result: str = "fail", code: str | None = None, **more: object) -> tuple[str, Row]:
    return "inspection", {"result": result, "result_code": code, **more}


def sample(result: str) -> tuple[str, Row]:
    return "sampling", {"result": result}


def listed(kind: str, reason: str | None = None) -> tuple[str, Row]:
    return "listing", {"kind": kind, "reason_code": reason}


def said(content: str, outcome: str | None = None) -> tuple[str, Row]:
    return "complaint", {"content": content, "outcome": outcome}


def event(table: str, **row: object) -> tuple[str, Row]:
    return table, row


MARKET: Final = {"authority": "沈阳市市场监督管理局"}
CULTURE: Final = {"authority": "沈阳市文化旅游和广播电视局"}
OTHER_LAW: Final = law("民法典")

CASES: Final[Mapping[str, Case]] = {
    "annual_report_overdue": Case(
        found=(event("annual_report", year=2023),), clean=(event("annual_report", year=2024),)
    ),
    "bid_rigging": Case(
        seen=(event("bid", result="未中标"),),
        found=(law("招标投标法》第五十三条"), listed("bidding")),
        clean=(law("招标投标法》第五十一条"), listed("debtor")),
    ),
    "culture_market_inspection": Case(
        seen=(visit("pass", **CULTURE),),
        found=(visit(**CULTURE),),
        clean=(visit("pass", **CULTURE), visit(**MARKET)),
    ),
    "dishonesty_warning": Case(
        found=(event("penalty", severity="serious"), listed("serious"), listed("debtor")),
        clean=(event("penalty", severity="minor"), listed("abnormal", "1")),
    ),
    "drug_device_cosmetics": Case(
        seen=(licence("药品经营许可证"),),
        found=(visit(**MARKET), sample("fail"), law("药品管理法"), law("化妆品监督管理条例")),
        clean=(visit("pass", **MARKET), sample("pass"), OTHER_LAW, visit(**CULTURE)),
    ),
    "environmental_violation": Case(
        seen=(event("env_monitor", result="达标"),),
        found=(law("水污染防治法》第八十三条"), event("env_event", kind="突发环境事件")),
        clean=(law("水污染防治法》第二条"), event("env_event", kind="环境信访")),
    ),
    "false_advertising": Case(
        seen=(event("ad_monitor"),),
        found=(law("广告法》第五十五条"),),
        clean=(law("广告法》第二条"), OTHER_LAW),
    ),
    "food_safety": Case(
        seen=(licence("食品经营许可证"),),
        found=(visit(), sample("fail")),
        clean=(visit("pass"), sample("pass"), law("食品安全法")),
    ),
    "food_sampling": Case(
        seen=(licence("食品生产许可证"),),
        found=(sample("fail"),),
        clean=(sample("pass"), visit()),
    ),
    "government_default": Case(
        seen=(event("public_contract", event="签订"),),
        found=(
            event("public_contract", event="违约认定"),
            listed("debtor"),
            event("judgment", kind="enforcement", party_role="debtor"),
        ),
        clean=(
            event("public_contract", event="支付"),
            event("judgment", kind="civil", party_role="defendant"),
        ),
        prefix="11",
    ),
    "illegal_fundraising": Case(
        seen=(event("finance_event", kind="监测预警"),),
        found=(event("finance_event", kind="立案"), law("防范和处置非法集资条例")),
        clean=(event("finance_event", kind="监测预警"), OTHER_LAW),
    ),
    "individual_annual_report": Case(
        found=(event("annual_report", year=2023),),
        clean=(event("annual_report", year=2024),),
        prefix="92",
    ),
    "judgment_debtor": Case(
        seen=(event("judgment", kind="enforcement", party_role="debtor"),),
        found=(listed("debtor"),),
        clean=(listed("abnormal", "4"), listed("honour")),
    ),
    "medical_insurance_fraud": Case(
        seen=(event("medical_event", kind="月度结算"),),
        found=(
            event("medical_event", kind="现场检查", result="欺诈骗保"),
            law("医疗保障基金使用监督管理条例》第四十条"),
        ),
        clean=(event("medical_event", kind="现场检查", result="未发现问题"), OTHER_LAW),
    ),
    "pledge_breach": Case(
        seen=(event("pledge", kind="审批替代型", due_on=DUE),),
        found=(event("pledge", happened_on=BEFORE, settled_on=AFTER, fulfilment="breached"),),
        clean=(
            event("pledge", happened_on=BEFORE, settled_on=AFTER, fulfilment="fulfilled"),
            event("pledge", happened_on=AFTER, fulfilment="pending"),
        ),
    ),
    "prepaid_runaway": Case(
        found=(
            said("办理健身卡充值一千元后门店突然关门"),
            said("收取舞蹈课程费后停课不退费"),
            listed("abnormal", "4"),
            visit(code="IR4"),
        ),
        clean=(
            said("办理健身卡后教练态度不好"),
            said("购买的电热毯坏了，客服失联"),
            listed("abnormal", "1"),
            visit(code="IR5"),
        ),
        industry="8930",
        others=("3311", "4710"),
    ),
    "price_conduct": Case(
        found=(law("价格法"), said("标价与结算价不一致", "转立案")),
        clean=(
            OTHER_LAW,
            said("标价与结算价不一致", "调解成功"),
            said("标价与结算价不一致", "不予立案"),
            said("食品过期", "转立案"),
        ),
        industry="6210",
        others=("3311", "0111"),
    ),
    "product_quality": Case(
        found=(sample("fail"), law("产品质量法")),
        clean=(sample("pass"), OTHER_LAW, law("产品质量法", violation_type="拒绝接受监督检查")),
        industry="3311",
        others=("2720", "1411", "5212"),
    ),
    "publicity_information": Case(
        found=(visit(code="IR2"), visit(code="IR3"), listed("abnormal", "3")),
        clean=(visit(code="IR4"), listed("abnormal", "1"), listed("serious", "3")),
    ),
    "random_inspection_priority": Case(
        found=(visit(code="IR5", draw_mode="random_untargeted"),),
        clean=(
            visit("pass", "IR1", draw_mode="random_untargeted"),
            visit(code="IR5", draw_mode="complaint"),
        ),
    ),
    "rectification_recheck": Case(
        seen=(visit(code="IR5"),),
        found=(visit(draw_mode="revisit"),),
        clean=(visit("pass", draw_mode="revisit"), visit(draw_mode="complaint")),
    ),
    "repeat_after_repair": Case(
        seen=(event("repair", decision="approved", target_table="penalty"),),
        found=(event("penalty", severity="general"), event("penalty", severity="serious")),
        clean=(event("penalty", severity="minor"), listed("abnormal", "1")),
    ),
    "social_insurance_arrears": Case(
        seen=(event("social_insurance", period="2025-01", insured=3),),
        found=(event("social_insurance", insured=3, arrears_amount=900.0),),
        clean=(
            event("social_insurance", insured=3),
            event("social_insurance", insured=3, arrears_amount=0.0),
        ),
    ),
    "special_equipment": Case(
        seen=(event("equipment", kind="定期检验", result="合格"),),
        found=(
            event("equipment", kind="定期检验", result="不合格"),
            law("特种设备安全法》第八十四条"),
        ),
        clean=(event("equipment", kind="定期检验", result="合格"), OTHER_LAW),
    ),
    "tax_mismatch": Case(
        seen=(event("tax_event", kind="rating", rating="B"),),
        found=(
            law("税收征收管理法》第六十三条"),
            law("发票管理办法》第三十五条"),
            law("民法典", violation_type="虚开发票"),
            listed("tax_serious"),
        ),
        clean=(
            law("税收征收管理法》第六十二条", violation_type="逾期未申报"),
            law("发票管理办法》第三十四条", violation_type="丢失发票"),
            event("tax_event", kind="invoice_irregular"),
        ),
    ),
    "training_culture_tourism": Case(
        found=(
            law("民办教育促进法"),
            law("旅游法"),
            said("收取物理课程费一千元后停课不退费"),
        ),
        clean=(OTHER_LAW, said("培训老师迟到"), said("卖的服装坏了，退款不退")),
        industry="8391",
        others=("8310", "5212"),
    ),
    "transport_safety": Case(
        seen=(licence("道路运输经营许可证"),),
        found=(
            law("道路运输条例》第六十三条"),
            event("transport_event", kind="交通事故", deaths=1),
        ),
        clean=(
            law("道路运输条例》第七十一条"),
            event("transport_event", kind="交通事故", deaths=0),
        ),
    ),
    "unreachable_shell": Case(
        found=(visit(code="IR4"), listed("abnormal", "4")),
        clean=(visit(code="IR5"), listed("abnormal", "1")),
    ),
    "wage_arrears": Case(
        seen=(event("social_insurance", period="2025-01", insured=3),),
        found=(
            event("wage_event", kind="责令限期支付"),
            law("劳动合同法》第八十五条"),
            listed("wage_arrears"),
        ),
        clean=(event("wage_event", kind="欠薪线索"), law("劳动合同法》第三条")),
    ),
    "work_safety": Case(
        seen=(event("safety_event", kind="一般事故隐患"),),
        found=(
            law("安全生产法》第一百零二条"),
            event("safety_event", kind="生产安全事故"),
        ),
        clean=(law("安全生产法》第二条"), event("safety_event", kind="一般事故隐患")),
    ),
}
