"""What kind of subject a record is about."""

from __future__ import annotations

from enum import StrEnum


class SubjectType(StrEnum):
    """信用主体类型, derived from the first two positions of a 统一社会信用代码."""

    ENTERPRISE = "企业"
    INDIVIDUAL_BUSINESS = "个体工商户"
    COOPERATIVE = "农民专业合作社"
    STATE_ORGAN = "机关"
    PUBLIC_INSTITUTION = "事业单位"
    SOCIAL_ORGANISATION = "社会组织"
    OTHER = "其他组织"


class PartyCategory(StrEnum):
    """行政相对人类别 of the 双公示 standard."""

    ORGANISATION = "法人及非法人组织"
    INDIVIDUAL_BUSINESS = "个体工商户"
    NATURAL_PERSON = "自然人"
