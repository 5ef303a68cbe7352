"""How subjects stand: judgments, pledges, repairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from training.synth.arrays import Ints, Random, between, days, sigmoid, texts
from training.synth.chunk import Chunk
from training.synth.population import ENTERPRISE

_CASES: Final = {
    "civil": "民初",
    "enforcement": "执",
    "administrative": "行初",
    "criminal": "刑初",
    "bankruptcy": "破",
}
_CAUSES: Final = (
    "买卖合同纠纷",
    "民间借贷纠纷",
    "劳动争议",
    "建设工程合同纠纷",
    "租赁合同纠纷",
    "服务合同纠纷",
    "金融借款合同纠纷",
)
_PLEDGES: Final = ("审批替代型", "信用修复型", "主动公示型", "行业自律型")


def judgments(chunk: Chunk) -> pl.DataFrame:
    """Return court matters of enterprises; ``known_at`` is left to the mapping's assumption."""
    rng, clock, people = chunk.rng("judgment"), chunk.clock, chunk.people
    subject, month = chunk.happening(
        rng, chunk.spec.rates.judgment, 0.8, among=people.kind == ENTERPRISE
    )
    size = len(subject)
    day = chunk.days_in(rng, subject, month)
    kind = rng.choice(len(_CASES), size=size, p=[0.60, 0.28, 0.08, 0.01, 0.03])
    _, authority = chunk.decided(subject, chunk.department("court"))
    role = np.where(kind == 1, 2, (rng.random(size) < 0.2).astype(np.int64))
    ended = day + rng.integers(40, 420, size=size)
    over = (rng.random(size) < 0.75) & (ended <= clock.end)
    frame = chunk.base(rng, subject, day, day + 30).with_columns(
        texts(list(_CASES), kind).alias("kind"),
        texts(["defendant", "plaintiff", "debtor"], role).alias("party_role"),
        texts(list(_CAUSES), rng.integers(len(_CAUSES), size=size)).alias("cause"),
        pl.Series("amount", np.round(between(rng, 3_000.0, 8_000_000.0, size), 2)),
        days(np.where(over, ended, 0), none=~over).alias("concluded_on"),
        texts(list(_CASES.values()), kind).alias("_mark"),
        texts([code[2:] for code in chunk.mix.counties], people.county[subject]).alias("_court"),
        pl.col("happened_on").dt.year().alias("_year"),
        *(pl.Series(n, v) for n, v in authority.items()),
    )
    serial = pl.int_range(1, pl.len() + 1).over("_court", "_year", "_mark") + chunk.number * 10_000
    number = pl.format("（{}）辽{}{}{}号", "_year", "_court", "_mark", serial)
    return chunk.known(
        frame.with_columns(number.alias("case_number")).drop("_mark", "_court", "_year")
    )


def pledges(chunk: Chunk) -> pl.DataFrame:
    """Return credit pledges and, where the term is over, whether they were kept."""
    rng, clock = chunk.rng("pledge"), chunk.clock
    subject, month = chunk.happening(rng, 0.002, 0.1)
    size = len(subject)
    day = chunk.days_in(rng, subject, month)
    due = day + rng.integers(30, 366, size=size)
    settled = due + rng.integers(1, 40, size=size)
    over = (settled <= clock.end) & (settled <= chunk.life.ended[subject])
    broken = rng.random(size) < sigmoid(-3.0 + 1.1 * chunk.risk.latent[subject, month])
    kind = rng.choice(len(_PLEDGES), size=size, p=[0.4, 0.15, 0.3, 0.15])
    clause = rng.integers(3, 30, size=size)
    _, authority = chunk.decided(subject, chunk.department("approval"))
    frame = chunk.base(rng, subject, day, day + 1).with_columns(
        texts(list(_PLEDGES), kind).alias("kind"),
        pl.format(
            "承诺{}日内补齐材料并依法诚信经营，如有违反自愿承担责任", pl.Series("clause", clause)
        ).alias("content"),
        days(due).alias("due_on"),
        texts(
            ["pending", "fulfilled", "breached"], np.where(over, 1 + broken.astype(np.int64), 0)
        ).alias("fulfilment"),
        days(np.where(over, settled, 0), none=~over).alias("settled_on"),
        *(pl.Series(n, v) for n, v in authority.items()),
    )
    key = ["uscc", "kind", "happened_on", "authority"]
    return chunk.known(frame).unique(key, keep="first", maintain_order=True)


