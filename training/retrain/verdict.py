"""The verdict: a challenger replaces the champion only where it is proven better, and it says why.

Four questions, each with figures on rows that neither model has learnt from: is it better where
inspectors look, is it calibrated no worse, is it fair within limits, is it stable within limits?
Every check must pass. The first model of a scenario has no champion to beat; it must beat every
baseline instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from math import isfinite
from typing import Final, Literal, Self, TypeAlias

from pydantic import AwareDatetime, Field, ValidationError

from models.errors import ModelError
from models.scenarios.label import Frozen
from training.evaluate.evaluation import Evaluation, Fairness, Interval, Metric
from training.retrain.offpolicy import OffPolicy, section

Decision: TypeAlias = Literal["promote", "keep"]
Question: TypeAlias = Literal["evidence", "capacity", "calibration", "fairness", "stability"]

TITLES: Final[dict[Question, str]] = {
    "evidence": "样本",
    "capacity": "检查能力内命中率",
    "calibration": "校准",
    "fairness": "公平",
    "stability": "稳定",
}
_DECISIONS: Final[dict[Decision, str]] = {"promote": "晋升", "keep": "不晋升"}
_ATTRIBUTES: Final = {
    "region": "地区",
    "city": "城市",
    "industry": "行业",
    "ownership": "所有制",
    "subject_type": "主体类型",
    "size": "规模",
    "age_band": "年限",
}


class Limits(Frozen):
    """What a challenger must keep to; read from YAML where the defaults do not suit.

    ``positives``: outcomes that are needed to judge at all. ``gain``: what the lower end of the
    interval of its lead at capacity must exceed. ``calibration``: by how much its expected
    calibration error may exceed the champion's; ``first_calibration``: what the lower end of a
    first model's may be, since on few rows chance alone makes an error.
    ``fairness``: the largest difference of found shares (true positive rates) between two groups;
    ``fairness_worse``: by how much it may exceed the champion's beyond that. ``psi``: how far the
    score may move from quarter to quarter. ``moves``: the share of subjects that change grade.
    """

    positives: int = Field(default=30, ge=1)
    gain: float = Field(default=0.0, ge=0, lt=1)
    calibration: float = Field(default=0.01, ge=0, lt=1)
    first_calibration: float = Field(default=0.05, gt=0, lt=1)
    fairness: float = Field(default=0.2, gt=0, le=1)
    fairness_worse: float = Field(default=0.05, ge=0, le=1)
    psi: float = Field(default=0.25, gt=0)
    moves: float = Field(default=0.3, gt=0, le=1)


class Check(Frozen):
    """One answer: a figure with its interval, the limit it is held against, and words."""

    question: Question
    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    limit: float
    passed: bool
    sentence: str


class Verdict(Frozen):
    """What was decided about a challenger, on which rows, and every reason with its number.

    ``logged``: what the models' lists would have found, from records of draws with known chances;
    None where there are none. It decides nothing.
    """

    format: Literal[1] = 1
    scenario: str
    decision: Decision
    champion: str | None
    challenger: str
    first: date
    last: date
    rows: int
    positives: int
    capacity: float | None
    metric: Metric
    limits: Limits
    checks: tuple[Check, ...]
    logged: OffPolicy | None = None
    decided_at: AwareDatetime

    @property
    def promoted(self) -> bool:
        """Tell whether the challenger shall replace the champion."""
        return self.decision == "promote"

    @property
    def failed(self) -> tuple[Check, ...]:
        """Return the checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def summary(self) -> str:
        """Return the decision with its reasons, in a line of Chinese."""
        told = self.failed or tuple(c for c in self.checks if c.question == "capacity")
        return f"{_DECISIONS[self.decision]}：{'；'.join(check.sentence for check in told)}"

    def to_json(self) -> str:
        """Return it as JSON that :meth:`from_json` reads back equal."""
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what :meth:`to_json` gave; :class:`ModelError` for anything else."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            raise ModelError(
                f"no verdict can be read: {first['loc']}: {first['msg']}; retrain again"
            ) from None

    def to_markdown(self) -> str:
        """Return the verdict as a page for people."""
        against = self.champion[:12] if self.champion else "无（首个模型，与各基线比较）"
        capacity = "未声明，按前 10%" if self.capacity is None else f"前 {self.capacity:.2%}"
        head = (
            f"# 换模结论：{_DECISIONS[self.decision]}\n\n"
            f"- 场景：`{self.scenario}`\n"
            f"- 现用模型：{against}\n"
            f"- 候选模型：{self.challenger[:12]}\n"
            f"- 比较期：{self.first} 至 {self.last}，"
            f"{self.rows} 行有结果，其中 {self.positives} 行为阳性\n"
            f"- 检查能力：{capacity}\n"
            f"- 作出时间：{self.decided_at:%Y-%m-%d %H:%M:%S%z}\n\n"
            "| 问题 | 数值 | 95% 区间 | 限值 | 结果 | 说明 |\n|---|---|---|---|---|---|\n"
        )
        return head + "".join(map(_row, self.checks)) + section(self.logged)


