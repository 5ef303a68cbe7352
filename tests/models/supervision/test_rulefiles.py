from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from models.errors import CodeError, ConfigError
from models.records.contracts import CONTRACTS
from models.records.publicity import DEFAULT_RULES, default_rules
from models.supervision import report
from models.supervision.dated import Grounded
from models.supervision.ladder import Ladder
from models.supervision.listing import Listings
from models.supervision.measures import Measures
from models.supervision.review import MACHINE, terms
from models.supervision.rulefiles import FILES, RuleKind, check_all, check_file, read, refuse_gap


def text(kind: RuleKind) -> str:
    return FILES[kind].read_text(encoding="utf-8")


def test_every_file_of_the_package_is_right() -> None:
    assert check_all() == len(RuleKind) + 2
    assert {check_file(path) for path in FILES.values()} == set(RuleKind)
    assert check_file(DEFAULT_RULES) is check_file(report.FILE) is None


@pytest.mark.parametrize("kind", RuleKind)
def test_every_rule_says_since_when_and_on_which_ground(kind: RuleKind) -> None:
    made = read(kind, text(kind))
    rows = made.stages if isinstance(made, Ladder) else ()
    rows = made.measures if isinstance(made, Measures) else rows
    rows = (*made.lists, *made.marked) if isinstance(made, Listings) else rows
    dated = list(rows) or [made]
    for one in dated:
        basis: object = getattr(one, "basis", ())
        assert isinstance(getattr(one, "effective_from", None), date)
        assert basis


def test_the_books_of_publicity_and_of_reports_say_it_too() -> None:
    for made in (default_rules(), report.outlines()):
        assert made.effective_from <= date(2026, 11, 22)
        assert made.basis


@pytest.mark.parametrize(
    ("file", "line"),
    [(DEFAULT_RULES, "effective_from: 2020-12-07\n"), (report.FILE, "certainty: medium\n")],
)
def test_a_book_without_its_day_or_certainty_is_refused(
    tmp_path: Path, file: Path, line: str
) -> None:
    content = file.read_text(encoding="utf-8")
    path = tmp_path / "r.yaml"
    path.write_text(content.replace(line, "", 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"missing key '{line.partition(':')[0]}'"):
        check_file(path)


def test_a_file_that_is_no_rules_or_wrong_is_told_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("a: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"r\.yaml:1: no file of rules"):
        check_file(path)
    path.write_text(text(RuleKind.REVIEW).replace("working_days: 5", "working_days: x"), "utf-8")
    with pytest.raises(ConfigError, match=r"r\.yaml:8: working_days"):
        check_file(path)


def test_a_trigger_names_a_table_that_there_is() -> None:
    wrong = text(RuleKind.MEASURES).replace("table: listing", "table: lsting", 1)
    with pytest.raises(ConfigError, match="no table 'lsting'; did you mean 'listing'"):
        read(RuleKind.MEASURES, wrong)
    own = {"subject": CONTRACTS["subject"]}
    with pytest.raises(ConfigError, match="no table 'penalty'"):
        read(RuleKind.MEASURES, text(RuleKind.MEASURES), contracts=own)


def test_rules_that_do_not_hold_on_their_first_day_are_refused() -> None:
    made = read(RuleKind.WARNINGS, text(RuleKind.WARNINGS))
    assert isinstance(made, Grounded)
    ended = made.model_copy(update={"effective_to": date(2026, 12, 31)})
    refuse_gap(ended, date(2026, 12, 31))
    with pytest.raises(ConfigError, match="nothing would hold"):
        refuse_gap(ended, date(2027, 1, 1))
    refuse_gap(read(RuleKind.LADDER, text(RuleKind.LADDER)), date(2000, 1, 1))


def test_a_review_has_its_working_days_and_ends() -> None:
    assert terms().due(date(2026, 9, 28)) == date(2026, 10, 10)  # over the national holiday
    with pytest.raises(CodeError):
        terms().due(date(2199, 1, 1))
    assert MACHINE.allowed("decided") == MACHINE.allowed("withdrawn") == ()
