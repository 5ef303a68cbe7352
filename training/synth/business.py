"""How subjects do business: tax, social insurance, invoices."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from training.synth.arrays import Flags, Ints, between, texts
from training.synth.chunk import Chunk
from training.synth.population import ENTERPRISE, INDIVIDUAL

TAXES: Final = ("增值税", "企业所得税", "城镇土地使用税", "房产税", "印花税", "个人所得税")
_EVENTS: Final = (
    ("arrears", 0.0018, 0.9),
    ("late_filing", 0.0030, 0.7),
    ("abnormal", 0.0003, 1.2),
    ("invoice_irregular", 0.0004, 1.0),
)
_RATINGS: Final = "ABMCD"


def tax_events(chunk: Chunk) -> pl.DataFrame:
    """Return arrears, late filings, non-normal households, irregular invoices, yearly ratings."""
    rng, clock = chunk.rng("tax_event"), chunk.clock
    firms = chunk.people.kind == ENTERPRISE
    parts: list[pl.DataFrame] = []
    for kind, rate, slope in _EVENTS:
        subject, month = chunk.happening(rng, rate, slope, among=firms)
        day = chunk.days_in(rng, subject, month)
        money = kind in {"arrears", "invoice_irregular"}
        amount = np.round(between(rng, 800.0, 900_000.0, len(subject)), 2)
        period = pl.format("{}-{}", pl.col("y"), pl.col("m").cast(pl.String).str.zfill(2))
        months = pl.DataFrame({"y": clock.year[month], "m": clock.month[month]})
        parts.append(
            chunk.base(
                rng, subject, day, clock.working_after(day, rng.integers(1, 12, size=len(subject)))
            ).with_columns(
                pl.lit(kind).alias("kind"),
                texts(list(TAXES), rng.integers(len(TAXES), size=len(subject))).alias("tax_type"),
                pl.Series("amount", amount if money else np.full(len(subject), np.nan)).fill_nan(
                    None
                ),
                months.select(period.alias("period")).to_series(),
                pl.lit(None, dtype=pl.String).alias("rating"),
            )
        )
    parts.append(_ratings(chunk))
    frame = pl.concat(parts)
    subject = frame["_subject"].to_numpy()
    _, authority = chunk.decided(subject, chunk.department("tax"))
    return chunk.known(frame.with_columns(pl.Series(n, v) for n, v in authority.items()))


def _ratings(chunk: Chunk) -> pl.DataFrame:
    """Return each April's rating of last year: the riskier, the worse; young firms get M."""
    rng, clock, people = chunk.rng("rating"), chunk.clock, chunk.people
    aprils = np.flatnonzero(clock.month == 4)
    cells = np.argwhere((people.kind == ENTERPRISE)[:, None] & chunk.life.active[:, aprils])
    subject, month = cells[:, 0].astype(np.int64), aprils[cells[:, 1]]
    old = people.born[subject] < clock.first[month] - 365
    subject, month = subject[old], month[old]
    score = chunk.risk.latent[subject, month] + 0.7 * rng.standard_normal(len(subject))
    young = people.born[subject] > clock.first[month] - 2 * 365
    place = np.where(
        young & (score < 1.2), 2, np.array([0, 1, 3, 4])[np.searchsorted([-0.9, 1.0, 1.9], score)]
    )
    low = np.full(len(subject), 14)
    day = clock.first[month] + low + rng.integers(0, 15, size=len(subject))
    day = np.minimum(day, chunk.life.ended[subject])
    return chunk.base(rng, subject, day, day + 1).with_columns(
        pl.lit("rating").alias("kind"),
        pl.lit(None, dtype=pl.String).alias("tax_type"),
        pl.lit(None, dtype=pl.Float64).alias("amount"),
        pl.Series("period", clock.year[month] - 1).cast(pl.String),
        texts(list(_RATINGS), place).alias("rating"),
    )


