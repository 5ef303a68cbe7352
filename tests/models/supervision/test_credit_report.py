from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime

import polars as pl
import pytest

from models.errors import ConfigError
from models.records.contracts import CONTRACTS
from models.records.reading import MemoryRecords
from models.supervision.report import Domain, Limits, Report, outlines, report
from models.text.taxonomy import taxonomy

SUBJECT = "91210100YY000001XP"
TODAY = date(2026, 11, 20)


def table(name: str, *rows: dict[str, object]) -> pl.DataFrame:
    dtypes = CONTRACTS[name].dtypes
    own = [
        {
            "record_id": f"{number:032x}",
            "subject_id": SUBJECT,
            "known_at": datetime(2026, 11, 1, tzinfo=UTC),
            **row,
        }
        for number, row in enumerate(rows)
    ]
    assert all(row.keys() <= dtypes.keys() for row in own)
    return pl.DataFrame([{n: row.get(n) for n in dtypes} for row in own], schema=dtypes)


def penalty(on: date, **own: object) -> dict[str, object]:
    return {"happened_on": on, "severity": "general", "authority": "市场监管局", **own}


def town(*penalties: dict[str, object]) -> MemoryRecords:
    return MemoryRecords(
        {
            "subject": table("subject", {"name": "沈阳某某商贸有限公司", "status": "存续"}),
            "penalty": table("penalty", *penalties),
        }
    )


def rows(found: Report, name: str) -> list[dict[str, str]]:
    (section,) = [one for one in found.sections if one.table == name]
    return [dict(zip(section.columns, row, strict=True)) for row in section.rows]


def test_a_report_shows_what_counts_and_nothing_that_has_ended() -> None:
    found = report(
        town(
            penalty(date(2026, 10, 1), violation_type="超范围经营"),
            penalty(date(2022, 11, 1), violation_type="公示期满"),
            penalty(
                date(2026, 9, 1),
                violation_type="已修复",
                void_from=date(2026, 11, 2),
                void_reason="repaired",
            ),
            penalty(
                date(2026, 9, 2),
                violation_type="已撤销",
                void_from=date(2026, 11, 2),
                void_reason="annulled",
            ),
            penalty(date(2026, 11, 21), violation_type="尚未发生"),
        ),
        SUBJECT,
        TODAY,
    )
    assert found.name == "沈阳某某商贸有限公司"
    assert found.records == 1
    text = found.canonical().decode()
    assert "超范围经营" in text
    assert all(gone not in text for gone in ("公示期满", "已修复", "已撤销", "尚未发生"))


def test_the_newest_record_comes_first_and_arrival_makes_no_difference() -> None:
    one, two = penalty(date(2026, 10, 1)), penalty(date(2026, 10, 2))
    found = report(town(one, two), SUBJECT, TODAY)
    days = [row[CONTRACTS["penalty"].title_of("happened_on")] for row in rows(found, "penalty")]
    assert days == ["2026-10-02", "2026-10-01"]
    turned = MemoryRecords({n: f.reverse() for n, f in town(one, two).frames.items()})
    assert report(turned, SUBJECT, TODAY).canonical() == found.canonical()


def test_a_period_bounds_the_day_of_the_fact() -> None:
    held = town(penalty(date(2026, 8, 31)), penalty(date(2026, 9, 1)), penalty(date(2026, 9, 30)))
    first, last = date(2026, 9, 1), date(2026, 9, 30)
    assert (
        report(held, SUBJECT, TODAY, kind="special", within=Limits(since=first, until=last)).records
        == 2
    )


