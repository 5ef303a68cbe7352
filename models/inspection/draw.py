"""The draw (随机抽取): keys of subjects from the public seed, and the smallest of each stratum.

Keys are made of SHA-256 and of the four operations of IEEE 754 binary64, each rounded once, so any
language gives the same bits; ``SPECIFICATION.md`` says how to the last of them.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

import numpy as np
import polars as pl

from models.errors import InspectionError
from models.inspection.pool import Pool
from models.inspection.probability import Floats, inclusion_probabilities

BITS: Final = 53
_BATCH: Final = 1 << 16


def draw(pool: Pool, seed: str) -> pl.DataFrame:
    """Return the pool's frame with what the seed decides, in the pool's order.

    Adds ``u`` in [0, 1); ``key``, null for mandatory subjects, by which a stratum's others are
    ranked (``u`` itself where their ``pi`` are equal, else Pareto's); ``drawn``; and
    ``inclusion_probability``, the true one. Equal keys rank as the pool's lines do.
    Raises :class:`InspectionError` for a seed that is not 64 hexadecimal digits.
    """
    keyed = pool.frame.with_columns(uniforms(seed, pool.frame["subject_id"])).join(
        pool.strata.select("stratum", "n", "design"), on="stratum", maintain_order="left"
    )
    ranked = keyed.with_columns(_keys(keyed)).with_columns(
        pl.col("key").rank("ordinal").over("stratum").alias("rank")
    )
    drawn = (pl.col("pi") == 1) | (pl.col("rank") <= pl.col("n")).fill_null(value=False)
    return ranked.with_columns(drawn.alias("drawn"), _probabilities(keyed)).drop(
        "n", "design", "rank"
    )


def uniforms(seed: str, ids: pl.Series) -> pl.Series:
    """Return ``u`` of each id: the first 53 bits of SHA-256(seed ‖ id) by 2^53."""
    return pl.Series("u", (digests(seed, ids) >> np.uint64(64 - BITS)) / 2**BITS)


def digests(seed: str, texts: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return the first 64 bits of SHA-256(seed ‖ text) of each text, as numbers.

    The seed enters as its 64 hexadecimal digits, so that ``sha256sum`` suffices to check one.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", seed):
        raise InspectionError(f"seed {seed[:80]!r}: must be 64 lower-case hexadecimal digits")
    begun = sha256(seed.encode())  # 64 bytes are one whole block: it is worked through once
    made = np.empty(len(texts), np.uint64)
    for start in range(0, len(texts), _BATCH):
        found: list[bytes] = []
        for text in texts.slice(start, _BATCH).to_list():
            one = begun.copy()
            one.update(text.encode())
            found.append(one.digest())
        made[start : start + len(found)] = np.frombuffer(b"".join(found), ">u8")[::4]
    return made


def _keys(keyed: pl.DataFrame) -> pl.Series:
    # numpy's operations are rounded one by one; an engine that rewrites arithmetic might not be.
    u, pi = keyed["u"].to_numpy(), keyed["pi"].to_numpy()
    others = pi < 1
    target = np.where(others, pi, 0.5)
    pareto = (u / (1 - u)) / (target / (1 - target))
    keys = np.where((keyed["design"] == "equal").to_numpy(), u, pareto)
    return pl.select(pl.when(pl.Series(others)).then(pl.Series(keys)).alias("key")).to_series()


def _probabilities(keyed: pl.DataFrame) -> pl.Series:
    """Return the true inclusion probability of each row."""
    made: Floats = np.ones(keyed.height)
    others = keyed.lazy().with_row_index("place").filter(pl.col("pi") < 1)
    for part in others.select("place", "stratum", "pi").collect().partition_by("stratum"):
        made[part["place"].to_numpy()] = inclusion_probabilities(part["pi"].to_numpy())
    return pl.Series("inclusion_probability", made)
