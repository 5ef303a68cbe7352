"""The model card: self-contained, escaped, and with every number that it promises."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from models.features.spec import FeatureSpec
from models.risk.manifest import BundleManifest
from tests.training.evaluate.foretold import predictions, scenario
from training.evaluate import Evaluation, Interval, evaluate
from training.evaluate.card import card, verdict, write_card
from training.evaluate.words import figure, group_title, metric_title, percent, with_interval

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
PNG = b"\x89PNG\r\n\x1a\n"


class _Page(HTMLParser):
    """Collect tags, addresses and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def manifest(**params: str | float | bool) -> BundleManifest:
    return BundleManifest(
        scenario="trial",
        scenario_digest=scenario().digest,
        features_digest="ab" * 32,
        created=datetime(2024, 5, 6, tzinfo=UTC),
        data_versions={"inspection": 12, "subject": 3},
        trained_from=date(2021, 7, 1),
        trained_to=date(2022, 6, 1),
        rows=20_000,
        positives=2_500,
        base_rate=0.125,
        params={"leaves": 8, **params},
    )


def spec(title: str) -> FeatureSpec:
    return FeatureSpec(
        "fails_365d", title, "次", "window", "number", "up", "{value}", "inspection", 365
    )


def evaluated(frame: pl.DataFrame) -> Evaluation:
    return evaluate(frame, scenario(), seed=7, resamples=20)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluated(predictions())


def page(evaluation: Evaluation, **changed: str) -> str:
    return card(
        evaluation=evaluation,
        manifest=manifest(note=changed.get("note", "")),
        scenario=scenario(),
        features=[spec(changed.get("title", "近一年不合格次数"))],
        pictures={"ranking": PNG, changed.get("picture", "beeswarm"): b"<svg/>"},
        digest="cd" * 32,
    )


def test_the_page_says_what_it_must(evaluation: Evaluation) -> None:
    text = _Page(page(evaluation)).text
    for needed in (
        "试验风险", "不评价、不惩戒、不公开、不免抽", "试验条例 第一条", "常规监管",
        "2021-07-01", "2022-06-01", "20,000", "inspection@12", "IPW 加权", "不加权",
        "逻辑回归", "专家规则", "减去基线", "各检验折", "产能", "校准", "提前的比例", "推迟的比例",
        "PSI", "组间最大差", "样本太小、不作判断的组", "大型", "和平区", "近一年不合格次数",
        "局限", "如何重复", "xinjian risk fit trial", "cd" * 32, "leaves", "lightgbm",
        "未被检查的主体没有结果",
    ):  # fmt: skip
        assert needed in text, needed


def test_headline_numbers_stand_with_their_intervals(evaluation: Evaluation) -> None:
    text = _Page(page(evaluation)).text
    for model in evaluation.models:
        for metric in ("auc", "ap", "recall_10"):
            one = evaluation.pooled.of(model, "ipw").metrics[metric]
            assert f"{figure(one.value)}[{figure(one.low)}, {figure(one.high)}]" in text


def test_the_page_needs_nothing_from_outside(evaluation: Evaluation) -> None:
    made = page(evaluation)
    found = _Page(made)
    assert found.open == []
    assert "script" not in found.tags
    assert found.addresses
    assert all(address.startswith("data:image/") for address in found.addresses)
    assert "default-src 'none'" in made
    assert not re.search(r"https?://", made)


def test_foreign_text_is_escaped() -> None:
    frame = predictions().with_columns(audit_size=pl.lit(HOSTILE))
    frame = frame.rename({"p_rules": f"p_{HOSTILE}"})
    made = page(evaluated(frame), note=HOSTILE, title=HOSTILE, picture=HOSTILE)
    found = _Page(made)
    assert "script" not in found.tags
    assert found.tags.count("img") == 2
    assert found.text.count("<script>alert(1)</script>") >= 5
    assert all(address.startswith("data:image/") for address in found.addresses)


def test_a_card_without_replay_fairness_or_pictures_says_so() -> None:
    frame = predictions(80).drop("audit_region", "audit_size", "observed_on", "weight")
    made = card(
        evaluation=evaluated(frame),
        manifest=manifest(),
        scenario=scenario(capacity=""),
        features=[],
        pictures={},
    )
    text = _Page(made).text
    for needed in (
        "没有可重排的检查",
        "场景没有指定审计分组",
        "未附特征贡献图",
        "没有可用的被查概率",
    ):
        assert needed in text


def test_a_card_of_figures_that_are_not_there_is_whole() -> None:
    frame = predictions(60)
    lonely = frame.with_columns(observed=pl.col("observed") & (pl.col("fold") == 1))
    text = _Page(page(evaluated(lonely))).text
    assert "None" not in text
    assert "nan" not in text


def test_a_card_is_written_whole(tmp_path: Path, evaluation: Evaluation) -> None:
    target = tmp_path / "run" / "card.html"
    for _ in range(2):
        write_card(
            target,
            evaluation=evaluation,
            manifest=manifest(),
            scenario=scenario(),
            features=[],
            pictures={},
        )
    assert target.read_text("utf-8").startswith("<!doctype html>")
    assert [path.name for path in target.parent.iterdir()] == ["card.html"]


def test_only_an_interval_without_zero_tells_a_difference() -> None:
    better = Interval(value=0.1, low=0.05, high=0.15)
    worse = Interval(value=-0.1, low=-0.15, high=-0.05)
    assert (verdict("auc", better), verdict("auc", worse)) == ("better", "worse")
    assert (verdict("brier", better), verdict("brier", worse)) == ("worse", "better")
    assert verdict("auc", Interval(value=0.1, low=-0.1, high=0.3)) == "even"
    assert verdict("auc", Interval(value=0.1)) == "unknown"


def test_numbers_and_names_are_written_for_people() -> None:
    assert (figure(-0.01), figure(None), percent(0.1234)) == ("−0.010", "—", "12.3 %")
    assert with_interval(Interval(value=0.5, low=0.4, high=0.6), 1) == "0.5 [0.4, 0.6]"
    assert with_interval(Interval(value=0.5), 1) == "0.5"
    assert metric_title("recall_10") == "覆盖率@10 %"
    assert metric_title("lift_capacity") == "提升@产能"
    assert group_title("region", "210102") == "和平区"
    assert group_title("region", "nowhere") == "nowhere"
    assert group_title("size", "unknown") == "（未注明）"
