"""What ``xinjian risk`` prints: how a run was split, what it is worth, reasons and grades."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from models.scenarios import Scenario

if TYPE_CHECKING:
    from models.risk.dry_run import DryRun
    from models.risk.explain import Explanation
    from models.risk.guidance import Guidance
    from training.evaluate.evaluation import Evaluation, Figures, Interval, Metric
    from training.risk.folds import SliceName
    from training.risk.run import Run

MODELS: Final = {
    "lightgbm": "LightGBM",
    "past_rate": "既往比率",
    "rules": "专家规则",
    "woe": "评分卡",
    "logistic": "逻辑回归",
}
_SLICES: Final[Mapping[SliceName, str]] = {
    "train": "训练",
    "stop": "早停",
    "calibrate": "校准",
    "test": "检验",
}
_METRICS: Final[tuple[tuple[Metric, str, bool], ...]] = (
    ("auc", "AUC", False),
    ("ap", "AP", False),
    ("brier", "Brier", False),
    ("ece", "ECE", False),
    ("recall_10", "命中@10%", True),
    ("recall_25", "命中@25%", True),
    ("lift_10", "提升@10%", False),
)
_OUTCOMES: Final = {
    "grade": "完成下列事项后等级下降",
    "score": "等级不变，风险分下降",
    "no_effect": "目前可做的事项都不降低风险分",
    "nothing": "目前没有可做的事项",
    "best": "已是最好等级",
}


def summary(run: Run) -> Group:
    """Return how a run was split and weighed, and what was learnt."""
    manifest = run.bundle.manifest
    title = (
        f"{run.bundle.scenario.title}：{manifest.rows:,} 个有结果的样本，"
        f"{manifest.positives:,} 个阳性，{len(run.bundle.encoder.features)} 个特征，"
        f"{manifest.params['rounds_used']} 棵树"
    )
    table = Table("切片", "首个截面日", "末个截面日")
    for name, span in run.folds[0].spans().items():
        table.add_row(_SLICES[name], str(span.first), str(span.last))
    weighing = run.weighing
    weights = (
        f"权重：{weighing.recorded:,} 个按抽中概率，{weighing.fitted:,} 个按倾向得分，"
        f"{weighing.least:.2f}–{weighing.most:.2f}，有效样本 {weighing.effective:,.0f}"
    )
    return Group(Text(title), table, Text(weights))


def judged(evaluation: Evaluation, scenario: Scenario) -> Table:
    """Return the pooled figures of every model, with intervals."""
    pooled = evaluation.pooled
    weighted = "逆概率加权" if evaluation.weighting == "ipw" else "不加权"
    table = Table(
        "模型",
        title=f"{scenario.title}：检验 {pooled.first} 至 {pooled.last}，有结果 {pooled.judged:,}，"
        f"阳性 {pooled.positives:,}（{weighted}）",
        title_justify="left",
    )
    for _, heading, _ in _METRICS:
        table.add_column(heading, justify="right")
    for model in evaluation.models:
        figures = pooled.of(model, evaluation.weighting)
        table.add_row(MODELS.get(model, model), *(_figure(figures, m, p) for m, _, p in _METRICS))
    return table


def reasons(explanation: Explanation) -> Table:
    """Return the reasons of a score, those that raise it first, each with its records."""
    table = Table(
        "方向",
        "原因",
        title=f"{explanation.subject_id}，截面日 {explanation.as_of}",
        title_justify="left",
    )
    table.add_column("对数几率", justify="right")
    table.add_column("记录")
    for way, listed in (("升", explanation.reasons), ("降", explanation.mitigating)):
        for one in listed:
            cited = [record.record_id for record in one.evidence or ()]
            more = f" 等 {len(cited)} 条" if len(cited) > 3 else ""
            table.add_row(way, one.text, f"{one.contribution:+.3f}", " ".join(cited[:3]) + more)
    table.add_row("", "其余", f"{explanation.rest:+.3f}", "")
    table.add_row("", "平均水平", f"{explanation.base:+.3f}", "")
    return table


def guidance(found: Guidance) -> Table:
    """Return what a subject can do, in order, and how it would stand after each step."""
    table = Table(
        "步骤",
        "事项",
        "依据",
        "等级",
        title=f"{found.subject_id}，截面日 {found.as_of}：{_OUTCOMES[found.outcome]}",
        title_justify="left",
    )
    table.add_column("风险分", justify="right")
    table.add_row("现在", "", "", found.before.grade, f"{found.before.risk_score:.0f}")
    for number, step in enumerate(found.steps, start=1):
        change, after = step.change, step.after
        needs = "".join(f"\n· {need}" for need in change.needs)
        basis = "；".join(change.basis)
        table.add_row(
            str(number), change.text + needs, basis, after.grade, f"{after.risk_score:.0f}"
        )
    for change in found.later:
        when = f"{change.available_from} 起" if change.available_from else "以后"
        table.add_row(when, change.text, "；".join(change.basis), "", "")
    for fixed in found.fixed:
        table.add_row("不可改变", fixed.why, "；".join(fixed.basis), "", "")
    return table


def trial(found: DryRun, as_of: str) -> list[Table]:
    """Return what other thresholds would change: distribution, moves, workload."""
    spread = Table("等级", title=f"截面日 {as_of} 的等级分布", title_justify="left")
    for heading in ("现在", "比例", "试算", "比例", "抽查现在", "抽查试算"):
        spread.add_column(heading, justify="right")
    work = {str(g): (float(now), float(then)) for g, now, then in found.workload.iter_rows()}
    rows = found.distribution.select("grade", "now", "share_now", "then", "share_then")
    for grade, now, share_now, then, share_then in rows.iter_rows():
        before, after = work.get(str(grade), (0.0, 0.0))
        spread.add_row(
            str(grade), f"{now:,}", f"{share_now:.2%}", f"{then:,}", f"{share_then:.2%}",
            f"{before:,.0f}", f"{after:,.0f}",
        )  # fmt: skip
    if found.months_now is not None and found.months_then is not None:
        spread.caption = (
            f"按声明的能力需 {found.months_now:.1f} 个月，试算后 {found.months_then:.1f} 个月"
        )
        spread.caption_justify = "left"
    moves = Table("由", "至", title="等级变动", title_justify="left")
    moves.add_column("主体", justify="right")
    for before, after, subjects in found.moves.iter_rows():
        moves.add_row(str(before), str(after), f"{subjects:,}")
    return [spread, moves]


def _figure(figures: Figures, metric: Metric, percent: bool) -> str:
    one: Interval | None = figures.metrics.get(metric)
    if one is None or one.value is None:
        return "—"
    said = f"{one.value:.1%}" if percent else f"{one.value:.3f}"
    if one.low is None or one.high is None:
        return said
    low, high = (f"{v:.1%}" if percent else f"{v:.3f}" for v in (one.low, one.high))
    return f"{said} [{low}, {high}]"
