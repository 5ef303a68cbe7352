from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InspectionError
from models.inspection.assign import Assignment, Recusal, assign, recuse, shortages, teams_of
from models.inspection.inspectors import Inspectors
from models.inspection.tasks import Tasks
from models.inspection.teams import pair_keys
from tests.models.inspection.people import (
    ENDS,
    STARTS,
    inspectors,
    pairs,
    people,
    tasks,
    visits,
)
from tests.models.inspection.pools import SEED

Teams = dict[str, frozenset[str]]


def teams(made: Assignment) -> Teams:
    return {
        task: frozenset(members)
        for task, members in made.teams.group_by("task_id").agg("inspector_id").iter_rows()
    }


@st.composite
def towns(draw: st.DrawFn) -> tuple[Inspectors, Tasks]:
    """Return few inspectors with room for few tasks, with conflicts and teams of last time."""
    count, wanted = draw(st.integers(2, 5)), draw(st.integers(1, 4))
    who = [f"i{n:03d}" for n in range(count)]
    where = [f"s{n:03d}" for n in range(wanted)]
    skills = st.lists(st.sampled_from("甲乙"), min_size=1, unique=True)
    last = st.lists(st.sampled_from(who), max_size=3, unique=True)
    frame = people(
        count,
        matters=[draw(skills) for _ in who],
        capacity=[draw(st.none() | st.integers(1, 4)) for _ in who],
    )
    barred = draw(st.lists(st.tuples(st.sampled_from(who), st.sampled_from(where)), max_size=4))
    return Inspectors.of(frame, conflicts=pairs(barred)), Tasks.of(
        visits(
            wanted,
            matters=[[draw(st.sampled_from("甲乙"))] for _ in where],
            last_team=pl.Series([draw(last) for _ in where], dtype=pl.List(pl.String)),
        )
    )


def possible(people: Inspectors, wanted: Tasks) -> Iterator[Teams]:
    """Yield every assignment that keeps the rules, found by trying all."""
    rooms = dict(people.frame.select("inspector_id", "capacity").iter_rows())
    barred = set(people.conflicts.iter_rows())
    choices: list[list[frozenset[str]]] = []
    for row in wanted.frame.iter_rows(named=True):
        able = [
            one["inspector_id"]
            for one in people.frame.iter_rows(named=True)
            if set(row["matters"]) <= set(one["matters"])
            and (one["inspector_id"], row["subject_id"]) not in barred
        ]
        found = [frozenset(team) for team in combinations(able, 2)]
        choices.append([team for team in found if not team <= set(row["last_team"])])

    def extend(place: int, load: Counter[str], so_far: list[frozenset[str]]) -> Iterator[Teams]:
        if place == len(choices):
            yield dict(zip(wanted.frame["task_id"], so_far, strict=True))
            return
        for team in choices[place]:
            more = load + Counter(team)
            if all(rooms[one] is None or more[one] <= rooms[one] for one in team):
                yield from extend(place + 1, more, [*so_far, team])

    yield from extend(0, Counter(), [])


def unevenness(made: Teams) -> int:
    return sum(n * n for n in Counter(one for team in made.values() for one in team).values())


@given(towns())
@settings(max_examples=150, deadline=None)
def test_an_assignment_is_found_whenever_there_is_one_and_none_is_more_even(
    town: tuple[Inspectors, Tasks],
) -> None:
    every = list(possible(*town))
    if not every:
        with pytest.raises(InspectionError):
            assign(*town, seed=SEED)
        return
    made = teams(assign(*town, seed=SEED))
    assert made in every
    assert unevenness(made) == min(map(unevenness, every))