def judge(
    evaluation: Evaluation,
    *,
    challenger: str,
    champion: str | None,
    decided_at: AwareDatetime,
    champion_fairness: Sequence[Fairness] = (),
    moved: float | None = None,
    logged: OffPolicy | None = None,
    limits: Limits | None = None,
) -> Verdict:
    """Judge the model of an evaluation against all others in it.

    The others are the champion, or the baselines where there is none. ``challenger`` and
    ``champion`` are bundle digests, ``moved`` the share of subjects whose grade would change.
    ``logged`` is told with the verdict and decides nothing.
    """
    within = limits or Limits()
    pooled = evaluation.pooled
    reach = pooled.capacity
    metric: Metric = "precision_10" if reach is None or reach >= 1 else "precision_capacity"
    checks = (
        _evidence(pooled.positives, within),
        *_lead(evaluation, metric, within),
        _calibration(evaluation, within, first=champion is None),
        *_fairness(evaluation.fairness, champion_fairness, within),
        *_stability(evaluation, moved, within),
    )
    return Verdict(
        scenario=evaluation.scenario,
        decision="promote" if all(check.passed for check in checks) else "keep",
        champion=champion,
        challenger=challenger,
        first=pooled.first,
        last=pooled.last,
        rows=pooled.judged,
        positives=pooled.positives,
        capacity=reach,
        metric=metric,
        limits=within,
        checks=checks,
        logged=logged,
        decided_at=decided_at,
    )


def _evidence(positives: int, limits: Limits) -> Check:
    enough = positives >= limits.positives
    return Check(
        question="evidence",
        name="positives",
        value=positives,
        limit=limits.positives,
        passed=enough,
        sentence=f"比较期内阳性 {positives} 行，"
        + (f"达到 {limits.positives} 行" if enough else f"不足 {limits.positives} 行，无法判断"),
    )


def _lead(evaluation: Evaluation, metric: Metric, limits: Limits) -> list[Check]:
    found: list[Check] = []
    for one in evaluation.pooled.differences:
        if one.weighting != evaluation.weighting:
            continue
        lead = one.metrics[metric]
        passed = lead.low is not None and lead.low > limits.gain
        other = "现用模型" if one.other == "champion" else f"基线 {one.other}"
        worse = lead.high is not None and lead.high < 0
        better = "优于" if passed else "低于" if worse else "未证明优于"
        found.append(
            Check(
                question="capacity",
                name=one.other,
                **_figures(lead),
                limit=limits.gain,
                passed=passed,
                sentence=f"检查能力内命中率{better}{other}：差 {_told(lead)}，下限须高于 "
                f"{limits.gain:+.4f}",
            )
        )
    return found


