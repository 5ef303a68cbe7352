"""Evidence agrees with the value: a count has so many records, a sum is theirs, a max is one's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ConfigError
from models.features.catalogue import features_of
from models.features.evidence import SCHEMA, cited, evidence
from models.features.network import FLAGS, Network
from models.features.pipeline import build
from models.features.spec import FeatureSpec
from models.records.reading import MemoryRecords
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

DECLARED = scenario(
    "{tables: [penalty, inspection, listing, complaint], windows: [90d, 365d, 1095d], hops: 2, "
    "levels: {penalty: {penalty_kinds: ['03', '04'], severity: [general, serious]}, "
    "inspection: {result: [pass, fail]}, complaint: {kind: [report]}}}"
)
SPECS = {spec.name: spec for spec in features_of(DECLARED)}


def found(
    there: MemoryRecords, *names: str, subject: str = FIRMS[0], on: date = AS_OF
) -> dict[str, pl.DataFrame]:
    """Return the evidence of these features, or of all, by feature."""
    wanted = pl.DataFrame({"feature": list(names or SPECS)}).select(
        pl.lit(subject).alias("subject_id"), pl.lit(on).alias("as_of"), "feature"
    )
    whole = evidence(there, list(SPECS.values()), wanted)
    assert whole.schema == SCHEMA
    return {name: whole.filter(feature=name) for name in wanted["feature"]}


def value_of(
    there: MemoryRecords, name: str, *, subject: str = FIRMS[0], on: date = AS_OF
) -> float | None:
    row = build(there, DECLARED, [on], subjects=[subject])
    value = row[name][0]
    assert value is None or isinstance(value, float)
    return value


@st.composite
def _penalties(draw: st.DrawFn) -> list[Row]:
    """Return penalties around the edges of windows, some void, unknown yet or without a fine."""
    days = draw(st.lists(st.sampled_from([0, 1, 2, 90, 91, 365, 366, 1000, 1096]), max_size=8))
    rows: list[Row] = []
    for number, back in enumerate(days):
        on = AS_OF - timedelta(days=back)
        void = draw(st.sampled_from([None, None, AS_OF, AS_OF + timedelta(days=1)]))
        late = draw(st.sampled_from([False, False, False, True]))
        known = AS_OF + timedelta(days=2) if late else on
        rows.append(
            penalty(
                0,
                on,
                document_number=f"罚{number}",
                severity=draw(st.sampled_from(["minor", "general", "serious", None])),
                fine_amount=draw(st.sampled_from([None, 0.0, 100.0, 100.0, 5000.0])),
                penalty_kinds=draw(st.sampled_from([None, [], ["03"], ["03", "04"], ["01"]])),
                void_from=void,
                void_reason=void and "repaired",
                known_at=datetime(known.year, known.month, known.day, tzinfo=UTC),
            )
        )
    return rows


def _agrees(spec: FeatureSpec, value: float | None, rows: pl.DataFrame) -> bool:
    """Tell whether the value is what its records give."""
    match spec.stat:
        case "count":
            return value == rows.height
        case "sum":
            return value == pytest.approx(rows[str(spec.column)].sum())
        case "max":
            same = rows[str(spec.column)].unique().to_list()
            return same == ([] if value is None else [value])
        case "distinct":
            column = rows[str(spec.column)]
            flat = column.explode() if column.dtype == pl.List else column
            return value == flat.drop_nulls().n_unique()
        case "recency":
            days = {(AS_OF - on).days for on in rows["happened_on"].to_list()}
            return days == (set() if value is None else {value})
        case _:
            return (value is None) == rows.is_empty()


@settings(max_examples=25)
@given(_penalties())
def test_every_window_value_is_what_its_records_give(rows: list[Row]) -> None:
    there = records(subject=[firm(0)], penalty=rows)
    values = build(there, DECLARED, [AS_OF], subjects=[FIRMS[0]]).row(0, named=True)
    specs = [s for s in SPECS.values() if (s.family, s.table) == ("window", "penalty")]
    behind = found(there, *(spec.name for spec in specs))
    for spec in specs:
        own = behind[spec.name]["record_id"]
        assert own.n_unique() == own.len()
        table = there.frames["penalty"]
        assert _agrees(
            spec, values[spec.name], table.filter(table["record_id"].is_in(own.implode()))
        )


def test_a_share_has_those_with_the_level_and_else_all_it_is_of() -> None:
    visits: list[Row] = [
        {"subject_id": FIRMS[0], "happened_on": date(2024, m, 1), "result": r}
        for m, r in ((10, "pass"), (11, "fail"), (12, "pass"))
    ]
    there = records(inspection=visits)
    behind = found(there, "inspection_result_fail_share_90d", "inspection_result_pass_share_90d")
    assert behind["inspection_result_fail_share_90d"]["happened_on"].to_list() == [
        date(2024, 11, 1)
    ]
    there = records(inspection=visits[2:])
    behind = found(there, "inspection_result_fail_share_90d")
    assert behind["inspection_result_fail_share_90d"].height == 1
    assert value_of(there, "inspection_result_fail_share_90d") == 0


def test_a_trend_has_the_records_of_its_long_window() -> None:
    there = records(penalty=[penalty(0, AS_OF - timedelta(days=d)) for d in (10, 200, 400)])
    name = "penalty_trend_90d_365d"
    days = found(there, name)[name]["happened_on"].to_list()
    assert days == [AS_OF - timedelta(days=10), AS_OF - timedelta(days=200)]


def test_newest_records_come_first() -> None:
    there = records(penalty=[penalty(0, AS_OF - timedelta(days=d)) for d in (50, 10, 30)])
    days = found(there, "penalty_count_90d")["penalty_count_90d"]["happened_on"].to_list()
    assert days == sorted(days, reverse=True)


def test_a_percentile_has_the_records_of_the_value_compared() -> None:
    there = records(
        subject=[firm(n) for n in range(40)],
        penalty=[penalty(n, fine_amount=100.0 * n) for n in range(3)],
    )
    own = found(there, "peers_penalty_fine_amount_sum_365d", "penalty_fine_amount_sum_365d")
    one, other = (frame["record_id"].to_list() for frame in own.values())
    assert one == other == there.frames["penalty"]["record_id"].to_list()[:1]


def test_what_the_register_says_has_its_row() -> None:
    there = records(subject=[firm(0), firm(1)])
    own = found(there, "subject_age_days", "subject_registered_capital")
    for frame in own.values():
        assert frame["record_id"].to_list() == there.frames["subject"]["record_id"].to_list()[:1]
        assert frame["table"].to_list() == ["subject"]


def test_a_register_row_that_was_not_known_or_is_annulled_is_none() -> None:
    late = datetime(2025, 6, 1, tzinfo=UTC)
    for row in (
        firm(0, known_at=late),
        firm(0, void_from=date(2024, 1, 1), void_reason="annulled"),
    ):
        assert found(records(subject=[row]), "subject_age_days")["subject_age_days"].is_empty()


def test_what_names_and_codes_say_has_the_registers_row_and_others_have_none() -> None:
    """A family that tells of a name cites the register; one about others in general nothing."""
    plain = SPECS["subject_age_days"]
    named = replace(plain, name="identity_name_length", family="identity", table=None, column=None)
    alike = replace(named, name="area_share", family="area")
    there = records(subject=[firm(0)])
    wanted = pl.DataFrame({"feature": [named.name, alike.name]}).select(
        pl.lit(FIRMS[0]).alias("subject_id"), pl.lit(AS_OF).alias("as_of"), "feature"
    )
    behind = evidence(there, [named, alike], wanted)
    assert behind["feature"].to_list() == [named.name]
    assert behind["table"].to_list() == ["subject"]


def test_text_features_have_the_penalties_they_count() -> None:
    told: list[Row] = [
        penalty(0, date(2024, 6, 1), violation_leaf="M07", violation_severity="serious"),
        penalty(0, date(2024, 7, 1), violation_leaf="F01", violation_severity="general"),
        penalty(0, date(2024, 8, 1), violation_leaf="M02", violation_severity="serious"),
    ]
    there = records(penalty=told)
    names = [name for name, spec in SPECS.items() if spec.family == "text"]
    behind = found(there, *names)
    for name in names:
        value = value_of(there, name)
        assert behind[name].height == (2 if "severity_max" in name else value), name


def _ring() -> MemoryRecords:
    """Firms tied by a person, an address, shares and supply; some flagged, one two steps away."""
    return records(
        subject=[
            firm(n, address="沈阳市和平区南京街一号" if n in {0, 3} else None) for n in range(8)
        ],
        person_role=[role(0, "P1"), role(1, "P1"), role(2, "P1"), role(2, "P2"), role(6, "P2")],
        relation=[tie(0, 4, "shareholding"), tie(5, 0, "supply"), tie(5, 7, "supply")],
        penalty=[penalty(1), penalty(4), penalty(4, date(2024, 7, 1)), penalty(6)],
        listing=[
            {"subject_id": FIRMS[3], "happened_on": date(2021, 1, 1), "kind": "abnormal"},
            {"subject_id": FIRMS[5], "happened_on": date(2024, 1, 1), "kind": "honour"},
        ],
        inspection=[{"subject_id": FIRMS[1], "happened_on": date(2024, 9, 1), "result": "fail"}],
    )


def test_every_neighbour_counted_is_named_with_its_records() -> None:
    there = _ring()
    names = [name for name, spec in SPECS.items() if spec.family == "relation"]
    behind = found(there, *names)
    for name in names:
        value = value_of(there, name)
        if name.endswith("_share"):
            continue
        assert behind[name]["neighbour"].n_unique() == value, name
        assert behind[name]["neighbour"].null_count() == 0
    flagged = behind["relation_flagged_count"]
    assert set(flagged["table"].to_list()) == {"person_role", "relation", "subject", *FLAGS}
    assert behind["relation_penalty_count"].filter(table="penalty").height == 3
    assert behind["relation_second_flagged_count"]["neighbour"].unique().to_list() == [FIRMS[6]]
    assert behind["relation_person_flagged_count"].filter(table="relation").is_empty()


def test_ties_that_ended_or_were_not_known_are_no_evidence() -> None:
    there = records(
        subject=[firm(n) for n in range(4)],
        relation=[
            tie(0, 1, "supply", ended_on=date(2024, 1, 1)),
            tie(0, 2, "supply", known_at=datetime(2025, 3, 1, tzinfo=UTC)),
            tie(0, 3, "supply"),
        ],
    )
    assert found(there, "relation_count")["relation_count"]["neighbour"].to_list() == [FIRMS[3]]


def test_a_hub_names_no_more_than_are_counted() -> None:
    there = records(
        subject=[firm(n) for n in range(60)], person_role=[role(n, "P1") for n in range(60)]
    )
    behind = found(there, "relation_count", "relation_hub")
    assert behind["relation_count"]["neighbour"].n_unique() == value_of(there, "relation_count")
    assert behind["relation_hub"].height > 0


def test_neighbours_are_read_around_the_subjects_own_records() -> None:
    there = _ring()
    own = MemoryRecords({n: f.filter(subject_id=FIRMS[0]) for n, f in there.frames.items()})
    wanted = pl.DataFrame(
        {"subject_id": [FIRMS[0]], "as_of": [AS_OF], "feature": ["relation_penalty_count"]}
    )
    specs = list(SPECS.values())
    near = evidence(own, specs, wanted, around=there)
    kept = evidence(own, specs, wanted, around=there, network=Network.of([there]))
    assert near.equals(kept)
    assert set(near["neighbour"].to_list()) == {FIRMS[1], FIRMS[4]}
    assert evidence(own, specs, wanted).is_empty()


def test_several_subjects_and_dates_keep_their_own() -> None:
    there = records(penalty=[penalty(0), penalty(1), penalty(1, date(2024, 12, 31))])
    later = AS_OF + timedelta(days=400)
    wanted = pl.DataFrame(
        [
            (FIRMS[0], AS_OF, "penalty_count_365d"),
            (FIRMS[1], AS_OF, "penalty_count_90d"),
            (FIRMS[1], later, "penalty_count_365d"),
        ],
        schema=["subject_id", "as_of", "feature"],
        orient="row",
    )
    found = cited(evidence(there, list(SPECS.values()), wanted))
    assert {key: len(value) for key, value in found.items()} == {
        (FIRMS[0], AS_OF, "penalty_count_365d"): 1,
        (FIRMS[1], AS_OF, "penalty_count_90d"): 1,
    }
    (one,) = found[FIRMS[1], AS_OF, "penalty_count_90d"]
    assert (one.table, one.happened_on, one.neighbour) == ("penalty", date(2024, 12, 31), None)


def test_a_table_that_is_not_there_gives_nothing() -> None:
    wanted = pl.DataFrame(
        {"subject_id": [FIRMS[0]], "as_of": [AS_OF], "feature": ["penalty_count_90d"]}
    )
    assert evidence(MemoryRecords({}), list(SPECS.values()), wanted).is_empty()


def test_an_unknown_feature_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"penalty_count_9d.*penalty_count_90d"):
        found(records(), "penalty_count_9d")