def test_a_special_report_begins_with_the_day_of_its_rule() -> None:
    held = town(
        penalty(date(2020, 8, 31), max_months=600), penalty(date(2020, 9, 1), max_months=600)
    )
    assert report(held, SUBJECT, TODAY, kind="special").records == 1


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        (None, date(2026, 11, 21), "after the day of view"),
        (date(2026, 10, 2), date(2026, 10, 1), "turn them round"),
    ],
)
def test_a_period_that_cannot_be_meant_is_refused(
    since: date | None, until: date, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        report(town(), SUBJECT, TODAY, within=Limits(since=since, until=until))


def test_a_period_before_the_data_begins_is_an_empty_report_that_says_its_period() -> None:
    found = report(
        town(penalty(date(2026, 9, 1))), SUBJECT, TODAY, within=Limits(until=date(1999, 1, 1))
    )
    assert (found.records, found.until) == (0, date(1999, 1, 1))


def test_no_report_shows_personal_columns_or_numbers_in_text() -> None:
    held = town(
        penalty(
            date(2026, 10, 1),
            legal_representative="某甲",
            violation_type="联系电话13900001234，证件110101199003077758",
        )
    )
    text = report(held, SUBJECT, TODAY).canonical().decode()
    assert all(name not in text for name in ("某甲", "13900001234", "110101199003077758"))
    for outline in outlines().reports.values():
        for name in outline.tables:
            titles = {one for s in report(held, SUBJECT, TODAY).sections for one in s.columns}
            personal = {CONTRACTS[name].title_of(c) for c in CONTRACTS[name].personal}
            assert not titles & personal


def test_what_another_subject_has_is_not_in_it() -> None:
    frame = table("penalty", {**penalty(date(2026, 10, 1)), "subject_id": "92210300YY0000036R"})
    found = report(MemoryRecords({"penalty": frame}), SUBJECT, TODAY)
    assert (found.records, found.name) == (0, None)


def test_the_digest_is_of_the_canonical_bytes() -> None:
    found = report(town(penalty(date(2026, 10, 1))), SUBJECT, TODAY)
    assert found.digest == hashlib.sha256(found.canonical()).hexdigest()
    assert json.loads(found.canonical())["as_of"] == "2026-11-20"
    later = report(town(penalty(date(2026, 10, 1))), SUBJECT, date(2026, 11, 21))
    assert later.digest != found.digest


def of_domain(name: str, *penalties: dict[str, object], leaves: list[str | None]) -> Report:
    frame = table("penalty", *penalties).with_columns(
        pl.Series("violation_leaf", leaves, dtype=pl.String)
    )
    within = Limits(domain=name)
    return report(MemoryRecords({"penalty": frame}), SUBJECT, TODAY, kind="special", within=within)


def test_a_leaf_decides_the_domain_before_any_word() -> None:
    on, told = date(2026, 10, 1), "违反食品安全法"
    rows = [penalty(on, violation_type=told) for _ in range(3)]
    leaves = ["F04", "M07", None]
    assert of_domain("food", *rows, leaves=leaves).records == 2
    assert of_domain("market", *rows, leaves=leaves).records == 1
    assert of_domain("food", *rows, leaves=leaves).unsorted == 0


def test_what_belongs_to_no_domain_is_counted_in_each() -> None:
    row = penalty(date(2026, 10, 1), violation_type="其他违法行为")
    for name in outlines().domains:
        found = of_domain(name, row, leaves=[None])
        assert (found.records, found.unsorted) == (0, 1)


def test_every_record_is_in_some_domain_or_counted_as_in_none() -> None:
    leaves = [leaf.code for leaf in taxonomy().leaves]
    rows = [penalty(date(2026, 10, 1)) for _ in leaves]
    shown = {name: of_domain(name, *rows, leaves=[*leaves]) for name in outlines().domains}
    assert {one.unsorted for one in shown.values()} == {0}
    assert all(one.records for one in shown.values())


def test_a_list_belongs_by_its_kind() -> None:
    frame = table("listing", {**penalty(date(2026, 10, 1)), "kind": "wage_arrears"})
    held = MemoryRecords({"listing": frame})
    for name, count in (("labour", 1), ("tax", 0)):
        within = Limits(domain=name)
        assert report(held, SUBJECT, TODAY, kind="special", within=within).records == count


def test_only_some_authorities_are_shown_where_it_is_limited_to_them() -> None:
    held = town(penalty(date(2026, 10, 1)), penalty(date(2026, 10, 2), authority="税务局"))
    found = report(held, SUBJECT, TODAY, within=Limits(authorities=("税务局",)))
    assert (found.records, found.authorities) == (1, ("税务局",))
    assert found.digest != report(held, SUBJECT, TODAY).digest


def test_a_domain_of_leaves_that_there_are_not_is_refused() -> None:
    with pytest.raises(ValueError, match="F99"):
        Domain(title="x", leaves=("F99",))
    with pytest.raises(ConfigError, match="food"):
        outlines().domain("fod")


def test_a_disputed_row_is_marked_and_changes_the_digest() -> None:
    held = town(penalty(date(2026, 10, 1)), penalty(date(2026, 10, 2)))
    disputed = frozenset({("penalty", f"{0:032x}"), ("listing", f"{1:032x}")})
    found = report(held, SUBJECT, TODAY, within=Limits(disputed=disputed))
    (section,) = [one for one in found.sections if one.table == "penalty"]
    assert section.disputed == (1,)  # the newest comes first
    assert found.digest != report(held, SUBJECT, TODAY).digest
