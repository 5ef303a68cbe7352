"""年报: who filed which year's report when, and what it said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from training.synth.arrays import Ints, sigmoid
from training.synth.chunk import Chunk
from training.synth.clock import FAR, day_number
from training.synth.population import INDIVIDUAL


@dataclass(frozen=True, slots=True, eq=False)
class Filings:
    """One row a subject and year with a report due; ``filed`` is ``FAR`` if it never was."""

    subject: Ints
    year: Ints
    due: Ints
    filed: Ints


def filings(chunk: Chunk) -> Filings:
    """Return all reports due between the first and the last day (公示条例 8: by 30 June)."""
    rng, people, clock, life = chunk.rng("filing"), chunk.people, chunk.clock, chunk.life
    parts: list[tuple[Ints, Ints, Ints, Ints]] = []
    for year in sorted(set((clock.year - 1).tolist())):
        due = day_number(date(year + 1, 6, 30))
        if not clock.start <= due <= clock.end:
            continue
        subject = np.flatnonzero(
            (people.born < day_number(date(year + 1, 1, 1))) & (life.ended > due)
        ).astype(np.int64)
        month = int(clock.month_of(np.array([due]))[0])
        lean = -3.4 + 1.2 * chunk.risk.latent[subject, month]
        lean += 0.3 * (people.kind[subject] == INDIVIDUAL) + 1.0 * (people.cluster[subject] >= 0)
        missing = rng.random(subject.size) < sigmoid(lean)
        early = due - (180 * rng.beta(1.2, 2.2, size=subject.size)).astype(np.int64)
        late = due + 1 + rng.integers(1, 330, size=subject.size)
        comes = (rng.random(subject.size) < 0.55) & (
            late <= np.minimum(life.ended[subject], clock.end)
        )
        filed = np.where(~missing, early, np.where(comes, late, FAR))
        parts.append((subject, np.full(subject.size, year), np.full(subject.size, due), filed))
    if not parts:
        empty = np.zeros(0, np.int64)
        return Filings(empty, empty, empty, empty)
    return Filings(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def annual_reports(chunk: Chunk, filed: Filings) -> pl.DataFrame:
    """Return the reports that were filed; a shell reports zeros."""
    rng, people = chunk.rng("annual_report"), chunk.people
    there = filed.filed < FAR
    subject, year, day = filed.subject[there], filed.year[there], filed.filed[there]
    size = len(subject)
    month = np.clip(chunk.clock.month_of(day), 0, chunk.clock.months - 1)
    latent = chunk.risk.latent[subject, month]
    workers = people.employees[subject]
    trend = np.exp(0.02 * (year - 2018) - 0.10 * np.maximum(latent, 0.0))
    revenue = workers * 180_000.0 * np.exp(0.6 * rng.standard_normal(size)) * trend
    assets = people.capital[subject] * np.exp(0.5 * rng.standard_normal(size)) + 0.4 * revenue
    margin = 0.06 - 0.03 * latent + 0.05 * rng.standard_normal(size)
    empty = (people.cluster[subject] >= 0) & (rng.random(size) < 0.6) | (rng.random(size) < 0.03)
    scale = np.where(empty, 0.0, 1.0)
    own = {
        "year": pl.Series(year).cast(pl.Int32),
        "assets": pl.Series(np.round(assets * scale, 2)),
        "revenue": pl.Series(np.round(revenue * scale, 2)),
        "profit": pl.Series(np.round(revenue * margin * scale, 2)),
        "tax_paid": pl.Series(np.round(revenue * 0.03 * np.maximum(margin + 0.5, 0.1) * scale, 2)),
        "employees": pl.Series(np.where(empty, 0, workers)),
    }
    _, authority = chunk.decided(subject, chunk.department("market"))
    frame = chunk.base(rng, subject, day, day + 1).with_columns(
        pl.Series(name, values) for name, values in {**own, **authority}.items()
    )
    return chunk.known(frame)
