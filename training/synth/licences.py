"""行政许可: the licences subjects need, renewed while they live."""

from __future__ import annotations

import numpy as np
import polars as pl

from training.synth.arrays import Ints, Random, as_texts, days, texts
from training.synth.chunk import Chunk
from training.synth.clock import LONG
from training.synth.population import INDIVIDUAL, representatives


def licences(chunk: Chunk) -> pl.DataFrame:
    """Return the licences granted between the first and the last day."""
    rng, mix, people = chunk.rng("licence"), chunk.mix, chunk.people
    needs = np.array([group.licence for group in mix.groups])[people.group]
    holders = np.flatnonzero(rng.random(people.size) < needs)
    subject, day, years = _grants(chunk, rng, holders)
    permit = mix.permit_of[people.group[subject]]
    size = len(subject)
    department = np.array([chunk.department(p.department) for p in mix.permits])[permit]
    office, authority = chunk.decided(subject, department)
    ends = np.where(years > 0, day + years * 365, LONG)
    valid = (ends > chunk.clock.end) & (chunk.life.ended[subject] > chunk.clock.end)
    content = _contents(chunk, rng, permit)
    serial = pl.Series(rng.integers(100_000, 999_999, size=size)).cast(pl.String)
    own = {
        "subject_name": chunk.name_on(subject, day),
        "subject_category": texts(
            ["法人及非法人组织", "个体工商户"],
            (people.kind[subject] == INDIVIDUAL).astype(np.int64),
        ),
        "legal_representative": pl.Series(
            representatives(people)[subject].tolist(), dtype=pl.String
        ),
        "document_name": texts(
            ["准予行政许可决定书", "行政许可决定书"], rng.integers(2, size=size)
        ),
        "kind": texts([p.kind for p in mix.permits], permit),
        "certificate_name": texts([p.name for p in mix.permits], permit),
        "certificate_number": "YY" + texts(list(mix.counties), people.county[subject]) + serial,
        "content": content,
        "valid_from": days(day),
        "valid_to": days(ends),
        "valid": pl.Series(valid),
        **authority,
        "source_authority": authority["authority"],
        "source_authority_code": authority["authority_code"],
        "remark": pl.Series([None] * size, dtype=pl.String),
    }
    reported = chunk.clock.reported(rng, day, late=chunk.spec.rates.late["licence"])
    frame = chunk.base(rng, subject, day, reported).with_columns(
        pl.Series(name, values) for name, values in own.items()
    )
    return chunk.known(chunk.numbered(frame, office, "{}许决〔{}〕{}号"))


def _grants(chunk: Chunk, rng: Random, holders: Ints) -> tuple[Ints, Ints, Ints]:
    """Return subject, decision day and years of every grant: a first one, then renewals."""
    born = chunk.people.born[holders]
    terms = np.array([p.years for p in chunk.mix.permits])
    years = terms[chunk.mix.permit_of[chunk.people.group[holders]]]
    day = born + rng.integers(3, 60, size=len(holders))
    parts = [(holders[:0], day[:0], years[:0])]
    while day.size and (day <= chunk.clock.end).any():
        decided = chunk.clock.working_day(np.maximum(day, chunk.clock.start))
        granted = (day >= chunk.clock.start) & chunk.there(holders, decided)
        parts.append((holders[granted], decided[granted], years[granted]))
        renews = (years > 0) & (day <= chunk.clock.end)
        holders, years = holders[renews], years[renews]
        day = day[renews] + years * 365 - rng.integers(5, 40, size=len(holders))
    subject, decided, term = (np.concatenate(part) for part in zip(*parts, strict=True))
    return subject, decided, term


def _contents(chunk: Chunk, rng: Random, permit: Ints) -> pl.Series:
    choices = chunk.mix.permits
    flat = [text for one in choices for text in one.content]
    begin = np.cumsum([0, *(len(one.content) for one in choices)])[:-1]
    count = np.array([len(one.content) for one in choices])
    chosen = begin[permit] + (rng.random(len(permit)) * count[permit]).astype(np.int64)
    area = pl.Series(rng.integers(12, 2_000, size=len(permit))).cast(pl.String)
    said = as_texts(texts(flat, chosen)) + np.array("；场所面积", dtype=object)
    return pl.Series(said.tolist(), dtype=pl.String) + area + "平方米"
