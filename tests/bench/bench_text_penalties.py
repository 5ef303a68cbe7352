"""Departments and leaves of Beijing's real penalties, TF-IDF and transformer in one run.

Run with ``python tests/bench/bench_text_penalties.py [--base FOLDER] [--sample FILE]``.
``--sample`` writes random texts with their weak labels, to be checked by hand. Nothing is asserted;
without the real tables nothing is measured.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

os.environ["POLARS_MAX_THREADS"] = "1"

import polars as pl

from models.text.bundle import TextBundle
from models.text.taxonomy import taxonomy
from training.text.evaluate import Evaluation, evaluate
from training.text.fit import fit
from training.text.learn import Course, Place
from training.text.measure import Measured
from training.text.network import FitPlan
from training.text.penalties import penalties
from training.text.verdict import Model

DATA: Final = Path(__file__).parents[2].parent / "shared/data/beijing"
SAMPLE: Final = 200
NEAR: Final = 0.8
PARTS: Final = {"test": "later, authorities never seen", "later": "later, the same authorities"}


def without_unseen(frame: pl.DataFrame) -> pl.DataFrame:
    """Set to null what no text to learn from is labelled with, and print how much that is."""
    learnt = frame.filter(pl.col("split") == "train")
    for name in ("department", "leaf"):
        seen = learnt[name].drop_nulls().unique()
        odd = frame.filter(pl.col(name).is_not_null(), ~pl.col(name).is_in(seen.implode()))
        counts = odd.group_by("split", name).len().sort("split", name).rows()
        print(f"labels of {name} that no text to learn from has: {counts}")
        frame = frame.with_columns(
            pl.when(pl.col(name).is_in(seen.implode())).then(name).alias(name)
        )
    return frame


def show(title: str, measured: Mapping[Model, Mapping[str, Measured]]) -> None:
    """Print one table."""
    print(f"\n| {title} | texts | macro F1 | micro F1 | ECE | coverage at 95 % |")
    print("|---|---|---|---|---|---|")
    for kind, heads in measured.items():
        for head, one in heads.items():
            print(
                f"| {head}, {kind} | {one.rows:,} | {one.macro_f1:.3f} | {one.micro_f1:.3f} "
                f"| {one.ece:.3f} | {one.coverage:.1%} |"
            )


def write_sample(frame: pl.DataFrame, path: Path, *, seed: int, count: int) -> None:
    """Write random texts with their labels."""
    rows = frame.sample(min(count, frame.height), seed=seed, shuffle=True)
    lines = [
        f"[{number}] {row['department']} {row['leaf']} {row['authority']} | {row['text']}"
        for number, row in enumerate(rows.iter_rows(named=True), 1)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"sample: {path}")


def measured_on(frame: pl.DataFrame, part: str, bundles: Mapping[Model, TextBundle]) -> Evaluation:
    """Measure on one part, with near copies of what was learnt from told apart."""
    asked = frame.filter(pl.col("split").is_in(["train", part])).with_columns(
        pl.col("split").replace({part: "test"})
    )
    return evaluate(bundles, asked, near=NEAR)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", help="a pretrained encoder; without it TF-IDF alone")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sample", type=Path, help="write texts to check by hand")
    parser.add_argument("--seed", type=int, default=7, help="of the sample")
    asked = parser.parse_args()
    if not DATA.is_dir():
        sys.exit("the real tables are not on this machine: nothing is measured")
    frame = penalties(DATA)
    print(f"{frame.height:,} texts, {frame['leaf'].count():,} with a leaf")
    print(frame.group_by("split").agg(pl.len(), pl.col("leaf").count()).sort("split").rows())
    if asked.sample:
        write_sample(frame, asked.sample, seed=asked.seed, count=SAMPLE)
        return
    frame = without_unseen(frame)
    place = None
    if asked.base:
        import torch

        torch.set_num_threads(asked.threads)
        place = Place.chosen(None, "auto")
    plan = FitPlan(epochs=asked.epochs, length=160, tokens=2048)
    made = fit(frame, base=asked.base, plan=plan, taxonomy=taxonomy(), course=Course(place))
    print(f"verdict: {made.verdict}")
    for part, title in PARTS.items():
        found = measured_on(frame, part, made.bundles)
        show(title, found.measured)
        show(f"{title}, without {found.near} near copies", found.apart_from_near)


if __name__ == "__main__":
    main()
