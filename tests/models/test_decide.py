"""A decision is the same for a row alone and among millions, and says all that follows."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models import decide as module
from models.decide import COLUMNS, decide
from models.errors import BundleError, ConfigError
from models.risk.calibrate import Calibrator
from models.risk.grade import risk_score
from models.scenarios.scenario import Scenario
from tests.models.risk.small import AS_OF, NUMBERS, TRADE, bundle, frame, scenario

BUNDLE = bundle()
SCHEMA = pl.Schema(COLUMNS)


def before(**columns: object) -> pl.DataFrame:
    data: dict[str, object] = {"subject_id": ["s00000"], "grade": ["A"], "valid_until": [AS_OF]}
    return pl.DataFrame(data | columns)


def test_each_column_says_what_it_promises() -> None:
    rows = frame(500)
    made = decide(rows, scenario(), BUNDLE)
    assert made.schema == SCHEMA
    assert made["subject_id"].equals(rows["subject_id"])
    assert made["as_of"].equals(rows["as_of"])
    assert made["probability"].equals(BUNDLE.probability(rows))
    assert np.array_equal(made["risk_score"].to_numpy(), risk_score(made["probability"].to_numpy()))
    assert made["valid_until"].unique().to_list() == [AS_OF + timedelta(days=30)]
    assert made["previous_grade"].null_count() == len(rows)
    assert made["scenario_digest"].unique().to_list() == [scenario().digest]
    assert made["bundle_digest"].unique().to_list() == [BUNDLE.digest]
    assert sorted(made["grade"].unique()) == ["A", "B", "C", "D"]
    plain = made.filter(pl.col("vetoes").list.len() == 0)
    places = np.searchsorted([0.2, 0.4, 0.6], plain["probability"].to_numpy(), side="right")
    assert plain["grade"].to_list() == ["ABCD"[place] for place in places]


def test_what_follows_goes_with_the_grade() -> None:
    made = decide(frame(500), scenario(), BUNDLE)
    for name, grade in scenario().grades.items():
        rows = made.filter(grade=name)
        assert rows["draw"].unique().to_list() == [grade.draw]
        assert rows["warn"].unique().to_list() == [grade.warn]
        assert rows["action"].unique().to_list() == [scenario().actions[name]]
    assert (made["draw"] > 0).all()


def test_reasons_of_all_vetoes_are_kept_and_the_worst_wins() -> None:
    rows = frame(4).with_columns(
        pl.Series(NUMBERS[0], [3.0, 0.0, 3.0, None]),
        pl.Series(NUMBERS[3], [0.0, 2.0, 2.0, 2.0]),
    )
    own = "inspection_count_365d > 1.5 and inspection_count_30d is not null"
    made = decide(rows, scenario(), BUNDLE)
    assert made["vetoes"].to_list() == [["三十日内多次检查"], [own], ["三十日内多次检查", own], []]
    assert made["grade"][0] == made["grade"][2] == "D"
    assert made["grade"][1] in {"C", "D"}
    assert made["vetoes"].dtype == pl.List(pl.String)


@pytest.mark.parametrize("previous", [None, "all", "some"])
def test_a_row_alone_is_decided_to_the_bit_as_among_many(
    previous: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = frame(150, seed=9)
    earlier = None
    if previous:
        later = frame(150, seed=10)
        earlier = decide(later, scenario(), BUNDLE)[:: 1 if previous == "all" else 3]
    many = decide(rows, scenario(), BUNDLE, previous=earlier)
    alone = [decide(row, scenario(), BUNDLE, previous=earlier) for row in rows.iter_slices(1)]
    assert_frame_equal(pl.concat(alone), many, check_exact=True)
    monkeypatch.setattr(module, "CHUNK", 37)
    monkeypatch.setattr("models.risk.bundle.CHUNK", 11)
    chunked = decide(rows, scenario(), BUNDLE, previous=earlier, threads=2)
    assert_frame_equal(chunked, many, check_exact=True)


@pytest.mark.parametrize("kind", ["none", "platt", "beta", "isotonic"])
def test_every_calibration_is_the_same_alone_and_among_many(kind: str) -> None:
    made = {
        "none": Calibrator(),
        "platt": Calibrator("platt", slope=0.8, intercept=-0.3),
        "beta": Calibrator("beta", slope=0.8, slope_high=1.1, intercept=0.1),
        "isotonic": Calibrator("isotonic", knots=(-1.0, 0.3), levels=(0.1, 0.7)),
    }[kind]
    some, rows = bundle(made), frame(101)
    alone = [some.probability(row)[0] for row in rows.iter_slices(1)]
    assert alone == some.probability(rows).to_list()


@given(st.permutations(range(40)))
def test_no_row_depends_on_another(order: list[int]) -> None:
    rows = frame(40)
    whole = decide(rows, scenario(), BUNDLE)
    assert_frame_equal(decide(rows[order], scenario(), BUNDLE), whole[order], check_exact=True)


def test_no_rows_are_no_decisions() -> None:
    made = decide(frame(0), scenario(), BUNDLE, previous=before())
    assert made.is_empty()
    assert made.schema == SCHEMA


def near_b() -> pl.DataFrame:
    """Return a row a little past the threshold of B, without vetoes."""
    rows = frame(3_000, seed=4).filter(pl.col(NUMBERS[0]).fill_null(0) <= 2)
    rows = rows.filter(pl.col(NUMBERS[3]).fill_null(0) <= 1.5)
    probability = BUNDLE.probability(rows)
    found = rows.filter((probability > 0.205) & (probability < 0.245))[:1]
    return found.with_columns(subject_id=pl.lit("s00000"))


EARLIER: list[tuple[dict[str, object], str, str | None]] = [
    ({}, "A", "A"),
    ({"valid_until": [AS_OF - timedelta(days=1)]}, "B", "A"),  # expired
    ({"vetoes": [["被列入"]]}, "B", "A"),  # its ground is gone
    ({"vetoes": [[]]}, "A", "A"),
    ({"as_of": [AS_OF]}, "A", "A"),
    ({"as_of": [AS_OF + timedelta(days=1)]}, "B", None),  # not before
    ({"subject_id": ["other"]}, "B", None),
    ({"grade": ["E"]}, "B", "E"),  # a grade that is no more
    ({"valid_until": [None]}, "B", "A"),
]


@pytest.mark.parametrize(("columns", "grade", "shown"), EARLIER)
def test_a_grade_in_force_holds_near_the_threshold(
    columns: dict[str, object], grade: str, shown: str | None
) -> None:
    rows = near_b()
    assert decide(rows, scenario(), BUNDLE)["grade"].to_list() == ["B"]
    made = decide(
        rows, scenario(), BUNDLE, previous=before(**columns).cast({"valid_until": pl.Date})
    )
    assert made["grade"].to_list() == [grade]
    assert made["previous_grade"].to_list() == [shown]


def test_its_own_decisions_are_decisions_before() -> None:
    rows = frame(300)
    first = decide(rows, scenario(), BUNDLE)
    later = rows.with_columns(as_of=pl.lit(AS_OF + timedelta(days=10)))
    second = decide(later, scenario(), BUNDLE, previous=first)
    assert second["grade"].equals(first["grade"]), "nothing has changed"
    assert second["previous_grade"].equals(first["grade"])


def test_a_subject_may_have_rows_of_several_days() -> None:
    rows = pl.concat([near_b(), near_b().with_columns(as_of=pl.lit(AS_OF + timedelta(days=1)))])
    made = decide(rows, scenario(), BUNDLE, previous=before())
    assert made["grade"].to_list() == ["A", "B"], "the one before ran out in between"


def test_two_decisions_before_are_refused() -> None:
    twice = pl.concat([before(), before()])
    with pytest.raises(
        ConfigError, match=r"subject s00000 has two decisions before; give the last"
    ):
        decide(frame(2), scenario(), BUNDLE, previous=twice)


def test_decisions_before_without_a_date_are_refused() -> None:
    with pytest.raises(ConfigError, match="lack valid_until; give frames of decide"):
        decide(frame(2), scenario(), BUNDLE, previous=before().drop("valid_until"))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (frame(3).drop("subject_id"), "lack the key 'subject_id'"),
        (frame(3).with_columns(as_of=pl.lit("2026-01-01")), "'as_of' holds String, not Date"),
        (frame(3).with_columns(as_of=pl.lit(None, pl.Date)), "3 rows have no 'as_of'"),
    ],
)
def test_rows_without_keys_are_refused(rows: pl.DataFrame, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        decide(rows, scenario(), BUNDLE)


def test_bad_values_are_refused_by_name() -> None:
    rows = frame(3)
    with pytest.raises(BundleError, match=f"infinite values in {NUMBERS[1]}"):
        decide(rows.with_columns(pl.lit(float("inf")).alias(NUMBERS[1])), scenario(), BUNDLE)
    with pytest.raises(BundleError, match=f"lack 1 of .*{TRADE}"):
        decide(rows.drop(TRADE), scenario(), BUNDLE)


def test_nan_is_missing() -> None:
    nan = frame(5).with_columns(pl.lit(float("nan")).alias(NUMBERS[1]))
    null = frame(5).with_columns(pl.lit(None, pl.Float64).alias(NUMBERS[1]))
    assert decide(nan, scenario(), BUNDLE).equals(decide(null, scenario(), BUNDLE))


def test_without_actions_there_is_none() -> None:
    data = scenario().model_dump(mode="json")
    bare = Scenario.model_validate({**data, "actions": {}, "veto": [], "validity": {"days": 1}})
    made = decide(frame(3), bare, BUNDLE)
    assert made["action"].null_count() == 3
    assert made["action"].dtype == pl.String
    assert made["valid_until"].to_list() == [date(2026, 3, 2)] * 3


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"valid_until": ["2026-03-01"]}, "'valid_until' of the decisions before holds String"),
        ({"subject_id": [7]}, "'subject_id' .* holds Int64, not String"),
        ({"as_of": [20260301]}, "'as_of' .* holds Int64, not Date"),
        ({"vetoes": ["停产"]}, r"'vetoes' .* holds String, not List\(String\)"),
        ({"subject_id": [None]}, "1 decisions before have no 'subject_id'"),
    ],
)
def test_earlier_decisions_of_another_shape_are_refused(
    columns: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        decide(frame(2), scenario(), BUNDLE, previous=before(**columns))


def test_earlier_decisions_may_know_nothing() -> None:
    unknown = before(grade=[None], valid_until=[None], as_of=[None]).with_columns(
        vetoes=pl.Series([[]])
    )
    assert decide(frame(2), scenario(), BUNDLE, previous=unknown).equals(
        decide(frame(2), scenario(), BUNDLE)
    )
