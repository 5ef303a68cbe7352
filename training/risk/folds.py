"""Slices of time for learning, stopping, calibrating and testing, none of which knows of the next.

A row belongs to a slice only when its label was known in full before the first date of the next
slice: what lies between is left out, else a model would learn from outcomes that its own test
foretells.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal, TypeAlias

import polars as pl

from models.errors import FitError
from models.features.spec import AS_OF
from training.risk.matrix import COMPLETE

SliceName: TypeAlias = Literal["train", "stop", "calibrate", "test"]

TESTED: Final = 0.2
"""Share of the observed rows that are the test where nobody says from when."""
SHARES: Final[dict[SliceName, float]] = {"calibrate": 0.25, "stop": 0.2}
"""Shares of the positive rows before the test: a slice is as long as its outcomes are rare."""
POSITIVES: Final[dict[SliceName, int]] = {"train": 40, "stop": 10, "calibrate": 20, "test": 10}
"""Positive rows that a slice has at least: with fewer a figure is chance."""
TITLES: Final[dict[SliceName, str]] = {
    "train": "learning",
    "stop": "early stopping",
    "calibrate": "calibration",
    "test": "the test",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Dates of view from the first to the last, both included."""

    first: date
    last: date

    @property
    def rows(self) -> pl.Expr:
        """Return the expression of rows in the span."""
        return pl.col(AS_OF).is_between(self.first, self.last)


@dataclass(frozen=True, slots=True)
class Fold:
    """The four slices of one split; fold 0 is the one whose model is kept.

    ``learn`` is everything known in full before the test: the slices before it and the gaps between
    them.
    """

    number: int
    train: Span
    stop: Span
    calibrate: Span
    test: Span
    learn: Span

    def spans(self) -> dict[SliceName, Span]:
        """Return the slices in the order of time."""
        return {
            "train": self.train,
            "stop": self.stop,
            "calibrate": self.calibrate,
            "test": self.test,
        }


def final(rows: pl.DataFrame, *, test_from: date | None = None) -> Fold:
    """Return the split whose test is the end of the data, from ``test_from`` on.

    ``rows`` has ``as_of``, ``complete_on``, ``observed`` and ``positive``. Without ``test_from``
    the test has the last fifth of the observed rows.

    Raises:
        FitError: a slice has no rows, a single class, or too few positives; it says how many.
    """
    days = _days(rows)
    if test_from is None:
        test_from = _last_share(days, TESTED, of="rows")
    return _checked(_cut(days, 0, test_from, days[AS_OF][-1]), days)


def rolling(
    rows: pl.DataFrame, before: date, *, count: int, days: int, first: int = 1
) -> list[Fold]:
    """Return up to ``count`` earlier splits whose tests, each of ``days``, end before ``before``.

    They are numbered from ``first``, the latest before the others. Where the data gets too thin for
    one, it and those before it are left out.
    """
    told = _days(rows)
    found: list[Fold] = []
    for number in range(count):
        last = before - timedelta(days=number * days + 1)
        try:
            cut = _cut(told, first + number, last - timedelta(days=days - 1), last)
            found.append(_checked(cut, told))
        except FitError:
            break
    return found


def within(rows: pl.DataFrame, fold: Fold, *, count: int) -> list[Fold]:
    """Return splits inside what a fold learns and stops by, for a search that knows no test."""
    known = rows.filter(pl.col(AS_OF) <= fold.stop.last)
    days = _days(known)
    reach = (fold.stop.last - days[AS_OF][0]).days
    length = max(reach // (2 * count), 1)
    after = fold.stop.last + timedelta(days=1)
    found = rolling(known, after, count=count, days=length, first=0)
    if not found:
        raise FitError(
            f"the records from {days[AS_OF][0]} to {fold.stop.last} are too few for a search by "
            f"{count} splits; leave --trials out, ask for fewer --folds, or import more of the past"
        )
    return found


def _days(rows: pl.DataFrame) -> pl.DataFrame:
    """Return observed and positive rows by date, ascending, of dates where anybody was observed."""
    days = (
        rows.filter(pl.col("observed"))
        .group_by(AS_OF)
        .agg(pl.len().alias("rows"), pl.col("positive").sum(), pl.col(COMPLETE).max())
        .sort(AS_OF)
    )
    if days.is_empty():
        raise FitError("no row is observed: there is nothing to learn from; import the outcomes")
    return days


def _last_share(days: pl.DataFrame, share: float, *, of: str) -> date:
    """Return the first of the last dates that together have ``share`` of a count."""
    after = pl.col(of).reverse().cum_sum().reverse()
    enough = days.filter(after >= share * pl.col(of).sum())
    return enough[AS_OF][-1]


def _cut(days: pl.DataFrame, number: int, test_from: date, test_to: date) -> Fold:
    spans: dict[SliceName, Span] = {}
    tested = days.filter(pl.col(AS_OF).is_between(test_from, test_to))
    spans["test"] = _span(tested, "test", f"on or after {test_from}")
    known = left = days.filter(pl.col(COMPLETE) < spans["test"].first)
    name: SliceName
    upto = spans["test"].first
    for name in ("calibrate", "stop"):
        if left.is_empty():
            raise _nothing(name, upto)
        share = SHARES[name] * _positives(known) / max(_positives(left), 1)
        begin = _last_share(left, min(share, 1.0), of="positive")
        spans[name] = _span(left.filter(pl.col(AS_OF) >= begin), name, f"before {upto}")
        upto = spans[name].first
        left = left.filter(pl.col(COMPLETE) < upto)
    if left.is_empty():
        raise _nothing("train", upto)
    spans["train"] = _span(left, "train", f"before {upto}")
    return Fold(number, **spans, learn=Span(known[AS_OF][0], known[AS_OF][-1]))


def _positives(days: pl.DataFrame) -> int:
    return int(days["positive"].sum())


def _span(days: pl.DataFrame, name: SliceName, when: str) -> Span:
    if days.is_empty():
        raise FitError(
            f"the slice for {TITLES[name]} has no observed row {when}; choose an earlier "
            "--test-from, or import more"
        )
    return Span(days[AS_OF][0], days[AS_OF][-1])


def _nothing(name: SliceName, upto: date) -> FitError:
    return FitError(
        f"no outcome was known in full before {upto}, so nothing is left for {TITLES[name]}; "
        "choose a later --test-from, or import more of the past"
    )


def _checked(fold: Fold, days: pl.DataFrame) -> Fold:
    """Raise :class:`FitError` for a slice of a single class, or with too few positives."""
    for name, span in fold.spans().items():
        counted = days.filter(span.rows).select("rows", "positive").sum()
        rows, positives = counted.row(0)
        where = f"the slice for {TITLES[name]} ({name}, {span.first} to {span.last})"
        if positives in {0, rows}:
            only = "positive" if positives else "negative"
            raise FitError(
                f"{where} has a single class: all {rows} observed rows are {only}; at least "
                f"{POSITIVES[name]} positive and one negative are needed: move --test-from, or "
                "import more"
            )
        if positives < POSITIVES[name]:
            raise FitError(
                f"{where} has {positives} positive rows; at least {POSITIVES[name]} are needed: "
                "move --test-from, widen the cohort or the horizon, or import more"
            )
    return fold
