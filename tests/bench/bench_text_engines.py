"""Engines and evidence of a fitted text model, on the test part of its table.

Run with ``python tests/bench/bench_text_engines.py FITTED DATA``, where FITTED is what
``xinjian text fit`` wrote with a transformer. Two tables are printed: texts a second of every
installed engine at batch 1 and 32 against torch in float32, with the share of equal labels; and,
for each method of finding evidence, what the probability of the answer loses without the span it
names and without random spans of the same length. Rounds alternate between engines, and medians
are shown. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from models.text.bundle import TextBundle
from models.text.classifier import Classifier
from models.text.evidence import (
    Faithfulness,
    Finder,
    Scorer,
    by_both_ends,
    by_characters,
    by_deletion,
    faithfulness,
    most_faithful,
    scorer_of,
)
from models.text.gradients import integrated_gradients
from models.text.heads import places
from training.text.corpus import read_table
from training.text.evaluate import EngineSpeed, load_bundles, race
from training.text.targets import part_of, texts_of

SEED = 7


def raced(
    bundle: TextBundle, texts: Sequence[str], *, threads: int, rounds: int
) -> list[tuple[EngineSpeed, float]]:
    """Return each engine and batch with the median of its texts a second."""
    runs = [race(bundle, texts, threads=threads) for _ in range(rounds)]
    return [
        (each[0], median(one.texts_per_second for one in each)) for each in zip(*runs, strict=True)
    ]


def show_engines(found: Sequence[tuple[EngineSpeed, float]]) -> None:
    """Print the engines' table."""
    eager = {one.batch: speed for one, speed in found if one.engine == "torch"}
    print("| engine | batch | texts/s | × eager | labels agree | largest difference |")
    print("|---|---:|---:|---:|---:|---:|")
    for one, speed in sorted(found, key=lambda each: each[0].batch):
        times = speed / eager[one.batch]
        print(
            f"| {one.engine} | {one.batch} | {speed:,.0f} | {times:.2f} | "
            f"{one.agreement:.2%} | {one.apart:.1g} |"
        )


def methods_of(classifier: Classifier, column: int, score: Scorer) -> Mapping[str, Finder]:
    """Return the ways to find evidence for one answer."""
    part = classifier.bundle.encoder
    found: dict[str, Finder] = {"deletion": by_deletion(score), "both ends": by_both_ends(score)}
    if part is not None:
        attribute = integrated_gradients(part)
        found["integrated gradients"] = by_characters(lambda text: attribute(text, column))
    return found


def evidence(bundle: TextBundle, texts: Sequence[str]) -> dict[str, tuple[Faithfulness, float]]:
    """Measure every method on the likeliest answer of the first head; and seconds a text."""
    classifier = Classifier(bundle, threads=1)
    head = bundle.heads[0]
    told: list[int] = classifier.probabilities(texts)[head.name].argmax(axis=1).tolist()
    begin = places(bundle.heads)[head.name].start
    scorers = {place: scorer_of(classifier, head.name, head.labels[place]) for place in set(told)}
    ways = {place: methods_of(classifier, begin + place, score) for place, score in scorers.items()}
    out: dict[str, tuple[Faithfulness, float]] = {}
    for name in next(iter(ways.values())):
        begun = perf_counter()
        measured = faithfulness(
            texts, [scorers[one] for one in told], [ways[one][name] for one in told], seed=SEED
        )
        out[name] = measured, (perf_counter() - begun) / max(1, len(texts))
    return out


def show_evidence(found: Mapping[str, tuple[Faithfulness, float]]) -> None:
    """Print the methods' table."""
    print("\n| method | drop without its span | without random spans | gain | texts | ms a text |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, (one, seconds) in found.items():
        print(
            f"| {name} | {one.drop:.3f} | {one.random_drop:.3f} | {one.gain:.3f} | "
            f"{one.texts} | {seconds * 1e3:,.0f} |"
        )
    print(f"\nmost faithful: {most_faithful({name: one for name, (one, _) in found.items()})}")


def main() -> None:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("fitted", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--texts", type=int, default=256, help="texts to race the engines on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evidence", type=int, default=100, help="texts to find evidence in")
    asked = parser.parse_args()
    bundle = load_bundles(asked.fitted)["encoder"]
    texts = texts_of(part_of(read_table(asked.data), "test"))
    order: list[int] = np.random.default_rng(SEED).permutation(len(texts)).tolist()
    some = [texts[place] for place in order]
    if asked.texts:
        race_texts = some[: asked.texts]
        show_engines(raced(bundle, race_texts, threads=asked.threads, rounds=asked.rounds))
    if asked.evidence:
        show_evidence(evidence(bundle, some[: asked.evidence]))


if __name__ == "__main__":
    main()
