"""A plan and made-up firms for it, for tests."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

RATIOS: Final = {"A": 0.01, "B": 0.03, "C": 0.15, "D": 0.5}

TEXT: Final = """\
id: catering_2027
title: 2027年度餐饮服务双随机抽查计划
year: 2027
scenario: food_safety
departments: [市场监管局, 消防救援局]
matters:
  - id: M01
    title: 餐饮服务监督检查
    department: 市场监管局
    legal_basis: [食品安全法]
    published: 2026-11-01
  - id: M02
    title: 消防安全检查
    department: 消防救援局
    legal_basis: [消防法]
    published: 2026-11-01
    kind: key
periods:
  - {id: 2027H1, first: 2027-01-01, last: 2027-06-30}
  - {id: 2027H2, first: 2027-07-01, last: 2027-12-31}
ratios: {A: 0.01, B: 0.03, C: 0.15, D: 0.5}
allocation: {by: risk, precision: 0.1}
random_share: 0.1
capacity: {per_month: 1200}
mandatory:
  - {list: food_dishonest, monthly: 1, unannounced: 2}
caps: {per_year: 2, by_grade: {D: 14}}
merge: {within: 30d}
"""


def people(many: int, seed: int = 0) -> pl.DataFrame:
    """Return firms whose risk is skewed, with grade, region and office."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.8, 8, many)
    return pl.DataFrame(
        {
            "subject_id": [f"S{n:06d}" for n in range(many)],
            "probability": p,
            "grade": np.array(list("ABCD"))[np.digitize(p, [0.05, 0.12, 0.25])],
            "region": np.array(["东", "西"])[np.arange(many) % 2],
            "office": np.array(["东", "西"])[np.arange(many) % 2],
        }
    )
