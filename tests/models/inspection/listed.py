"""Lists, a draw and its results for tests: two visits of food shops by teams of two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import polars as pl

from models.inspection.list_fields import ListName
from models.inspection.lists import Listing, checked
from models.inspection.results import Round
from models.inspection.tasks import Tasks

ON: Final = date(2026, 11, 20)
DRAWN_ON: Final = date(2026, 3, 2)
FIRM: Final = "91210100YY000001XP"
SHOP: Final = "92210300YY0000036R"
PERSON: Final = "P_" + "0" * 32


def matters_frame() -> pl.DataFrame:
    """Return matters under a department's headings."""
    return pl.DataFrame(
        {
            "事项编号": ["M01", "M02"],
            "抽查事项名称": ["食品销售监督检查", "广告监督检查"],
            "实施部门": ["市场监督管理局"] * 2,
            "检查依据": [
                "食品安全法 第一百一十条；实施条例 第五十九条",
                "广告法 第四十九条",
            ],
            "检查对象": ["食品经营者", "广告主"],
            "检查方式": ["现场检查", "网络监测"],
            "事项类别": ["重点检查事项", "一般"],
            "公布日期": ["2021-06-01", "2020/1/5"],
            "最近实施日期": ["2026-05-01", None],
        }
    )


def targets_frame() -> pl.DataFrame:
    """Return targets under a department's headings."""
    return pl.DataFrame(
        {
            "社会信用代码": [FIRM, SHOP, PERSON],
            "企业名称": ["沈阳某某商贸有限公司", "某记小吃店", "某某某"],
            "经营状态": ["存续（在营）", "开业", "在业"],
            "行政区划": ["210102", "210302", "210102"],
            "行业": ["F52", "H62", "H62"],
            "信用风险等级": ["C", "B", "B"],
            "住所": ["沈阳市和平区某某路1号", "鞍山市铁东区某某街2号", None],
            "适用事项": ["M01；M02", "M01", None],
            "上次检查日期": ["2025年9月1日", None, None],
            "年度检查上限": [2, 2, 2],
            "已检查次数": [1, 0, 0],
        }
    )


def inspectors_frame() -> pl.DataFrame:
    """Return inspectors under a department's headings."""
    return pl.DataFrame(
        {
            "人员编号": ["i1", "i2", "i3", "i4"],
            "姓名": ["检查员一", "检查员二", "检查员三", "检查员四"],
            "执法证编号": ["辽001", "辽002", "辽003", "辽004"],
            "有效期至": ["2027-12-31"] * 4,
            "所属单位": ["执法支队"] * 4,
            "可检查事项": ["M01,M02"] * 4,
            "执法区域": ["210000"] * 4,
            "回避对象": [SHOP, None, None, None],
            "请假日期": [None, "2026-03-09至2026-03-10", None, None],
        }
    )


def listing(name: ListName, frame: pl.DataFrame) -> Listing:
    """Return a frame without faults as a list."""
    return checked(frame, name, on=ON)


def matters() -> Listing:
    """Return the matters."""
    return listing(ListName.MATTERS, matters_frame())


def targets() -> Listing:
    """Return the targets."""
    return listing(ListName.TARGETS, targets_frame())


def inspectors() -> Listing:
    """Return the inspectors."""
    return listing(ListName.INSPECTORS, inspectors_frame())


def tasks() -> Tasks:
    """Return a visit to the firm for two matters, and one each to the shop and the person."""
    return Tasks.of(
        pl.DataFrame(
            {
                "task_id": ["T1", "T2", "T3"],
                "subject_id": [FIRM, SHOP, PERSON],
                "matters": [["M01", "M02"], ["M01"], ["M01"]],
                "region": ["210102", "210302", "210102"],
                "starts": [date(2026, 3, 3)] * 3,
                "ends": [date(2026, 3, 31)] * 3,
            }
        )
    )


def round_() -> Round:
    """Return the draw, its tasks and teams; the person was mandatory."""
    return Round.of(
        "catering_2026/Q1",
        tasks(),
        mode="random_targeted",
        drawn_on=DRAWN_ON,
        authority="沈阳市市场监督管理局",
        teams=teams(("T1", "i1", "i2"), ("T2", "i3", "i4"), ("T3", "i1", "i2")),
        drawn=pl.DataFrame(
            {"subject_id": [FIRM, SHOP, PERSON], "inclusion_probability": [0.25, 0.04, 1.0]}
        ),
    )


def teams(*rows: Sequence[str]) -> pl.DataFrame:
    """Return teams, each written as a task and its members."""
    pairs = [(task, one) for task, *team in rows for one in team]
    return pl.DataFrame(pairs, {"task_id": pl.String, "inspector_id": pl.String}, orient="row")


def results_frame(**columns: Sequence[object]) -> pl.DataFrame:
    """Return the results of all tasks as filled in; ``columns`` replace some."""
    filled: dict[str, Sequence[object]] = {
        "任务编号": ["T1", "T1", "T2", "T3"],
        "事项编码": ["M01", "M02", "M01", "M01"],
        "检查结果": ["IR1", "IR5 发现问题已责令改正", "通过登记的住所（经营场所）无法联系", "IRX"],
        "检查结束日期": ["2026-03-05", "2026-03-05", "2026-03-06", "2026-03-09"],
        "检查人员": ["i1；i2", "i1；i2", "i3；i4", "i2；i1"],
        "发现问题": [None, "未按规定标示广告", None, None],
    }
    return pl.DataFrame(filled | columns)
