from __future__ import annotations

import json

import polars as pl
import pytest

from models.errors import InspectionError
from models.inspection.assign import Assignment, Recusal, assign, recuse
from models.inspection.assignment_record import AssignmentRecord, read_teams, verify_teams
from tests.models.inspection.people import inspectors, pairs, people, tasks
from tests.models.inspection.pools import SEED

PEOPLE, VISITS = inspectors(7), tasks(15)


def made() -> Assignment:
    """Return an assignment from which two inspectors were taken off."""
    first = assign(PEOPLE, VISITS, seed=SEED)
    task, person = first.teams.row(0)
    other, second = first.teams.row(9)
    return recuse(
        first,
        PEOPLE,
        VISITS,
        recusals=[Recusal(task, person, "近亲属"), Recusal(other, second, "当事人申请")],
    )


MADE = made()
RECORD = AssignmentRecord.of(MADE, PEOPLE, VISITS)


def test_the_record_holds_teams_recusals_and_changes() -> None:
    assert [one.task_id for one in RECORD.teams] == VISITS.frame["task_id"].to_list()
    assert all(len(one.inspectors) == 2 for one in RECORD.teams)
    assert [one.reason for one in RECORD.recusals] == ["近亲属", "当事人申请"]
    assert {one.cause for one in RECORD.changes} == {0, 1}
    assert verify_teams(RECORD, PEOPLE, VISITS) == ()


def test_it_reads_back_and_can_be_gone_on_with() -> None:
    text = RECORD.model_dump_json()
    assert AssignmentRecord.parse(text, "teams.json") == RECORD
    again = read_teams(text, "teams.json", PEOPLE, VISITS)
    assert again.teams.equals(MADE.teams)
    assert (again.recusals, again.changes) == (MADE.recusals, MADE.changes)


def test_other_teams_than_the_seeds_are_found() -> None:
    first = RECORD.teams[0]
    lot = set(PEOPLE.frame["inspector_id"]) - set(first.inspectors)
    other = first.model_copy(update={"inspectors": (min(lot), max(lot))})
    forged = RECORD.model_copy(update={"teams": (other, *RECORD.teams[1:])})
    (wrong,) = verify_teams(forged, PEOPLE, VISITS)
    assert (
        f"1 tasks have other teams or changes than the seed gives, the first '{first.task_id}'"
        in wrong
    )
    with pytest.raises(InspectionError, match=r"teams\.json does not hold"):
        read_teams(forged.model_dump_json(), "teams.json", PEOPLE, VISITS)


def test_a_hidden_recusal_is_found() -> None:
    hidden = RECORD.model_copy(update={"recusals": (), "changes": ()})
    assert "tasks have other teams or changes" in verify_teams(hidden, PEOPLE, VISITS)[0]


def test_other_inspectors_tasks_or_digests_are_found() -> None:
    more = inspectors(7, capacity=pl.Series([None] * 6 + [20], dtype=pl.Int64))
    assert verify_teams(RECORD, more, VISITS)[0].startswith("the inspectors are not those")
    apart = type(PEOPLE).of(people(7), conflicts=pairs([("i000", "elsewhere")]))
    assert verify_teams(RECORD, apart, VISITS)[0].startswith("the inspectors are not those")
    moved = tasks(15, subject_id=[f"x{n}" for n in range(15)])
    assert verify_teams(RECORD, PEOPLE, moved)[0].startswith("the tasks are not those")
    off = RECORD.model_copy(update={"result": "0" * 64})
    assert verify_teams(off, PEOPLE, VISITS)[0].startswith("the digest of the teams")


def test_a_broken_file_is_named() -> None:
    data = json.loads(RECORD.model_dump_json()) | {"size": 1}
    with pytest.raises(InspectionError, match=r"t\.json is no record of an assignment: size"):
        AssignmentRecord.parse(json.dumps(data), "t.json")
