from __future__ import annotations

import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InspectionError
from models.inspection import draw as drawing
from models.inspection import standalone
from models.inspection.draw import draw, uniforms
from models.inspection.pool import Pool
from models.inspection.probability import TOLERANCE, inclusion_probabilities
from models.inspection.record import result_digest
from models.inspection.seed import Commitment, Entropy, seed_text
from tests.models.inspection.pools import FROZEN, SEED, frame, pool

VECTORS = Path(__file__).parent / "vectors.json"


class Listed(TypedDict):
    subject_id: str
    u: float
    key: float | None
    inclusion_probability: float


class Vector(TypedDict):
    pool: str
    plan: str
    commitment: str
    entropy: list[dict[str, str]]
    seed: str
    u: dict[str, float]
    strata: list[dict[str, object]]
    drawn: list[Listed]
    result: str


def vectors() -> list[Vector]:
    return cast("list[Vector]", json.loads(VECTORS.read_text(encoding="utf-8")))


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["plan"])
def test_the_test_vectors_hold(vector: Vector) -> None:
    made = Pool.read(vector["pool"].encode())
    assert made.commitment == vector["commitment"]
    assert made.strata.to_dicts() == vector["strata"]
    at = FROZEN + timedelta(hours=1)
    entropy = [Entropy(**one, published_at=at) for one in vector["entropy"]]
    commitment = Commitment(
        plan=vector["plan"], commitment=made.commitment, subjects=1, frozen_at=FROZEN
    )
    assert sha256(seed_text(commitment, entropy).encode()).hexdigest() == vector["seed"]
    drawn = draw(made, vector["seed"])
    assert dict(drawn.select("subject_id", "u").iter_rows()) == vector["u"]
    chosen = drawn.filter("drawn")
    listed = pl.DataFrame(vector["drawn"], schema_overrides={"key": pl.Float64})
    columns = ["subject_id", "u", "key"]
    assert chosen.select(columns).equals(listed.select(columns))
    assert result_digest(chosen["subject_id"]) == vector["result"]
    apart = (chosen["inclusion_probability"] - listed["inclusion_probability"]).abs().max()
    assert cast("float", apart) < TOLERANCE


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_u_is_what_sha256sum_shows(subject: str) -> None:
    digest = sha256((SEED + subject).encode()).hexdigest()
    u = uniforms(SEED, pl.Series([subject]))[0]
    assert u == int(digest[:16], 16) // 2**11 / 2**53
    assert 0 <= u < 1


@given(st.text("0123456789abcdef", min_size=64, max_size=64))
def test_keys_are_those_of_plain_arithmetic_to_the_bit(seed: str) -> None:
    for _, stratum, pi, u, key, *_ in draw(pool(20), seed).iter_rows():
        if stratum == "丙":
            assert key is None
        elif stratum == "甲":
            assert key == u
        else:
            assert key == standalone.pareto_key(u, pi)


def test_as_many_are_drawn_as_the_strata_say() -> None:
    made = pool()
    counts = draw(made, SEED).group_by("stratum").agg(pl.col("drawn").sum().cast(pl.Int64))
    said = made.strata.select("stratum", (pl.col("n") + pl.col("mandatory")).alias("drawn"))
    assert counts.sort("stratum").equals(said)


def test_no_key_left_out_is_below_one_drawn() -> None:
    keyed = draw(pool(), SEED).drop_nulls("key")
    ends = keyed.group_by("stratum").agg(
        pl.col("key").filter("drawn").max().alias("last"),
        pl.col("key").filter(~pl.col("drawn")).min().alias("next"),
    )
    assert (ends["last"] < ends["next"]).all()


def test_mandatory_subjects_are_drawn_for_certain() -> None:
    drawn = draw(pool(), SEED).filter(pl.col("pi") == 1)
    assert drawn["drawn"].all()
    assert drawn["inclusion_probability"].to_list() == [1.0, 1.0]


def test_the_order_of_the_rows_changes_no_draw() -> None:
    rows = frame()
    again = Pool.of(rows.sample(fraction=1, shuffle=True))
    assert draw(Pool.of(rows), SEED).equals(draw(again, SEED))


def test_a_pool_of_mandatory_subjects_is_drawn_whole() -> None:
    made = Pool.of(frame().with_columns(pi=pl.lit(1.0)))
    drawn = draw(made, SEED)
    assert drawn["drawn"].all()
    assert drawn["key"].null_count() == made.frame.height
    assert set(made.strata["design"]) == {"census"}


def test_a_draw_of_one_leaves_the_others() -> None:
    one = pl.DataFrame({"subject_id": ["A", "B"], "stratum": ["S", "S"], "pi": [0.3, 0.7]})
    drawn = draw(Pool.of(one), SEED)
    assert drawn["drawn"].sum() == 1
    assert drawn["inclusion_probability"].sum() == pytest.approx(1)


@given(st.integers(1, 29), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_strata_are_drawn_apart(n: int, seed: str) -> None:
    whole = frame(30)
    rest = whole.filter(pl.col("stratum") != "甲")
    changed = whole.with_columns(
        pl.when(pl.col("stratum") == "甲").then(n / 30).otherwise("pi").alias("pi")
    )
    kept = draw(Pool.of(changed), seed).filter(pl.col("stratum") != "甲")
    assert kept.equals(draw(Pool.of(rest), seed))


def test_another_seed_draws_others() -> None:
    assert not draw(pool(), SEED)["drawn"].equals(draw(pool(), "e0" * 32)["drawn"])


def test_equal_keys_rank_as_the_lines_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def same(seed: str, texts: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        del seed
        return np.full(len(texts), 1 << 62, np.uint64)

    monkeypatch.setattr(drawing, "digests", same)
    drawn = draw(pool(), SEED).filter(pl.col("stratum") == "甲")
    assert drawn["drawn"].to_list() == [True] * 6 + [False] * 54


def test_the_probabilities_are_the_true_ones() -> None:
    drawn = draw(pool(), SEED)
    skewed = drawn.filter(pl.col("stratum") == "乙")
    made = inclusion_probabilities(skewed["pi"].to_numpy())
    assert skewed["inclusion_probability"].to_list() == made.tolist()
    assert (drawn.filter(pl.col("stratum") == "甲")["inclusion_probability"] == 0.1).all()


@pytest.mark.parametrize("seed", ["", "5F" * 32, "5f" * 31, "5f" * 32 + "\n", "种" * 64])
def test_a_seed_is_64_digits(seed: str) -> None:
    with pytest.raises(InspectionError, match="must be 64 lower-case hexadecimal digits"):
        draw(pool(), seed)
