from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import CodeError, ConfigError, TransitionError
from models.supervision.warning import (
    HISTORY,
    LEVELS,
    MACHINE,
    OUTCOMES,
    RAISED,
    Book,
    Suppression,
    book,
    check_outcome,
    due,
    hears,
    load_book,
    raised,
)

GRADES = ("A", "B", "C", "D")
TODAY = date(2026, 11, 20)
NONE = pl.DataFrame(schema=HISTORY)


def decision(subject: str, grade: str, probability: float, *vetoes: str) -> dict[str, object]:
    return {
        "subject_id": subject,
        "as_of": TODAY,
        "grade": grade,
        "previous_grade": None,
        "probability": probability,
        "vetoes": list(vetoes),
        "warn": grade == "D",
    }


def decisions(*rows: dict[str, object]) -> pl.DataFrame:
    own = {"vetoes": pl.List(pl.String), "previous_grade": pl.String}
    return pl.DataFrame(list(rows), schema_overrides=own)


def before(*rows: tuple[str, str, float]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["subject_id", "grade", "probability"], orient="row")


def history(*rows: tuple[str, list[str], str, date | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict(HISTORY), orient="row")


def _rules(found: pl.DataFrame) -> list[tuple[str, list[str]]]:
    return found.select("subject_id", "rules").rows()


def warn(
    now: pl.DataFrame, then: pl.DataFrame | None = None, past: pl.DataFrame = NONE
) -> list[tuple[str, str, list[str]]]:
    found = raised(now, then, past, grades=GRADES, on=TODAY)
    return found.select("subject_id", "level", "rules").rows()


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (("A", 0.01), ("A", 0.02), []),
        (("A", 0.01), ("B", 0.04), [("s", "orange", ["grade_worse"])]),
        (("C", 0.10), ("B", 0.04), []),
        (("B", 0.05), ("B", 0.16), [("s", "yellow", ["jump"])]),
        (("C", 0.10), ("D", 0.30), [("s", "red", ["warned", "grade_worse", "jump"])]),
        (("D", 0.30), ("D", 0.31), []),
        (("D", 0.30), ("D", 0.65), [("s", "yellow", ["jump"])]),
    ],
)
def test_a_change_raises_the_warning_of_its_rules(
    was: tuple[str, float], now: tuple[str, float], expected: object
) -> None:
    assert warn(decisions(decision("s", *now)), before(("s", *was))) == expected


def test_a_first_decision_is_warned_of_and_is_no_fall() -> None:
    now = decisions(decision("c", "C", 0.1), decision("d", "D", 0.4))
    assert warn(now) == [("d", "red", ["warned"])]


def test_a_veto_is_told_once() -> None:
    now = decisions(decision("s", "D", 0.01, "严重失信名单在列"))
    assert warn(now, before(("s", "A", 0.01)))[0][2] == ["veto", "warned", "grade_worse"]
    assert warn(now, before(("s", "D", 0.01))) == []


def test_an_open_warning_keeps_its_rules_silent_and_no_others() -> None:
    now = decisions(decision("s", "D", 0.3))
    past = history(("s", ["grade_worse", "jump"], "C", None))
    assert warn(now, before(("s", "C", 0.1)), past) == [("s", "red", ["warned"])]


@pytest.mark.parametrize(
    ("closed_on", "then", "silent"),
    [
        (date(2026, 11, 1), "D", True),
        (date(2026, 11, 1), "C", False),
        (date(2026, 10, 21), "D", False),
    ],
    ids=["cooling down", "worse than then", "cooled down"],
)
def test_a_closed_warning_is_silent_for_its_cool_down(
    closed_on: date, then: str, *, silent: bool
) -> None:
    every = [rule.id for rule in book().rules]
    past = history(("s", every, then, closed_on))
    found = warn(decisions(decision("s", "D", 0.3)), before(("s", "C", 0.1)), past)
    assert (found == []) is silent


def test_a_suppression_holds_up_to_its_day_and_names_who_answers_for_it() -> None:
    base = book()
    now = decisions(decision("s", "D", 0.3), decision("t", "D", 0.9))
    for until, expected in ((TODAY, ["t"]), (date(2026, 11, 19), ["s", "t"])):
        quiet = Suppression(when="probability < 0.5", until=until, why="试运行", by="信用办")
        rules = Book.model_validate({**base.model_dump(), "suppressions": [quiet]})
        found = raised(now, None, NONE, grades=GRADES, rules=rules, on=TODAY)
        assert found["subject_id"].to_list() == expected


