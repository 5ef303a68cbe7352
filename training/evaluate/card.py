"""The model card: one self-contained page that says what a model is for, and how well it does it.

The frame follows Mitchell et al., *Model Cards for Model Reporting* (2019). Everything foreign
(titles of a scenario, names of groups, parameters) is escaped, and the page may load nothing: its
pictures are inside of it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeAlias

from models.codes.subjects import SubjectType
from models.features.spec import FeatureSpec
from models.monitor.psi import FREEZE, WATCH
from models.records.contracts import CONTRACTS
from models.risk.manifest import BundleManifest
from models.scenarios.scenario import Scenario
from models.whole import write_text
from training.evaluate import words
from training.evaluate.evaluation import Evaluation, Interval, Metric, Quarter, Share
from training.evaluate.fairness import FEWEST_POSITIVES, SMALLEST
from training.evaluate.metrics import LESS_IS_BETTER

Verdict: TypeAlias = Literal["better", "worse", "even", "unknown"]

HEADLINE: Final[tuple[Metric, ...]] = (
    "auc",
    "ap",
    "brier",
    "ece",
    "recall_10",
    "recall_25",
    "precision_capacity",
    "recall_capacity",
    "lift_capacity",
)
SHARES: Final[tuple[Share, ...]] = ("1", "5", "10", "25", "capacity")
_VERDICTS: Final[Mapping[Verdict, str]] = {
    "better": "优于",
    "worse": "劣于",
    "even": "无显著差异",
    "unknown": "—",
}
_CAPTIONS: Final[Mapping[str, str]] = {
    "ranking": "ROC 曲线与精度—覆盖率曲线；虚线为随机选择。",
    "reliability": "左：等量分组的预测概率与实际发生率，竖线为 95 % 区间；右：各模型的校准误差。",
    "capture": "按风险从高到低检查时，检查的比例与发现的问题；点线为产能。",
    "replay": "真实检查按模型次序重排：提前与推迟发现的比例，条内为平均天数。",
    "stability": "各季度的 AUC、实际发生率与平均预测概率。",
    "beeswarm": "特征贡献（SHAP）：一点为一个主体，颜色为取值的高低。",
    "dependence": "贡献最大的特征：取值与贡献，灰底为取值的分布。",
}
_KINDS: Final = {"snapshots": "按截面日", "visits": "按检查（一次检查一行）"}
_LABELS: Final = {"event": "发生事件", "inspection": "检查结果", "survival": "到期未发生"}
_FAMILIES: Final = {
    "window": "窗口",
    "subject": "主体",
    "identity": "名称",
    "relation": "关系",
    "area": "地区",
    "peers": "同业",
    "text": "文本",
}


@dataclass(frozen=True, slots=True)
class _Picture:
    name: str
    caption: str
    address: str


def write_card(
    path: Path,
    *,
    evaluation: Evaluation,
    manifest: BundleManifest,
    scenario: Scenario,
    features: Sequence[FeatureSpec],
    pictures: Mapping[str, bytes],
    digest: str | None = None,
) -> None:
    """Write the model card to ``path``, whole or not at all.

    ``pictures``: PNG or SVG by name, those of :func:`.plots.pictures` and
    :func:`.contributions.contribution_pictures`; a name of one's own stands at the end. ``digest``
    is the bundle's.
    """
    page = card(
        evaluation=evaluation,
        manifest=manifest,
        scenario=scenario,
        features=features,
        pictures=pictures,
        digest=digest,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


def card(
    *,
    evaluation: Evaluation,
    manifest: BundleManifest,
    scenario: Scenario,
    features: Sequence[FeatureSpec],
    pictures: Mapping[str, bytes],
    digest: str | None = None,
) -> str:
    """Return the page that :func:`write_card` writes."""
    from jinja2 import Environment, StrictUndefined

    source = resources.files("training.evaluate").joinpath("card.html.j2").read_text("utf-8")
    rooms = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    rooms.filters |= {
        "figure": words.figure,
        "percent": words.percent,
        "interval": words.with_interval,
        "share": _share,
        "days": _days,
        "model": words.model_title,
        "metric": words.metric_title,
    }
    drawn = {one.name: one for one in _pictures(pictures)}
    return rooms.from_string(source).render(
        evaluation=evaluation,
        pooled=evaluation.pooled,
        manifest=manifest,
        scenario=scenario,
        digest=digest,
        features=features,
        families=_FAMILIES,
        pictures=drawn,
        others=[one for name, one in drawn.items() if not _known(name)],
        population=_population(scenario),
        label=_label(scenario),
        headline=[m for m in HEADLINE if m in _main(evaluation)],
        shares=[s for s in SHARES if f"recall_{s}" in _main(evaluation)],
        comparisons=_comparisons(evaluation),
        drifted=[quarter for quarter in evaluation.stability if _moved(quarter)],
        verdicts=_VERDICTS,
        weightings=words.WEIGHTINGS,
        audits=words.AUDITS,
        group_title=words.group_title,
        kinds=_KINDS,
        metrics=list(_main(evaluation)),
        smallest=SMALLEST,
        fewest=FEWEST_POSITIVES,
        watch=WATCH,
        freeze=FREEZE,
    )


def _main(evaluation: Evaluation) -> dict[Metric, Interval]:
    return evaluation.pooled.of(evaluation.model, evaluation.weighting).metrics


def verdict(metric: Metric, difference: Interval) -> Verdict:
    """Tell whether the judged model is better: only an interval that leaves 0 out says so."""
    if difference.low is None or difference.high is None:
        return "unknown"
    if difference.low <= 0 <= difference.high:
        return "even"
    return "better" if (difference.low > 0) == (metric not in LESS_IS_BETTER) else "worse"


def _comparisons(
    evaluation: Evaluation,
) -> list[tuple[str, list[tuple[Metric, Interval, Verdict]]]]:
    names: tuple[Metric, ...] = ("auc", "ap", "brier", "recall_10", "recall_capacity")
    return [
        (
            one.other,
            [(m, one.metrics[m], verdict(m, one.metrics[m])) for m in names if m in one.metrics],
        )
        for one in evaluation.pooled.differences
        if one.weighting == evaluation.weighting
    ]


def _moved(quarter: Quarter) -> bool:
    """Tell whether scores moved by more than the line and by more than chance."""
    return (
        quarter.psi is not None
        and quarter.psi > WATCH
        and quarter.psi > (quarter.psi_chance or 0.0)
    )


def _pictures(pictures: Mapping[str, bytes]) -> Iterator[_Picture]:
    for name, content in pictures.items():
        kind = "png" if content.startswith(b"\x89PNG") else "svg+xml"
        address = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        yield _Picture(name, _CAPTIONS.get(name, name), address)


def _known(name: str) -> bool:
    return name in _CAPTIONS or name.startswith("fairness_")


def _population(scenario: Scenario) -> list[str]:
    kinds = "、".join(SubjectType[kind.upper()].value for kind in scenario.subject)
    told = [f"主体类型：{kinds}"]
    cohort = scenario.cohort
    if cohort.seen_in:
        within = f"截面日前 {cohort.within.days} 天内" if cohort.within else "截面日前"
        told.append(f"{within}在{_tables(row.table for row in cohort.seen_in)}中有记录")
    status = {"open": "未注销", "active": "未注销且未吊销", "any": ""}[cohort.status]
    if status:
        told.append(status)
    if cohort.where:
        told.append(f"登记条件：{cohort.where}")
    if cohort.without:
        told.append(f"截面日时在{_tables(row.table for row in cohort.without)}中无有效记录")
    return told


def _label(scenario: Scenario) -> list[str]:
    label = scenario.label
    told = [f"{_LABELS[label.means]}：{_tables(event.table for event in label.events)}"]
    told += [f"条件：{event.where}" for event in label.events if event.where]
    told.append(
        f"预警期：截面日后 {label.horizon.days} 天"
        if label.horizon
        else f"预警期：至 {label.until}"
    )
    if label.observers:
        told.append("未被检查的主体没有结果：标签为空，不当作合格")
    return told


def _tables(names: Iterator[str] | Sequence[str]) -> str:
    known = dict.fromkeys(names)
    return "、".join(CONTRACTS[name].title if name in CONTRACTS else name for name in known)


def _share(one: Interval, digits: int = 1) -> str:
    """Return a share in per cent with its interval."""
    scaled = Interval(
        value=None if one.value is None else one.value * 100,
        low=None if one.low is None else one.low * 100,
        high=None if one.high is None else one.high * 100,
    )
    return words.with_interval(scaled, digits)


def _days(one: Interval) -> str:
    return words.with_interval(one, 1)
