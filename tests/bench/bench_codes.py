"""Rows per second of the code checks: Polars expression against its scalar twin, one core.

Run with ``python tests/bench/bench_codes.py [rows]``. Nothing is asserted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import date
from functools import partial
from time import perf_counter

os.environ["POLARS_MAX_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import polars as pl

from models.codes import calendar, citizen, masking, organisation, penalty_kinds, regions, uscc

TODAY = date(2026, 1, 1)
Scalar = Callable[..., object]
ALPHABETS = {18: uscc.ALPHABET, 9: "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def random_codes(rows: int, width: int) -> pl.Series:
    """Return random symbols after 91 and a region, so that most rows are looked at to the end."""
    random = np.random.default_rng(7)
    symbols = np.array(list(ALPHABETS[width]))
    text = random.choice(symbols, (rows, width))
    if width == 18:
        text[:, :8] = list("91210100")
    return pl.Series("code", text.view(f"U{width}").ravel().tolist())


def columns(rows: int) -> pl.DataFrame:
    """Return the columns that the checks read."""
    random = np.random.default_rng(7)
    codes = random_codes(rows, 18)
    dirty = codes.to_frame().with_columns(
        pl.when(pl.int_range(pl.len()) % 20 == 0)
        .then(pl.lit("　９１") + pl.col("code").str.slice(2) + "\u200b")
        .otherwise("code")
        .alias("code")
    )
    birth = pl.Series(random.choice(np.array(["19491231", "20010229", "19990101"]), rows))
    return pl.DataFrame(
        {
            "uscc": codes,
            "dirty": dirty["code"],
            "organisation": random_codes(rows, 9),
            "citizen": "110105" + birth + "002X",
            "text": "经查，当事人经营场所登记号为"
            + codes
            + "，联系电话13800000000，违法事实清楚。",
            "region": pl.Series(random.choice(np.array(regions.children("210100")), rows)),
            "kinds": pl.Series(random.choice(np.array(["罚款", "警告;罚款", "责令改正"]), rows)),
            "day": pl.Series(random.integers(17_000, 20_000, rows)).cast(pl.Int32).cast(pl.Date),
        }
    )


CHECKS: dict[str, tuple[str, pl.Expr, Scalar]] = {
    "uscc valid": ("uscc", uscc.is_valid_expr("uscc"), uscc.is_valid),
    "uscc check symbol": ("uscc", uscc.check_symbol_expr("uscc"), uscc.check_symbol),
    "uscc normalise, clean": ("uscc", uscc.normalise_expr("uscc"), uscc.normalise),
    "uscc normalise, 5 % dirty": ("dirty", uscc.normalise_expr("dirty"), uscc.normalise),
    "uscc subject type": ("uscc", uscc.subject_type_expr("uscc"), uscc.subject_type),
    "organisation valid": (
        "organisation",
        organisation.is_valid_expr("organisation"),
        organisation.is_valid,
    ),
    "citizen valid": (
        "citizen",
        citizen.is_valid_expr("citizen", today=TODAY),
        partial(citizen.is_valid, today=TODAY),
    ),
    "citizen id in text": (
        "text",
        masking.has_citizen_id_expr("text", today=TODAY),
        partial(masking.has_citizen_id, today=TODAY),
    ),
    "mask text": ("text", masking.mask_text_expr("text"), masking.mask_text),
    "region name": ("region", regions.name_expr("region"), regions.name),
    "penalty kinds": ("kinds", penalty_kinds.split_expr("kinds"), penalty_kinds.split),
    "7 working days": ("day", calendar.deadline_expr("day"), calendar.deadline),
}


def seconds(work: Callable[[], object]) -> float:
    """Return the best of three runs."""
    times: list[float] = []
    for _ in range(3):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return min(times)


def main(rows: int) -> None:
    """Print the table."""
    frame = columns(rows)
    few = frame.head(min(rows, 50_000))
    print(f"{rows:,} rows, polars {pl.__version__}, one thread\n")
    print(f"{'check':<28}{'rows/s':>14}{'scalar rows/s':>16}{'ratio':>8}")
    for name, (column, expression, scalar) in CHECKS.items():
        values = few[column].to_list()
        fast = rows / seconds(partial(frame.select, expression))
        slow = len(values) / seconds(lambda v=values, f=scalar: [f(value) for value in v])
        print(f"{name:<28}{fast:>14,.0f}{slow:>16,.0f}{fast / slow:>8.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
