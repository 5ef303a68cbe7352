"""The annual cap of inspections per enterprise, and what is exempt from it.

国办发〔2024〕54号: a cap is published each year and counts daily and special inspections, except
those that follow a complaint, a report, a transfer or an accident, or were deployed from above.
Visits of several matters at once (进一次门查多项事) count once.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Final

import numpy as np
import polars as pl
from pydantic import Field

from models.errors import InspectionError
from models.scenarios.label import Frozen


class Ground(StrEnum):
    """Why a visit does not count towards the cap; nothing else does that."""

    COMPLAINT = "complaint"
    REPORT = "report"
    TRANSFER = "transfer"
    ACCIDENT = "accident"
    SUPERIOR = "superior"

    @property
    def label(self) -> str:
        """Return its Chinese title."""
        return _TITLES[self]


_TITLES: Final = {
    Ground.COMPLAINT: "投诉",
    Ground.REPORT: "举报",
    Ground.TRANSFER: "转办交办、移送",
    Ground.ACCIDENT: "事故",
    Ground.SUPERIOR: "上级部署",
}

VISITS: Final[dict[str, pl.DataType]] = {
    "subject_id": pl.String(),
    "visit_id": pl.String(),
    "on": pl.Date(),
    "ground": pl.String(),
}
"""The columns of visits; rows of one ``visit_id`` and subject are one visit of several matters.
``ground`` is null for a visit that counts."""


class Caps(Frozen):
    """How many visits a year an enterprise may get; a grade without a cap of its own has that."""

    per_year: Annotated[int, Field(ge=1, le=366)]
    by_grade: dict[str, Annotated[int, Field(ge=1, le=366)]] = Field(
        default_factory=dict[str, Annotated[int, Field(ge=1, le=366)]]
    )


def room(
    subjects: pl.DataFrame, visits: pl.DataFrame, caps: Caps, *, year: int, today: date
) -> pl.DataFrame:
    """Return ``subjects`` with the cap of each and what is left of it in ``year``.

    Columns on top: ``cap``; ``used``, visits that count, made or scheduled; ``exempt``, those that
    do not; ``remaining``; ``next_merge``, the day of the next scheduled visit, with which another
    matter may be merged, null where there is none.

    Args:
        subjects: ``subject_id`` and, where caps differ by it, ``grade``.
        visits: Those made and those scheduled; see :data:`VISITS`. Other years do not count.
        caps: As published.
        year: For which.
        today: Visits from this day on are still to come.

    Raises:
        InspectionError: The frames lack columns, or a ground is unknown.
    """
    per_grade = bool(caps.by_grade)
    _check(subjects, ("subject_id", "grade") if per_grade else ("subject_id",), "the subjects")
    cap = (
        pl.col("grade").replace_strict(caps.by_grade, default=caps.per_year, return_dtype=pl.Int64)
        if per_grade
        else pl.lit(caps.per_year, pl.Int64)
    )
    counted = (
        _visits(visits, year)
        .group_by("subject_id")
        .agg(
            pl.col("ground").is_null().sum().cast(pl.Int64).alias("used"),
            pl.col("ground").is_not_null().sum().cast(pl.Int64).alias("exempt"),
            pl.col("on").filter(pl.col("on") >= today).min().alias("next_merge"),
        )
    )
    return (
        subjects.with_columns(cap.alias("cap"))
        .join(counted, on="subject_id", how="left", maintain_order="left")
        .with_columns(pl.col("used", "exempt").fill_null(0))
        .with_columns((pl.col("cap") - pl.col("used")).clip(lower_bound=0).alias("remaining"))
        .select(*subjects.columns, "cap", "used", "exempt", "remaining", "next_merge")
    )


def admit(
    planned: pl.DataFrame,
    visits: pl.DataFrame,
    subjects: pl.DataFrame,
    caps: Caps,
    *,
    year: int,
    today: date,
) -> pl.DataFrame:
    """Return :func:`room` with the ``planned`` visits scheduled too.

    ``visits`` are those before; a planned visit that shares its ``visit_id`` with one of them is
    merged with it and counts with it.

    Raises:
        InspectionError: Somebody would be visited more often than the cap allows, without a
            :class:`Ground` that exempts a visit; somebody planned is not among the subjects; or a
            planned visit is of another year. What adds no visit that counts is never refused.
    """
    strangers = planned.join(subjects, on="subject_id", how="anti")
    if strangers.height:
        raise InspectionError(
            f"subject {strangers['subject_id'][0]} is planned but not in the pool, so that its cap "
            "is unknown; add it to the pool or leave the visit out"
        )
    later = planned.filter(pl.col("on").dt.year() != year)
    if later.height:
        raise InspectionError(
            f"the visit '{later['visit_id'][0]}' of {later['on'][0]} is not of {year}, whose cap "
            "is looked at; admit the visits of each year with its own cap"
        )
    before = room(subjects, visits, caps, year=year, today=today)["used"]
    both = pl.concat([visits.select(*VISITS), planned.select(*VISITS)])
    after = room(subjects, both, caps, year=year, today=today)
    past = after.filter((pl.col("used") > pl.col("cap")) & (pl.col("used") > before))
    if past.height:
        one = past.row(0, named=True)
        raise InspectionError(
            f"subject {one['subject_id']} would get {one['used']} visits in {year}, past its cap "
            f"of {one['cap']}, and {past.height - 1} more subjects are past theirs; merge visits, "
            f"leave these out, or name the ground that exempts them: {', '.join(Ground)}"
        )
    return after


def merged(visits: pl.DataFrame, within: int) -> pl.DataFrame:
    """Return ``visits`` with those of a subject that lie ``within`` so many days made one.

    All matters of a merged visit happen on its first day, under its first ``visit_id``
    (进一次门查多项事).
    Visits on a ground stay as they are: their clocks run. Sorted by subject and day.
    """
    rows = _visits(visits, None).sort("subject_id", "on", "visit_id")
    free = rows.filter(pl.col("ground").is_null())
    subject = free["subject_id"].rank("dense").to_numpy()
    day = free["on"].to_physical().to_numpy()
    first = np.arange(free.height)
    # Whether a visit begins a new one depends on where the one before began: no expression does it.
    for at in range(1, free.height):
        start = first[at - 1]
        if subject[start] == subject[at] and day[at] - day[start] < within:
            first[at] = start
    one = free.with_columns(free["on"].gather(first), free["visit_id"].gather(first))
    kept = rows.filter(pl.col("ground").is_not_null())
    return pl.concat([one, kept]).sort("subject_id", "on", "visit_id")


def _visits(visits: pl.DataFrame, year: int | None) -> pl.DataFrame:
    """Return the checked visits of the year; with a year, matters of one visit become one row.

    A visit that was made on a ground for one of its matters counts if another matter counts.
    """
    _check(visits, tuple(VISITS), "the visits")
    unknown = set(visits["ground"].drop_nulls().unique()) - set(Ground)
    if unknown:
        raise InspectionError(
            f"'{min(unknown)}' is no ground that exempts a visit; there are {', '.join(Ground)}"
        )
    if year is None:
        return visits
    own = visits.select(*VISITS).filter(pl.col("on").dt.year() == year)
    ground = (
        pl.when(pl.col("ground").is_null().any()).then(None).otherwise(pl.col("ground").first())
    )
    return own.group_by("subject_id", "visit_id").agg(pl.col("on").min(), ground.alias("ground"))


def _check(frame: pl.DataFrame, names: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in frame.columns:
            raise InspectionError(f"{what} have no column '{name}'; they have {frame.columns}")
        if name != "ground" and frame[name].null_count():
            raise InspectionError(
                f"'{name}' is null in {frame[name].null_count()} of {what}; fill it in"
            )
