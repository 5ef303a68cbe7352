"""Departments' own tables of a chunk, and the truth of what is planted in them."""

from __future__ import annotations

import polars as pl

from training.synth import dealings, environment, hazards, schemes, tenders, truth, welfare
from training.synth.chunk import Chunk


def tables(chunk: Chunk) -> dict[str, pl.DataFrame]:
    """Return the departments' clean tables by name."""
    gathered = schemes.schemes(chunk)
    measured = environment.env_monitors(chunk)
    return {
        "equipment": hazards.equipment(chunk),
        "env_monitor": measured,
        "env_event": environment.env_events(chunk, measured),
        "safety_event": hazards.safety_events(chunk),
        "transport_event": hazards.transport_events(chunk),
        "wage_event": welfare.wage_events(chunk),
        "bid": dealings.bids(chunk, tenders.rings(chunk)),
        "medical_event": welfare.medical_events(chunk),
        "finance_event": schemes.finance_events(chunk, gathered),
        "ad_monitor": dealings.ad_monitors(chunk),
        "opinion": dealings.opinions(chunk, gathered),
        "public_contract": dealings.public_contracts(chunk),
    }


def planted(chunk: Chunk) -> pl.DataFrame:
    """Return who bids in a ring, gathers the public's money or defrauds the fund, and when."""
    rings, gathered = tenders.rings(chunk), schemes.schemes(chunk)
    fund = welfare.frauds(chunk)
    doer, first, last = fund.spells()
    return pl.concat(
        [
            truth.spells(
                chunk,
                "bid_ring",
                rings.subject,
                (rings.first[rings.ring], rings.last[rings.ring]),
                case=f"{chunk.number}-" + pl.Series(rings.ring).cast(pl.String),
            ),
            truth.spells(
                chunk,
                "fundraising",
                gathered.field.subject[gathered.place],
                (gathered.first, gathered.last),
            ),
            truth.spells(chunk, "medical_fraud", doer, (first, last)),
        ]
    )
