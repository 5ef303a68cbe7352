"""What figures, models and groups are called where people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from models.codes import regions
from training.evaluate.evaluation import Interval, Metric
from training.evaluate.predictions import Weighting

MODELS: Final[Mapping[str, str]] = {
    "lightgbm": "LightGBM",
    "past_rate": "历史不合格率",
    "rules": "专家规则",
    "woe": "WOE 评分卡",
    "logistic": "逻辑回归",
    "champion": "现任模型",
    "challenger": "候选模型",
}
WEIGHTINGS: Final[Mapping[Weighting, str]] = {"plain": "不加权", "ipw": "IPW 加权"}
AUDITS: Final[Mapping[str, str]] = {
    "region": "地区",
    "city": "城市",
    "industry": "行业",
    "ownership": "所有制",
    "subject_type": "主体类型",
    "size": "规模",
    "age_band": "存续年限",
}
_GROUPS: Final[Mapping[str, str]] = {
    "unknown": "（未注明）",
    "micro": "微型",
    "small": "小型",
    "medium": "中型",
    "large": "大型",
    "0-1y": "不满 1 年",
    "1-3y": "1–3 年",
    "3-5y": "3–5 年",
    "5y+": "5 年以上",
}
_METRICS: Final[Mapping[str, str]] = {
    "auc": "AUC",
    "ap": "AP",
    "brier": "Brier ↓",
    "ece": "ECE ↓",
    "precision": "命中率",
    "recall": "覆盖率",
    "lift": "提升",
}
NOTHING: Final = "—"


def model_title(name: str) -> str:
    """Return what a model is called."""
    return MODELS.get(name, name)


def metric_title(metric: Metric) -> str:
    """Return what a metric is called, with the share that it looks at."""
    kind, _, share = metric.partition("_")
    if not share:
        return _METRICS[kind]
    return f"{_METRICS[kind]}@" + ("产能" if share == "capacity" else f"{share} %")


def group_title(by: str, name: str) -> str:
    """Return what a group is called; a code of a region by the region's name."""
    if by in {"region", "city"}:
        return regions.name(name) or _GROUPS.get(name, name)
    return _GROUPS.get(name, name)


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number with so many decimals, a dash where there is none."""
    return NOTHING if value is None else f"{value:.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent."""
    return NOTHING if value is None else f"{figure(value * 100, digits)} %"


def with_interval(one: Interval, digits: int = 3) -> str:
    """Return a figure with its interval in brackets."""
    if one.low is None or one.high is None:
        return figure(one.value, digits)
    return f"{figure(one.value, digits)} [{figure(one.low, digits)}, {figure(one.high, digits)}]"
