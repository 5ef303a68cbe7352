from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.decide import decide
from models.features.pipeline import Pipeline
from models.records.contracts import CONTRACTS
from models.risk.bundle import Bundle
from serving.runtime.inline import Inline, InlineError, brought
from tests.models.features.firms import AS_OF, FIRMS
from tests.models.risk import small, town
from tests.serving import village


@cache
def inline() -> Inline:
    return Inline.of(town.bundle(), town.declared(), town.pipeline())


def rows() -> list[dict[str, float | str | None]]:
    names = [spec.name for spec in town.pipeline().features]
    return town.features().select(names).to_dicts()


def compared(made: list[dict[str, object]], whole: pl.DataFrame) -> None:
    columns = ["probability", "risk_score", "grade", "warn", "draw", "action", "vetoes"]
    own = pl.DataFrame(
        [{name: one[name] for name in columns} for one in made],
        schema={name: whole.schema[name] for name in columns},
    )
    assert_frame_equal(own, whole.select(columns), check_exact=True)
    assert [one["valid_until"] for one in made] == whole["valid_until"].to_list()


def test_features_give_what_decide_gives() -> None:
    whole = decide(town.features(), town.declared(), town.bundle())
    assert whole["grade"].n_unique() > 1
    compared(inline().decide(rows(), AS_OF), whole)
    for place, row in enumerate(rows()[:20]):
        compared(inline().decide([row], AS_OF), whole[place : place + 1])


@cache
def of_small() -> tuple[Inline, Bundle]:
    bundle = small.bundle()

    class Catalogue:
        features = small.specs()

    return (
        Inline.of(bundle, small.scenario(), Catalogue()),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        bundle,
    )


NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=64) | st.integers(-9, 9)
ROW = st.fixed_dictionaries(
    {
        **dict.fromkeys(small.NUMBERS, NUMBER),
        small.TRADE: st.none() | st.sampled_from([*small.TRADES, "新", ""]),
    }
)


@given(st.lists(ROW, min_size=1, max_size=4))
def test_any_row_is_decided_as_by_decide(some: list[Mapping[str, float | str | None]]) -> None:
    made, bundle = of_small()
    columns = {
        name: pl.Series([row[name] for row in some], dtype=pl.Float64, strict=False)
        for name in small.NUMBERS
    }
    frame = pl.DataFrame(
        {
            "subject_id": pl.Series([str(n) for n in range(len(some))]),
            "as_of": pl.Series([AS_OF] * len(some), dtype=pl.Date),
            **columns,
            small.TRADE: pl.Series([row[small.TRADE] for row in some], dtype=pl.String),
        }
    )
    compared(made.decide(some, AS_OF), decide(frame, small.scenario(), bundle))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"penalty_count_365d": "3"}, "must be a number or null"),
        ({"subject_city": 210100.0}, "must be a text or null"),
        ({"penalty_count_366d": 1.0}, "there is no such feature"),
    ],
)
def test_a_faulty_row_is_told_by_its_place(change: dict[str, float | str], rule: str) -> None:
    some = rows()[:3]
    some[1] |= change
    with pytest.raises(InlineError) as told:
        inline().decide(some, AS_OF)
    (name,) = change
    assert [(place, rule in why) for place, why in told.value.errors] == [
        (f"body.features.1.{name}", True)
    ]


def test_a_feature_that_lacks_is_never_taken_for_null() -> None:
    row = rows()[0]
    del row["penalty_count_365d"]
    with pytest.raises(InlineError, match=r"features\.0\.penalty_count_365d"):
        inline().decide([row], AS_OF)
    vetoed = rows()[0]
    del vetoed["listing_kind_serious_count_1095d"]
    with pytest.raises(InlineError, match="listing_kind_serious_count_1095d"):
        inline().decide([vetoed], AS_OF)


def test_a_veto_holds() -> None:
    row = {**rows()[0], "listing_kind_serious_count_1095d": 1.0}
    (made,) = inline().decide([row], AS_OF)
    assert (made["grade"], made["vetoes"], made["warn"]) == ("D", ["在严重失信名单"], True)
    assert made["valid_until"] == AS_OF + timedelta(days=town.declared().validity.days)


def test_records_that_come_along_are_checked_as_posted_ones() -> None:
    penalty = {
        "subject_id": FIRMS[1],
        "happened_on": str(AS_OF - timedelta(days=9)),
        "document_number": "罚1",
        "severity": "serious",
    }
    found = brought({"penalty": [penalty]}, town.declared(), CONTRACTS, on=AS_OF, now=village.NOON)
    assert found.subjects == (FIRMS[1],)
    assert set(found.records.tables()) == town.declared().tables
    assert found.records.frames["penalty"].height == 1
    for tables, place in (
        ({"penalty": [{**penalty, "happened_on": "2031-01-01"}]}, "body.records.penalty.0"),
        ({"penalty": [{**penalty, "fine": 3}]}, "body.records.penalty.0.fine"),
        ({"invoice": [penalty]}, "body.records.invoice"),
        ({"penalty": [{**penalty, "subject_id": "911"}]}, "body.records.penalty.0.subject_id"),
    ):
        with pytest.raises(InlineError) as told:
            brought(tables, town.declared(), CONTRACTS, on=AS_OF, now=village.NOON)
        assert told.value.errors[0][0].startswith(place)


def test_a_pipeline_tells_which_features_there_are() -> None:
    assert inline().allowed == {spec.name for spec in Pipeline.of(town.declared()).features}
