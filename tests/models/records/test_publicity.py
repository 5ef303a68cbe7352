"""The rule book is complete, and a wrong one says on which line it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.errors import ConfigError
from models.records.publicity import (
    DEFAULT_RULES,
    Certainty,
    Purpose,
    Rules,
    Severity,
    StatuteRule,
    Transition,
    default_rules,
    load_rules,
)
from models.records.tables.standing import LISTING_KINDS
from models.time import AsOf

Change = Callable[[str], str]


def changed(tmp_path: Path, old: str, new: str) -> str:
    """Return the error of the rule book with one passage changed."""
    text = DEFAULT_RULES.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "rules.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_rules(path)
    assert str(caught.value).startswith(f"{path}:")
    return str(caught.value)


def line_of(text: str) -> int:
    lines = DEFAULT_RULES.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith(text))


def test_the_words_are_those_of_the_contracts() -> None:
    assert {rule.kind for rule in default_rules().listings} == set(LISTING_KINDS)


def test_the_rule_book_is_read_once() -> None:
    assert default_rules() is default_rules()
    assert default_rules() == load_rules(DEFAULT_RULES)


def test_older_documents_keep_their_rules_by_default() -> None:
    assert default_rules().transition is Transition.DOCUMENT_DATE


@pytest.mark.parametrize(
    ("on", "severity", "months"),
    [
        ("2026-04-01", "minor", (0, 3, 0, False)),
        ("2026-04-01", "general", (3, 12, 3, True)),
        ("2026-04-01", "serious", (12, 36, 12, True)),
        ("2026-03-31", "minor", (3, 36, 3, False)),
        ("2026-03-31", "general", (3, 36, 3, True)),
        ("2023-05-01", "serious", (12, 36, 12, True)),
        ("2023-04-30", "general", (3, 12, 3, True)),
        ("1990-01-01", "serious", (6, 36, 6, True)),
    ],
)
def test_terms_of_severity(on: str, severity: str, months: tuple[int, int, int, bool]) -> None:
    rule = next(r for r in default_rules().severities if r.in_force(date.fromisoformat(on)))
    term = rule.terms[Severity(severity)]
    found = (term.min_months, term.max_months, term.repair_after_months, term.published)
    assert found == months
    assert not term.keeps_uncorrected


@pytest.mark.parametrize(
    ("kind", "on", "months"),
    [
        ("abnormal", "2026-11-22", (None, 0)),
        ("serious", "2021-08-31", (60, None)),
        ("serious", "2021-09-01", (36, 12)),
        ("debtor", "2026-11-22", (24, 0)),
        ("tax_serious", "2026-11-22", (36, 0)),
        ("wage_arrears", "2026-11-22", (36, 6)),
        ("safety", "2026-11-22", (36, 12)),
        ("statistics", "2026-11-22", (12, 6)),
        ("procurement", "2026-11-22", (36, None)),
    ],
)
def test_terms_of_lists(kind: str, on: str, months: tuple[int | None, int | None]) -> None:
    term = default_rules().terms_on(date.fromisoformat(on)).by_listing[kind]
    assert (term.max_months, term.repair_after_months) == months


@pytest.mark.parametrize(
    ("name", "window", "times"),
    [
        ("default", "24mo", None),
        ("food_safety_134", "12mo", 3),
        ("work_safety_113_180d", "180d", 3),
        ("work_safety_113_1y", "12mo", 4),
        ("advertising_55", "24mo", 3),
    ],
)
def test_windows_of_statutes(name: str, window: str, times: int | None) -> None:
    statute = default_rules().statute(name, AsOf(date(2026, 11, 22)))
    assert (statute.offset, statute.times) == (window, times)


def test_no_statute_means_the_default_window() -> None:
    as_of = AsOf(date(2026, 11, 22))
    assert default_rules().statute(None, as_of) == default_rules().statute("default", as_of)


def test_every_recalled_rule_says_how_well() -> None:
    assert default_rules().severities[-1].certainty is Certainty.TEXT
    assert default_rules().severities[0].certainty is Certainty.MEDIUM


def test_an_era_begins_with_every_change_of_a_rule() -> None:
    starts = [terms.start for terms in default_rules().eras(AsOf(date(2026, 11, 22)))]
    assert starts == [date.min, date(2021, 9, 1), date(2023, 5, 1), date(2026, 4, 1)]


def test_under_transition_as_of_there_is_one_era() -> None:
    rules = Rules.model_validate(default_rules().model_dump() | {"transition": "as_of"})
    as_of = AsOf(date(2024, 1, 1))
    assert [terms.start for terms in rules.eras(as_of)] == [date(2023, 5, 1)]
    assert rules.terms_for(date(2020, 1, 1), as_of) == rules.terms_on(as_of.on)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (
            "effective_to: 2026-03-31",
            "effective_to: 2026-03-30",
            "severities:",
            "severities: nothing holds between 2026-03-30 and 2026-04-01; close it",
        ),
        (
            "effective_to: 2026-03-31",
            "effective_to: 2026-04-01",
            "severities:",
            "severities: two versions hold on 2026-04-01; end the earlier before",
        ),
        (
            "    effective_to: 2026-03-31\n",
            "",
            "severities:",
            "severities: two versions hold on 2026-04-01",
        ),
        (
            "effective_to: 2021-08-31",
            "effective_to: 2020-08-31",
            "listings:",
            "serious: nothing holds between 2020-08-31 and 2021-09-01",
        ),
        (
            "    effective_to: 2021-08-31\n",
            "    effective_from: 2016-04-01\n    effective_to: 2021-08-31\n",
            "listings:",
            "serious: nothing holds before 2016-04-01; leave the first open",
        ),
        (
            "effective_from: 2026-04-01",
            "effective_from: 2026-04-01\n    effective_to: 2030-01-01",
            "severities:",
            "severities: nothing holds after 2030-01-01; leave it open",
        ),
        ("id: default", "id: usual", "statutes:", "no statute has the id 'default'"),
        (
            "  statistics: {until",
            "  statistic: {until",
            "  statistics:",
            "did you mean 'statistics'",
        ),
        ("  credit_score: {until: publicity}\n", "", "purposes:", "missing credit_score"),
        ("transition: document_date", "transition: document", "transition:", "'document_date'?"),
        ("retention_months: 60", "retention_months: -1", "retention_months:", "greater than or"),
        ("text, times: 4", "sure, times: 4", "  - {id: work_safety_113_1y", "allowed: high, low"),
        ("min_months: 6", "mim_months: 6", "      serious:", "did you mean 'min_months'?"),
    ],
)
def test_a_wrong_rule_book_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: str, message: str
) -> None:
    text = changed(tmp_path, old, new)
    assert message in text
    assert "rules.yaml:" in text
    assert int(text.split("rules.yaml:")[1].split(":")[0]) == line_of(line)


def test_all_severities_need_terms(tmp_path: Path) -> None:
    text = changed(
        tmp_path,
        "      serious: {min_months: 6, max_months: 36, repair_after_months: 6}\n",
        "",
    )
    assert "missing serious; every one needs a rule" in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("min_months: 6, max_months: 36", "min_months: 40, max_months: 36", "min_months is longer"),
        (
            "max_months: 12\n    repair_after_months: 6",
            "max_months: 12\n    repair_after_months: 13",
            "repair comes first",
        ),
        ("days: 180", "days: 180, months: 6", "exactly one of them"),
        (", days: 180", "", "exactly one of them"),
        ("times: 4", "times: 1", "greater than or equal to 2"),
    ],
)
def test_a_term_that_contradicts_itself_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert message in changed(tmp_path, old, new)


def test_no_version_at_all_is_refused(tmp_path: Path) -> None:
    text = DEFAULT_RULES.read_text(encoding="utf-8")
    path = tmp_path / "rules.yaml"
    kept = (
        text[: text.index("severities:")] + "severities: []\n" + text[text.index("# max_months") :]
    )
    path.write_text(kept, encoding="utf-8")
    with pytest.raises(ConfigError, match="no rule is given; give at least one"):
        load_rules(path)


def test_rules_are_frozen() -> None:
    with pytest.raises(ValidationError):
        default_rules().retention_months = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_a_statute_is_picked_by_its_date() -> None:
    data = default_rules().model_dump()
    data["statutes"] = [
        {**rule, "effective_to": date(2025, 12, 31)} if rule["id"] == "advertising_55" else rule
        for rule in data["statutes"]
    ]
    newer = StatuteRule(
        id="advertising_55",
        instrument="广告法（修订）",
        certainty=Certainty.PROPOSAL,
        effective_from=date(2026, 1, 1),
        months=36,
    )
    rules = Rules.model_validate(data | {"statutes": [*data["statutes"], newer]})
    assert rules.statute("advertising_55", AsOf(date(2025, 12, 31))).months == 24
    assert rules.statute("advertising_55", AsOf(date(2026, 1, 1))).months == 36


def test_every_purpose_has_a_rule() -> None:
    assert set(default_rules().purposes) == set(Purpose)
