from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from models.errors import InspectionError
from models.inspection.caps import VISITS, Caps, Ground, admit, merged, room

CAPS = Caps(per_year=2, by_grade={"D": 4})
SUBJECTS = pl.DataFrame({"subject_id": ["a", "b", "c"], "grade": ["A", "D", "A"]})
TODAY = date(2027, 6, 1)


def visits(*rows: tuple[str, str, date, str | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=VISITS, orient="row")


def of(frame: pl.DataFrame, subject: str) -> dict[str, object]:
    return frame.row(by_predicate=pl.col("subject_id") == subject, named=True)


def test_room_counts_visits_that_count() -> None:
    made = visits(
        ("a", "v1", date(2027, 2, 1), None),
        ("a", "v1", date(2027, 2, 1), None),
        ("a", "v2", date(2027, 7, 1), None),
        ("a", "v3", date(2027, 3, 1), Ground.COMPLAINT),
        ("a", "v0", date(2026, 3, 1), None),
        ("b", "v4", date(2027, 5, 1), None),
    )
    left = room(SUBJECTS, made, CAPS, year=2027, today=TODAY)
    assert left.columns == [
        *SUBJECTS.columns,
        "cap",
        "used",
        "exempt",
        "remaining",
        "next_merge",
    ]
    assert of(left, "a") == {
        "subject_id": "a",
        "grade": "A",
        "cap": 2,
        "used": 2,
        "exempt": 1,
        "remaining": 0,
        "next_merge": date(2027, 7, 1),
    }
    assert of(left, "b")["remaining"] == 3
    assert of(left, "c")["next_merge"] is None


def test_one_matter_that_counts_makes_the_visit_count() -> None:
    made = visits(("a", "v1", date(2027, 2, 1), Ground.REPORT), ("a", "v1", date(2027, 2, 1), None))
    assert of(room(SUBJECTS, made, CAPS, year=2027, today=TODAY), "a")["used"] == 1


def test_a_visit_past_the_cap_needs_a_ground() -> None:
    before = visits(("a", "v1", date(2027, 2, 1), None), ("a", "v2", date(2027, 3, 1), None))
    more = visits(("a", "v3", date(2027, 8, 1), None))
    with pytest.raises(InspectionError, match="subject a would get 3 visits in 2027, past its cap"):
        admit(more, before, SUBJECTS, CAPS, year=2027, today=TODAY)
    after = admit(
        more.with_columns(ground=pl.lit(Ground.ACCIDENT.value)),
        before,
        SUBJECTS,
        CAPS,
        year=2027,
        today=TODAY,
    )
    assert of(after, "a")["exempt"] == 1
    joined = more.with_columns(visit_id=pl.lit("v2"))
    assert of(admit(joined, before, SUBJECTS, CAPS, year=2027, today=TODAY), "a")["used"] == 2


def test_who_is_past_the_cap_already_blocks_nobody_else() -> None:
    before = visits(*(("a", f"v{n}", date(2027, 1, n), None) for n in range(1, 5)))
    after = admit(
        visits(("c", "w", date(2027, 9, 1), None)), before, SUBJECTS, CAPS, year=2027, today=TODAY
    )
    assert of(after, "a")["remaining"] == 0


def test_strangers_and_unknown_grounds_are_refused() -> None:
    none = visits()
    with pytest.raises(InspectionError, match="subject x is planned but not in the pool"):
        admit(visits(("x", "v", TODAY, None)), none, SUBJECTS, CAPS, year=2027, today=TODAY)
    with pytest.raises(InspectionError, match="'mood' is no ground"):
        room(SUBJECTS, visits(("a", "v", TODAY, "mood")), CAPS, year=2027, today=TODAY)
    with pytest.raises(InspectionError, match="no column 'grade'"):
        room(SUBJECTS.drop("grade"), none, CAPS, year=2027, today=TODAY)
    with pytest.raises(InspectionError, match="no column 'ground'"):
        room(SUBJECTS, none.drop("ground"), CAPS, year=2027, today=TODAY)
    with pytest.raises(InspectionError, match="'on' is null in 1"):
        room(
            SUBJECTS,
            visits(("a", "v", TODAY, None)).with_columns(on=pl.lit(None, pl.Date)),
            CAPS,
            year=2027,
            today=TODAY,
        )


def test_visits_close_together_become_one() -> None:
    made = merged(
        visits(
            ("a", "v3", date(2027, 3, 31), None),
            ("a", "v1", date(2027, 3, 1), None),
            ("a", "v2", date(2027, 3, 20), None),
            ("b", "v4", date(2027, 3, 2), None),
            ("a", "v5", date(2027, 3, 5), Ground.COMPLAINT),
        ),
        30,
    )
    assert made.rows() == [
        ("a", "v1", date(2027, 3, 1), None),
        ("a", "v1", date(2027, 3, 1), None),
        ("a", "v5", date(2027, 3, 5), "complaint"),
        ("a", "v3", date(2027, 3, 31), None),
        ("b", "v4", date(2027, 3, 2), None),
    ]
    assert merged(visits(), 30).is_empty()


def test_every_ground_has_a_chinese_name() -> None:
    assert len({ground.label for ground in Ground}) == len(Ground)
