"""What either model's list would have found, from records of draws with known chances.

The list of a date of view is the part of its cohort that the capacity reaches, riskiest first. Each
inspection with a recorded chance speaks for the lists of the last date before it, once; where rows
are visits there is no cohort to rank, and the list is that part of the pool which the records,
weighted, stand for. None of it decides: it is told beside the checks.

A subject that was visited again within the same horizon carries the chance of both visits, so that
its first one is weighed a little too low; it is seldom.
"""

from __future__ import annotations

from typing import Final, Self

import polars as pl

from models.errors import InspectionError
from models.inspection.logged import Logged, lead, logged
from models.scenarios.label import Frozen
from training.evaluate.evaluation import Evaluation, Interval
from training.evaluate.predictions import JUDGED, PREFIX

USUAL: Final = 0.1
"""The part of the candidates on a list where the scenario declares no capacity."""

_CHAMPION: Final = "champion"
_PI: Final = "inclusion_probability"
_PART: Final = "_part_"


class Listed(Frozen):
    """What one list would have found; see :class:`models.inspection.logged.Logged`."""

    results: int
    findings: Interval
    rate: float
    coverage: float
    effective: float
    heaviest: float
    supported: bool
    reliable: bool

    @classmethod
    def of(cls, found: Logged) -> Self:
        """Return the figures of a list."""
        return cls(
            results=found.results,
            findings=Interval(value=found.findings, low=found.low, high=found.high),
            rate=found.rate,
            coverage=found.coverage,
            effective=found.effective,
            heaviest=found.heaviest,
            supported=found.supported,
            reliable=found.reliable,
        )


class OffPolicy(Frozen):
    """Both lists at the same ``share`` of the candidates, ``places`` long in all.

    ``results``: records with a known chance. A list is None where no record is on it, and ``note``
    says so; ``difference`` is challenger less champion, None where there are not both.
    """

    share: float
    places: float
    results: int
    challenger: Listed | None
    champion: Listed | None
    difference: Interval | None
    note: str = ""

    def to_markdown(self) -> str:
        """Return it as a section of a page."""
        lists = {"候选模型": self.challenger, "现用模型": self.champion}
        rows = "".join(_row(title, one) for title, one in lists.items() if one)
        apart = ""
        if self.difference is not None and self.difference.value is not None:
            low, high = self.difference.low or 0.0, self.difference.high or 0.0
            apart = (
                f"\n候选模型的名单比现用模型多发现 {self.difference.value:+,.1f} 个"
                f"（95% 区间 {low:+,.1f} 至 {high:+,.1f}）。\n"
            )
        return (
            f"据 {self.results:,} 条带入样概率的检查记录估计：各取候选对象的前 {self.share:.2%}"
            f"（合计 {self.places:,.0f} 个名额）。\n\n"
            "| 名单 | 名单上的记录 | 预计发现 | 95% 区间 | 命中率 | 有效样本 | 最大权重 | 支撑 |\n"
            f"|---|---|---|---|---|---|---|---|\n{rows}{apart}"
            + (f"\n{self.note}\n" if self.note else "")
        )


NOTHING: Final = (
    "比较期内的检查记录都没有入样概率（不是按公开抽取产生的），无法估计两份名单各会发现多少问题。\n"
)


def estimated(frame: pl.DataFrame, judged: Evaluation) -> OffPolicy | None:
    """Return what the judged model's list would have found, and the champion's where there is one.

    ``frame``: the rows that both were compared on. None where no record has a known chance.
    """
    names = [name for name in (judged.model, _CHAMPION) if name in judged.models]
    share = judged.pooled.capacity or USUAL
    parted = (_of_pool if judged.kind == "visits" else _of_cohort)(frame, names, share)
    if parted is None:
        return None
    results, places = parted
    lists: dict[str, Listed] = {}
    notes: list[str] = []
    for name in dict.fromkeys(names):
        try:
            found = logged(results, _PART + name, listed=places)
        except InspectionError:
            notes.append(f"没有一条记录在模型 {name} 的名单上，对它无从估计。")
            continue
        lists[name] = Listed.of(found)
    both = judged.model != _CHAMPION and {judged.model, _CHAMPION} <= set(lists)
    apart = None
    if both:
        one = lead(results, (_PART + judged.model, _PART + _CHAMPION), listed=places)
        apart = Interval(value=one.difference, low=one.low, high=one.high)
    return OffPolicy(
        share=share,
        places=places,
        results=results.height,
        challenger=lists.get(judged.model),
        champion=lists.get(_CHAMPION) if judged.model != _CHAMPION else None,
        difference=apart,
        note="".join(notes),
    )