@given(towns(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_recusal_is_carried_out_whenever_it_can_be(
    town: tuple[Inspectors, Tasks], data: st.DataObject
) -> None:
    if not any(True for _ in possible(*town)):
        return
    made = assign(*town, seed=SEED)
    task, person = data.draw(st.sampled_from(made.teams.rows()))
    left = [one for one in possible(*town) if person not in one[task]]
    recusal = Recusal(task, person, "近亲属")
    if not left:
        with pytest.raises(InspectionError, match="nobody can take the place"):
            recuse(made, *town, recusals=[recusal])
        return
    after = recuse(made, *town, recusals=[recusal])
    before, now = teams(made), teams(after)
    assert now in left
    assert after.recusals == (recusal,)
    assert {one.task_id for one in after.changes} == {t for t in before if before[t] != now[t]}
    moved = sum(len(before[t] - now[t]) for t in before)
    assert moved == min(sum(len(before[t] - one[t]) for t in before) for one in left)
    assert len(after.changes) == moved


def test_teams_are_random_by_the_seed_and_recomputable() -> None:
    town = inspectors(20), tasks(30)
    first = assign(*town, seed=SEED)
    assert assign(*town, seed=SEED).teams.equals(first.teams)
    assert not assign(*town, seed="0a" * 32).teams.equals(first.teams)


def test_the_order_of_the_rows_changes_no_team() -> None:
    mixed = (
        Inspectors.of(people(20).sample(fraction=1, shuffle=True)),
        Tasks.of(visits(30).sample(fraction=1, shuffle=True)),
    )
    made = assign(inspectors(20), tasks(30), seed=SEED)
    assert assign(*mixed, seed=SEED).teams.equals(made.teams)


def test_everyone_is_as_likely_as_the_others() -> None:
    town, times = (inspectors(6), tasks(1)), 300
    seeds = np.random.default_rng(7).bytes(32 * times)
    counts = Counter(
        one
        for i in range(times)
        for one in assign(*town, seed=seeds[32 * i : 32 * i + 32].hex()).teams["inspector_id"]
    )
    expected = times * 2 / 6
    assert len(counts) == 6
    assert all(abs(n - expected) < 4.5 * (expected * 2 / 3) ** 0.5 for n in counts.values())


def test_pair_keys_are_those_of_the_specification() -> None:
    def key(task: int, person: int) -> int:
        z = task ^ person
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return (z ^ (z >> 31)) >> 1

    bits = np.random.default_rng(7).integers(0, 2**64, 50, np.uint64)
    made = np.empty(49, np.int64)
    pair_keys(int(bits.view(np.int64)[0]), bits[1:].view(np.int64), made)
    assert made.tolist() == [key(int(bits[0]), int(one)) for one in bits[1:]]


def test_loads_are_even() -> None:
    made = assign(inspectors(7), tasks(50), seed=SEED)
    loads = made.loads()["tasks"].to_list()
    assert set(loads) == {14, 15}
    assert sum(loads) == 100


def test_a_tight_town_is_staffed_to_the_last_place() -> None:
    random, count, wanted = np.random.default_rng(7), 60, 450
    ids = [f"i{n:03d}" for n in range(count)]
    skills = [random.choice(list("甲乙丙丁"), 2, replace=False).tolist() for _ in ids]
    last = [random.choice(ids, 2, replace=False).tolist() for _ in range(wanted)]
    matters = [[str(random.choice(list("甲乙丙丁")))] for _ in range(wanted)]
    town = (
        inspectors(count, matters=skills, capacity=[15] * count),  # 900 places, 900 wanted
        tasks(wanted, matters=matters, last_team=last),
    )
    made = assign(*town, seed=SEED)
    assert set(made.loads()["tasks"]) == {15}
    able = dict(zip(ids, map(set, skills), strict=True))
    for task, team in teams(made).items():
        place = int(task[1:])
        assert len(team) == 2
        assert all(matters[place][0] in able[one] for one in team)
        assert team != set(last[place])
    with pytest.raises(InspectionError, match="capacity binds"):
        assign(town[0], tasks(wanted + 1, matters=[*matters, ["甲"]]), seed=SEED)


def test_few_hold_a_rare_matter_and_are_kept_for_it() -> None:
    rare = [["电梯", "食品"]] * 2 + [["食品"]] * 4
    wanted = [["食品"]] * 18 + [["电梯"]] * 3
    made = assign(inspectors(6, matters=rare), tasks(21, matters=wanted), seed=SEED)
    assert set(made.loads()["tasks"]) == {7}
    assert all(teams(made)[f"t{n:03d}"] == {"i000", "i001"} for n in (18, 19, 20))


def test_teams_may_be_larger() -> None:
    made = assign(inspectors(9), tasks(5), seed=SEED, size=3)
    assert {len(team) for team in teams(made).values()} == {3}
    with pytest.raises(InspectionError, match="two inspectors or more"):
        assign(inspectors(9), tasks(5), seed=SEED, size=1)


def test_helpers_and_lapsed_certificates_stay_at_home() -> None:
    within = STARTS + timedelta(days=2)
    town = inspectors(
        6,
        certificate=["a", None, "c", "d", "e", "f"],
        valid_until=pl.Series([None, *[date(2027, 1, 1)] * 2, within, ENDS, ENDS]),
        valid_from=pl.Series([None, None, within, None, None, STARTS]),
    )
    assert teams(assign(town, tasks(1), seed=SEED)) == {"t000": {"i004", "i005"}}


def test_leave_regions_and_matters_are_kept() -> None:
    both = ["食品", "价格"]
    frame = people(
        6,
        matters=[["食品"], both, both, ["价格"], both, both],
        regions=pl.Series(
            [None, ["2101"], [], ["21"], ["2102", "2103"], ["21"]], dtype=pl.List(pl.String)
        ),
    )
    away = pl.DataFrame({"inspector_id": ["i001"], "starts": [ENDS], "ends": [date(2026, 4, 1)]})
    wanted = tasks(1, matters=[both], region=["210104"])
    made = assign(Inspectors.of(frame, leave=away), wanted, seed=SEED)
    assert teams(made) == {"t000": {"i002", "i005"}}
    with pytest.raises(InspectionError, match="1 are on leave") as caught:
        assign(Inspectors.of(frame.head(5), leave=away), wanted, seed=SEED)
    assert "1 may go, 2 must; 2 are not qualified" in str(caught.value)
    assert "1 are of other regions" in str(caught.value)


def test_not_the_team_of_last_time() -> None:
    last = pl.Series([["i000", "i001"]] * 40, dtype=pl.List(pl.String))
    made = teams(assign(inspectors(3), tasks(40, last_team=last), seed=SEED))
    assert all("i002" in team for team in made.values())
    with pytest.raises(InspectionError, match="2 of them of the last team, where one must stay"):
        assign(inspectors(2), tasks(40, last_team=last), seed=SEED)


def test_an_inspector_whose_certificate_ends_inside_the_period_binds() -> None:
    lapsing = inspectors(2, valid_until=[date(2027, 1, 1), STARTS])
    with pytest.raises(InspectionError, match="1 hold one that is not valid throughout"):
        assign(lapsing, tasks(1), seed=SEED)


def test_all_in_conflict_is_said() -> None:
    town = Inspectors.of(people(3), conflicts=pairs([(f"i{n:03d}", "s001") for n in range(3)]))
    with pytest.raises(InspectionError) as caught:
        assign(town, tasks(2), seed=SEED)
    assert str(caught.value).startswith("1 of 2 tasks cannot have a team of 2")
    assert "task 't001' (subject 's001'" in str(caught.value)
    assert "0 may go, 2 must; 3 must keep away from the target" in str(caught.value)
    (row,) = shortages(town, tasks(2)).iter_rows(named=True)
    assert (row["task_id"], row["able"], row["in_conflict"]) == ("t001", 0, 3)


def test_a_bottleneck_of_capacity_names_who_and_what() -> None:
    town = inspectors(
        5, matters=[["甲"], ["甲"], ["乙"], ["乙"], ["乙"]], capacity=[2, 2, None, None, None]
    )
    wanted = tasks(5, matters=[["甲"]] * 3 + [["乙"]] * 2)
    with pytest.raises(InspectionError) as caught:
        assign(town, wanted, seed=SEED)
    said = str(caught.value)
    assert said.startswith("capacity binds: 3 tasks (t000, t001, t002 …) need 6 places")
    assert "the 2 inspectors who can take them (i000, i001 …) are full with 4 of them" in said


def test_a_recusal_leaves_all_others_alone() -> None:
    town = inspectors(10), tasks(20)
    made = assign(*town, seed=SEED)
    task, person = made.teams.row(7)
    after = recuse(made, *town, recusals=[Recusal(task, person, "曾在该企业任职")])
    (change,) = after.changes
    assert (change.task_id, change.left, change.cause.reason) == (task, person, "曾在该企业任职")
    assert after.teams.join(made.teams, on=["task_id", "inspector_id"], how="anti").rows() == [
        (task, change.joined)
    ]
    again = recuse(after, *town, recusals=[Recusal(task, change.joined, "当事人申请")])
    assert person not in teams(again)[task]
    assert len(again.recusals) == len(again.changes) == 2


def test_a_recusal_without_ground_is_refused() -> None:
    town = inspectors(4), tasks(1)
    made = assign(*town, seed=SEED)
    there = made.teams["inspector_id"][0]
    other = next(one for one in town[0].frame["inspector_id"] if one not in made.teams[:, 1])
    with pytest.raises(InspectionError, match="is not on task 't000'"):
        recuse(made, *town, recusals=[Recusal("t000", other, "x")])
    with pytest.raises(InspectionError, match="needs a reason"):
        recuse(made, *town, recusals=[Recusal("t000", there, " ")])


def test_teams_read_from_elsewhere_are_checked() -> None:
    made = assign(inspectors(4), tasks(3), seed=SEED).teams
    assert teams_of(made.reverse()).equals(made)
    with pytest.raises(InspectionError, match="lack the columns"):
        teams_of(made.drop("task_id"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.lit("i000").alias("inspector_id"), r"1 values of inspector_id stand there more than"),
        (pl.lit(None, pl.String).alias("inspector_id"), "nulls"),
        (pl.lit("a,b").alias("inspector_id"), "comma"),
        (pl.lit(-1).alias("capacity"), "below 0"),
        (pl.lit("many").alias("capacity"), "cannot be read as"),
        (pl.lit(date(2028, 1, 1)).alias("valid_from"), "valid_from 2028-01-01 is after"),
    ],
)
def test_bad_inspectors_are_refused(change: pl.Expr, message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        Inspectors.of(people(2).with_columns(change))


def test_conflicts_and_leave_are_of_known_inspectors() -> None:
    with pytest.raises(InspectionError, match=r"conflicts name inspectors .*\['x'\]"):
        Inspectors.of(people(2), conflicts=pairs([("x", "s")]))
    backwards = pl.DataFrame({"inspector_id": ["i000"], "starts": [ENDS], "ends": [STARTS]})
    with pytest.raises(InspectionError, match="is after ends"):
        Inspectors.of(people(2), leave=backwards)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.lit("t").alias("task_id"), "stand there more than once"),
        (pl.lit(None, pl.Date).alias("ends"), "nulls"),
        (pl.lit(date(2025, 1, 1)).alias("ends"), "not end before it starts"),
        (pl.lit([], pl.List(pl.String)).alias("matters"), "must have a matter"),
        (pl.lit("a\nb").alias("subject_id"), "line break"),
    ],
)
def test_bad_tasks_are_refused(change: pl.Expr, message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        Tasks.of(visits(2).with_columns(change))
