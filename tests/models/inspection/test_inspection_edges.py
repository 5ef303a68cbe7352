"""What stands at the edges of a draw: empty groups, impossible sizes, persons under two ids."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from hashlib import sha256

import numpy as np
import polars as pl
import pytest

from models.errors import ConfigError, InspectionError
from models.inspection import frontier
from models.inspection.allocate import by_risk
from models.inspection.assign import Recusal, assign, recuse
from models.inspection.caps import Caps, admit
from models.inspection.combine import Drawn, combine
from models.inspection.dry_run import eligible
from models.inspection.estimate import Method, rates
from models.inspection.offpolicy import Log, compare, value
from models.inspection.plan import parse_plan
from models.inspection.probability import inclusion_probabilities
from models.inspection.progress import State, advance, begin, edit
from models.inspection.record import DrawRecord
from models.inspection.seed import Commitment, Entropy, freeze, make_seed
from models.inspection.trial import compare as compared
from models.inspection.verify import verify
from tests.models.inspection.catering import TEXT
from tests.models.inspection.people import inspectors, tasks
from tests.models.inspection.pools import FROZEN, SEED, committed, pool, seeded, values

LATER = FROZEN + timedelta(hours=1)


def nonce(source: str, text: str) -> Entropy:
    digest = sha256(text.encode()).hexdigest()
    return Entropy(source=source, value=text, published_at=LATER, digest=digest)


def test_values_come_from_the_sources_that_were_announced() -> None:
    names = [one.source for one in values()]
    announced = freeze(pool(), "p", at=FROZEN, sources=names)
    assert make_seed(announced, values()).seed == make_seed(committed_as("p"), values()).seed
    for others in (values()[:1], values()[::-1], [*values(), nonce("市局", "k3v9")]):
        with pytest.raises(InspectionError, match="were announced at the freeze"):
            make_seed(announced, others)
    with pytest.raises(InspectionError, match="stands twice"):
        freeze(pool(), "p", at=FROZEN, sources=["a", "A "])


def committed_as(plan: str) -> Commitment:
    return freeze(pool(), plan, at=FROZEN)


@pytest.mark.parametrize("twin", ["双色球 2026003 ", "双色球　2026003", "双色球  2026003"])
def test_a_source_is_not_another_for_a_blank(twin: str) -> None:
    first = values()[0]
    with pytest.raises(InspectionError, match="stands twice"):
        make_seed(committed(pool()), [first, first.model_copy(update={"source": twin})])


def test_two_parties_with_one_nonce_are_one_party() -> None:
    with pytest.raises(InspectionError, match="the same nonce"):
        make_seed(committed(pool()), [nonce("市局", "k3v9"), nonce("商会", "k3v9")])


def test_a_value_of_the_future_is_refused() -> None:
    at = values()[0].published_at
    assert make_seed(committed(pool()), values(), now=at).seed
    with pytest.raises(InspectionError, match="wait for the value"):
        make_seed(committed(pool()), values(), now=at - timedelta(hours=1))


def test_a_freeze_that_cannot_be_published_is_refused() -> None:
    with pytest.raises(InspectionError, match="plan"):
        freeze(pool(), "x" * 5000, at=FROZEN)
    with pytest.raises(InspectionError, match="frozen_at"):
        freeze(pool(), "p", at=FROZEN.replace(tzinfo=None))


def test_a_record_is_held_against_the_published_commitment() -> None:
    record = DrawRecord.of(pool(), seeded(pool()))
    same = {one.name: one.trouble for one in verify(pool(), record, published=committed(pool()))}
    assert not any(same.values())
    other = freeze(pool(), "2026-食品-01", at=FROZEN - timedelta(days=1))
    found = {one.name: one.trouble for one in verify(pool(), record, published=other)}
    assert [name for name, trouble in found.items() if trouble] == ["published"]


@pytest.mark.parametrize(
    "ends", [[1, 10**12 - 1], [10**12 - 1, 10**12 - 1, 2], [1] * 9 + [10**12 - 9]]
)
def test_probabilities_stay_in_bounds_at_the_ends_of_the_grid(ends: list[int]) -> None:
    made = inclusion_probabilities(np.array(ends) / 10**12)
    assert made.max() <= 1
    assert made.min() > 0


def test_one_person_with_two_ids_is_no_team() -> None:
    with pytest.raises(InspectionError, match="certificate"):
        inspectors(2, certificate=["执法1", "执法1"])
    assert inspectors(2, certificate=pl.Series([None, None], dtype=pl.String)).size == 2


@pytest.mark.parametrize("entry", ["", None])
def test_an_empty_entry_of_a_list_means_nothing_and_is_refused(entry: str | None) -> None:
    with pytest.raises(InspectionError, match="regions holds an empty entry"):
        inspectors(1, regions=[["2101", entry]])
    with pytest.raises(InspectionError, match="matters holds an empty entry"):
        tasks(1, matters=[["食品", entry]])


def test_recusals_want_the_people_of_the_assignment() -> None:
    made = assign(inspectors(4), tasks(2), seed=SEED)
    task, person = made.teams.row(0)
    one = Recusal(task, person, "kin")
    with pytest.raises(InspectionError, match="not among those given"):
        recuse(made, inspectors(3), tasks(2), recusals=[one])


def test_a_shortage_that_comes_of_last_teams_says_so() -> None:
    last = [["i000", "i001"]] * 2
    with pytest.raises(InspectionError, match="must be new to the target"):
        assign(inspectors(3, capacity=[9, 9, 1]), tasks(2, last_team=last), seed=SEED)
    with pytest.raises(InspectionError, match="capacity binds") as told:
        assign(inspectors(3, capacity=[1, 1, 1]), tasks(2), seed=SEED)
    assert "new to the target" not in str(told.value)


def visit(subject: str, name: str, on: date, ground: str | None) -> pl.DataFrame:
    columns = {"subject_id": [subject], "visit_id": [name], "on": [on], "ground": [ground]}
    return pl.DataFrame(columns, schema_overrides={"ground": pl.String})


def test_who_is_past_the_cap_can_still_be_visited_for_a_complaint() -> None:
    made = pl.concat([visit("s", str(day), date(2026, 1, day), None) for day in (1, 2, 3)])
    subjects = pl.DataFrame({"subject_id": ["s"]})

    def admitted(planned: pl.DataFrame) -> int:
        after = admit(planned, made, subjects, Caps(per_year=2), year=2026, today=date(2026, 4, 1))
        return after["used"][0]

    assert admitted(visit("s", "9", date(2026, 5, 1), "complaint")) == 3
    assert admitted(visit("s", "3", date(2026, 1, 3), None)) == 3  # merged with one that was made
    with pytest.raises(InspectionError, match="past its cap"):
        admitted(visit("s", "9", date(2026, 5, 1), None))
    with pytest.raises(InspectionError, match="not of 2026"):
        admitted(visit("s", "9", date(2027, 5, 1), None))


def test_who_edited_a_plan_cannot_approve_it() -> None:
    draft = edit(begin("p", "a" * 64, by="甲", at=FROZEN), "b" * 64, by="乙")
    for author in ("甲", "乙", "乙 "):
        with pytest.raises(InspectionError, match="cannot approve"):
            advance(draft, State.APPROVED, by=author, at=LATER)
    assert advance(draft, State.APPROVED, by="丙", at=LATER).state is State.APPROVED
    with pytest.raises(InspectionError, match="needs the person"):
        edit(draft, "c" * 64, by=" ")


FIRMS = pl.DataFrame(
    {
        "subject_id": [f"s{i}" for i in range(20)],
        "grade": ["A"] * 10 + ["B"] * 10,
        "probability": np.linspace(0.01, 0.9, 20),
        "mandatory": [None] * 19 + ["veto"],
    }
)


@pytest.mark.parametrize("size", [0, 1, 2, 4])
def test_a_draw_too_small_for_its_strata_is_refused(size: int) -> None:
    with pytest.raises(InspectionError, match="are to be drawn"):
        by_risk(FIRMS, size, random_share=0.1)
    assert by_risk(FIRMS, 5, random_share=0.1)["pi"].sum() == pytest.approx(5)


def test_a_weight_without_end_is_refused() -> None:
    for precision in (float("inf"), float("nan")):
        with pytest.raises(InspectionError, match="weight of precision"):
            by_risk(FIRMS, 8, random_share=0.1, precision=precision)
    with pytest.raises(ConfigError, match="precision"):
        parse_plan(TEXT.replace("precision: 0.1", "precision: .inf"), "plan.yaml")


def test_who_may_be_drawn_is_never_left_open() -> None:
    plan = parse_plan(TEXT, "plan.yaml")
    firms = FIRMS.with_columns(remaining=pl.lit(1))
    assert eligible(plan, firms).height == 20
    with pytest.raises(InspectionError, match="'foood' is no mandatory list"):
        eligible(plan, firms.with_columns(mandatory=pl.lit("foood")))
    with pytest.raises(InspectionError, match="remaining"):
        eligible(plan, firms.with_columns(remaining=pl.lit(None, pl.Int64)))


def test_expectations_have_a_level() -> None:
    pi = by_risk(FIRMS, 8, random_share=0.1)
    with pytest.raises(InspectionError, match="level"):
        frontier.expected(pi, FIRMS, level=2.0)


def test_where_nothing_can_be_found_a_point_is_chosen_all_the_same() -> None:
    points = frontier.frontier(FIRMS.with_columns(probability=pl.lit(0.0)), 8, random_share=0.1)
    assert frontier.choose(points, share=0.9) >= 0


POOL = pl.DataFrame(
    {
        "subject_id": [f"s{i}" for i in range(60)],
        "stratum": ["m"] * 2 + ["a"] * 29 + ["b"] * 29,
        "region": ["X"] * 2 + ["Y"] * 20 + ["X"] * 9 + ["Y"] * 29,
        "probability": [0.1] * 60,
        "inclusion_probability": [1.0] * 2 + [2 / 29] * 58,
    }
)
DRAWN = ["s0", "s1", "s3", "s4", "s31", "s32"]
SAMPLE = (
    pl.DataFrame({"subject_id": DRAWN, "positive": [True, False, True, False, False, False]})
    .join(POOL.select("subject_id", "inclusion_probability"), on="subject_id")
    .sort(pl.col("subject_id").str.slice(1).cast(pl.Int64))
)


@pytest.mark.parametrize("method", ["ht", "hajek", "difference"])
def test_those_certain_of_a_group_say_nothing_of_its_others(method: Method) -> None:
    row = rates(SAMPLE, POOL, by=["region"], method=method).row(0, named=True)
    assert (row["region"], row["population"], row["observed"]) == ("X", 11, 2)
    assert (row["low"], row["high"]) == (0.0, 1.0)


def test_a_stratum_that_is_missing_from_the_sample_is_told() -> None:
    part = SAMPLE.head(4)
    with pytest.raises(InspectionError, match="nobody of stratum b is in the sample"):
        rates(part, POOL, method="ht")
    with pytest.raises(InspectionError, match="nobody of stratum b is in the sample"):
        combine([Drawn("2026", POOL, part)])


@pytest.mark.parametrize("odd", [None, 0.0, -1.0, 7.0, float("nan")])
def test_a_pool_without_true_chances_is_refused(odd: float | None) -> None:
    subject = pl.col("subject_id") == "s3"
    wrong = POOL.with_columns(
        inclusion_probability=pl.when(subject).then(odd).otherwise("inclusion_probability")
    )
    with pytest.raises(InspectionError, match="inclusion"):
        value(Log(wrong, SAMPLE), POOL.select("subject_id"))
    with pytest.raises(InspectionError, match="inclusion"):
        combine([Drawn("2026", wrong, SAMPLE)])


def test_what_was_not_seen_of_a_list_stays_open() -> None:
    first = pl.DataFrame({"subject_id": ["s0", "s1", *(f"s{i}" for i in range(10, 20))]})
    other = pl.DataFrame({"subject_id": ["s0", "s1", *(f"s{i}" for i in range(20, 30))]})
    found = value(Log(POOL, SAMPLE), first)
    assert (found.low, found.high) == (0.0, 12.0)
    apart = compare(Log(POOL, SAMPLE), first, other, estimator="ht")
    assert apart.difference == 0
    assert apart.low < -5 < 5 < apart.high


@pytest.mark.parametrize("level", [0.0, 1.0, 2.0, float("nan")])
def test_levels_lie_between_0_and_1_everywhere(level: float) -> None:
    units = trial([1, 2, 1, 0])
    for call in (
        lambda: rates(SAMPLE, POOL, level=level),
        lambda: combine([Drawn("2026", POOL, SAMPLE)], level=level),
        lambda: value(Log(POOL, SAMPLE), POOL.select("subject_id"), level=level),
        lambda: compared(units, level=level),
    ):
        with pytest.raises(InspectionError, match="level"):
            call()


def trial(findings: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "arm": ["model", "model", "usual", "usual"],
            "block": ["a"] * 4,
            "inspections": [10] * 4,
            "findings": findings,
        }
    )


@pytest.mark.parametrize("odd", [-1, 11, float("nan"), float("inf")])
def test_a_unit_cannot_find_more_than_it_inspects(odd: float) -> None:
    assert compared(trial([1, 2, 1, 0])).height == 1
    with pytest.raises(InspectionError, match="findings"):
        compared(trial([odd, 2, 1, 0]))


def test_results_and_probabilities_are_numbers() -> None:
    with pytest.raises(InspectionError, match="is text"):
        rates(SAMPLE.with_columns(positive=pl.lit("yes")), POOL)
    for odd in (float("nan"), 7.0):
        with pytest.raises(InspectionError, match="not between 0 and 1"):
            rates(SAMPLE, POOL.with_columns(probability=pl.lit(odd)), method="difference")


def test_a_naive_instant_is_no_step() -> None:
    with pytest.raises(InspectionError, match="time zone"):
        begin("p", "a" * 64, by="甲", at=datetime(2026, 1, 1))  # noqa: DTZ001
