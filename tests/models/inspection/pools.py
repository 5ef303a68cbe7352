"""Pools for tests: small ones that can be looked through, skewed ones as large as asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.inspection.pool import Pool
from models.inspection.seed import Commitment, Entropy, Seed, freeze, make_seed

FROZEN = datetime(2026, 1, 5, 9, tzinfo=UTC)
SEED = "5f" * 32


def targets(weights: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return probabilities in proportion to ``weights`` that sum to ``n``, all below 0.95."""
    pi = weights * n / weights.sum()
    while (pi > 0.95).any():
        full = pi >= 0.95
        pi[full] = 0.95
        pi[~full] *= (n - pi[full].sum()) / pi[~full].sum()
    return pi


def skewed(size: int, n: int, *, seed: int = 7, spread: float = 1.0) -> NDArray[np.float64]:
    """Return skewed targets."""
    return targets(np.random.default_rng(seed).lognormal(0, spread, size), n)


def frame(size: int = 60) -> pl.DataFrame:
    """Return an equal stratum, a skewed one and one of two mandatory subjects."""
    return pl.DataFrame(
        {
            "subject_id": [f"91210100{i:010d}" for i in range(2 * size + 2)],
            "stratum": ["甲"] * size + ["乙"] * size + ["丙"] * 2,
            "pi": np.concatenate([np.full(size, 0.1), skewed(size, size // 4), [1.0, 1.0]]),
        }
    )


def pool(size: int = 60) -> Pool:
    """Return the pool of :func:`frame`."""
    return Pool.of(frame(size))


def values(*, after: timedelta = timedelta(hours=3)) -> list[Entropy]:
    """Return two public values."""
    at = FROZEN + after
    return [
        Entropy(source="双色球 2026003", value="01,05,12,19,27,33+08", published_at=at),
        Entropy(source="drand 4501234", value="9f3c" * 16, published_at=at),
    ]


def committed(of: Pool) -> Commitment:
    """Return the commitment to a pool."""
    return freeze(of, "2026-食品-01", at=FROZEN)


def seeded(of: Pool) -> Seed:
    """Return a pool's seed."""
    return make_seed(committed(of), values())
