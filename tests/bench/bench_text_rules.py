"""Rules that read texts, on Beijing's real penalties: amounts, citations, proposals, speed.

Run with ``python tests/bench/bench_text_rules.py [--lake FOLDER] [--sample FILE]``. Without a lake
the penalties of the example mapping are imported first. ``--sample`` writes random legal bases with
the articles found, to be checked by hand; ``--seed`` and ``--count`` say which and how many.
Nothing is asserted; without the real tables nothing is measured.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import cast

os.environ["POLARS_MAX_THREADS"] = "1"

import polars as pl

from models.records.lake import Lake
from models.text.citations import find_citations
from models.text.entities import find_entities, fine_in
from models.text.laws import Laws, Link
from models.text.mask import mask
from training.sources.mapping import load_mapping
from training.sources.run import import_mapping
from training.text.laws import import_laws

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared/data"
EXAMPLE = ROOT / "training/sources/examples/beijing/mapping.yaml"
WAN, YUAN = 10_000.0, 1.0
AMOUNTS = (
    ("区经信局怀柔区行政处罚公示信息", "罚款金额（万元）", WAN, "处罚内容"),
    ("法人行政处罚信息", "罚款金额（万元）", WAN, "处罚内容"),
    ("市文化执法总队-新闻出版领域行政处罚信息", "罚款金额（万元）", WAN, "处罚内容"),
    ("市文化执法总队-版权领域行政处罚信息", "罚款金额（万元）", WAN, "处罚内容"),
    ("税收行政处罚信息", "罚款金额", YUAN, "处罚结果"),
)
"""The tables that give a fine as a number of its own and the decision as text."""
SAMPLE = 200
SEED = 7
TOPS = (1, 5, 20)


def penalties(lake: Lake) -> pl.DataFrame:
    """Return what is read of each penalty."""
    columns = ["happened_on", "region", "violation_type", "violation_fact", "legal_basis"]
    columns += ["penalty_content"]
    return lake.scan("penalty").select(columns).collect()


def imported(folder: Path) -> Lake:
    """Import the penalties of the example mapping."""
    mapping = load_mapping(EXAMPLE)
    plans = tuple(plan for plan in mapping.plans if plan.source.target == "penalty")
    lake = Lake.open(folder, buckets=4)
    import_mapping(replace(mapping, plans=plans), lake, root=DATA / "beijing")
    return lake


def show_amounts(folder: Path) -> None:
    """Print how often the fine in the text is the number beside it, by table as published.

    Not from the lake: where a table has no number the mapping takes one from the text.
    """
    print("\n| table | number and text | text names a fine | exact | within 1 yuan | differs |")
    print("|---|---|---|---|---|---|")
    total = Counter[str]()
    for name, number, unit, text in AMOUNTS:
        path = folder / f"{name}.parquet"
        if not path.is_file():
            print(f"| {name} | not on this machine |")
            continue
        value = pl.col(number).cast(pl.Float64, strict=False) * unit
        rows = pl.read_parquet(path).select(value, text).drop_nulls().rows()
        counts = Counter[str]()
        for amount, content in cast("list[tuple[float, str]]", rows):
            counts.update(("rows", *_compared(fine_in(content), amount)))
        _amounts_row(name, counts)
        total += counts
    _amounts_row("all", total)


def _compared(fine: float | None, amount: float) -> tuple[str, ...]:
    if fine is None:
        return ()
    apart = abs(fine - amount)
    return "named", "exact" if apart < 0.005 else "near" if apart < 1 else "differs"


def _amounts_row(name: str, counts: Counter[str]) -> None:
    cells = [f"{counts[key]:,}" for key in ("rows", "named", "exact", "near", "differs")]
    print(f"| {name} | {' | '.join(cells)} |")


def show_links(frame: pl.DataFrame, laws: Laws) -> None:
    """Print what became of the citations of every legal basis."""
    counts = Counter[str]()
    rows = cast("list[tuple[str, date]]", _bases(frame).rows())
    begun = perf_counter()
    for text, on in rows:
        links = laws.link(text, on=on)
        counts.update(link.status for link in links)
        counts["texts"] += 1
        counts["texts with a citation"] += bool(links)
        counts["texts with a linked article"] += any(link.status == "linked" for link in links)
    lasted = perf_counter() - begun
    print(f"\n| legal basis ({len(rows) / lasted:,.0f} texts/s) | |\n|---|---|")
    for name, count in counts.most_common():
        print(f"| {name} | {count:,} |")


def _bases(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("legal_basis", "happened_on").drop_nulls()


def show_proposals(frame: pl.DataFrame, laws: Laws) -> None:
    """Print how often a cited article is among those proposed for the violation alone."""
    hits, asked = Counter[int](), 0
    columns = ["violation_type", "violation_fact", "legal_basis", "happened_on", "region"]
    rows = (
        frame.drop_nulls(["violation_fact", "legal_basis"])
        .select(columns)
        .unique(["violation_fact", "legal_basis"], maintain_order=True)
    )
    begun = perf_counter()
    for kind, fact, basis, on, region in rows.iter_rows():
        cited = {
            (link.article.law, link.article.article)
            for link in laws.link(basis, on=on)
            if link.article is not None and link.status == "linked"
        }
        if not cited:
            continue
        asked += 1
        text = f"{kind or ''}。{_without_citations(str(fact))}"
        found = laws.propose(text, top=max(TOPS), region=region)
        places = [(one.article.law, one.article.article) in cited for one in found]
        for top in TOPS:
            hits[top] += any(places[:top])
    lasted = perf_counter() - begun
    print(f"\n| proposals for {asked:,} distinct texts ({asked / lasted:,.0f}/s) | hit |")
    print("|---|---|")
    for top in TOPS:
        print(f"| cited article among the first {top} | {hits[top] / max(asked, 1):.1%} |")


def _without_citations(text: str) -> str:
    for one in reversed(find_citations(text)):
        text = text[: one.start] + text[one.end :]
    return text


def show_speed(frame: pl.DataFrame) -> None:
    """Print texts and characters a second, one core."""
    texts = [
        text
        for name in ("violation_fact", "penalty_content", "legal_basis")
        for text in cast("list[str]", frame[name].drop_nulls().to_list())
    ]
    characters = sum(map(len, texts))
    print(f"\n| {len(texts):,} texts, {characters:,} characters | texts/s | M characters/s |")
    print("|---|---|---|")
    works: Sequence[tuple[str, Callable[[str], object]]] = (
        ("citations", find_citations),
        ("entities", find_entities),
        ("mask", mask),
    )
    for name, work in works:
        begun = perf_counter()
        for text in texts:
            work(text)
        lasted = perf_counter() - begun
        print(f"| {name} | {len(texts) / lasted:,.0f} | {characters / lasted / 1e6:.1f} |")


def write_sample(
    frame: pl.DataFrame, laws: Laws, path: Path, *, seed: int = SEED, count: int = SAMPLE
) -> None:
    """Write random legal bases with their links, to be checked by hand."""
    rows = cast("list[tuple[str, date]]", _bases(frame).sort("legal_basis", "happened_on").rows())
    chosen = random.Random(seed).sample(rows, min(count, len(rows)))
    lines: list[str] = []
    for number, (text, on) in enumerate(chosen, 1):
        lines.append(f"[{number}] {on} {' '.join((mask(text) or '').split())}")
        lines += [f"      {_told(link)}" for link in laws.link(text, on=on)] or ["      (none)"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"\nsample: {path}")


def _told(link: Link) -> str:
    one = link.citation
    place = "".join(
        f"{word}{number}"
        for word, number in (
            ("条", one.article),
            ("之", one.branch),
            ("款", one.paragraph),
            ("项", one.item),
        )
        if number is not None
    )
    said = f"{link.status:<15} {one.law} {place}"
    if link.article is None:
        return f"{said} -> {link.law}" if link.law else said
    text = " ".join(link.article.text.split())[:60]
    return f"{said} -> {link.law} ({link.article.date}) {link.article.article} {text}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", type=Path, help="a lake with Beijing's penalties")
    parser.add_argument("--sample", type=Path, help="write legal bases to check by hand")
    parser.add_argument("--seed", type=int, default=SEED, help="of the sample")
    parser.add_argument("--count", type=int, default=SAMPLE, help="texts of the sample")
    asked = parser.parse_args()
    source = DATA / "laws/laws_articles.parquet"
    if not source.is_file() or not (asked.lake or (DATA / "beijing").is_dir()):
        sys.exit("the real tables are not on this machine: nothing is measured")
    with TemporaryDirectory() as folder:
        begun = perf_counter()
        laws = import_laws(source, Path(folder))
        lasted = perf_counter() - begun
        print(f"laws: {laws.articles.height:,} articles indexed and kept in {lasted:.1f} s")
        frame = penalties(Lake.open(asked.lake) if asked.lake else imported(Path(folder) / "lake"))
    print(f"penalties: {frame.height:,}")
    show_amounts(DATA / "beijing")
    show_links(frame, laws)
    show_proposals(frame, laws)
    show_speed(frame)
    if asked.sample:
        write_sample(frame, laws, asked.sample, seed=asked.seed, count=asked.count)


if __name__ == "__main__":
    main()
