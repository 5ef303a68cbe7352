"""Rules that read texts, on Beijing's real penalties: amounts, citations, proposals, speed.

Run with ``python tests/bench/bench_text_rules.py [--lake FOLDER] [--sample FILE]``. Without a lake
the penalties of the example mapping are imported first. ``--sample`` writes 200 random legal bases
with the articles found, to be checked by hand. Nothing is asserted; without the real tables nothing
is measured.
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
TAKEN_FROM_TEXT = ("行政处罚.parquet", "密云区住建委", "国家税务总局北京市税务局行政处罚信息")
"""Tables without a column of amounts: the mapping itself takes them from the text."""
SAMPLE = 200
SEED = 7
TOPS = (1, 5, 20)


def penalties(lake: Lake) -> pl.DataFrame:
    """Return what is read of each penalty."""
    columns = ["happened_on", "region", "violation_type", "violation_fact", "legal_basis"]
    columns += ["penalty_content", "fine_amount", "source_ref"]
    frame = lake.scan("penalty").select(columns).collect()
    return frame.with_columns(source=pl.col("source_ref").str.split("#").list.first())


def imported(folder: Path) -> Lake:
    """Import the penalties of the example mapping."""
    mapping = load_mapping(EXAMPLE)
    plans = tuple(plan for plan in mapping.plans if plan.source.target == "penalty")
    lake = Lake.open(folder, buckets=4)
    import_mapping(replace(mapping, plans=plans), lake, root=DATA / "beijing")
    return lake


def show_amounts(frame: pl.DataFrame) -> None:
    """Print how often the fine in the text is the number beside it, by source."""
    rows = frame.drop_nulls(["fine_amount", "penalty_content"]).filter(
        ~pl.col("source").str.contains_any(list(TAKEN_FROM_TEXT))
    )
    print("\n| table | number and text | text names a fine | exact | within 1 yuan | differs |")
    print("|---|---|---|---|---|---|")
    total = Counter[str]()
    for (source,), part in rows.partition_by("source", as_dict=True).items():
        counts = Counter[str]()
        pairs = cast(
            "list[tuple[float, str]]", part.select("fine_amount", "penalty_content").rows()
        )
        for amount, text in pairs:
            counts["rows"] += 1
            fine = fine_in(text)
            if fine is None:
                continue
            counts["named"] += 1
            apart = abs(fine - amount)
            counts["exact" if apart < 0.005 else "near" if apart < 1 else "differs"] += 1
        _amounts_row(str(source), counts)
        total += counts
    _amounts_row("all", total)


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


def write_sample(frame: pl.DataFrame, laws: Laws, path: Path) -> None:
    """Write random legal bases with their links, to be checked by hand."""
    rows = cast("list[tuple[str, date]]", _bases(frame).sort("legal_basis", "happened_on").rows())
    chosen = random.Random(SEED).sample(rows, min(SAMPLE, len(rows)))
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
    show_amounts(frame)
    show_links(frame, laws)
    show_proposals(frame, laws)
    show_speed(frame)
    if asked.sample:
        write_sample(frame, laws, asked.sample)


if __name__ == "__main__":
    main()
