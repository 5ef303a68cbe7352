"""What a run refuses and keeps: impossible times, foreign ids, columns that are not there."""

from __future__ import annotations

from datetime import UTC, date, datetime

from tests.training.sources.world import (
    HEAD,
    NAMES,
    PENALTY,
    A,
    B,
    World,
    mapping,
    penalties,
    row,
)
from training.sources.run import import_mapping


def test_facts_of_the_future_are_refused_whatever_is_assumed(world: World) -> None:
    days = ("2024-01-05", "2027-01-01", "9999-12-31", "1949-04-22", "0001-01-01")
    world.write("penalty.csv", penalties(*(row(n, day=day) for n, day in enumerate(days))))
    source = mapping(PENALTY.replace("days: 1", "days: 9"))
    now = datetime(2026, 6, 1, tzinfo=UTC)
    import_mapping(world.mapping(source), world.lake, now=now)
    assert world.table("penalty")["happened_on"].to_list() == [date(2024, 1, 5)]
    assert world.rules() == [(line, "V05") for line in (3, 4, 5, 6)]
    assert set(world.refused()["known_at"]) == {now}


def test_a_row_reported_at_no_time_is_quarantined_as_of_the_run(world: World) -> None:
    source = PENALTY.replace("{after: happened_on, days: 1}", "{from: 报送}")
    world.write("penalty.csv", f"{HEAD.strip()},报送\n{row(1)},9999-12-31\n{row(2)},0001-01-01\n")
    now = datetime(2026, 6, 1, tzinfo=UTC)
    import_mapping(world.mapping(mapping(source)), world.lake, now=now)
    assert world.rules() == [(2, "F01"), (3, "F01")]
    assert world.refused()["value"].to_list() == ["9999-12-31", "0001-01-01"]
    assert set(world.refused()["known_at"]) == {now}


def test_folding_files_of_other_columns_leaves_what_they_do_not_state(world: World) -> None:
    subjects = """
  - id: subjects
    target: subject
    files: ["s*.csv"]
    fold: true
    known_at: {on: 2020-01-01}
"""
    head, long = "统一社会信用代码,企业名称", "统一社会信用代码,企业名称,住所"
    world.write("s1.csv", f"{long}\n{A},{NAMES[A]},某路1号\n")
    world.run(mapping(subjects))
    world.write("s1.csv", f"{head}\n{A},{NAMES[A]}\n")
    world.write("s2.csv", f"{long}\n{B},{NAMES[B]},某路2号\n")
    tally = world.run(mapping(subjects))["subjects"]
    assert (tally.inserted, tally.unchanged) == (1, 1)
    assert world.table("subject")["address"].to_list() == ["某路1号", "某路2号"]


def test_ids_of_two_systems_do_not_meet(world: World) -> None:
    for number, code in ((1, A), (2, B)):
        world.write(f"penalty{number}.csv", f"ID,{HEAD}1,{row(number, code)}\n")
    source = PENALTY + "    columns: {source_id: ID}\n"
    for name in ("penalty1", "penalty2"):
        world.run(mapping(source.replace("penalty*", name).replace("id: penalty", f"id: {name}")))
    assert world.table("penalty")["subject_id"].to_list() == [A, B]


def test_columns_nothing_uses_are_told_few_and_masked(world: World) -> None:
    more = ["11010519491231002X", "13912345678", *(f"列{n}" for n in range(30))]
    world.write("penalty.csv", f"{HEAD.strip()},{','.join(more)}\n{row(1)}{',' * 32}\n")
    unused = world.run(mapping(PENALTY))["penalty"].unused
    assert len(unused) == 20
    assert not set(more[:2]) & set(unused)


def test_placeholders_and_other_documents_are_no_identity(world: World) -> None:
    head = "处罚决定书文号,行政相对人名称,行政相对人类别,证件,处罚决定日期\n"
    numbers = ("0" * 18, "1" * 18, "210102", "E12345678", "11010520501231002X")
    rows = "".join(f"{n},某某,自然人,{number},2024-01-05\n" for n, number in enumerate(numbers))
    world.write("penalty.csv", head + rows)
    tally = world.run(mapping(PENALTY + "    columns: {citizen_id: 证件}\n"))["penalty"]
    assert (tally.accepted, tally.rules) == (0, {"S03": 5})
