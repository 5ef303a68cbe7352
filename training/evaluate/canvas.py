# ruff: noqa: D102 - the methods of the protocols are matplotlib's, and told of there
"""Where pictures are drawn: off screen, in the shipped font, with nothing left behind.

Settings hold within :func:`drawing` only. Text is written as it stands: ``$`` starts no formula,
and a character that the font lacks becomes □.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Final, Protocol, cast

from models.fonts import FAMILY, FONT

INK: Final = "#1f2933"
PALE: Final = "#9aa5b1"
LINES: Final = ("#0b5cad", "#d9822b", "#3f8f4f", "#a24b7a", "#7a6a4f", "#5f6b7a", "#b03a2e")
"""Colours of the models, the judged one first."""
EARLIER: Final = "#3f8f4f"
LATER: Final = "#d9822b"
_MISSING: Final = "□"
_DPI: Final = 150

_STYLE: Final[dict[str, object]] = {
    "axes.axisbelow": True,
    "axes.edgecolor": PALE,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.unicode_minus": True,
    "figure.facecolor": "white",
    "font.size": 9,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.color": INK,
    "ytick.labelsize": 8.5,
}


class _Matplotlib(Protocol):
    def rc_context(self, rc: dict[str, object]) -> AbstractContextManager[None]: ...


class _Fonts(Protocol):
    def addfont(self, path: str) -> None: ...


@contextmanager
def drawing() -> Generator[None]:
    """Let figures made inside have the house's style; the caller's own comes back after."""
    import matplotlib as mpl
    from matplotlib import font_manager

    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    if str(FONT) not in known:
        cast("_Fonts", font_manager.fontManager).addfont(str(FONT))
    with cast("_Matplotlib", mpl).rc_context({**_STYLE, "font.family": [FAMILY]}):
        yield


class Panel(Protocol):
    """What is taken of matplotlib's ``Axes``, whose own types leave keywords unknown."""

    def annotate(self, text: str, xy: tuple[float, float], **how: object) -> object: ...
    def axhline(self, y: float, **how: object) -> object: ...
    def axvline(self, x: float, **how: object) -> object: ...
    def barh(self, y: object, width: object, **how: object) -> object: ...
    def errorbar(self, x: object, y: object, **how: object) -> object: ...
    def get_legend_handles_labels(self) -> tuple[list[object], list[str]]: ...
    def grid(self, **how: object) -> object: ...
    def invert_yaxis(self) -> object: ...
    def legend(self, *entries: object, **how: object) -> object: ...
    def plot(self, *args: object, **how: object) -> object: ...
    def set(self, **what: object) -> object: ...
    def set_xticks(self, ticks: object, labels: object) -> object: ...
    def set_yticks(self, ticks: object, labels: object) -> object: ...
    def set_yticklabels(self, labels: object) -> object: ...
    def tick_params(self, axis: str, **how: object) -> object: ...


class Sheet(Protocol):
    """What is taken of matplotlib's ``Figure``."""

    @property
    def axes(self) -> list[Panel]: ...
    def legend(self, *entries: object, **how: object) -> object: ...
    def savefig(self, fname: object, **how: object) -> object: ...


def canvas(
    columns: int = 1, *, width: float = 8.0, height: float = 3.4
) -> tuple[Sheet, list[Panel]]:
    """Return a figure of some panels side by side, in inches; it belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = [figure.add_subplot(1, columns, place + 1) for place in range(columns)]
    return cast("Sheet", figure), cast("list[Panel]", panels)


def png(figure: Sheet) -> bytes:
    """Return a figure as a PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def shown(text: str, *, longest: int = 28) -> str:
    """Return a text that the font can write, on one line and not longer than so many characters."""
    known = _characters()
    line = "".join(c if ord(c) in known else " " if c.isspace() else _MISSING for c in text)
    return line if len(line) <= longest else line[: longest - 1] + "…"


@cache
def _characters() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(FONT)).get_charmap())