def section(found: OffPolicy | None) -> str:
    """Return the section of a verdict's page, saying so where the records tell nothing."""
    return "\n## 按入样概率估计的名单\n\n" + (NOTHING if found is None else found.to_markdown())


def _of_cohort(
    frame: pl.DataFrame, names: list[str], share: float
) -> tuple[pl.DataFrame, float] | None:
    """Return records with their part of each list of their date, and the places of all lists."""
    listed = _parts(frame, names, share, mass=pl.lit(1.0), over=pl.col("as_of"))
    known = (
        _known(listed)
        .sort("as_of")
        .unique(["subject_id", "observed_on"], keep="last", maintain_order=True)
    )
    if known.is_empty():
        return None
    dates = known["as_of"].unique()
    places = share * frame.filter(pl.col("as_of").is_in(dates.implode())).height
    return known.with_columns(pl.col("as_of").cast(pl.String).alias("stratum")), places


def _of_pool(
    frame: pl.DataFrame, names: list[str], share: float
) -> tuple[pl.DataFrame, float] | None:
    """Return records with their part of the lists of the pool that they stand for."""
    known = _known(frame)
    if known.is_empty():
        return None
    made = _parts(known, names, share, mass=1 / pl.col(_PI), over=pl.lit(0))
    month = pl.col("observed_on").dt.strftime("%Y-%m").alias("stratum")
    return made.with_columns(month), share * float(made["_mass"].sum())


def _known(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with an outcome and a recorded chance; positive where the visit found it."""
    if not {_PI, "observed_on"} <= set(frame.columns):
        return frame.clear().with_columns(
            pl.lit(None, pl.Float64).alias(_PI), pl.lit(None, pl.Date).alias("observed_on")
        )
    then = (
        (pl.col("event_on") == pl.col("observed_on")).fill_null(value=True)
        if "event_on" in frame.columns
        else pl.lit(value=True)
    )
    known = JUDGED & pl.col("observed_on").is_not_null() & (pl.col(_PI) > 0)
    return frame.filter(known).with_columns(pl.col("positive") & then)


def _parts(
    frame: pl.DataFrame, names: list[str], share: float, *, mass: pl.Expr, over: pl.Expr
) -> pl.DataFrame:
    """Return which part of each row is within the share with the highest scores; equals share."""
    made = frame.with_columns(mass.cast(pl.Float64).alias("_mass"), over.alias("_list"))
    for name in names:
        score, alike = PREFIX + name, ("_list", PREFIX + name)
        until = pl.col("_mass").cum_sum().over("_list", order_by=score, descending=True)
        own = pl.col("_mass").sum().over(alike)
        left = share * pl.col("_mass").sum().over("_list") - pl.col("_until").max().over(alike)
        made = made.with_columns(until.alias("_until")).with_columns(
            (1 + left / own).clip(0.0, 1.0).alias(_PART + name)
        )
    return made


def _row(title: str, one: Listed) -> str:
    low, high = one.findings.low or 0.0, one.findings.high or 0.0
    support = "可靠" if one.reliable else "部分名单无入样机会" if not one.supported else "样本不足"
    return (
        f"| {title} | {one.results:,} | {one.findings.value or 0:,.1f} | {low:,.1f} 至 {high:,.1f} "
        f"| {one.rate:.2%} | {one.effective:.1f} | {one.heaviest:,.1f} | {support} |\n"
    )
