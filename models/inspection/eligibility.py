"""What the lists allow: which targets may be drawn, which matters executed, who may inspect."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from enum import StrEnum
from typing import Final, Literal, TypeAlias

import polars as pl

from models.codes.registration_status import RegistrationStatus, meaning
from models.errors import InspectionError
from models.inspection.caps import Ground
from models.inspection.inspectors import CONFLICT, INSPECTOR, LEAVE, Inspectors
from models.inspection.list_fields import ListName, spec_of
from models.inspection.lists import Listing
from models.yaml import nearest

Check: TypeAlias = Literal["on_site", "off_site", "liquidation"]

IDLE_YEARS: Final = 5
"""Years without an execution after which a matter is removed (国办发〔2024〕54号)."""


class Bar(StrEnum):
    """Why a target cannot be drawn; the first that holds is told."""

    STATUS = "status"
    MATTER = "matter"
    REGION = "region"
    CAP = "cap"

    @property
    def label(self) -> str:
        """Return its Chinese title."""
        return _TITLES[self]


_TITLES: Final = {
    Bar.STATUS: "登记状态不参加抽查",
    Bar.MATTER: "不适用本次抽查事项",
    Bar.REGION: "不在本次抽查区域",
    Bar.CAP: "年度检查次数已达上限",
}
_DRAWN: Final[dict[Check, frozenset[str]]] = {
    "on_site": frozenset({"any"}),
    "off_site": frozenset({"any", "off_site"}),
    "liquidation": frozenset({"any", "liquidation"}),
}


def eligible(
    targets: Listing,
    *,
    matter: str | None = None,
    region: str | None = None,
    check: Check = "on_site",
    ground: Ground | None = None,
) -> pl.DataFrame:
    """Return all targets with ``bar``, the reason why one cannot be drawn, null where it can.

    Args:
        targets: The list of targets.
        matter: The inspected matter; a target without any named matter is open to all.
        region: The beginning of the code of the region; ``2101`` is all of 沈阳.
        check: How it is carried out; 歇业 gets none on site, 吊销 only liquidation checks.
        ground: Why the visit is exempt from the annual cap.

    Raises:
        InspectionError: The list is of something else.
    """
    frame = _of(targets, ListName.TARGETS)
    drawn = [s.value for s in RegistrationStatus if meaning(s).draw in _DRAWN[check]]
    holds = {Bar.STATUS: ~pl.col("status").is_in(drawn)}
    if matter is not None:
        holds[Bar.MATTER] = ~pl.col("matters").list.contains(matter).fill_null(value=True)
    if region is not None:
        holds[Bar.REGION] = ~pl.col("region").str.starts_with(region)
    if ground is None:
        holds[Bar.CAP] = (pl.col("cap_used").fill_null(0) >= pl.col("cap")).fill_null(value=False)
    bars = [pl.when(wrong).then(pl.lit(bar.value)) for bar, wrong in holds.items()]
    return frame.with_columns(pl.coalesce(bars).alias("bar"))


def refuse_unpublished(matters: Listing, wanted: Collection[str], *, on: date) -> None:
    """Raise :class:`InspectionError` where a matter is unknown, or not published by ``on``.

    An unpublished matter may not be executed.
    """
    frame = _of(matters, ListName.MATTERS)
    known = dict(frame.select("matter_id", "published").iter_rows())
    for one in sorted(wanted):
        if one not in known:
            raise InspectionError(f"matter '{one}' is not on the list{nearest(one, known)}")
        if known[one] is None or known[one] > on:
            when = "not published" if known[one] is None else f"published on {known[one]} only"
            raise InspectionError(
                f"matter '{one}' is {when}, so that it may not be executed on {on}; publish it "
                "first, or leave it out"
            )


def idle(matters: Listing, *, on: date) -> pl.DataFrame:
    """Return the matters with ``idle_since`` and ``to_remove``.

    A matter is idle since it was last executed, or since it was published where it never was; one
    of five years or more is marked for removal. Null, and not marked, where it is unpublished.
    """
    frame = _of(matters, ListName.MATTERS)
    since = pl.max_horizontal("last_executed", "published")
    over = since.dt.offset_by(f"{IDLE_YEARS}y") <= on
    return frame.with_columns(
        since.alias("idle_since"), over.fill_null(value=False).alias("to_remove")
    )


def inspectors_of(listing: Listing) -> Inspectors:
    """Return the inspectors of a list, with their conflicts and leave, ready to be assigned."""
    frame = _of(listing, ListName.INSPECTORS)
    conflicts = frame.select("inspector_id", subject_id="conflicts").explode("subject_id")
    days = pl.col("leave").str.split("/")
    leave = (
        frame.select("inspector_id", "leave")
        .explode("leave")
        .drop_nulls("leave")
        .select(
            "inspector_id",
            days.list.get(0).str.to_date("%Y-%m-%d").alias("starts"),
            days.list.get(1).str.to_date("%Y-%m-%d").alias("ends"),
        )
    )
    return Inspectors.of(
        frame.select(*INSPECTOR),
        conflicts=conflicts.drop_nulls("subject_id").select(*CONFLICT),
        leave=leave.select(*LEAVE),
    )


def _of(listing: Listing, name: ListName) -> pl.DataFrame:
    if listing.name != name:
        raise InspectionError(
            f"this is {spec_of(listing.name).title}, not {spec_of(name).title}; give the other"
        )
    return listing.frame
