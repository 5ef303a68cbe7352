from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest

from models.errors import InspectionError
from models.inspection.allocate import by_risk
from models.inspection.draw import draw
from models.inspection.offpolicy import Log, compare, value
from models.inspection.pool import Pool
from tests.models.inspection.catering import people

FAILS = dict(zip("abcdefgh", [True, False, True, True, False, False, True, False], strict=True))
POOL = pl.DataFrame(
    {"subject_id": list("abcdefgh"), "stratum": ["S"] * 8, "inclusion_probability": [0.5] * 8}
)


def log(ids: tuple[str, ...] | str) -> Log:
    return Log(
        POOL,
        pl.DataFrame({"subject_id": list(ids), "positive": [FAILS[name] for name in ids]}),
    )


def a_list(ids: str) -> pl.DataFrame:
    return pl.DataFrame({"subject_id": list(ids)})


DRAWS = list(combinations("abcdefgh", 4))


def test_the_mean_over_all_draws_is_what_the_list_would_find() -> None:
    # The one draw that reaches nobody of the list is refused, where the estimate would be 0.
    some = [ids for ids in DRAWS if set(ids) & set("abcd")]
    said = [value(log(ids), a_list("abcd"), estimator="ht") for ids in some]
    assert sum(one.findings for one in said) / len(DRAWS) == pytest.approx(3)
    squares = sum(one.findings**2 for one in said) / len(DRAWS)
    stated = sum(one.standard_error**2 for one in said) / len(DRAWS)
    assert stated == pytest.approx(squares - 9)


def test_two_lists_are_compared_by_what_differs() -> None:
    one = compare(log("abef"), a_list("abcd"), a_list("abcd"))
    assert (one.difference, one.standard_error) == (0, 0)
    two = compare(log("abefgh"), a_list("abg"), a_list("abh"))
    assert two.difference == pytest.approx(two.challenger.findings - two.champion.findings)
    assert two.low < two.difference < two.high


def test_a_full_census_leaves_no_doubt() -> None:
    whole = POOL.with_columns(inclusion_probability=pl.lit(1.0))
    said = value(Log(whole, log("abcdefgh").sample), a_list("abc"))
    assert (said.low, said.findings, said.high) == pytest.approx((2, 2, 2))
    assert said.heaviest == 1


def test_who_had_no_chance_is_counted_and_widens_the_bounds() -> None:
    said = value(log("abef"), a_list("abxyz"))
    assert (said.listed, said.supported, said.overlap) == (5, 2, 2)
    assert said.floor == said.low
    assert said.ceiling == pytest.approx(said.high + 3)
    assert not said.reliable


def test_a_few_results_carry_no_judgement() -> None:
    assert not value(log("abef"), a_list("ab")).reliable


def test_no_finding_is_no_proof_of_none() -> None:
    said = value(log("befh"), a_list("abe"))
    assert (said.findings, said.low) == (0, 0)
    assert 0 < said.high <= 3


def test_a_list_may_be_a_draw_itself() -> None:
    half = a_list("abcd").with_columns(chance=pl.lit(0.5))
    whole, part = value(log("abef"), a_list("abcd")), value(log("abef"), half)
    assert part.findings == pytest.approx(whole.findings / 2)
    assert part.rate == pytest.approx(whole.rate)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (a_list(""), "the list is empty"),
        (a_list("ab").rename({"subject_id": "id"}), "no column 'subject_id'"),
        (a_list("aa"), "subject a stands twice"),
        (a_list("xyz"), "none of the 3 on the list had a chance"),
        (a_list("cd"), "nobody of the 2 on the list was visited"),
        (a_list("ab").with_columns(chance=pl.lit(0.0)), "the chance 0.0"),
    ],
)
def test_lists_that_say_nothing_are_refused(target: pl.DataFrame, message: str) -> None:
    with pytest.raises(InspectionError, match=message):
        value(log("abef"), target)


def test_a_risk_weighted_draw_tells_what_another_model_would_find() -> None:
    rng = np.random.default_rng(3)
    firms = people(4000)
    fails = rng.random(4000) < firms["probability"].to_numpy()
    noisy = firms.with_columns(
        score=pl.col("probability") + pl.Series(rng.normal(0, 0.08, 4000)), fails=pl.Series(fails)
    )
    target = noisy.sort("score", descending=True).head(300)
    truth = float(target["fails"].sum())
    pool = Pool.of(by_risk(firms, 400, random_share=0.4, precision=1.0))
    held = 0
    found: list[float] = []
    for _ in range(60):
        drawn = draw(pool, rng.bytes(32).hex()).join(noisy, on="subject_id")
        sample = drawn.filter("drawn").select("subject_id", positive="fails")
        said = value(Log(drawn, sample), target.select("subject_id"))
        held += said.low <= truth <= said.high
        found.append(said.findings)
        assert said.listed == said.supported == 300
    assert np.mean(found) == pytest.approx(truth, rel=0.08)
    assert held >= 51