def social_insurances(chunk: Chunk) -> pl.DataFrame:
    """Return months of social insurance of a share of the subjects; risk shrinks the insured."""
    rng, clock, people = chunk.rng("social_insurance"), chunk.clock, chunk.people
    employers = np.flatnonzero(people.kind != INDIVIDUAL)
    wanted = chunk.spec.rates.social_insurance * people.size
    chosen = employers[rng.random(employers.size) < wanted / max(employers.size, 1)]
    latent = chunk.risk.latent[chosen]
    growth = (
        0.002 - 0.014 * np.maximum(latent - 0.3, 0.0) + 0.02 * rng.standard_normal(latent.shape)
    )
    insured = np.floor(people.employees[chosen][:, None] * np.exp(np.cumsum(growth, axis=1)) + 0.5)
    last_day = clock.first[1:] - 1
    there = (people.born[chosen][:, None] <= clock.first[:-1]) & (
        last_day <= chunk.life.ended[chosen][:, None]
    )
    row, month = np.nonzero(there)
    subject = chosen[row].astype(np.int64)
    owes = rng.random(len(subject)) < 0.012 * np.exp(0.9 * latent[row, month])
    amount = np.round(between(rng, 500.0, 60_000.0, len(subject)), 2)
    frame = pl.DataFrame({"y": clock.year[month], "m": clock.month[month]})
    period = pl.format("{}-{}", "y", pl.col("m").cast(pl.String).str.zfill(2))
    day = last_day[month]
    base = chunk.base(rng, subject, day, day + rng.integers(5, 20, size=len(subject)))
    return chunk.known(
        base.with_columns(
            frame.select(period.alias("period")).to_series(),
            pl.Series("insured", insured[row, month].astype(np.int64)),
            pl.Series("arrears_amount", np.where(owes, amount, np.nan)).fill_nan(None),
        )
    )


def invoices(chunk: Chunk) -> pl.DataFrame:
    """Return monthly totals with one to three counterparts, for a share of the subjects."""
    rng, clock, people = chunk.rng("invoice"), chunk.clock, chunk.people
    firms = np.flatnonzero(people.kind == ENTERPRISE)
    wanted = chunk.spec.invoices_share * people.size
    chosen = firms[rng.random(firms.size) < wanted / max(firms.size, 1)]
    ties = np.repeat(chosen, rng.integers(1, 4, size=chosen.size)).astype(np.int64)
    other = firms[rng.integers(max(firms.size, 1), size=ties.size)] if firms.size else ties
    ties, other = ties[ties != other], other[ties != other]
    sells = rng.random(ties.size) < 0.65
    level = people.employees[ties] * 9_000.0 * np.exp(0.8 * rng.standard_normal(ties.size))
    row, month = _months_together(chunk, ties, other)
    row, month = _thinned(row, month, rng.random(row.size) < 0.8)
    subject = ties[row]
    latent = chunk.risk.latent[subject, month]
    amount = level[row] * np.exp(
        0.4 * rng.standard_normal(row.size) - 0.15 * np.maximum(latent, 0.0)
    )
    reversed_share = np.where(
        rng.random(row.size) < 0.03 * np.exp(0.6 * latent), rng.random(row.size), 0.0
    )
    day = clock.first[month + 1] - 1
    base = chunk.base(rng, subject, day, day + rng.integers(5, 16, size=row.size))
    return chunk.known(
        base.with_columns(
            people.uscc.gather(pl.Series(other[row])).alias("counterpart_id"),
            texts(["purchase", "sale"], sells[row].astype(np.int64)).alias("direction"),
            pl.Series("amount", np.round(amount, 2)),
            pl.Series("tax_amount", np.round(amount * 0.13, 2)),
            pl.Series("invoice_count", 1 + (amount / 60_000.0).astype(np.int64)),
            pl.Series("reversed_amount", np.round(amount * reversed_share, 2)),
        )
    )


def _months_together(chunk: Chunk, one: Ints, other: Ints) -> tuple[Ints, Ints]:
    last_day = chunk.clock.first[1:] - 1
    begin = np.maximum(chunk.people.born[one], chunk.people.born[other])
    end = np.minimum(chunk.life.ended[one], chunk.life.ended[other])
    row, month = np.nonzero((begin[:, None] <= chunk.clock.first[:-1]) & (last_day <= end[:, None]))
    return row.astype(np.int64), month.astype(np.int64)


def _thinned(row: Ints, month: Ints, keep: Flags) -> tuple[Ints, Ints]:
    return row[keep], month[keep]
