"""Draws: how exact the stated inclusion probabilities are, and how fast 3 M subjects are drawn.

Run with ``python tests/bench/bench_draw.py [subjects]``. Nothing is asserted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import NormalDist
from time import perf_counter
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.inspection import standalone
from models.inspection.assign import Recusal, assign, recuse
from models.inspection.draw import draw, uniforms
from models.inspection.inspectors import Inspectors
from models.inspection.pool import Pool
from models.inspection.probability import inclusion_probabilities
from models.inspection.record import DrawRecord
from models.inspection.seed import Entropy, freeze, make_seed
from models.inspection.tasks import Tasks
from models.inspection.verify import verify

DRAWS = 20_000
FROZEN = datetime(2026, 1, 5, tzinfo=UTC)
Floats = NDArray[np.float64]
Made = TypeVar("Made")


def targets(random: np.random.Generator, size: int, n: int) -> Floats:
    """Return skewed targets below 0.95 that sum to ``n``."""
    pi = random.lognormal(0, 1, size)
    pi *= n / pi.sum()
    while (pi > 0.95).any():
        full = pi >= 0.95
        pi[full] = 0.95
        pi[~full] *= (n - pi[full].sum()) / pi[~full].sum()
    return pi


def one_stratum(pi: Floats) -> Pool:
    """Return a pool of one stratum."""
    ids = [f"91210100{i:010d}" for i in range(len(pi))]
    return Pool.of(pl.DataFrame({"subject_id": ids, "stratum": "S", "pi": pi}))


def exactness(name: str, pi: Floats) -> None:
    """Print how far drawn shares are from stated probabilities, and from the targets."""
    pool = one_stratum(pi)
    ids, used = pool.frame["subject_id"], pool.frame["pi"].to_numpy()
    n = int(pool.strata["n"][0])
    odds = used / (1 - used)
    counts = np.zeros(len(pi))
    for i in range(DRAWS):
        seed = sha256(f"{name}{i}".encode()).hexdigest()
        u = uniforms(seed, ids).to_numpy()
        chosen = np.argpartition((u / (1 - u)) / odds, n)[:n]
        if i < 20:
            drawn = draw(pool, seed)["drawn"].to_numpy()
            if not np.array_equal(np.sort(chosen), np.nonzero(drawn)[0]):
                raise RuntimeError(f"draw {i} of {name} is not the one that draw() makes")
        counts[chosen] += 1
    share = counts / DRAWS
    stated = draw(pool, "0" * 64)["inclusion_probability"].to_numpy()
    error = np.sqrt(stated * (1 - stated) / DRAWS)
    bound = NormalDist().inv_cdf(1 - 0.01 / 2 / len(pi))
    off, off_target = np.abs(share - stated), np.abs(share - used)
    print(
        f"{name:<26}{len(pi):>8,}{n:>7,}{off.max():>10.5f}{(off / error).max():>9.2f}"
        f"{bound:>9.2f}{((off / error) ** 2).mean():>10.3f}{(off_target / error).max():>11.2f}"
    )


def peak() -> float:
    """Return the most memory the process has had, in MiB."""
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024


def timed(name: str, rows: int, work: Callable[[], Made]) -> Made:
    """Print how long ``work`` takes and the peak of memory since the start."""
    start = perf_counter()
    made = work()
    seconds = perf_counter() - start
    print(f"{name:<44}{rows:>11,}{seconds:>9.2f}{rows / seconds:>14,.0f}{peak():>9,.0f}")
    return made


def province(subjects: int) -> pl.DataFrame:
    """Return a pool: four grades with ratios in three quarters of it, risk-weighted in the rest."""
    random = np.random.default_rng(7)
    sizes = [subjects * part // 100 for part in (40, 20, 10, 5)]
    drawn = [size * ratio // 100 for size, ratio in zip(sizes, (1, 3, 15, 50), strict=True)]
    strata = [(f"等级{g}", np.full(s, n / s)) for g, s, n in zip("ABCD", sizes, drawn, strict=True)]
    left = subjects - sum(sizes)
    strata.append(("风险加权", targets(random, left, left // 20)))
    return pl.DataFrame(
        {
            "subject_id": [f"91210100{i:010d}" for i in range(subjects)],
            "stratum": pl.concat([pl.repeat(name, len(pi), eager=True) for name, pi in strata]),
            "pi": np.concatenate([pi for _, pi in strata]),
        }
    )


def staff(count: int, wanted: int) -> tuple[Inspectors, Tasks]:
    """Return inspectors of 14 cities and 20 matters, and tasks, more in some cities than others."""
    random = np.random.default_rng(7)
    matters = np.array([f"事项{i}" for i in range(20)])
    cities = np.array([f"21{i:02d}00" for i in range(1, 15)])
    ids = [f"i{i:05d}" for i in range(count)]
    subjects = [f"s{i:06d}" for i in range(wanted)]
    people = pl.DataFrame(
        {
            "inspector_id": ids,
            "certificate": [f"c{i}" if i % 20 else None for i in range(count)],
            "valid_until": [
                date(2027, 1, 1) if i % 13 else date(2026, 3, 15) for i in range(count)
            ],
            "matters": [random.choice(matters, 5, replace=False).tolist() for _ in ids],
            "regions": [[str(random.choice(cities))[:4]] for _ in ids],
        }
    )
    conflicts = pl.DataFrame(
        {
            "inspector_id": random.choice(ids, wanted // 2),
            "subject_id": random.choice(subjects, wanted // 2),
        }
    )
    tasks = pl.DataFrame(
        {
            "task_id": [f"t{i:06d}" for i in range(wanted)],
            "subject_id": subjects,
            "matters": [[str(random.choice(matters))] for _ in subjects],
            "region": cities[np.minimum(13, random.exponential(4, wanted).astype(np.int64))],
            "starts": [date(2026, 3, 1)] * wanted,
            "ends": [date(2026, 3, 31)] * wanted,
            "last_team": [random.choice(ids, 2, replace=False).tolist() for _ in subjects],
        }
    )
    return Inspectors.of(people, conflicts=conflicts), Tasks.of(tasks)


def speed(subjects: int) -> None:
    """Print the table of times."""
    print(f"\n{'step':<44}{'rows':>11}{'s':>9}{'rows/s':>14}{'MiB':>9}")
    frame = province(subjects)
    pool = timed("check and sort the pool", subjects, lambda: Pool.of(frame))
    commitment = timed(
        "commitment (SHA-256 of the pool)", subjects, lambda: freeze(pool, "x", at=FROZEN)
    )
    content = pool.lines()
    timed("read the published pool", subjects, lambda: Pool.read(content))
    value = Entropy(source="x", value="1", published_at=FROZEN + timedelta(hours=1))
    seed = make_seed(commitment, [value])
    timed("keys, draw, inclusion probabilities", subjects, lambda: draw(pool, seed.seed))
    weighted = frame.filter(pl.col("stratum") == "风险加权")["pi"].to_numpy()
    timed(
        "of it: Pareto inclusion probabilities",
        len(weighted),
        lambda: inclusion_probabilities(weighted),
    )
    record = timed("draw and record", subjects, lambda: DrawRecord.of(pool, seed))
    checks = timed("verify the record", subjects, lambda: verify(pool, record))
    print(f"   {len(record.drawn):,} drawn; {sum(not c.trouble for c in checks)} of 8 checks hold")
    inspectors, tasks = staff(2000, 30_000)
    made = timed(
        "assign 2,000 inspectors", 30_000, lambda: assign(inspectors, tasks, seed="5f" * 32)
    )
    task, person = made.teams.row(0)
    once = [Recusal(task, person, "x")]
    timed("one recusal", 1, lambda: recuse(made, inspectors, tasks, recusals=once))


def alone(subjects: int) -> None:
    """Print how long the stand-alone program takes."""
    pool = Pool.of(province(subjects))
    value = Entropy(source="x", value="1", published_at=FROZEN + timedelta(hours=1))
    record = DrawRecord.of(pool, make_seed(freeze(pool, "x", at=FROZEN), [value]))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "record.json").write_text(record.text(), encoding="utf-8")
        (Path(folder) / "pool.txt").write_bytes(pool.lines())
        program = [sys.executable, "-I", "-S", standalone.__file__, f"{folder}/record.json"]
        timed(
            "stand-alone program (pure Python)",
            subjects,
            lambda: subprocess.run(program, check=True, capture_output=True),
        )


def main(subjects: int) -> None:
    """Print both tables."""
    random = np.random.default_rng(7)
    print(
        f"{DRAWS:,} draws; z is |share − stated| by its standard error; bound: 99 % for the max\n"
    )
    head = ("subjects", "n", "max |Δ|", "max z", "bound", "mean z²", "z to pi")
    print(f"{'design':<26}" + "".join(f"{h:>{w}}" for h, w in zip(
        head, (8, 7, 10, 9, 9, 10, 11), strict=True)))  # fmt: skip
    exactness("equal", np.full(1000, 0.1))
    exactness("Pareto, skewed", targets(random, 1000, 100))
    exactness("Pareto, skewed, small", targets(random, 8, 2))
    speed(subjects)
    alone(min(subjects, 300_000))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3_000_000)
