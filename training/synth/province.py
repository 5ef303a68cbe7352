"""The synthetic province: departments' raw files, and the truth in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from models.errors import ConfigError
from training.synth import (
    business,
    cases,
    departments,
    dirt,
    files,
    inspections,
    licences,
    listings,
    penalties,
    register,
    returns,
    standing,
    truth,
)
from training.synth.arrays import SHARED, stream
from training.synth.chunk import Chunk
from training.synth.clock import wind
from training.synth.layouts import LAYOUTS, Layout
from training.synth.mix import mix
from training.synth.offices import offices
from training.synth.population import rename, settle
from training.synth.risk import live, walk
from training.synth.spec import Rates, Spec
from training.synth.supervision import planned, supervise

Advance = Callable[[int], None]

_TOLD: Final = {
    "penalty": "penalty",
    "case_penalty": "penalty",
    "complaint": "complaint",
    "inspection": "inspection",
}
"""Sources whose documents have a true leaf, and their table."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was made: where, rows by table, dirty rows by (table, rule)."""

    out: Path
    mapping: Path
    truth: Path
    rows: Mapping[str, int]
    dirty: Mapping[tuple[str, str], int]


def make_province(
    out: Path,
    *,
    subjects: int,
    seed: int,
    start: date = date(2019, 1, 1),
    end: date = date(2026, 6, 30),
    invoices_share: float = 0.03,
    rates: Rates | None = None,
    advance: Advance = lambda _: None,
) -> Summary:
    """Make a province in the empty or new folder ``out``; the same arguments give the same bytes.

    Args:
        out: Gets ``mapping.yaml``, the departments' files, and ``truth/``.
        subjects: How many subjects there are over the whole time.
        seed: What everything random follows from.
        start: The first day, a first of a month.
        end: The last day; what was not reported by then is not in the files.
        invoices_share: Share of the subjects whose invoices are there.
        rates: Every other rate.
        advance: Is told of subjects as they are done.

    Raises:
        ConfigError: an argument is out of range, or ``out`` is not empty.
    """
    return make(
        Spec(
            subjects=subjects,
            seed=seed,
            start=start,
            end=end,
            invoices_share=invoices_share,
            rates=rates or Rates(),
        ),
        out,
        advance=advance,
    )


def make(spec: Spec, out: Path, *, advance: Advance = lambda _: None) -> Summary:
    """Make the province of ``spec`` in ``out``, chunk by chunk; see :func:`make_province`."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is not an empty folder; name a new one, or empty it first")
    folder = out / truth.FOLDER
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(truth.README, encoding="utf-8", newline="\n")
    rows = dict.fromkeys((layout.id for layout in LAYOUTS), 0)
    dirty: dict[tuple[str, str], int] = {}
    for number in range(spec.chunks):
        chunk = begin(spec, number)
        tables, planted = tables_of(chunk), departments.planted(chunk)
        noted = pl.concat(
            _write(chunk, layout, tables[layout.id], out=out, rows=rows) for layout in LAYOUTS
        )
        counted = noted.group_by("table", "rule", maintain_order=True).len()
        for table, rule, count in counted.iter_rows():
            dirty[table, rule] = dirty.get((table, rule), 0) + count
        leaves = [truth.leaves_of(table, tables[name]) for name, table in _TOLD.items()]
        told = pl.concat(leaves)
        truth.write(chunk, folder=folder, leaves=told, dirt=noted, planted=planted)
        advance(spec.size_of(number))
    whole: dict[str, int] = {}
    for layout in LAYOUTS:
        whole[layout.table] = whole.get(layout.table, 0) + rows[layout.id]
    return Summary(out=out, mapping=files.write_mapping(out), truth=folder, rows=whole, dirty=dirty)


def begin(spec: Spec, number: int) -> Chunk:
    """Return chunk ``number`` with its people, their risk, lives and supervision; no tables yet."""
    clock, layout = wind(spec.start, spec.end), mix()
    size, rates = spec.size_of(number), spec.rates
    people = settle(
        stream(spec.seed, number, "population"), number * spec.chunk, size, clock=clock, mix=layout
    )
    risk = walk(stream(spec.seed, number, "risk"), people, clock=clock, mix=layout, fail=rates.fail)
    life = live(stream(spec.seed, number, "life"), people, risk, clock)
    shared = stream(spec.seed, SHARED, "plans")
    plans = (planned(shared, clock, layout, share=0.25), planned(shared, clock, layout, share=0.04))
    watch = supervise(
        stream(spec.seed, number, "supervision"),
        people,
        risk,
        life,
        clock=clock,
        mix=layout,
        rates=rates,
        plans=plans,
    )
    renames = rename(
        stream(spec.seed, number, "rename"),
        people,
        life.ended,
        clock=clock,
        mix=layout,
        share=rates.renamed,
    )
    return Chunk(spec, number, clock, layout, offices(), people, renames, risk, life, watch)


def tables_of(chunk: Chunk) -> dict[str, pl.DataFrame]:
    """Return the chunk's clean tables by source; columns that begin with ``_`` are not sent."""
    changed = register.changes(chunk)
    filed = returns.filings(chunk)
    punished = penalties.penalties(chunk)
    judged = standing.judgments(chunk)
    listed = listings.listings(chunk, filed, judged, punished)
    own = departments.tables(chunk)
    return {
        "subject": register.subjects(chunk),
        "change": changed,
        "person_role": register.person_roles(chunk, changed),
        "relation": register.relations(chunk),
        "licence": licences.licences(chunk),
        "penalty": punished,
        "inspection": inspections.inspections(chunk),
        "sampling": inspections.samplings(chunk),
        "complaint": inspections.complaints(chunk),
        "listing": _without_codes(listed),
        "judgment": judged,
        "annual_report": returns.annual_reports(chunk, filed),
        "tax_event": business.tax_events(chunk),
        "social_insurance": business.social_insurances(chunk),
        "pledge": standing.pledges(chunk),
        "repair": standing.repairs(chunk, punished, listed),
        "invoice": business.invoices(chunk),
        **own,
        **cases.tables(chunk, own),
    }


def _without_codes(listed: pl.DataFrame) -> pl.DataFrame:
    return listed.with_columns(pl.when(~pl.col("_by_name")).then("uscc").alias("uscc"))


def _write(
    chunk: Chunk, layout: Layout, frame: pl.DataFrame, *, out: Path, rows: dict[str, int]
) -> pl.DataFrame:
    """Spoil, render and write one table; return where its dirt lies."""
    rng, source = chunk.rng(f"dirt {layout.id}"), layout.id
    chosen = dirt.assign(rng, source, frame, chunk.spec.rates.dirt)
    height = frame.height
    spoilt = dirt.spoil(rng, source, frame, chosen, written=False)
    sent = files.render(spoilt, layout)
    sent = dirt.spoil(rng, source, sent, chosen, written=True)
    files.write(sent, layout, folder=out, chunk=chunk.number)
    before = 0 if layout.kind == "parquet" else rows[source]
    header = 1 if layout.kind in {"csv", "gb18030"} else 0
    rows[source] += sent.height
    return dirt.noted(chosen, height).select(
        pl.lit(layout.table).alias("table"),
        pl.lit(layout.file(chunk.number)).alias("file"),
        (pl.col("row") + 1 + header + before).alias("line"),
        "rule",
    )