def repairs(chunk: Chunk, punished: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Return decisions on applications to repair penalties and lists, and a few annulments."""
    rng, share = chunk.rng("repair"), chunk.spec.rates.repair
    worth = punished.filter(pl.col("severity") != "minor")
    unhonoured = listed.filter(pl.col("kind") != "honour")
    parts = [
        _rulings(chunk, rng, worth, "penalty", share=share),
        _rulings(chunk, rng, unhonoured, "listing", share=share / 3),
        _annulments(chunk, rng, punished),
    ]
    key = ["uscc", "target_table", "target_document_number", "happened_on"]
    return chunk.known(pl.concat(parts)).unique(key, keep="first", maintain_order=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Ruling:
    """Rulings on ``targets``: when asked for and made; 0 approved, 1 refused, 2 annulled."""

    targets: pl.DataFrame
    table: str
    applied: Ints
    decided: Ints
    verdict: Ints


def _rulings(
    chunk: Chunk, rng: Random, targets: pl.DataFrame, table: str, *, share: float
) -> pl.DataFrame:
    """Ask after the shortest publication (3 months; serious: 1 year), rule in 13 working days."""
    least = np.where(targets["severity"].to_numpy() == "serious", 366, 92)
    wait = least + rng.exponential(70, size=targets.height).astype(np.int64)
    rows = _who_applies(chunk, rng, targets, wait, share=share)
    applied = _found(targets)[rows] + wait[rows]
    decided = chunk.clock.working_after(applied, rng.integers(2, 14, size=len(rows)))
    refused = (rng.random(len(rows)) < 0.07).astype(np.int64)
    return _written(chunk, rng, _Ruling(targets[rows], table, applied, decided, refused))


def _annulments(chunk: Chunk, rng: Random, targets: pl.DataFrame) -> pl.DataFrame:
    """Annul four penalties in a thousand, 20 to 50 working days after the party asked for it."""
    wait = rng.integers(10, 61, size=targets.height)
    rows = _who_applies(chunk, rng, targets, wait, share=0.004)
    applied = _found(targets)[rows] + wait[rows]
    decided = chunk.clock.working_after(applied, rng.integers(20, 50, size=len(rows)))
    verdict = np.full(len(rows), 2, np.int64)
    return _written(chunk, rng, _Ruling(targets[rows], "penalty", applied, decided, verdict))


def _who_applies(
    chunk: Chunk, rng: Random, targets: pl.DataFrame, wait: Ints, *, share: float
) -> Ints:
    """Return the rows whose subject applies, and is there long enough to see the decision."""
    done = _found(targets) + wait + 100
    wants = (rng.random(targets.height) < share) & chunk.there(targets["_subject"].to_numpy(), done)
    return np.flatnonzero(wants).astype(np.int64)


def _found(targets: pl.DataFrame) -> Ints:
    return targets["happened_on"].cast(pl.Int64).to_numpy()


def _written(chunk: Chunk, rng: Random, ruling: _Ruling) -> pl.DataFrame:
    subject = ruling.targets["_subject"].to_numpy()
    reported = ruling.decided + rng.integers(0, 4, size=len(subject))
    return chunk.base(rng, subject, ruling.decided, reported).with_columns(
        pl.lit(ruling.table).alias("target_table"),
        ruling.targets["document_number"].alias("target_document_number"),
        days(ruling.applied).alias("applied_on"),
        texts(["approved", "refused", "annulled"], ruling.verdict).alias("decision"),
        days(ruling.decided, none=ruling.verdict == 1).alias("effective_on"),
        ruling.targets["authority"],
        ruling.targets["authority_code"],
    )
