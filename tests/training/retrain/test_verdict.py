from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from models import yaml
from models.errors import ConfigError, ModelError
from training.evaluate.evaluation import (
    Difference,
    Evaluation,
    Fairness,
    Figures,
    Interval,
    Metric,
    Quarter,
    Slice,
)
from training.retrain.verdict import Limits, Verdict, judge

NOW = datetime(2025, 1, 5, 8, tzinfo=UTC)


def _between(value: float, half: float = 0.01) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)


def _evaluation(
    *,
    lead: Interval | None = None,
    ece: Interval | None = None,
    others: tuple[str, ...] = ("champion",),
    tpr: float = 0.1,
    psi: float = 0.05,
    positives: int = 100,
    capacity: float | None = 0.2,
) -> Evaluation:
    metric: Metric = "precision_10" if capacity in {None, 1.0} else "precision_capacity"
    differences: dict[Metric, Interval] = {
        metric: lead or _between(0.05),
        "ece": ece or _between(0.0),
    }
    whole = Slice(
        name="pooled",
        first=date(2024, 1, 1),
        last=date(2024, 12, 1),
        rows=2000,
        judged=1000,
        subjects=900,
        positives=positives,
        base_rate={"plain": 0.1},
        capacity=capacity,
        figures=(
            Figures(
                model="challenger",
                weighting="plain",
                metrics={"ece": ece or _between(0.03)},
                reliability=(),
            ),
        ),
        differences=tuple(
            Difference(other=other, weighting="plain", metrics=differences) for other in others
        ),
    )
    quarter = Quarter(
        fold=0,
        quarter="2024Q2",
        rows=500,
        judged=300,
        positives=30,
        base_rate=0.1,
        predicted=0.1,
        metrics={},
        psi=psi,
        psi_chance=0.02,
    )
    return Evaluation(
        scenario="town",
        scenario_digest="0" * 64,
        model="challenger",
        models=("challenger", *others),
        kind="snapshots",
        weighting="plain",
        seed=7,
        resamples=100,
        slices=(whole,),
        replays=(),
        stability=(quarter,),
        fairness=(_fairness(tpr),),
    )


def _fairness(tpr: float) -> Fairness:
    return Fairness(by="size", share=0.2, groups=(), differences={"tpr": _between(tpr)})


def _judge(evaluation: Evaluation, **given: object) -> Verdict:
    known: dict[str, object] = {"champion": "c" * 64, "moved": 0.1, **given}
    return judge(evaluation, challenger="d" * 64, decided_at=NOW, **known)  # pyright: ignore[reportArgumentType]


def test_a_challenger_that_passes_everything_is_promoted() -> None:
    verdict = _judge(_evaluation())
    assert verdict.promoted
    assert verdict.failed == ()
    assert verdict.summary.startswith("晋升：检查能力内命中率优于现用模型：差 +0.0500")


@pytest.mark.parametrize(
    ("change", "question", "words"),
    [
        ({"lead": _between(0.005)}, "capacity", "未证明优于现用模型：差 +0.0050"),
        ({"lead": _between(-0.05)}, "capacity", "低于现用模型：差 -0.0500"),
        ({"lead": Interval(value=0.2)}, "capacity", "（无区间）"),
        ({"lead": Interval(value=None)}, "capacity", "（数据不足）"),
        ({"ece": _between(0.02)}, "calibration", "差于现用模型：校准误差差 +0.0200"),
        ({"ece": _between(0.005, 0.001)}, "calibration", "差于现用模型"),
        ({"tpr": 0.3}, "fairness", "各规模组检出率最大差 0.3000"),
        ({"psi": 0.4}, "stability", "2024Q2 相对首季 PSI 0.4000，超过 0.2500"),
        ({"positives": 12}, "evidence", "阳性 12 行，不足 30 行"),
    ],
)
def test_what_fails_keeps_the_champion_and_is_said_with_its_number(
    change: dict[str, object], question: str, words: str
) -> None:
    verdict = _judge(_evaluation(**change))  # pyright: ignore[reportArgumentType]
    assert verdict.decision == "keep"
    assert [check.question for check in verdict.failed] == [question]
    assert words in verdict.summary


def test_grades_that_change_too_much_keep_the_champion() -> None:
    verdict = _judge(_evaluation(), moved=0.4)
    assert "40.0% 的主体等级将变动，超过 30%" in verdict.summary


def test_a_small_rise_of_the_calibration_error_that_may_be_chance_is_borne() -> None:
    assert _judge(_evaluation(ece=_between(0.005, 0.02))).promoted


def test_what_the_champion_did_too_is_no_reason_against_the_challenger() -> None:
    unfair = _evaluation(tpr=0.3)
    assert _judge(unfair, champion_fairness=(_fairness(0.28),)).promoted
    assert not _judge(unfair, champion_fairness=(_fairness(0.22),)).promoted


def test_a_first_model_must_beat_every_baseline() -> None:
    both = ("past_rate", "woe")
    verdict = _judge(_evaluation(others=both, ece=_between(0.03)), champion=None, moved=None)
    assert verdict.promoted
    leads = [check.name for check in verdict.checks if check.question == "capacity"]
    assert leads == list(both)
    even = _evaluation(others=both, lead=_between(0.0))
    assert "未证明优于基线 past_rate" in _judge(even, champion=None, moved=None).summary


@pytest.mark.parametrize(("low", "promoted"), [(0.04, True), (0.06, False)])
def test_a_first_models_calibration_error_counts_where_it_is_certain(
    *, low: float, promoted: bool
) -> None:
    ece = Interval(value=0.08, low=low, high=0.1)
    assert _judge(_evaluation(ece=ece), champion=None).promoted is promoted


@pytest.mark.parametrize("capacity", [None, 1.0])
def test_without_a_capacity_that_binds_the_first_tenth_counts(capacity: float | None) -> None:
    verdict = _judge(_evaluation(capacity=capacity))
    assert verdict.metric == "precision_10"
    assert verdict.promoted


def test_limits_are_read_from_yaml_and_wrong_ones_are_named(tmp_path: Path) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text("gain: 0.1\nmoves: 0.5\n", encoding="utf-8")
    limits = yaml.load(path, Limits)
    assert (limits.gain, limits.psi) == (0.1, 0.25)
    assert not _judge(_evaluation(), limits=limits).promoted
    path.write_text("gane: 0.1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"limits\.yaml:1.*gane"):
        yaml.load(path, Limits)


def test_json_and_back() -> None:
    verdict = _judge(_evaluation())
    assert Verdict.from_json(verdict.to_json()) == verdict
    with pytest.raises(ModelError, match="retrain again"):
        Verdict.from_json(verdict.to_json()[:-20])


def test_the_page_has_a_row_for_every_check() -> None:
    verdict = _judge(_evaluation(lead=_between(-0.05)))
    page = verdict.to_markdown()
    assert "# 换模结论：不晋升" in page
    assert len(re.findall(r"^\| (?!问题|--)", page, flags=re.MULTILINE)) == len(verdict.checks)
    assert "**未通过**" in page
    assert "| -0.0500 | -0.0600 至 -0.0400 | 0.0000 |" in page
