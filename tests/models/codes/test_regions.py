from __future__ import annotations

import polars as pl
import pytest

from models.codes import regions

COUNTIES_OF_CITIES = {
    "210100": 13,
    "210200": 10,
    "210300": 7,
    "210400": 7,
    "210500": 6,
    "210600": 6,
    "210700": 7,
    "210800": 6,
    "210900": 7,
    "211000": 7,
    "211100": 4,
    "211200": 7,
    "211300": 7,
    "211400": 6,
}


def test_liaoning_is_complete() -> None:
    assert regions.children("210000") == tuple(COUNTIES_OF_CITIES)
    counts = {city: len(regions.children(city)) for city in COUNTIES_OF_CITIES}
    assert counts == COUNTIES_OF_CITIES
    assert sum(counts.values()) == 100


def test_all_provinces_are_there() -> None:
    assert len(regions.children("100000")) == 34


@pytest.mark.parametrize(
    ("code", "full_name"),
    [
        ("210102", "辽宁省沈阳市和平区"),
        ("211324", "辽宁省朝阳市喀喇沁左翼蒙古族自治县"),
        ("210283", "辽宁省大连市庄河市"),
        ("210122", "辽宁省沈阳市辽中县"),
        ("210000", "辽宁省"),
        ("110105", "北京市"),
        ("100000", "国家"),
        ("210199", None),
        ("170000", None),
        ("2101", None),
        ("21010２", None),
        (None, None),
    ],
)
def test_full_name(code: str | None, full_name: str | None) -> None:
    assert regions.full_name(code) == full_name


@pytest.mark.parametrize(
    ("code", "level", "parent"),
    [
        ("210102", "county", "210100"),
        ("210100", "city", "210000"),
        ("210000", "province", "100000"),
        ("100000", "country", None),
        ("110105", "province", "110000"),
        ("210199", None, None),
        ("999999", None, None),
    ],
)
def test_level_and_parent(code: str, level: str | None, parent: str | None) -> None:
    assert regions.level(code) == level
    assert regions.parent(code) == parent


def test_an_unlisted_county_is_known_only_outside_complete_provinces() -> None:
    assert regions.is_known("440305") is True
    assert regions.is_known("210199") is False
    assert regions.resolve("440305") == "440000"
    assert regions.resolve("210199") == "210100"


@pytest.mark.parametrize(
    ("old", "new"), [("210122", "210115"), ("210282", "210214"), ("211121", "211104")]
)
def test_abolished_units_lead_to_their_successors(old: str, new: str) -> None:
    assert regions.is_known(old) is True
    assert regions.current(old) == new
    assert regions.level(new) == "county"
    assert old not in regions.children(f"{old[:4]}00")


def test_units_join_to_records() -> None:
    records = pl.DataFrame({"region": ["210102", "440305", "210199", None]})
    joined = records.with_columns(code=regions.resolve_expr("region")).join(
        regions.units(), on="code", how="left", maintain_order="left"
    )
    assert joined["name"].to_list() == ["和平区", "广东省", "沈阳市", None]
    assert joined["province"].to_list() == ["210000", "440000", "210000", None]
    assert joined["city"].to_list() == ["210100", None, "210100", None]


def test_units_are_unique_and_lead_to_the_country() -> None:
    units = regions.units()
    assert units["code"].is_unique().all()
    assert units.height == 1 + 34 + 14 + 100 + 3
    orphans = units.filter(pl.col("parent").is_null())
    assert orphans["code"].to_list() == ["100000"]
    assert units["parent"].drop_nulls().is_in(units["code"].implode()).all()
