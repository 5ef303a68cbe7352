"""What departments decide on what their own tables tell: penalties, and the list of bid riggers.

Decisions follow their cause by weeks or months and lie in files of their own, so that those of the
daily supervision stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from training.synth.arrays import Ints
from training.synth.chunk import Chunk
from training.synth.grammar import grammar
from training.synth.listings import Ground, entries
from training.synth.penalties import decisions
from training.synth.sectors import joined

RIGGED: Final = Ground("bidding", "串通投标，受到行政处罚", "housing")
"""招标投标法 53: bidders who bid together."""

UNCOVERED: Final = (0.12, 0.45)
"""Share of a ring's tenders that are uncovered: whose files are not alike, and are."""

_SLOW: Final = (45, 240)
"""Days from a tender to the list."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What is penalised: the table's rows ``where``, the ``leaf``, which share, after what days."""

    table: str
    where: pl.Expr
    leaf: str
    share: float
    after: tuple[int, int] = (20, 90)


_EXCEEDED: Final = pl.col("result") == "超标"
_OFFICIAL: Final = pl.col("method") == "执法监测"
CAUSES: Final = (
    Cause("ad_monitor", pl.col("finding") == "涉嫌严重违法", "M07", 0.60),
    Cause("ad_monitor", pl.col("finding") == "涉嫌一般违法", "M08", 0.30),
    Cause("env_monitor", _EXCEEDED & _OFFICIAL, "E02", 0.60),
    Cause("env_monitor", _EXCEEDED & ~_OFFICIAL, "E02", 0.08),
    Cause("transport_event", pl.col("kind") == "超限超载", "R06", 0.08),
    Cause("transport_event", pl.col("kind") == "检测不合格", "R03", 0.05),
    Cause("medical_event", pl.col("result").is_in(["违规使用", "欺诈骗保"]), "B05", 0.60),
    Cause("safety_event", pl.col("kind") == "重大事故隐患", "S05", 0.15),
    Cause("equipment", pl.col("overdue_days") > 60, "M20", 0.12),
    Cause("finance_event", pl.col("kind") == "立案", "J01", 0.50, (60, 240)),
)


def tables(chunk: Chunk, own: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Return the sources of decisions that follow the departments' ``own`` tables."""
    return {"case_penalty": _penalised(chunk, own), "bid_listing": _listed(chunk, own["bid"])}


def _penalised(chunk: Chunk, own: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    rng, leaves = chunk.rng("case penalty"), list(grammar().leaves)
    parts: list[tuple[Ints, ...]] = []
    for cause in CAUSES:
        rows = own[cause.table].filter(cause.where).select("_subject", "happened_on")
        rows = rows.filter(pl.Series(rng.random(rows.height) < cause.share))
        low, high = cause.after
        day = rows["happened_on"].cast(pl.Int64).to_numpy()
        day = chunk.clock.working_day(day + rng.integers(low, high, size=rows.height))
        leaf = np.full(rows.height, leaves.index(cause.leaf))
        parts.append((rows["_subject"].to_numpy(), day, leaf))
    subject, day, leaf = joined(*parts)
    there = chunk.there(subject, day)
    subject, day, leaf = subject[there], day[there], leaf[there]
    frame, office = decisions(chunk, rng, subject, (day, chunk.clock.month_of(day)), leaf)
    return chunk.known(chunk.numbered(frame, office, "{}案罚〔{}〕{}号"))


def _listed(chunk: Chunk, bids: pl.DataFrame) -> pl.DataFrame:
    """Return members of rings who are listed after a tender of theirs was uncovered, once each."""
    rng = chunk.rng("bid listing")
    rigged = bids.filter(pl.col("_ring") >= 0).sort("_tender", "_subject")
    by_tender = rigged.group_by("_tender", maintain_order=True).agg(
        pl.col("shared_traces").sum() > 0, pl.col("happened_on").first()
    )
    chance = np.where(by_tender["shared_traces"].to_numpy(), UNCOVERED[1], UNCOVERED[0])
    found = by_tender.filter(pl.Series(rng.random(by_tender.height) < chance))
    wait = pl.Series(rng.integers(*_SLOW, size=found.height))
    day = (found["happened_on"].cast(pl.Int64) + wait).alias("day")
    members = found.select("_tender", day).join(
        rigged.select("_tender", "_subject"), on="_tender", maintain_order="left"
    )
    first = members.group_by("_subject").agg(pl.col("day").min()).sort("day", "_subject")
    subject = first["_subject"].to_numpy()
    listed = chunk.clock.working_day(first["day"].to_numpy())
    there = chunk.there(subject, listed)
    subject, listed = subject[there], listed[there]
    frame = entries(chunk, rng, RIGGED, subject, listed, listed + 30 * RIGGED.months)
    office = frame["_office_number"].to_numpy()
    frame = frame.with_columns(
        values.alias(name) for name, values in chunk.offices.columns(office).items()
    )
    frame = chunk.numbered(frame.drop("_office_number"), office, "{}招列字〔{}〕{}号")
    return chunk.known(frame)
