"""What came of each subject: positive, clean, or unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codes.uscc import make_uscc
from models.errors import ConfigError
from models.records.reading import MemoryRecords
from models.scenarios import Scenario, parse_scenario
from models.scenarios.cohort import cohorts
from tests.models.features import firms
from training.labels import SCHEMA, labels
from training.snapshots import Period

Row = Mapping[str, object]
Outcome = tuple[bool, bool | None]

FIRMS: Final = [make_uscc("91", "210100", body=f"YY{n:06d}") for n in range(4)]
AS_OF: Final = date(2025, 1, 1)  # horizons of 90 days end on 2025-04-01
DATA: Final = Period(date(2020, 1, 1), date(2025, 7, 31))

POSITIVE: Final = (True, True)
CLEAN: Final = (True, False)
UNSEEN: Final = (False, None)

TEXT: Final = """\
id: trial
title: 试验
legal_basis: [试验]
subject: enterprise
cohort: {{status: active}}
label: {label}
snapshots: {{every: 30d}}
features: {{tables: [penalty], windows: [365d]}}
grades: {{A: {{below: 0.1, draw: 0.1}}, B: {{draw: 0.5}}}}
"""
EVENT: Final = (
    "{any_of: [{table: penalty, where: \"severity = 'serious'\"}, "
    "{table: listing, where: \"kind = 'serious'\"}], horizon: 90d}"
)
INSPECTION: Final = (
    "{{table: inspection, where: \"result == 'fail'\", horizon: 90d, "
    "observed_by: inspection{more}}}"
)
REPORT: Final = (
    '{kind: survival, table: annual_report, where: "year == year(due) - 1", until: "06-30"}'
)


def scenario(label: str) -> Scenario:
    return parse_scenario(TEXT.format(label=label), "s.yaml")


def inspected(more: str = "") -> Scenario:
    return scenario(INSPECTION.format(more=more))


def frame(table: str, rows: Sequence[Row]) -> pl.DataFrame:
    return firms.frame(table, [{"subject_id": FIRMS[0], **row} for row in rows])


def records(**tables: Sequence[Row]) -> MemoryRecords:
    register: Sequence[Row] = [{"name": "甲", "happened_on": date(2020, 1, 1)}]
    return MemoryRecords(
        {name: frame(name, rows) for name, rows in {"subject": register, **tables}.items()}
    )


def told(data: MemoryRecords, declared: Scenario, on: date = AS_OF) -> dict[str, object]:
    """Return the one label of the one subject."""
    return labels(data, declared, [on], within=DATA).row(0, named=True)


def outcome(row: Mapping[str, object]) -> Outcome:
    observed, positive = row["observed"], row["positive"]
    assert isinstance(observed, bool)
    assert isinstance(positive, bool | None)
    return observed, positive


LATE = datetime(2025, 7, 31, 15, 59, tzinfo=UTC)
TOO_LATE = datetime(2025, 7, 31, 16, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({}, POSITIVE),
        ({"happened_on": date(2025, 1, 2)}, POSITIVE),
        ({"happened_on": AS_OF}, CLEAN),  # the day of view is in neither window nor horizon
        ({"happened_on": date(2024, 12, 31)}, CLEAN),
        ({"happened_on": date(2025, 4, 1)}, POSITIVE),
        ({"happened_on": date(2025, 4, 2)}, CLEAN),
        ({"known_at": LATE}, POSITIVE),  # however late it was reported
        ({"known_at": TOO_LATE}, CLEAN),
        ({"severity": "general"}, CLEAN),
        ({"severity": None}, CLEAN),
        ({"void_from": date(2025, 3, 1), "void_reason": "repaired"}, POSITIVE),
        ({"void_from": date(2025, 3, 1), "void_reason": "expired"}, POSITIVE),
        ({"void_from": date(2025, 3, 1), "void_reason": "annulled"}, CLEAN),
        ({"subject_id": FIRMS[1]}, CLEAN),
    ],
)
def test_an_event_happens_in_the_horizon_or_not(columns: Row, wanted: Outcome) -> None:
    row = {"document_number": "1", "severity": "serious", "happened_on": date(2025, 2, 1)}
    found = told(records(penalty=[{**row, **columns}]), scenario(EVENT))
    assert outcome(found) == wanted
    happened = {**row, **columns}["happened_on"]
    assert found["event_on"] == (happened if wanted == POSITIVE else None)
    assert found["inclusion_probability"] is None


def test_the_first_of_several_events_is_told() -> None:
    data = records(
        penalty=[
            {"document_number": "1", "severity": "serious", "happened_on": date(2025, 3, 1)},
            {"document_number": "2", "severity": "serious", "happened_on": date(2025, 2, 1)},
        ],
        listing=[{"kind": "serious", "happened_on": date(2025, 1, 15)}],
    )
    assert told(data, scenario(EVENT))["event_on"] == date(2025, 1, 15)


@pytest.mark.parametrize(
    ("register", "events", "wanted"),
    [
        ({"closed_on": date(2025, 4, 1)}, [], UNSEEN),
        ({"closed_on": date(2025, 4, 2)}, [], CLEAN),
        ({"revoked_on": date(2025, 2, 1)}, [], UNSEEN),
        ({"closed_on": date(2025, 2, 1)}, [date(2025, 1, 15)], POSITIVE),
        ({"closed_on": date(2025, 2, 1)}, [date(2025, 3, 15)], POSITIVE),
    ],
)
def test_who_ended_in_the_horizon_without_an_event_was_not_seen_to_the_end(
    register: Row, events: list[date], wanted: Outcome
) -> None:
    data = records(
        subject=[{"name": "甲", "happened_on": date(2020, 1, 1), **register}],
        penalty=[
            {"document_number": str(n), "severity": "serious", "happened_on": on}
            for n, on in enumerate(events)
        ],
    )
    assert outcome(told(data, scenario(EVENT))) == wanted


def visit(on: date, result: str, pi: float | None = None, **columns: object) -> Row:
    return {"happened_on": on, "result": result, "inclusion_probability": pi, **columns}


FEB, MARCH = date(2025, 2, 1), date(2025, 3, 1)


@pytest.mark.parametrize(
    ("visits", "more", "wanted", "pi"),
    [
        ([], "", UNSEEN, None),
        ([visit(FEB, "pass", 0.1)], "", CLEAN, 0.1),
        ([visit(FEB, "fail", 0.1)], "", POSITIVE, 0.1),
        ([visit(FEB, "excluded", 0.1)], "", UNSEEN, None),
        ([visit(AS_OF, "fail", 0.1)], "", UNSEEN, None),
        ([visit(date(2025, 4, 2), "fail", 0.1)], "", UNSEEN, None),
        ([visit(FEB, "pass", 0.1), visit(MARCH, "fail", 0.2)], "", POSITIVE, 0.28),
        ([visit(FEB, "pass", 0.1), visit(MARCH, "fail", 0.2)], ", visits: first", CLEAN, 0.1),
        ([visit(FEB, "fail", 0.1), visit(MARCH, "pass", 0.2)], ", visits: first", POSITIVE, 0.1),
        ([visit(FEB, "pass", 0.5), visit(FEB, "fail", 0.5)], ", visits: first", POSITIVE, 0.75),
        ([visit(FEB, "excluded"), visit(MARCH, "fail", 0.2)], ", visits: first", POSITIVE, 0.2),
        ([visit(FEB, "pass", 0.1), visit(MARCH, "pass")], "", CLEAN, None),
        ([visit(FEB, "pass", 0.0)], "", CLEAN, None),
        ([visit(FEB, "pass", 1.0)], "", CLEAN, 1.0),
        ([visit(FEB, "fail", void_from=MARCH, void_reason="annulled")], "", UNSEEN, None),
        ([visit(FEB, "fail", void_from=MARCH, void_reason="repaired")], "", POSITIVE, None),
        (
            [visit(FEB, "fail", void_from=MARCH, void_reason="repaired")],
            ", repaired: 'null'",
            UNSEEN,
            None,
        ),
        (
            [visit(FEB, "fail", void_from=MARCH, void_reason="repaired"), visit(MARCH, "fail")],
            ", repaired: 'null'",
            POSITIVE,
            None,
        ),
    ],
)
def test_an_inspection_tells_or_nothing_does(
    visits: list[Row], more: str, wanted: Outcome, pi: float | None
) -> None:
    found = told(records(inspection=visits), inspected(more))
    assert outcome(found) == wanted
    assert found["inclusion_probability"] == (None if pi is None else pytest.approx(pi))


def test_only_the_visits_that_observe_count() -> None:
    random = (
        "{table: inspection, where: \"result == 'fail'\", horizon: 90d, observed_by: "
        "{table: inspection, where: \"draw_mode = 'random_untargeted'\"}}"
    )
    targeted = visit(FEB, "fail", draw_mode="targeted")
    drawn = visit(MARCH, "pass", 0.1, draw_mode="random_untargeted")
    assert outcome(told(records(inspection=[targeted]), scenario(random))) == UNSEEN
    assert outcome(told(records(inspection=[targeted, drawn]), scenario(random))) == CLEAN
    assert outcome(told(records(inspection=[targeted, drawn]), inspected())) == POSITIVE


def test_several_tables_may_observe() -> None:
    either = scenario(
        "{any_of: [{table: inspection, where: \"result = 'fail'\"}, {table: sampling, where: "
        "\"result = 'fail'\"}], horizon: 90d, observed_by: [inspection, sampling]}"
    )
    sampled = {"happened_on": MARCH, "result": "fail"}
    data = records(inspection=[visit(FEB, "pass", 0.1)], sampling=[sampled])
    found = told(data, either)
    assert outcome(found) == POSITIVE
    assert found["observed_on"] == FEB
    assert found["event_on"] == MARCH
    assert found["inclusion_probability"] is None  # a sampling records none
    assert outcome(told(records(inspection=[visit(FEB, "pass")]), either)) == CLEAN


def test_a_record_that_came_twice_counts_once() -> None:
    once = visit(FEB, "pass", 0.1, record_id="0" * 32)
    found = told(records(inspection=[once, once]), inspected())
    assert found["inclusion_probability"] == pytest.approx(0.1)


SPRING = date(2025, 4, 30)


@pytest.mark.parametrize(
    ("register", "reports", "wanted"),
    [
        ({}, [], POSITIVE),
        ({}, [{"year": 2024, "happened_on": date(2025, 6, 30)}], CLEAN),
        ({}, [{"year": 2024, "happened_on": date(2025, 7, 1)}], POSITIVE),
        ({}, [{"year": 2023, "happened_on": date(2025, 5, 9)}], POSITIVE),
        ({}, [{"year": 2024, "happened_on": date(2025, 4, 1), "known_at": LATE}], CLEAN),
        ({"closed_on": date(2025, 6, 30)}, [], UNSEEN),
        ({"closed_on": date(2025, 7, 1)}, [], POSITIVE),
        (
            {"closed_on": date(2025, 6, 30)},
            [{"year": 2024, "happened_on": date(2025, 5, 9)}],
            CLEAN,
        ),
    ],
)
def test_a_report_is_filed_by_the_day_or_not(
    register: Row, reports: list[Row], wanted: Outcome
) -> None:
    data = records(
        subject=[{"name": "甲", "happened_on": date(2020, 1, 1), **register}],
        annual_report=reports,
    )
    found = told(data, scenario(REPORT), SPRING)
    assert outcome(found) == wanted
    assert found["event_on"] == (date(2025, 6, 30) if wanted == POSITIVE else None)


def test_an_event_may_have_a_day_of_its_own() -> None:
    closing = scenario("{table: judgment, on: concluded_on, horizon: 90d}")
    row = {"case_number": "1", "kind": "civil", "happened_on": date(2024, 1, 1)}
    inside = records(judgment=[{**row, "concluded_on": FEB}])
    assert told(inside, closing)["event_on"] == FEB
    assert outcome(told(records(judgment=[{**row, "concluded_on": None}]), closing)) == CLEAN


def test_a_subject_without_records_has_a_label_too() -> None:
    assert outcome(told(records(), scenario(EVENT))) == CLEAN
    assert outcome(told(records(), inspected())) == UNSEEN


def test_the_same_subject_at_many_dates_is_one_group() -> None:
    dates = [date(2025, 1, 1), date(2025, 2, 1), date(2025, 3, 1)]
    found = labels(records(), scenario(EVENT), [*dates, dates[0]], within=DATA)
    assert found["as_of"].to_list() == dates
    assert found["group"].n_unique() == 1
    assert found.schema == SCHEMA


def test_a_date_whose_outcome_is_not_complete_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"complete on 2025-08-01.*2025-07-31.*earlier"):
        labels(records(), scenario(EVENT), [date(2025, 5, 3)], within=DATA)
    with pytest.raises(ConfigError, match="take a later date"):
        labels(records(), scenario(EVENT), [date(2019, 5, 3)], within=DATA)


def test_the_data_s_own_end_is_used_where_none_is_told() -> None:
    data = records(inspection=[visit(date(2024, 6, 1), "pass"), visit(date(2025, 4, 1), "pass")])
    assert labels(data, inspected(), [AS_OF]).height == 1
    with pytest.raises(ConfigError, match="take an earlier date"):
        labels(data, inspected(), [date(2025, 1, 3)])


# Properties

DECLARED = [scenario(EVENT), inspected(), inspected(", visits: first"), scenario(REPORT)]
DAYS = st.dates(date(2024, 6, 1), date(2025, 9, 30))


@st.composite
def history(draw: st.DrawFn) -> dict[str, list[Row]]:
    own: dict[str, list[Row]] = {
        "inspection": [{"result": r} for r in ("pass", "fail", "excluded")],
        "penalty": [{"document_number": "1", "severity": s} for s in ("serious", "minor", None)],
        "listing": [{"kind": "serious"}],
        "annual_report": [{"year": 2024}],
    }
    made: dict[str, list[Row]] = {name: [] for name in own}
    for _ in range(draw(st.integers(0, 12))):
        table = draw(st.sampled_from(sorted(own)))
        happened = draw(DAYS)
        known = happened + timedelta(days=draw(st.integers(0, 300)))
        made[table].append(
            {
                "subject_id": draw(st.sampled_from(FIRMS)),
                "happened_on": happened,
                "known_at": datetime(known.year, known.month, known.day, 4, tzinfo=UTC),
                **draw(st.sampled_from(own[table])),
            }
        )
    register: list[Row] = [{"subject_id": f, "name": "甲"} for f in FIRMS]
    return {"subject": register, **made}


def kept(made: Mapping[str, list[Row]], *, happened: date, known: date) -> dict[str, list[Row]]:
    def stays(row: Row) -> bool:
        on, at = row.get("happened_on"), row.get("known_at")
        return (not isinstance(on, date) or on <= happened) and (
            not isinstance(at, datetime) or at.date() <= known
        )

    return {table: [row for row in rows if stays(row)] for table, rows in made.items()}


@given(history(), st.sampled_from(DECLARED), st.sampled_from([AS_OF, SPRING]))
def test_what_comes_after_the_horizon_or_is_never_known_changes_nothing(
    made: dict[str, list[Row]], declared: Scenario, on: date
) -> None:
    end = declared.label.ends(on)
    whole = labels(records(**made), declared, [on], within=DATA)
    cut = records(**kept(made, happened=end, known=DATA.end))
    assert labels(cut, declared, [on], within=DATA).equals(whole)


@given(history(), st.sampled_from(DECLARED))
def test_labels_are_of_the_cohort_and_null_where_unseen(
    made: dict[str, list[Row]], declared: Scenario
) -> None:
    dates = [date(2024, 9, 1), AS_OF, SPRING]
    data = records(**made)
    found = labels(data, declared, dates, within=DATA)
    assert found.select("subject_id", "as_of").equals(cohorts(data, declared, dates))
    assert found.filter(pl.col("observed") == pl.col("positive").is_null()).is_empty()
    assert found.filter(
        pl.col("positive").eq_missing(other=True) != pl.col("event_on").is_not_null()
    ).is_empty()
    inside = found.filter(pl.col("event_on").is_not_null())
    assert inside.filter(pl.col("event_on") <= pl.col("as_of")).is_empty()
    for on in dates:
        one = labels(data, declared, [on], within=DATA)
        assert one.equals(found.filter(pl.col("as_of") == on))
