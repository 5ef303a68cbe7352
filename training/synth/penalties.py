"""行政处罚: decisions with their texts, kinds, amounts, severity and terms of publication."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from models.codes.penalty_kinds import label
from training.synth import texts
from training.synth.arrays import (
    Flags,
    Ints,
    Random,
    Texts,
    as_texts,
    between,
    choose_by,
    days,
    rounded,
)
from training.synth.arrays import texts as pick
from training.synth.chunk import Chunk
from training.synth.clock import LONG
from training.synth.grammar import grammar
from training.synth.population import INDIVIDUAL, representatives

SEVERITIES: Final = ("minor", "general", "serious")
MAX_MONTHS: Final = (3, 12, 36)
"""Longest publication by severity, in months (信用修复管理办法 2026)."""

_FINE, _GAIN, _GOODS, _PERMIT, _BAN = "03", "04", "05", ("06", "08"), "12"
_HEAVY: Final = ("07", "08", "10", "12")


def penalties(chunk: Chunk) -> pl.DataFrame:
    """Return the chunk's penalties; ``_leaf`` has the index of the true leaf."""
    rng, people, events = chunk.rng("penalty"), chunk.people, chunk.watch.penalties
    subject = events.subject
    decided = chunk.days_in(rng, subject, events.month)
    leaf = choose_by(rng, texts.leaf_weights(chunk.mix, complained=False), people.group[subject])
    frame, office = decisions(chunk, rng, subject, (decided, events.month), leaf)
    return chunk.known(chunk.numbered(frame, office, "{}罚决〔{}〕{}号"))


def decisions(
    chunk: Chunk, rng: Random, subject: Ints, when: tuple[Ints, Ints], leaf: Ints
) -> tuple[pl.DataFrame, Ints]:
    """Return decisions of the days and months ``when`` for violations ``leaf``, and the offices.

    The frame has no document numbers yet.
    """
    clock, people, size = chunk.clock, chunk.people, len(subject)
    decided, month = when
    leaves = list(grammar().leaves.values())
    latent = chunk.risk.latent[subject, month]
    low = np.array([one.fine[0] for one in leaves])[leaf]
    high = np.array([one.fine[1] for one in leaves])[leaf]
    kinds = texts.by_leaf(leaf, lambda one, rows: _kinds(rng, one.kinds, rows.size))
    fined, gained, held = (_has(kinds, *wanted) for wanted in ((_FINE,), (_GAIN, _GOODS), _PERMIT))
    small = np.where(people.kind[subject] == INDIVIDUAL, 0.35, 1.0)
    fine = rounded(between(rng, low, high, size) * small * np.exp(0.25 * latent))
    gain = rounded(between(rng, 60.0, 30_000.0, size) * small)
    permit = _permits(chunk, rng, subject)
    severity = _severity(leaf, kinds, fine, fined)
    days_ago = rng.integers(7, 88, size=size)
    given = {
        "date": texts.dates(decided - days_ago),
        "place": texts.places(rng, people.county[subject], chunk.mix),
    }
    department = np.array([chunk.department(one.department) for one in leaves])[leaf]
    office, authority = chunk.decided(subject, department)
    until = _months_later(decided, np.array(MAX_MONTHS)[severity])
    banned = _has(kinds, _BAN)
    restrict = _months_later(decided, 12 * rng.integers(1, 6, size=size))
    written = texts.sanctions(
        rng, kinds, fine=texts.amounts(rng, fine), gain=texts.amounts(rng, gain), permit=permit
    )
    own = {
        "subject_name": chunk.name_on(subject, decided),
        "subject_category": category(people.kind[subject]),
        "legal_representative": pl.Series(
            representatives(people)[subject].tolist(), dtype=pl.String
        ),
        "violation_type": _column(texts.types(rng, leaf)),
        "violation_fact": _column(texts.facts(rng, leaf, given)),
        "legal_basis": _column(texts.bases(rng, leaf)),
        "penalty_kinds": _labels(kinds),
        "penalty_content": _column(written),
        "fine_amount": _where(fined, fine),
        "confiscated_amount": _where(gained, gain),
        "revoked_certificate": _column(permit).set(pl.Series(~held), None),
        "valid_to": days(np.where(rng.random(size) < 0.5, until, LONG)),
        "publish_until": days(until),
        **authority,
        "source_authority": authority["authority"],
        "source_authority_code": authority["authority_code"],
        "remark": pl.Series([None] * size, dtype=pl.String),
        "severity": pick(list(SEVERITIES), severity),
        "published": pl.Series((severity > 0) | (rng.random(size) < 0.2)),
        "max_months": pl.Series(np.array(MAX_MONTHS)[severity]).cast(pl.Int32),
        "restrict_until": days(restrict, none=~banned),
        "corrected": pl.Series(rng.random(size) < 0.9 - 0.08 * np.clip(latent, 0, 4)),
        "_leaf": leaf,
    }
    reported = clock.reported(rng, decided, late=chunk.spec.rates.late["penalty"])
    frame = chunk.base(rng, subject, decided, reported).with_columns(
        pl.Series(name, values) for name, values in own.items()
    )
    return frame, office


