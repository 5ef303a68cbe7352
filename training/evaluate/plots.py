"""The pictures of an evaluation, as PNG: each is drawn of the evaluation alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from training.evaluate.canvas import (
    EARLIER,
    INK,
    LATER,
    LINES,
    PALE,
    Panel,
    canvas,
    drawing,
    png,
    shown,
)
from training.evaluate.evaluation import Evaluation, Fairness, Figures, Group, Interval, Replay
from training.evaluate.words import AUDITS, group_title, model_title

GROUPS: Final = 12
"""Groups of an attribute that a picture holds, the largest first."""
_ROOM: Final = 28
"""Per cent of the axis that the days of a bar take."""


def pictures(evaluation: Evaluation) -> dict[str, bytes]:
    """Draw all pictures that the evaluation has figures for, by name.

    ``ranking`` (ROC, PR), ``reliability``, ``capture``, ``stability``, ``replay``, and
    ``fairness_<attribute>``.
    """
    drawn: dict[str, Callable[[], bytes]] = {
        "ranking": lambda: _ranking(evaluation),
        "reliability": lambda: _reliability(evaluation),
        "capture": lambda: _capture(evaluation),
    }
    if any(quarter.metrics for quarter in evaluation.stability):
        drawn["stability"] = lambda: _stability(evaluation)
    if evaluation.replays:
        drawn["replay"] = lambda: _replay(evaluation)
    with drawing():
        done = {name: draw() for name, draw in drawn.items()}
        for one in evaluation.fairness:
            if any(group.large for group in one.groups):
                done[f"fairness_{one.by}"] = _fairness(one)
    return done


def _headline(evaluation: Evaluation) -> list[Figures]:
    return [evaluation.pooled.of(name, evaluation.weighting) for name in evaluation.models]


def _colour(place: int) -> str:
    return LINES[place % len(LINES)]


def _ranking(evaluation: Evaluation) -> bytes:
    figure, (roc, pr) = canvas(2, height=3.9)
    for place, one in reversed(list(enumerate(_headline(evaluation)))):
        if one.curve is None:
            continue
        style = {"color": _colour(place), "lw": 2.2 if place == 0 else 1.2, "zorder": 9 - place}
        roc.plot(one.curve.alarms, one.curve.recall, label=_legend(one, "auc"), **style)
        pr.plot(one.curve.recall, one.curve.precision, label=_legend(one, "ap"), **style)
    roc.plot([0, 1], [0, 1], color=PALE, lw=0.8, ls="--")
    rate = evaluation.pooled.base_rate[evaluation.weighting]
    pr.axhline(rate, color=PALE, lw=0.8, ls="--")
    _labelled(roc, "ROC 曲线", "误报率（未出问题者中被选中的比例）", "覆盖率（问题中被选中的比例）")
    _labelled(pr, "精度—覆盖率曲线", "覆盖率", "命中率")
    for axes, corner in ((roc, "lower right"), (pr, "upper right")):
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc=corner)
    roc.set(xlim=(0, 1), ylim=(0, 1.01))
    pr.set(xlim=(0, 1), ylim=(0, None))
    return png(figure)


def _legend(one: Figures, metric: str) -> str:
    found = next(value for name, value in one.metrics.items() if name == metric)
    number = "—" if found.value is None else f"{found.value:.3f}"
    return f"{shown(model_title(one.model), longest=14)}  {number}"


def _labelled(axes: Panel, title: str, across: str, up: str) -> None:
    axes.set(title=title, xlabel=across, ylabel=up)


def _reliability(evaluation: Evaluation) -> bytes:
    figure, (axes, side) = canvas(2, height=3.9)
    chosen = _headline(evaluation)
    bins = chosen[0].reliability
    top = 1.08 * max([b.predicted for b in bins] + [b.observed.high or 0.0 for b in bins] + [0.01])
    axes.plot([0, top], [0, top], color=PALE, lw=0.8, ls="--")
    _whiskers(
        axes,
        [b.predicted for b in bins],
        [b.observed for b in bins],
        colour=_colour(0),
        joined=True,
    )
    axes.set(xlim=(0, top), ylim=(0, top))
    _labelled(
        axes, f"校准：{shown(model_title(chosen[0].model))}", "预测概率（组均值）", "实际发生率"
    )
    names = [shown(model_title(one.model), longest=12) for one in chosen]
    values = [one.metrics["ece"] for one in chosen]
    _bars(side, names, values, [_colour(place) for place in range(len(chosen))])
    _labelled(side, "校准误差 ECE（越小越好）", "ECE", "")
    return png(figure)


def _whiskers(
    axes: Panel,
    across: Sequence[float],
    values: Sequence[Interval],
    *,
    colour: str,
    joined: bool = False,
    label: str | None = None,
) -> None:
    """Mark figures with their intervals; one that is not there leaves a gap."""
    known = [(x, v) for x, v in zip(across, values, strict=True) if v.value is not None]
    axes.errorbar(
        [x for x, _ in known],
        [v.value or 0.0 for _, v in known],
        yerr=_errors([v for _, v in known]),
        fmt="o-" if joined else "o",
        ms=4,
        lw=1.4,
        elinewidth=1.0,
        capsize=2.5,
        color=colour,
        label=label,
    )


def _errors(values: Sequence[Interval]) -> list[list[float]]:
    """Return the lengths below and above; the bias of a resampled figure may not turn them over."""
    middle = [value.value or 0.0 for value in values]
    lows = [m if v.low is None else v.low for m, v in zip(middle, values, strict=True)]
    highs = [m if v.high is None else v.high for m, v in zip(middle, values, strict=True)]
    return [
        [max(m - low, 0.0) for m, low in zip(middle, lows, strict=True)],
        [max(high - m, 0.0) for m, high in zip(middle, highs, strict=True)],
    ]


def _bars(
    axes: Panel, names: Sequence[str], values: Sequence[Interval], colours: Sequence[str]
) -> None:
    places = list(range(len(names)))
    width = _errors(values)
    axes.barh(places, [v.value or 0.0 for v in values], color=colours, height=0.62, alpha=0.88)
    axes.errorbar(
        [v.value or 0.0 for v in values],
        places,
        xerr=width,
        fmt="none",
        ecolor=INK,
        elinewidth=1.0,
        capsize=2.5,
    )
    axes.set_yticks(places, names)
    axes.set(ylim=(-0.6, max(len(names), 3) - 0.4))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def _capture(evaluation: Evaluation) -> bytes:
    figure, (found, lift) = canvas(2, height=3.9)
    rate = evaluation.pooled.base_rate[evaluation.weighting]
    for place, one in reversed(list(enumerate(_headline(evaluation)))):
        if one.curve is None:
            continue
        style = {"color": _colour(place), "lw": 2.2 if place == 0 else 1.2, "zorder": 9 - place}
        name = shown(model_title(one.model), longest=14)
        percent = [100 * share for share in one.curve.share]
        found.plot(percent, [100 * r for r in one.curve.recall], label=name, **style)
        lift.plot(percent[2:], [p / rate for p in one.curve.precision[2:]], **style)
    found.plot([0, 100], [0, 100], color=PALE, lw=0.8, ls="--")
    lift.axhline(1, color=PALE, lw=0.8, ls="--")
    capacity = evaluation.pooled.capacity
    if capacity is not None and capacity < 1:
        for axes in (found, lift):
            axes.axvline(100 * capacity, color=LATER, lw=1, ls=":")
        found.annotate(
            f"产能 {100 * capacity:.1f} %",
            (100 * capacity, 3),
            xytext=(4, 0),
            textcoords="offset points",
            color=LATER,
            fontsize=8.5,
        )
    _labelled(found, "检查多少，发现多少", "检查的比例（%，从高风险起）", "发现的问题（%）")
    _labelled(lift, "提升倍数（对随机检查）", "检查的比例（%，从高风险起）", "倍")
    handles, labels = found.get_legend_handles_labels()
    found.legend(handles[::-1], labels[::-1], loc="lower right")
    found.set(xlim=(0, 100), ylim=(0, 101))
    lift.set(xlim=(0, 100), ylim=(0, None))
    return png(figure)


def _stability(evaluation: Evaluation) -> bytes:
    figure, (auc, rates) = canvas(2, height=3.5)
    quarters = [quarter for quarter in evaluation.stability if quarter.judged]
    ticks = list(range(len(quarters)))
    nothing = Interval(value=None)
    _whiskers(
        auc,
        ticks,
        [q.metrics.get("auc", nothing) for q in quarters],
        colour=_colour(0),
        joined=True,
    )
    auc.axhline(0.5, color=PALE, lw=0.8, ls="--")
    _labelled(auc, "各季度 AUC", "", "AUC")
    for label, values, style in (
        ("实际发生率", [q.base_rate for q in quarters], "o-"),
        ("平均预测概率", [q.predicted for q in quarters], "s--"),
    ):
        numbers = [float("nan") if v is None else 100 * v for v in values]
        colour = _colour(0) if style == "o-" else _colour(1)
        rates.plot(ticks, numbers, style, ms=4, lw=1.4, color=colour, label=label)
    _labelled(rates, "发生率与预测", "", "%")
    rates.set(ylim=(0, None))
    rates.legend(loc="best")
    several = len({q.fold for q in quarters}) > 1
    step = max(1, -(-len(quarters) // 8))
    for axes in (auc, rates):
        names = [f"{q.quarter}" + (f"\n折 {q.fold}" if several else "") for q in quarters]
        axes.set_xticks(ticks[::step], names[::step])
    return png(figure)


def _replay(evaluation: Evaluation) -> bytes:
    windows = sorted({one.window for one in evaluation.replays})
    figure, panels = canvas(len(windows), height=0.9 + 0.52 * len(evaluation.models))
    for axes, window in zip(panels, windows, strict=True):
        _earlier_and_later(axes, [one for one in evaluation.replays if one.window == window])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return png(figure)


def _earlier_and_later(axes: Panel, replays: Sequence[Replay]) -> None:
    """Draw the shares found earlier to the right and later to the left, with the days of each."""
    for place, one in enumerate(replays):
        for share, days, side, colour, label in (
            (one.earlier, one.earlier_days, 1, EARLIER, "提前发现"),
            (one.later, one.later_days, -1, LATER, "推迟发现"),
        ):
            length = side * 100 * (share.value or 0.0)
            axes.barh(
                place,
                length,
                color=colour,
                height=0.62,
                alpha=0.88,
                label=label if place == 0 else None,
            )
            if days.value is not None:
                _days_of(axes, place, length, days.value)
    axes.axvline(0, color=INK, lw=0.8)
    axes.set_yticks(
        range(len(replays)), [shown(model_title(one.model), longest=12) for one in replays]
    )
    axes.set(xlim=(-100, 100))
    axes.set_xticks([-100, -50, 0, 50, 100], ["100", "50", "0", "50", "100"])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    _labelled(axes, f"{replays[0].window} 天内重排", "占全部发现的比例（%）", "")


def _days_of(axes: Panel, place: int, length: float, days: float) -> None:
    """Write the days into a bar, or behind its end where it is too short to hold them."""
    inside = abs(length) >= _ROOM
    at = length / 2 if inside else length + (3 if length > 0 else -3)
    side = "center" if inside else "left" if length > 0 else "right"
    colour = "white" if inside else INK
    axes.annotate(f"{days:.1f} 天", (at, place), ha=side, va="center", color=colour, fontsize=8)


def _fairness(one: Fairness) -> bytes:
    groups = [group for group in one.groups if group.large][:GROUPS]
    figure, panels = canvas(4, height=1.2 + 0.3 * len(groups), width=9.0)
    columns: tuple[tuple[str, Callable[[Group], Interval]], ...] = (
        ("选中率", lambda group: group.selected),
        ("问题中选中 TPR", lambda group: group.tpr),
        ("误报率 FPR", lambda group: group.fpr),
        ("预测 − 实际", lambda group: group.gap),
    )
    names = [shown(group_title(one.by, group.name), longest=12) for group in groups]
    places = list(range(len(groups)))
    for panel, (title, figure_of) in zip(panels, columns, strict=True):
        values = [figure_of(group) for group in groups]
        known = [(p, v) for p, v in zip(places, values, strict=True) if v.value is not None]
        panel.errorbar(
            [100 * (v.value or 0.0) for _, v in known],
            [p for p, _ in known],
            xerr=[[100 * x for x in side] for side in _errors([v for _, v in known])],
            fmt="o",
            ms=4,
            color=LINES[0],
            elinewidth=1.0,
            capsize=2.5,
        )
        panel.set_yticks(places, names if panel is panels[0] else [""] * len(places))
        panel.set(ylim=(len(groups) - 0.4, -0.6))
        if title.startswith("预测"):
            panel.axvline(0, color=PALE, lw=0.8, ls="--")
        else:
            panel.set(xlim=(0, None))
        _labelled(panel, title, "%", "")
    panels[0].set(ylabel=shown(AUDITS.get(one.by, one.by), longest=12))
    return png(figure)
