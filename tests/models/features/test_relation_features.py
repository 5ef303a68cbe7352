"""Neighbours, what flags them, and how far ties reach."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.features import relation
from models.features.network import Network, keyed
from models.features.relation import FAN_OUT
from models.records.contracts import CONTRACTS
from models.records.reading import MemoryRecords, Records
from tests.models.features.firms import (
    AS_OF,
    FIRMS,
    Row,
    firm,
    penalty,
    records,
    role,
    scenario,
    tie,
)

TWO = "{tables: [penalty], windows: [365d], hops: 2}"
SPECS = relation.specs(scenario(TWO), CONTRACTS)
SHARED = [role(0, "P"), role(1, "P")]


def built(
    data: Records, *dates: date, subjects: Sequence[str] = FIRMS[:1], network: Network | None = None
) -> pl.DataFrame:
    wanted = pl.Series("subject_id", subjects, dtype=pl.String)
    known = network or Network.of([data])
    return relation.build(known, SPECS, subjects=wanted, dates=dates or (AS_OF,))


def told(name: str, *dates: date, subject: int = 0, **tables: Sequence[Row]) -> list[object]:
    made = built(records(**tables), *dates, subjects=[FIRMS[subject]])
    return made[f"relation_{name}"].to_list()


def test_who_shares_a_person_is_a_neighbour() -> None:
    rows = [*SHARED, role(2, "Q"), role(0, "Q"), role(3, "R")]
    assert told("person_count", person_role=rows) == [2]
    assert told("count", person_role=rows) == [2]
    assert told("person_count", person_role=rows, subject=3) == [0]


def test_two_roles_of_one_person_are_one_neighbour() -> None:
    rows = [*SHARED, role(1, "P", role="shareholder"), role(0, "Q"), role(1, "Q")]
    assert told("person_count", person_role=rows) == [1]


def test_addresses_are_compared_without_blanks_width_and_case() -> None:
    rows = [
        firm(0, address="沈阳市和平区 南京街１号 b座"),
        firm(1, address="沈阳市和平区南京街1号B座"),
        firm(2, address="沈阳市和平区南京街2号"),
    ]
    assert built(records(subject=rows))["relation_address_count"].to_list() == [1]


def test_a_bare_address_ties_nobody() -> None:
    rows = [firm(0, address="沈阳市"), firm(1, address="沈阳市")]
    assert built(records(subject=rows))["relation_address_count"].to_list() == [0]


def test_a_closed_firm_has_left_its_address_and_a_revoked_one_has_not() -> None:
    place = {"address": "沈阳市和平区南京街1号"}
    rows = [
        firm(0, **place),
        firm(1, **place, closed_on=date(2024, 6, 1)),
        firm(2, **place, revoked_on=date(2023, 6, 1)),
    ]
    made = built(records(subject=rows), date(2024, 5, 31), date(2024, 6, 1))
    assert made["relation_address_count"].to_list() == [2, 1]


@pytest.mark.parametrize(
    ("kind", "via"),
    [
        ("shareholding", "shareholding"),
        ("branch", "shareholding"),
        ("successor", "shareholding"),
        ("address", "address"),
        ("contact", "address"),
        ("guarantee", "trade"),
        ("supply", "trade"),
    ],
)
def test_relations_tie_both_sides(kind: str, via: str) -> None:
    rows = [tie(0, 1, kind)]
    for side in (0, 1):
        assert told(f"{via}_count", relation=rows, subject=side) == [1]
    assert told("count", relation=rows) == [1]


def test_a_tie_holds_after_it_began_and_was_known_until_it_ended() -> None:
    rows = [
        role(0, "P"),
        role(
            1,
            "P",
            happened_on=date(2024, 3, 1),
            known_at=datetime(2024, 3, 9, 16, tzinfo=UTC),
            ended_on=date(2024, 9, 1),
        ),
    ]
    dates = [date(2024, 3, 9), date(2024, 3, 10), date(2024, 8, 31), date(2024, 9, 1)]
    assert told("person_count", *dates, person_role=rows) == [0, 1, 1, 0]


def test_a_tie_of_the_day_itself_is_none_yet() -> None:
    rows = [
        role(0, "P"),
        role(1, "P", happened_on=AS_OF, known_at=datetime(2025, 1, 1, tzinfo=UTC)),
    ]
    assert told("person_count", AS_OF, AS_OF + timedelta(days=1), person_role=rows) == [0, 1]


def test_a_voided_tie_counts_before_and_not_after_and_an_annulled_one_never() -> None:
    void = {"void_from": date(2024, 1, 1), "void_reason": "expired"}
    dates = [date(2023, 12, 31), date(2024, 1, 1)]
    assert told("trade_count", *dates, relation=[tie(0, 1, "supply", **void)]) == [1, 0]
    void["void_reason"] = "annulled"
    assert told("trade_count", *dates, relation=[tie(0, 1, "supply", **void)]) == [0, 0]


def test_a_penalty_flags_for_a_year_once_known() -> None:
    known = datetime(2024, 6, 9, 16, tzinfo=UTC)
    rows = [penalty(1, date(2024, 6, 1), known_at=known)]
    dates = [date(2024, 6, 9), date(2024, 6, 10), date(2025, 6, 1), date(2025, 6, 2)]
    assert told("penalty_count", *dates, person_role=SHARED, penalty=rows) == [0, 1, 1, 0]
    assert told("flagged_share", *dates, person_role=SHARED, penalty=rows) == [0, 1, 1, 0]


def test_a_voided_penalty_flags_before_and_not_after() -> None:
    rows = [penalty(1, void_from=date(2024, 10, 1), void_reason="repaired")]
    dates = [date(2024, 9, 30), date(2024, 10, 1)]
    assert told("flagged_count", *dates, person_role=SHARED, penalty=rows) == [1, 0]


def test_a_listing_flags_while_it_is_active_and_an_honour_never() -> None:
    base: Row = {"subject_id": FIRMS[1], "happened_on": date(2022, 3, 1)}
    rows: list[Row] = [{**base, "kind": "abnormal", "removed_on": date(2024, 3, 1)}]
    dates = [date(2022, 3, 1), date(2022, 3, 2), date(2024, 2, 29), date(2024, 3, 1)]
    assert told("listing_count", *dates, person_role=SHARED, listing=rows) == [0, 1, 1, 0]
    honour: list[Row] = [{**base, "kind": "honour"}]
    assert told("listing_count", *dates, person_role=SHARED, listing=honour) == [0, 0, 0, 0]


def test_only_a_failed_inspection_flags() -> None:
    def seen(result: str) -> list[Row]:
        return [{"subject_id": FIRMS[1], "happened_on": date(2024, 6, 1), "result": result}]

    assert told("inspection_count", person_role=SHARED, inspection=seen("fail")) == [1]
    assert told("inspection_count", person_role=SHARED, inspection=seen("pass")) == [0]


def test_flags_of_the_subject_itself_are_not_its_neighbours() -> None:
    assert told("flagged_count", person_role=SHARED, penalty=[penalty(0)]) == [0]


def test_a_neighbour_with_many_flags_is_flagged_once() -> None:
    rows = [penalty(1), penalty(1, date(2024, 7, 1))]
    listed: list[Row] = [
        {"subject_id": FIRMS[1], "happened_on": date(2024, 6, 1), "kind": "abnormal"}
    ]
    made = built(records(person_role=SHARED, penalty=rows, listing=listed)).row(0, named=True)
    assert made["relation_flagged_count"] == made["relation_person_flagged_count"] == 1
    assert made["relation_penalty_count"] == made["relation_listing_count"] == 1


def test_shares_are_null_without_neighbours() -> None:
    made = built(records()).row(0, named=True)
    assert made["relation_flagged_share"] is None
    assert made["relation_second_flagged_share"] is None
    assert made["relation_count"] == made["relation_hub"] == 0


def test_two_steps_away_is_neither_oneself_nor_a_neighbour() -> None:
    chain = [tie(0, 1, "supply"), tie(1, 2, "branch"), tie(2, 3, "supply")]
    assert told("second_count", relation=chain) == [1]
    assert told("second_flagged_count", relation=chain, penalty=[penalty(2)]) == [1]
    assert told("second_flagged_share", relation=chain, penalty=[penalty(1)]) == [0]
    triangle = [tie(0, 1, "supply"), tie(1, 2, "supply"), tie(2, 0, "supply")]
    assert told("second_count", relation=triangle) == [0]


def test_one_hop_makes_no_second() -> None:
    names = {s.name for s in relation.specs(scenario(), CONTRACTS)}
    assert "relation_count" in names
    assert not any("second" in name for name in names)


def crowd(size: int) -> list[Row]:
    return [role(n, "agent") for n in range(size)]


def test_up_to_the_fan_out_a_node_is_no_hub() -> None:
    assert told("person_count", person_role=crowd(FAN_OUT)) == [FAN_OUT - 1]
    assert told("hub", person_role=crowd(FAN_OUT)) == [0]


def test_a_hub_is_bounded_and_said() -> None:
    made = built(records(person_role=crowd(FAN_OUT + 30)), subjects=FIRMS[: FAN_OUT + 30])
    assert made["relation_hub"].to_list() == [1.0] * (FAN_OUT + 30)
    assert set(made["relation_person_count"]) == {FAN_OUT - 1.0, float(FAN_OUT)}


def test_nothing_is_followed_through_a_hub() -> None:
    far = [tie(1, FAN_OUT + 40, "supply")]
    assert told("second_count", person_role=crowd(FAN_OUT + 1), relation=far) == [0]
    assert told("second_count", person_role=crowd(FAN_OUT), relation=far) == [1]


def test_a_subject_of_many_ties_is_a_hub() -> None:
    rows = [tie(0, n, "supply") for n in range(1, FAN_OUT + 10)]
    made = built(records(relation=rows), subjects=FIRMS[:2])
    assert made["relation_trade_count"].to_list() == [FAN_OUT, 1]
    assert made["relation_hub"].to_list() == [1, 0]


def test_the_choice_within_a_hub_does_not_depend_on_the_order_of_rows() -> None:
    rows = crowd(FAN_OUT + 30)
    flagged = [penalty(n) for n in range(0, FAN_OUT + 30, 3)]
    subjects = FIRMS[: FAN_OUT + 30]
    one = built(records(person_role=rows, penalty=flagged), subjects=subjects)
    other = built(records(person_role=rows[::-1], penalty=flagged[::-1]), subjects=subjects)
    assert_frame_equal(one, other, check_exact=True)


def test_what_no_table_tells_is_null() -> None:
    full = records(person_role=SHARED, penalty=[penalty(1)]).frames
    row = built(MemoryRecords({t: full[t] for t in ("person_role", "penalty")})).row(0, named=True)
    assert row["relation_person_count"] == row["relation_flagged_count"] == 1
    assert row["relation_trade_count"] is None
    assert row["relation_listing_count"] is None
    row = built(MemoryRecords({"person_role": full["person_role"]})).row(0, named=True)
    assert row["relation_person_count"] == 1
    assert row["relation_flagged_count"] is None
    assert set(built(MemoryRecords({})).row(0)) == {None}


def test_a_network_of_parts_is_that_of_the_whole(tmp_path: Path) -> None:
    tables = {"person_role": [*SHARED, role(2, "P")], "relation": [tie(3, 0, "supply")]}
    whole = Network.of([records(**tables, penalty=[penalty(2)])])
    parts = Network.of(
        [*[records(**{n: r}) for n, r in tables.items()], records(penalty=[penalty(2)])]
    )
    whole.save(tmp_path)
    again = Network.load(tmp_path, whole.tables)
    expected = built(records(), network=whole, subjects=FIRMS[:4])
    assert expected["relation_count"].to_list() == [3, 2, 2, 1]
    for network in (parts, again):
        assert_frame_equal(built(records(), network=network, subjects=FIRMS[:4]), expected)


def test_digests_do_not_show_what_they_stand_for() -> None:
    keys = keyed(pl.Series(["甲", None, "甲", "乙"]), "person:")
    assert keys.dtype == pl.UInt64()
    assert keys[0] == keys[2] != keys[3]
    assert keys[1] is None
    assert keys[0] != keyed(pl.Series(["甲"]))[0]


people = st.tuples(st.integers(0, 7), st.sampled_from("PQRS"))
ties = st.tuples(st.integers(0, 7), st.integers(0, 7), st.sampled_from(["supply", "branch"]))


@settings(max_examples=40)
@given(st.lists(people, max_size=12), st.lists(ties, max_size=8), st.sets(st.integers(0, 7)))
def test_counts_are_those_of_sets(
    roles: list[tuple[int, str]], pairs: list[tuple[int, int, str]], bad: set[int]
) -> None:
    near: dict[int, set[int]] = {n: set() for n in range(8)}
    for one, person in roles:
        near[one] |= {other for other, same in roles if same == person}
    for one, other, _ in pairs:
        near[one].add(other)
        near[other].add(one)
    near = {n: others - {n} for n, others in near.items()}
    made = built(
        records(
            person_role=[role(n, p) for n, p in roles],
            relation=[tie(a, b, kind) for a, b, kind in pairs],
            penalty=[penalty(n) for n in bad],
        ),
        subjects=FIRMS[:8],
    )
    for n, row in enumerate(made.iter_rows(named=True)):
        far = set[int]().union(*(near[m] for m in near[n])) - near[n] - {n}
        assert row["relation_count"] == len(near[n])
        assert row["relation_flagged_count"] == len(near[n] & bad)
        assert row["relation_second_count"] == len(far)
        assert row["relation_second_flagged_count"] == len(far & bad)
        assert row["relation_hub"] == 0
