from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from models.codes.registration_status import RegistrationStatus, label
from models.errors import InspectionError
from models.inspection.assign import assign
from models.inspection.caps import Ground
from models.inspection.eligibility import (
    Bar,
    Check,
    eligible,
    idle,
    inspectors_of,
    refuse_unpublished,
)
from models.inspection.list_fields import ListName
from tests.models.inspection import listed
from tests.models.inspection.listed import FIRM, ON, PERSON, SHOP


def bars(found: pl.DataFrame) -> dict[str, str | None]:
    return dict(found.select("subject_id", "bar").iter_rows())


@pytest.mark.parametrize(
    ("check", "drawn"),
    [
        ("on_site", {"ACTIVE"}),
        ("off_site", {"ACTIVE", "SUSPENDED"}),
        ("liquidation", {"ACTIVE", "REVOKED_LICENCE", "LIQUIDATION", "FORCED"}),
    ],
)
def test_the_status_says_who_can_be_drawn(check: Check, drawn: set[str]) -> None:
    for status in RegistrationStatus:
        frame = listed.targets_frame().with_columns(pl.lit(label(status)).alias("经营状态"))
        found = eligible(listed.listing(ListName.TARGETS, frame), check=check)
        assert set(bars(found).values()) == ({None} if status in drawn else {Bar.STATUS})


def test_matter_region_and_cap_bar_too() -> None:
    used = listed.targets_frame().with_columns(pl.Series("已检查次数", [2, 0, 0]))
    targets = listed.listing(ListName.TARGETS, used)
    assert bars(eligible(targets)) == {FIRM: Bar.CAP, SHOP: None, PERSON: None}
    assert bars(eligible(targets, ground=Ground.ACCIDENT)) == dict.fromkeys((FIRM, SHOP, PERSON))
    assert bars(eligible(targets, matter="M02")) == {FIRM: Bar.CAP, SHOP: Bar.MATTER, PERSON: None}
    assert bars(eligible(targets, region="2103"))[SHOP] is None
    assert bars(eligible(targets, region="2103"))[FIRM] == Bar.REGION
    assert all(bar.label for bar in Bar)


def test_an_unknown_cap_bars_nobody() -> None:
    targets = listed.listing(ListName.TARGETS, listed.targets_frame().drop("年度检查上限"))
    assert set(bars(eligible(targets)).values()) == {None}


def test_an_unpublished_matter_may_not_be_executed() -> None:
    dates = listed.matters_frame().with_columns(pl.Series("公布日期", [None, "2026-12-01"]))
    matters = listed.listing(ListName.MATTERS, dates)
    with pytest.raises(InspectionError, match="'M01' is not published"):
        refuse_unpublished(matters, {"M01", "M02"}, on=ON)
    with pytest.raises(InspectionError, match="published on 2026-12-01 only"):
        refuse_unpublished(matters, {"M02"}, on=ON)
    refuse_unpublished(matters, {"M02"}, on=date(2026, 12, 1))
    with pytest.raises(InspectionError, match="'M03' is not on the list"):
        refuse_unpublished(listed.matters(), {"M03"}, on=ON)


@pytest.mark.parametrize(
    ("published", "executed", "since", "removed"),
    [
        ("2010-01-01", "2021-11-21", "2021-11-21", False),
        ("2010-01-01", "2021-11-20", "2021-11-20", True),
        ("2021-11-20", None, "2021-11-20", True),
        ("2021-11-21", "2020-01-01", "2021-11-21", False),
        (None, None, None, False),
    ],
)
def test_a_matter_idle_for_five_years_is_marked(
    published: str | None, executed: str | None, since: str | None, *, removed: bool
) -> None:
    frame = listed.matters_frame().head(1)
    dates = frame.with_columns(
        pl.lit(published, pl.String).alias("公布日期"),
        pl.lit(executed, pl.String).alias("最近实施日期"),
    )
    (row,) = idle(listed.listing(ListName.MATTERS, dates), on=ON).rows(named=True)
    assert row["to_remove"] is removed
    assert row["idle_since"] == (None if since is None else date.fromisoformat(since))


def test_a_list_of_inspectors_can_be_assigned() -> None:
    pool = inspectors_of(listed.inspectors())
    assert pool.size == 4
    assert pool.conflicts.rows() == [("i1", SHOP)]
    assert pool.leave.rows() == [("i2", date(2026, 3, 9), date(2026, 3, 10))]
    assert pool.near("210102").all()
    made = assign(pool, listed.tasks(), seed="0" * 64).teams
    assert made.height == 6
    shop = made.filter(pl.col("task_id") == "T2")["inspector_id"].to_list()
    assert "i1" not in shop
    assert "i2" not in made["inspector_id"]


def test_a_list_of_something_else_is_refused() -> None:
    with pytest.raises(InspectionError, match="检查对象名录库, not 随机抽查事项清单"):
        idle(listed.targets(), on=ON)