def category(kind: Ints) -> pl.Series:
    """Return 行政相对人类别 of kinds of subject."""
    return pick(["法人及非法人组织", "个体工商户"], (kind == INDIVIDUAL).astype(np.int64))


def _column(values: Texts) -> pl.Series:
    return pl.Series(values.tolist(), dtype=pl.String)


def _kinds(rng: Random, sets: tuple[tuple[str, ...], ...], size: int) -> Texts:
    joined = np.array([";".join(one) for one in sets], dtype=object)
    return joined[np.minimum(rng.geometric(0.6, size=size) - 1, len(sets) - 1)]


def _has(kinds: Texts, *wanted: str) -> Flags:
    held = {one for one in set(kinds.tolist()) if set(one.split(";")) & set(wanted)}
    return np.array([one in held for one in kinds.tolist()], dtype=bool)


def _labels(joined: Texts) -> pl.Series:
    names = {
        one: ";".join(label(kind) or kind for kind in one.split(";"))
        for one in set(joined.tolist())
    }
    return pl.Series([names[one] for one in joined.tolist()], dtype=pl.String)


def _where(flags: Flags, amount: Ints) -> pl.Series:
    return pl.Series(amount.astype(np.float64)).set(pl.Series(~flags), None)


def _severity(leaf: Ints, kinds: Texts, fine: Ints, fined: Flags) -> Ints:
    """Return the publicity class: by the penalty that was given, not by the leaf alone."""
    usual = np.array([SEVERITIES.index(one.severity) for one in grammar().leaves.values()])[leaf]
    by_fine = np.searchsorted(np.array([3_000, 200_000]), fine, side="right")
    severity = np.where(fined, by_fine, 0)
    severity = np.where(_has(kinds, "04", "05", "06"), np.maximum(severity, 1), severity)
    severity = np.where((usual == 2) & (severity == 1) & (fine > 60_000), 2, severity)
    return np.where(_has(kinds, *_HEAVY), 2, severity)


def _months_later(day: Ints, months: Ints) -> Ints:
    moved = day.astype("datetime64[D]")
    month = moved.astype("datetime64[M]")
    inside = (moved - month.astype("datetime64[D]")).astype(np.int64)
    last = ((month + months + 1).astype("datetime64[D]") - np.timedelta64(1, "D")).astype(np.int64)
    return np.minimum((month + months).astype("datetime64[D]").astype(np.int64) + inside, last)


def _permits(chunk: Chunk, rng: Random, subject: Ints) -> Texts:
    names = ["营业执照" if permit.years == 0 else permit.name for permit in chunk.mix.permits]
    name = as_texts(pick(names, chunk.mix.permit_of[chunk.people.group[subject]]))
    number = as_texts(
        pl.Series(rng.integers(10_000_000, 99_999_999, size=len(subject))).cast(pl.String)
    )
    return np.array("《", dtype=object) + name + "》（编号JY" + number + "）"
