"""Pictures of what moves the scores: shap's own plots, fed with the booster's contributions."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import ModelError
from training.evaluate.canvas import LINES, canvas, drawing, png, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats: TypeAlias = NDArray[np.float64]

TOP: Final = 15
DEPENDENCE: Final = 4
ROWS: Final = 2_000
"""Rows that a picture shows; more are drawn over one another."""
_AXIS: Final = "对数几率的贡献（向右：风险升高）"


class _Explanation(Protocol):
    """What is taken of shap's ``Explanation``."""

    def __getitem__(self, item: object) -> _Explanation: ...


def contribution_pictures(
    features: pl.DataFrame,
    contributions: Floats,
    *,
    titles: Mapping[str, str],
    hidden: frozenset[str] = frozenset(),
    top: int = TOP,
    dependence: int = DEPENDENCE,
    seed: int = 7,
) -> dict[str, bytes]:
    """Draw ``beeswarm`` and ``dependence`` of the features that move scores the most, as PNG.

    ``features``: a sample of rows, the columns in the order of the model. ``contributions``: rows
    × features, with or without the last column of the expected value, in log-odds. ``titles`` names
    the features; ``hidden`` ones and those without a value are not drawn, and where none is left
    there is no picture. A category is drawn by its place among the values.

    Raises:
        ModelError: Rows or columns of the two do not go together.
    """
    rows, width = features.shape
    if contributions.shape not in {(rows, width), (rows, width + 1)} or not rows or not width:
        raise ModelError(
            f"contributions are {' × '.join(map(str, contributions.shape))} for {rows} rows of "
            f"{width} features; explain the very rows that are drawn"
        )
    chosen = np.sort(np.random.default_rng(seed).permutation(rows)[:ROWS])
    drawn = features[chosen.tolist()]
    kept = [
        place
        for place, column in enumerate(drawn)
        if column.name not in hidden and column.null_count() < len(column)
    ]
    if not kept:
        return {}
    values = contributions[chosen][:, kept]
    sample = drawn.select(features.columns[place] for place in kept)
    names = [shown(titles.get(name, name)) for name in sample.columns]
    with drawing(), _headless():
        explained = _explanation(values, _numbers(sample), names)
        order = np.argsort(-np.abs(values).mean(axis=0), kind="stable")
        return {
            "beeswarm": _beeswarm(explained, min(top, len(names)), seed),
            "dependence": _dependence(explained, names, order[:dependence].tolist(), seed),
        }


def _numbers(sample: pl.DataFrame) -> Floats:
    """Return the features as numbers, categories by rank; shap draws a missing value in grey."""
    columns = [column.rank("dense") if column.dtype == pl.String else column for column in sample]
    return np.column_stack(
        [column.cast(pl.Float64).fill_null(float("nan")).to_numpy() for column in columns]
    )


def _explanation(values: Floats, data: Floats, names: list[str]) -> _Explanation:
    with warnings.catch_warnings():  # shap prepares its colours in a way that matplotlib will drop
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        import shap

    made = shap.Explanation(
        values=values, base_values=np.zeros(len(values)), data=data, feature_names=names
    )
    return cast("_Explanation", made)


def _beeswarm(explained: _Explanation, top: int, seed: int) -> bytes:
    import shap

    figure, (axes,) = canvas(width=8.0, height=1.3 + 0.34 * top)
    with _seeded(seed):
        shap.plots.beeswarm(
            explained,
            max_display=top,
            ax=axes,
            plot_size=None,
            show=False,
            s=9,
            color_bar_label="特征取值",
            group_remaining_features=False,
        )
    axes.set(xlabel=_AXIS)
    axes.tick_params("both", labelsize=8.5)
    axes.grid(visible=False, axis="y")
    if len(figure.axes) > 1:
        figure.axes[-1].set_yticklabels(["低", "高"])
    return png(figure)


def _dependence(explained: _Explanation, names: list[str], places: list[int], seed: int) -> bytes:
    import shap
    from matplotlib import pyplot as plt

    figure, panels = canvas(len(places), width=2.3 * max(len(places), 2), height=2.7)
    try:
        for panel, place in zip(panels, places, strict=True):
            with _seeded(seed):
                shap.plots.scatter(
                    explained[:, place],
                    ax=panel,
                    color=LINES[0],
                    dot_size=7,
                    alpha=0.5,
                    show=False,
                )
            up = "贡献" if panel is panels[0] else ""
            panel.set(title=names[place], xlabel="取值", ylabel=up)
            panel.tick_params("both", labelsize=8)
        return png(figure)
    finally:
        plt.close(cast("Figure", figure))  # to shap it was the current one


@contextmanager
def _headless() -> Generator[None]:
    """Keep shap, which goes through pyplot, from opening a window."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    before = mpl.get_backend(auto_select=False)
    plt.switch_backend("agg")
    try:
        yield
    finally:
        if before is not None:
            plt.switch_backend(before)


@contextmanager
def _seeded(seed: int) -> Generator[None]:
    """Let shap, which jitters by numpy's global generator, draw the same dots again."""
    state = np.random.get_state()  # noqa: NPY002 - this is the generator that shap uses
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
