"""A portrait as a caller sees it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from serving.api.shown import ExplanationShown, Reason, ReviewedShown


class Note(BaseModel):
    """关于整份画像的说明."""

    kind: str = Field(description="before-the-data：早于最早的数据；no-data：数据湖为空")
    text: str = Field(description="说明")


class IdentityShown(BaseModel):
    """登记信息；当时尚不掌握的为空."""

    subject_id: str = Field(description="主体")
    name: str | None = Field(description="名称")
    subject_type: str | None = Field(description="主体类型")
    status: str | None = Field(description="登记状态；查询往日时不显示，登记簿只记现状")
    enterprise_type: str | None = Field(description="企业类型代码")
    ownership: str | None = Field(description="经济性质")
    industry: str | None = Field(description="行业代码")
    industry_name: str | None = Field(description="行业")
    region: str | None = Field(description="行政区划代码")
    region_name: str | None = Field(description="行政区划")
    registered_capital: float | None = Field(description="注册资本（元）")
    paid_capital: float | None = Field(description="实缴资本（元）")
    employees: int | None = Field(description="从业人数")
    address: str | None = Field(description="住所；无权查看个人信息的部分隐去")
    zone: str | None = Field(description="园区")
    business_scope: str | None = Field(description="经营范围")
    organisation_code: str | None = Field(description="组织机构代码")
    registration_number: str | None = Field(description="注册号")
    established_on: date | None = Field(description="成立日期")
    revoked_on: date | None = Field(description="吊销日期")
    closed_on: date | None = Field(description="注销日期")
    masked: bool = Field(description="个人信息是否已隐去")


class GradePoint(BaseModel):
    """一日的判定；当日有多次的取最后一次."""

    id: UUID = Field(description="判定编号")
    as_of: date = Field(description="截面日")
    grade: str = Field(description="风险等级", examples=["C"])
    previous_grade: str | None = Field(description="上一判定的等级")
    probability: float = Field(description="校准后的概率")
    risk_score: float = Field(description="风险分，0–1000")
    vetoes: list[str] = Field(description="直接判定等级的情形")
    warn: bool = Field(description="是否预警")
    valid_until: date = Field(description="有效至（含）")
    valid: bool = Field(description="在查询日是否有效")
    action: str | None = Field(description="处置措施")
    made_at: datetime = Field(description="作出时间")
    reviewed: ReviewedShown | None = Field(
        default=None, description="人工复核结论；已撤销的判定仍列出，但不再现行"
    )


class ScenarioGrades(BaseModel):
    """一个场景的等级变化，新的在前."""

    scenario: str = Field(description="场景")
    title: str | None = Field(description="场景名称；已无模型的为空")
    points: list[GradePoint] = Field(description="各日的判定")


class GradesShown(BaseModel):
    """各场景的等级变化，均为存档的判定."""

    scenarios: list[ScenarioGrades] = Field(description="场景")
    made_later: int = Field(description="截面日不晚于查询日、但在其后才作出而未列入的判定数")


class GroupShown(BaseModel):
    """维度下的一组信息."""

    id: str = Field(description="编号", examples=["penalties"])
    title: str = Field(description="名称", examples=["行政处罚"])
    records: int = Field(description="计入的记录数")
    contribution: float | None = Field(description="已列原因的对数几率合计；没有存档原因的为空")
    pull: Literal["raises", "lowers", "none", "unknown"] = Field(description="对风险的作用")
    reasons: list[str] = Field(description="原因")


class DimensionShown(BaseModel):
    """一个维度."""

    id: str = Field(description="编号", examples=["supervision"])
    title: str = Field(description="名称", examples=["监管信息"])
    weight: int | None = Field(description="官方框架中的参考权重（千分之）；不用于评分")
    records: int = Field(description="计入的记录数")
    contribution: float | None = Field(description="各组的合计")
    pull: Literal["raises", "lowers", "none", "unknown"] = Field(description="对风险的作用")
    groups: list[GroupShown] = Field(description="组")


class ScenarioDimensions(BaseModel):
    """一个场景下的各维度."""

    scenario: str | None = Field(description="场景；尚无判定的为空，只有记录数")
    explained: bool = Field(description="判定是否有存档的原因")
    dimensions: list[DimensionShown] = Field(description="维度")


class DimensionsShown(BaseModel):
    """各维度."""

    scenarios: list[ScenarioDimensions] = Field(description="场景")


class ReasonCounted(Reason):
    """一条原因；记录只列最近的20条."""

    evidence_count: int | None = Field(default=None, description="记录总数；没有查的为空")


class ExplanationCounted(ExplanationShown):
    """判定的原因."""

    reasons: list[ReasonCounted] = Field(description="推高风险的原因，按大小")  # pyright: ignore[reportIncompatibleVariableOverride]
    mitigating: list[ReasonCounted] = Field(description="降低风险的原因，按大小")  # pyright: ignore[reportIncompatibleVariableOverride]


class ScenarioReasons(BaseModel):
    """一个场景的原因."""

    scenario: str = Field(description="场景")
    decision: UUID = Field(description="判定编号")
    as_of: date = Field(description="截面日")
    explanation: ExplanationCounted | None = Field(
        description="存档的原因；没有的为空，GET /v1/decisions/{id}?explain=true 可计算一次并存档"
    )


class ReasonsShown(BaseModel):
    """各场景现行判定的原因."""

    scenarios: list[ScenarioReasons] = Field(description="场景")


class EntryShown(BaseModel):
    """时间轴上的一条记录."""

    table: str = Field(description="记录表", examples=["penalty"])
    title: str = Field(description="记录表名称", examples=["行政处罚"])
    record_id: str = Field(description="记录编号")
    happened_on: date = Field(description="发生日期")
    known_at: datetime = Field(description="归集时间")
    authority: str | None = Field(description="认定单位")
    region: str | None = Field(description="行政区划代码")
    severity: str | None = Field(description="失信程度")
    counts: bool = Field(description="是否计入；异议处理中的不计入")
    disputed: bool = Field(description="异议处理中")
    ends_on: date | None = Field(description="自何日起公示期满；无期限的为空")
    fields: dict[str, object] = Field(description="其余各项；空的不列")


class TimelineShown(BaseModel):
    """计入的记录，新的在前；已修复、期满、撤销的不在其中."""

    records: list[EntryShown] = Field(description="一页记录")
    titles: dict[str, dict[str, str]] = Field(description="各表各项的名称")
    counts: dict[str, int] = Field(description="各表计入的记录数（不限本页与筛选）")
    withheld: int = Field(description="其他部门的、无权查看的记录数")
    next: str | None = Field(description="下一页的 cursor；最后一页为空")


class NeighbourShown(BaseModel):
    """一个关联主体."""

    subject_id: str = Field(description="主体")
    name: str | None = Field(description="名称")
    region: str | None = Field(description="行政区划代码")
    ties: list[str] = Field(description="关联方式：person、address、shareholding、trade")
    flags: list[str] = Field(description="被标记的原因：penalty、listing、inspection")


class Elsewhere(BaseModel):
    """不在本人范围内的关联主体，只计数."""

    count: int = Field(description="个数")
    flagged: int = Field(description="其中被标记的")


class RelationsShown(BaseModel):
    """关联主体，被标记的在前."""

    known: bool = Field(description="是否有关联网络；没有的须先运行 score_all")
    made_on: date | None = Field(default=None, description="网络的日期；为空即现状")
    count: int = Field(default=0, description="关联主体个数")
    flagged: int = Field(default=0, description="其中被标记的")
    neighbours: list[NeighbourShown] = Field(description="本人范围内的关联主体")
    more: int = Field(default=0, description="本人范围内未列出的个数")
    elsewhere: Elsewhere = Field(description="范围外的")


class ScenarioPeers(BaseModel):
    """一个场景下在同类中的位置."""

    scenario: str = Field(description="场景")
    size: int = Field(description="有有效判定的同类主体数，含本主体")
    percentile: float | None = Field(description="风险分的百分位，越高风险越大；不足10户的为空")
    grades: dict[str, int] = Field(description="各等级的户数")


class PeersShown(BaseModel):
    """同行业（大类）、同区县的主体."""

    division: str | None = Field(description="行业大类")
    division_name: str | None = Field(default=None, description="行业大类名称")
    district: str | None = Field(description="行政区划代码")
    district_name: str | None = Field(default=None, description="行政区划")
    sampled: bool = Field(default=False, description="同类过多，只取了其中5000户")
    scenarios: list[ScenarioPeers] = Field(description="场景")


class ScenarioGuidance(BaseModel):
    """一个场景下的指引."""

    scenario: str = Field(description="场景")
    title: str = Field(description="场景名称")
    guidance: dict[str, object] | None = Field(description="可依法采取的步骤及其后果；没有的为空")
    detail: str | None = Field(description="没有的原因")


class GuidanceShown(BaseModel):
    """信用提升指引；以当日为准，结果由认定单位决定."""

    scenarios: list[ScenarioGuidance] = Field(description="场景")
    left_out: Literal["past", "many"] | None = Field(description="未计算的原因")
    detail: str | None = Field(description="未计算的说明")


class ClockShown(BaseModel):
    """一个时限."""

    kind: Literal["repair", "exit", "licence"] = Field(
        description="repair 信用修复；exit 移出名录名单；licence 许可到期"
    )
    table: str = Field(description="记录表")
    record_id: str = Field(description="记录编号")
    happened_on: date = Field(description="记录日期")
    what: str | None = Field(description="文号、名单种类或许可名称")
    state: Literal["open", "waiting", "applied", "fixed", "valid", "soon", "expired"] = Field(
        description="open 现可申请、waiting 未到期限、applied 办理中、fixed 依规不提前；许可："
        "valid 有效、soon 60日内到期、expired 已到期"
    )
    opens_on: date | None = Field(description="最早可申请日；依规不提前的为空")
    ends_on: date | None = Field(description="自何日起期满；许可为有效期截止日")
    next_on: date | None = Field(description="下一个变化日")
    days_left: int | None = Field(description="距下一个变化日的天数")
    why: str | None = Field(description="不能提前的原因")
    disputed: bool = Field(description="异议处理中")


class ClocksShown(BaseModel):
    """各记录的时限，先到的在前，最多100条."""

    clocks: list[ClockShown] = Field(description="时限")
    counts: dict[str, int] = Field(description="各种类与状态的条数", examples=[{"repair.open": 2}])
    more: int = Field(description="未列出的条数")


class TableFreshness(BaseModel):
    """一张表的新鲜度."""

    table: str = Field(description="记录表")
    title: str = Field(description="名称")
    last_record_on: date | None = Field(description="最近一条记录的发生日期")
    last_record_age_days: int | None = Field(description="距查询日的天数")
    imported_at: datetime | None = Field(description="最近一次入湖时间")
    import_age_days: int | None = Field(description="距查询日的天数")
    live_waiting: int = Field(description="尚未入湖的实时记录数")
    live_last_at: datetime | None = Field(description="其中最近一条的到达时间")
    own_last_on: date | None = Field(description="本主体最近一条计入的记录")


class FreshnessShown(BaseModel):
    """各来源表的新鲜度."""

    tables: list[TableFreshness] = Field(description="表")


class PortraitShown(BaseModel):
    """信用画像；只有所选的各节."""

    subject_id: str = Field(description="主体")
    as_of: date = Field(description="查询日：只含当日已发生并已知晓的")
    notes: list[Note] = Field(description="说明")
    identity: IdentityShown | None = Field(default=None, description="登记信息")
    grades: GradesShown | None = Field(default=None, description="等级变化")
    dimensions: DimensionsShown | None = Field(default=None, description="维度")
    reasons: ReasonsShown | None = Field(default=None, description="原因")
    timeline: TimelineShown | None = Field(default=None, description="时间轴")
    relations: RelationsShown | None = Field(default=None, description="关联主体")
    peers: PeersShown | None = Field(default=None, description="同类中的位置")
    guidance: GuidanceShown | None = Field(default=None, description="指引")
    clocks: ClocksShown | None = Field(default=None, description="时限")
    freshness: FreshnessShown | None = Field(default=None, description="数据新鲜度")
