"""Percentiles among peers: of whom, from what, and the same online."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.errors import ConfigError
from models.features import peers
from models.features.peers import KNOTS, LEAST, Peers
from models.records.contracts import CONTRACTS
from tests.models.features.firms import AS_OF, scenario

SPECS = peers.specs(scenario(), CONTRACTS)
NAME = "peers_penalty_count_365d"


def base(
    values: Sequence[float | None],
    group: tuple[str | None, ...] = ("14", "C", "210100", "210000"),
    on: date = AS_OF,
) -> pl.DataFrame:
    compared = [spec.name.removeprefix("peers_") for spec in SPECS]
    return pl.DataFrame(
        {
            "as_of": [on] * len(values),
            **dict.fromkeys(compared, pl.Series(values, dtype=pl.Float64)),
            **{name: [part] * len(values) for name, part in zip(peers.GROUPS, group, strict=True)},
        },
        schema_overrides={"as_of": pl.Date, **dict.fromkeys(peers.GROUPS, pl.String)},
    )


def table(*parts: pl.DataFrame) -> Peers:
    return Peers.of(peers.count(part, SPECS) for part in parts)


def placed(one: pl.DataFrame, known: Peers) -> list[float | None]:
    return cast("list[float | None]", known.place(one, SPECS)[NAME].to_list())


def test_each_table_is_compared_over_a_year() -> None:
    assert [s.name for s in SPECS] == [
        NAME,
        "peers_penalty_fine_amount_sum_365d",
        "peers_penalty_confiscated_amount_sum_365d",
    ]
    assert SPECS[0].title == "近365天行政处罚次数的同行业同地区分位"


def test_the_longest_window_serves_where_there_is_no_year() -> None:
    declared = scenario("{tables: [penalty], windows: [30d, 90d]}")
    assert peers.specs(declared, CONTRACTS)[0].name == "peers_penalty_count_90d"


def test_without_the_window_family_there_is_nothing_to_compare() -> None:
    with pytest.raises(ConfigError, match="add window to families"):
        scenario("{tables: [penalty], windows: [365d], families: [subject, peers]}")
    assert Peers.of([]).place(base([1.0]), ()).width == 0
    assert peers.count(base([1.0]), ()).is_empty()


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 5.5, 1e9]), min_size=1, max_size=80))
def test_it_is_the_share_below_and_half_of_those_equal(values: list[float]) -> None:
    numbers = np.array(values)
    expected = [((numbers < v).sum() + (numbers <= v).sum()) / (2 * len(numbers)) for v in numbers]
    whole = base(list(values))
    assert placed(whole, table(whole)) == expected


def test_nulls_take_no_part() -> None:
    whole = base([None, 1.0, 2.0])
    assert placed(whole, table(whole)) == [None, 0.25, 0.75]


def test_peers_are_of_the_same_trade_and_place() -> None:
    here = base([0.0] * LEAST + [9.0])
    there = base([9.0] * LEAST, ("14", "C", "210200", "210000"))
    known = table(here, there)
    assert placed(base([9.0]), known) == [(2 * LEAST + 1) / (2 * (LEAST + 1))]
    assert placed(base([9.0], ("14", "C", "210200", "210000")), known) == [0.5]


def test_a_small_group_gives_way_to_section_and_province() -> None:
    few = base([9.0] * (LEAST - 1))
    rest = base([0.0] * LEAST, ("15", "C", "210200", "210000"))
    elsewhere = base([99.0] * 100, ("63", "I", "110000", "110000"))
    known = table(few, rest, elsewhere)
    whole = 2 * LEAST - 1
    assert placed(base([9.0]), known) == [(LEAST + whole) / (2 * whole)]


def test_who_has_no_trade_or_place_is_compared_with_all() -> None:
    known = table(base([0.0] * 60), base([4.0] * 20, (None, None, None, None)))
    assert placed(base([4.0], (None, None, None, None)), known) == [(60 + 80) / 160]
    assert placed(base([4.0], ("14", "C", None, None)), known) == [(60 + 80) / 160]


def test_a_value_that_nobody_has_lies_between() -> None:
    known = table(base([1.0] * 20 + [3.0] * 20))
    assert placed(base([0.0, 1.0, 2.0, 3.0, 4.0]), known) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_dates_are_apart() -> None:
    later = date(2025, 6, 1)
    known = table(base([1.0] * 40), base([5.0] * 40, on=later))
    assert placed(base([3.0]), known) == [1.0]
    assert placed(base([3.0], on=later), known) == [0.0]


def test_many_values_are_thinned_and_stay_close() -> None:
    numbers = np.random.default_rng(7).permutation(20_000).astype(float)
    whole = base(numbers.tolist())
    known = table(whole)
    assert known.table.height <= 3 * len(SPECS) * (KNOTS + 1)
    found = np.array(placed(whole, known))
    exact = (numbers + 0.5) / len(numbers)
    assert np.abs(found - exact).max() < 1 / KNOTS
    order = np.argsort(numbers)
    assert (np.diff(found[order]) >= 0).all()


def test_parts_of_a_population_give_the_table_of_the_whole() -> None:
    values = [float(n % 7) for n in range(100)]
    whole = table(base([*values]))
    parts = table(base(values[:30]), base(values[30:55]), base(values[55:]))
    assert_frame_equal(whole.table, parts.table)


def test_a_saved_table_gives_the_same_bits(tmp_path: Path) -> None:
    whole = base([0.1 * (n % 13) for n in range(100)])
    known = table(whole)
    known.save(tmp_path)
    assert_frame_equal(
        Peers.load(tmp_path).place(whole, SPECS), known.place(whole, SPECS), check_exact=True
    )


def test_one_row_gets_the_bits_that_it_gets_among_all() -> None:
    whole = base([0.1 * (n % 13) for n in range(100)])
    known = table(whole)
    alone = pl.concat(known.place(whole[n], SPECS) for n in range(100))
    assert_frame_equal(alone, known.place(whole, SPECS), check_exact=True)


def test_a_date_that_the_table_lacks_is_said() -> None:
    with pytest.raises(ConfigError, match=r"no distribution as of 2025-06-01; it has 2025-01-01"):
        table(base([1.0])).place(base([1.0], on=date(2025, 6, 1)), SPECS)


def test_an_empty_population_places_nobody() -> None:
    assert placed(base([1.0]), table()) == [None]
    assert placed(base([]), table(base([1.0]))) == []