def test_no_decisions_raise_nothing_and_keep_the_columns() -> None:
    empty = decisions(decision("s", "A", 0.1)).clear()
    found = raised(empty, None, NONE, grades=GRADES, on=TODAY)
    assert dict(found.schema) == RAISED


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(GRADES), st.floats(0.001, 0.999), st.booleans()), max_size=20
    ),
    open_for=st.sets(st.integers(0, 19)),
)
def test_a_subject_has_one_warning_and_never_a_second_of_an_open_one(
    rows: list[tuple[str, float, bool]], open_for: set[int]
) -> None:
    now = decisions(
        *[
            decision(f"s{n}", grade, probability, *(["否决"] if veto else []))
            for n, (grade, probability, veto) in enumerate(rows)
        ],
        decision("last", "A", 0.5),
    )
    every = [rule.id for rule in book().rules]
    past = history(*[(f"s{n}", every, "A", None) for n in open_for])
    found = raised(now, before(("last", "A", 0.001)), past, grades=GRADES, on=TODAY)
    assert found["subject_id"].is_unique().all()
    assert not set(found["subject_id"]) & {f"s{n}" for n in open_for}
    again = found.select("subject_id", "rules", "grade", pl.lit(None, pl.Date).alias("closed_on"))
    told = raised(now, None, pl.concat([past, again]), grades=GRADES, on=TODAY)
    spoken = dict(_rules(found))
    assert all(not set(rules) & set(spoken.get(subject, [])) for subject, rules in _rules(told))


def test_the_life_of_a_warning() -> None:
    state = "new"
    for step in ("acknowledge", "assign", "handle", "close", "reopen", "assign", "close"):
        state = MACHINE.after(state, step)
    assert state == "closed"
    with pytest.raises(TransitionError) as refused:
        MACHINE.after("new", "close")
    assert refused.value.allowed == ("acknowledge", "assign")


def test_terms_are_working_days_over_a_holiday() -> None:
    assert due("red", date(2026, 9, 30)) == (date(2026, 10, 8), date(2026, 10, 10))
    with pytest.raises(CodeError):
        due("red", date(2199, 12, 31))
    with pytest.raises(ConfigError, match="yellow"):
        due("yelow", TODAY)


@pytest.mark.parametrize("outcome", [None, "", "done"])
def test_a_warning_is_not_closed_without_an_outcome(outcome: str | None) -> None:
    with pytest.raises(ConfigError, match="confirmed, false_alarm, no_action"):
        check_outcome(outcome)
    assert [check_outcome(name) for name in OUTCOMES] == list(OUTCOMES)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("acknowledge: 1, close: 3", "acknowledge: 3, close: 1", "closing is due before"),
        ("id: jump,", "id: veto,", "two rules"),
        ("by: 0.10, ", "", "least rise"),
        ("level: orange", "level: blue", "blue"),
        ("  red:", "  rot:", "rot"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    source = Path(load_book.__code__.co_filename).with_name("warnings.yaml").read_text("utf-8")
    assert old in source
    (tmp_path / "w.yaml").write_text(source.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        load_book(tmp_path / "w.yaml")


def test_every_level_has_terms() -> None:
    assert tuple(book().levels) == LEVELS


def test_a_rule_speaks_only_while_it_is_in_force() -> None:
    fell = decisions(decision("s", "D", 0.9))
    base = book()
    days = {"effective_from": date(2026, 11, 20), "effective_to": date(2026, 11, 21)}
    warned = next(one for one in base.rules if one.id == "warned")
    dated = base.model_copy(update={"rules": (warned.model_copy(update=days),)})
    heard = [
        raised(fell, None, NONE, grades=GRADES, rules=dated, on=date(2026, 11, day)).height
        for day in (19, 20, 21, 22)
    ]
    assert heard == [0, 1, 1, 0]
    before = base.effective_from - timedelta(days=1)
    assert raised(fell, None, NONE, grades=GRADES, rules=base, on=before).is_empty()
    assert set(raised(fell, None, NONE, grades=GRADES, on=before).columns) == set(RAISED)


def test_what_is_late_goes_up_the_chain_to_its_head_and_no_further() -> None:
    days = [date(2026, 11, day) for day in (20, 23, 24, 26, 30)]
    assert [hears("yellow", date(2026, 11, 19), on) for on in days] == [
        *("处室负责人", "处室负责人", "分管负责人", "主要负责人", "主要负责人"),
    ]
    assert hears("red", date(2026, 11, 19), date(2026, 11, 20)) == "分管负责人"


@pytest.mark.parametrize(
    ("when", "told"),
    [("regon == '210100'", "no column 'regon'"), ("probability == 'x'", "probability")],
)
def test_a_suppression_asks_of_columns_that_decisions_have(when: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Suppression(when=when, until=TODAY, why="试点", by="某处")
