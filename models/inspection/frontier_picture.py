"""The frontier between findings and precision as a picture (发现数与估计精度的取舍图).

SVG, written by hand, as the service answers with it and a page shows it without any library. To the
left the rate is told more exactly, above more is found. No draw of the same size lies above the
line; one by grades may be of another size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias
from xml.sax.saxutils import escape

import polars as pl

from models.errors import InspectionError
from models.inspection.frontier import POINTS, Mix

Chosen: TypeAlias = float | Mix | None
"""A weight of precision of the line, one of the other mixes, or nothing."""

TITLES: Final[dict[Mix, str]] = {
    "greedy": "只查风险最高者",
    "risk": "风险加权抽取",
    "grade": "按等级比例抽取",
    "uniform": "等概率抽取",
}
"""What a mix is called in the picture."""

_WIDTH, _HEIGHT = 760, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 56, 64
_ACROSS: Final = "违法率 95% 区间的半宽（百分点，越往左越准）"
_TICKS: Final = 6
_STEPS: Final = (1, 2, 5, 10)
_INK, _PALE, _GRID = "#1f2933", "#9aa5b1", "#e4e7eb"
_LINE, _CHOSEN = "#0b5cad", "#b03a2e"
_COLOURS: Final[dict[Mix, str]] = {"uniform": "#5f6b7a", "grade": "#3f8f4f", "greedy": "#d9822b"}
_FONT: Final = "'Noto Sans CJK SC','Source Han Sans SC','PingFang SC','Microsoft YaHei',sans-serif"


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where values lie in the picture: ``ticks`` with the first and the last at its ends."""

    ticks: tuple[float, ...]
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value, in pixels."""
        first, last = self.ticks[0], self.ticks[-1]
        return self.start + (value - first) / (last - first) * (self.end - self.start)


def frontier_svg(points: pl.DataFrame, chosen: Chosen = None) -> str:
    """Return the points of :func:`.frontier.frontier` as a picture with Chinese words.

    Args:
        points: As computed; see :data:`.frontier.POINTS`.
        chosen: The point that the office picked, marked with its figures: the weight of precision
            of a point on the line, or ``grade`` or ``uniform``; null marks none.

    Raises:
        InspectionError: The points are not those of a frontier, or the chosen one is none of them.
    """
    line = _checked(points)
    picked = _picked(points, chosen)
    shown = points.drop_nulls("half_width")
    across = _scale(0.0, _most(shown, "half_width") * 100, _LEFT, _WIDTH - _RIGHT)
    up = _scale(0.0, _most(points, "high"), _HEIGHT - _BOTTOM, _TOP)
    parts = [
        *_axes(across, up),
        *_band(line, across, up),
        *_greedy(points, up),
        *_others(points, across, up),
        *_choice(picked, across, up),
    ]
    title = "预期发现数与违法率估计精度"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img" font-family="{_FONT}" font-size="12" '
        f'fill="{_INK}">\n<title>{title}</title>\n<desc>{escape(_told(picked))}</desc>\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n'
        f'<text x="{_LEFT}" y="26" font-size="15">{title}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _checked(points: pl.DataFrame) -> pl.DataFrame:
    """Return the line of a frontier, the most exact first."""
    lacking = [name for name in POINTS if name not in points.columns]
    if lacking:
        raise InspectionError(f"the points lack the columns {lacking}; give those of frontier()")
    line = points.filter(mix="risk").sort("half_width")
    if not line.height or line["half_width"].null_count():
        raise InspectionError(
            "there is no point of the mix 'risk' with a half width; compute the frontier first"
        )
    return line


def _picked(points: pl.DataFrame, chosen: Chosen) -> dict[str, float | str] | None:
    if chosen is None:
        return None
    own = (
        pl.col("mix") == chosen
        if isinstance(chosen, str)
        else (pl.col("mix") == "risk")
        & ((pl.col("precision") - chosen).abs() <= 1e-9 * max(abs(chosen), 1e-9))
    )
    found = points.filter(own, pl.col("half_width").is_not_null())
    if not found.height:
        raise InspectionError(
            f"the chosen point {chosen!r} is none of the frontier's with a half width; compute the "
            "frontier with that weight among its precisions"
        )
    return found.row(0, named=True)


def _most(points: pl.DataFrame, name: str) -> float:
    return max(float(points[name].to_numpy().max()), 1e-6)


def _scale(low: float, high: float, start: float, end: float) -> _Scale:
    """Return a scale with round ticks that takes in both values."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in _STEPS if power * one >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return _Scale(tuple(step * k for k in range(first, max(last, first + 1) + 1)), start, end)