def _calibration(evaluation: Evaluation, limits: Limits, *, first: bool) -> Check:
    """Compare calibration errors; only a rise that is large, or certain, counts."""
    own = evaluation.pooled.of(evaluation.model, evaluation.weighting).metrics["ece"]
    if first:
        least = own.value if own.low is None else own.low
        passed = least is not None and least <= limits.first_calibration
        return Check(
            question="calibration",
            name="ece",
            **_figures(own),
            limit=limits.first_calibration,
            passed=passed,
            sentence=f"校准误差 {_told(own, sign=False)}，下限{'未超过' if passed else '超过'} "
            f"{limits.first_calibration:.4f}",
        )
    rise = next(
        one.metrics["ece"]
        for one in evaluation.pooled.differences
        if (one.other, one.weighting) == ("champion", evaluation.weighting)
    )
    certain = rise.low is not None and rise.low > 0
    passed = rise.value is not None and rise.value <= limits.calibration and not certain
    return Check(
        question="calibration",
        name="ece",
        **_figures(rise),
        limit=limits.calibration,
        passed=passed,
        sentence=f"校准{'不差于' if passed else '差于'}现用模型：校准误差差 {_told(rise)}，容许 "
        f"{limits.calibration:+.4f}",
    )


def _fairness(own: Sequence[Fairness], champion: Sequence[Fairness], limits: Limits) -> list[Check]:
    before = {one.by: one.differences.get("tpr") for one in champion}
    found: list[Check] = []
    for one in own:
        gap = one.differences.get("tpr")
        if gap is None or gap.value is None:
            continue  # no two groups are large enough to be compared
        old = before.get(one.by)
        borne = limits.fairness
        if old is not None and old.value is not None:
            borne = max(borne, old.value + limits.fairness_worse)
        passed = gap.value <= borne
        title = _ATTRIBUTES.get(one.by, one.by)
        found.append(
            Check(
                question="fairness",
                name=one.by,
                **_figures(gap),
                limit=borne,
                passed=passed,
                sentence=f"各{title}组检出率最大差 {_told(gap, sign=False)}，"
                f"{'未超过' if passed else '超过'} {borne:.4f}",
            )
        )
    return found


def _stability(evaluation: Evaluation, moved: float | None, limits: Limits) -> list[Check]:
    known = [q for q in evaluation.stability if q.psi is not None and isfinite(q.psi)]
    found: list[Check] = []
    if known:
        worst = max(known, key=lambda one: (one.psi or 0.0) - (one.psi_chance or 0.0))
        index, by_chance = worst.psi or 0.0, worst.psi_chance or 0.0
        passed = index <= max(limits.psi, by_chance)
        found.append(
            Check(
                question="stability",
                name="psi",
                value=index,
                limit=max(limits.psi, by_chance),
                passed=passed,
                sentence=f"风险分在 {worst.quarter} 相对首季 PSI {index:.4f}，"
                f"{'未超过' if passed else '超过'} {max(limits.psi, by_chance):.4f}",
            )
        )
    if moved is not None:
        passed = moved <= limits.moves
        found.append(
            Check(
                question="stability",
                name="moves",
                value=moved,
                limit=limits.moves,
                passed=passed,
                sentence=f"{moved:.1%} 的主体等级将变动，{'未超过' if passed else '超过'} "
                f"{limits.moves:.0%}",
            )
        )
    return found


def _figures(interval: Interval) -> dict[str, float | None]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _told(interval: Interval, *, sign: bool = True) -> str:
    plus = "+" if sign else ""
    if interval.value is None:
        return "（数据不足）"
    if interval.low is None or interval.high is None:
        return f"{interval.value:{plus}.4f}（无区间）"
    low, high = f"{interval.low:{plus}.4f}", f"{interval.high:{plus}.4f}"
    return f"{interval.value:{plus}.4f}（95% 区间 {low} 至 {high}）"


def _row(check: Check) -> str:
    value = "–" if check.value is None else f"{check.value:.4f}"
    between = "–"
    if check.low is not None and check.high is not None:
        between = f"{check.low:.4f} 至 {check.high:.4f}"
    passed = "通过" if check.passed else "**未通过**"
    title = f"{TITLES[check.question]} · {check.name}"
    return f"| {title} | {value} | {between} | {check.limit:.4f} | {passed} | {check.sentence} |\n"