def _axes(across: _Scale, up: _Scale) -> Iterator[str]:
    left, right, bottom, top = _LEFT, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, _TOP
    for tick in up.ticks:
        y = up.at(tick)
        yield _stroke(left, y, right, y, _GRID)
        yield _text(left - 8, y + 4, f"{tick:,.10g}", anchor="end")
    for tick in across.ticks:
        x = across.at(tick)
        yield _stroke(x, bottom, x, bottom + 5, _PALE)
        yield _text(x, bottom + 20, f"±{tick:.10g}", anchor="middle")
    yield _stroke(left, bottom, right, bottom, _PALE)
    yield _stroke(left, bottom, left, top, _PALE)
    middle = (left + right) / 2
    yield _text(
        middle, _HEIGHT - 18, "违法率 95% 区间的半宽（百分点，越往左越准）", anchor="middle"
    )
    yield _text(left, top - 10, "预期发现问题数（个）")


def _band(line: pl.DataFrame, across: _Scale, up: _Scale) -> Iterator[str]:
    """Yield the line, with the interval of the findings behind it."""
    rows = line.select("half_width", "low", "high", "findings").rows()
    lower = [_at(across, up, width, low) for width, low, _, _ in rows]
    upper = [_at(across, up, width, high) for width, _, high, _ in rows]
    yield f'<polygon points="{" ".join([*lower, *reversed(upper)])}" fill="{_LINE}" opacity="0.1"/>'
    drawn = " ".join(_at(across, up, width, found) for width, _, _, found in rows)
    yield f'<polyline points="{drawn}" fill="none" stroke="{_LINE}" stroke-width="2"/>'
    for width, _, _, found in rows:
        x, y = across.at(width * 100), up.at(found)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{_LINE}"/>'
    width, _, _, found = rows[-1]
    x, y = across.at(width * 100), up.at(found)
    yield _text(x - 8, y + 22, TITLES["risk"], fill=_LINE, anchor="end")


def _greedy(points: pl.DataFrame, up: _Scale) -> Iterator[str]:
    """Yield the findings of the riskiest alone, a line as they tell no rate at all."""
    for findings in points.filter(mix="greedy")["findings"]:
        y, colour = up.at(float(findings)), _COLOURS["greedy"]
        yield _stroke(_LEFT, y, _WIDTH - _RIGHT, y, colour, dashed=True)
        words = f"{TITLES['greedy']}：{findings:,.1f} 个，估计不出违法率"
        yield _text(_WIDTH - _RIGHT, y - 6, words, fill=colour, anchor="end")


def _others(points: pl.DataFrame, across: _Scale, up: _Scale) -> Iterator[str]:
    mixes: tuple[Mix, ...] = ("uniform", "grade")
    for mix in mixes:
        known = points.filter(pl.col("mix") == mix).drop_nulls("half_width")
        for width, found in known.select("half_width", "findings").rows():
            x, y = across.at(width * 100), up.at(found)
            yield (
                f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" '
                f'fill="{_COLOURS[mix]}"/>'
            )
            yield _text(x + 9, y + 4, TITLES[mix], fill=_COLOURS[mix])


def _choice(picked: dict[str, float | str] | None, across: _Scale, up: _Scale) -> Iterator[str]:
    if picked is None:
        return
    x, y = across.at(float(picked["half_width"]) * 100), up.at(float(picked["findings"]))
    low, high = up.at(float(picked["low"])), up.at(float(picked["high"]))
    yield _stroke(x, low, x, high, _CHOSEN)
    ring = f'fill="white" stroke="{_CHOSEN}" stroke-width="3"'
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" {ring}/>'
    yield _text(_WIDTH - _RIGHT, _TOP - 10, _told(picked), fill=_CHOSEN, anchor="end")


def _told(picked: dict[str, float | str] | None) -> str:
    """Return the chosen point in words."""
    if picked is None:
        return "尚未选定"
    findings, width = float(picked["findings"]), float(picked["half_width"])
    low, high = float(picked["low"]), float(picked["high"])
    return (
        f"选定：预期发现 {findings:,.1f} 个（{low:,.1f} 至 {high:,.1f}），"
        f"违法率 ±{width * 100:.2f} 个百分点"
    )


def _at(across: _Scale, up: _Scale, width: float, found: float) -> str:
    return f"{across.at(width * 100):.1f},{up.at(found):.1f}"


def _text(x: float, y: float, words: str, *, anchor: str = "start", fill: str = _INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'
    )


def _stroke(
    x: float, y: float, to_x: float, to_y: float, colour: str, *, dashed: bool = False
) -> str:
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}"{dash}/>'
    )
