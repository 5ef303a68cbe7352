"""Verification of a draw record against its pool: every published value is computed again."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import polars as pl

from models.errors import InspectionError
from models.inspection.draw import draw
from models.inspection.pool import Pool
from models.inspection.probability import TOLERANCE
from models.inspection.record import DrawRecord, result_digest
from models.inspection.seed import Commitment, seed_text, troubles


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``trouble`` is empty where it holds."""

    name: str
    title: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """How the draw came to one subject, for that subject to check by hand."""

    subject_id: str
    stratum: str
    pi: float
    hashed: str
    """The text whose SHA-256 begins with ``u``."""
    digest: str
    u: float
    key: float | None
    rank: int | None
    """Place among the stratum's keys, from 1; null for mandatory subjects."""
    n: int
    drawn: bool
    inclusion_probability: float


def verify(
    pool: Pool, record: DrawRecord, *, published: Commitment | None = None
) -> tuple[Check, ...]:
    """Return what was checked of ``record``; the draw holds when no check has a trouble.

    ``published`` is the commitment as it was published before the seed existed. Only with it does
    the check tell a pool that was frozen then from one that was frozen, or redated, afterwards.

    Where the pool or the seed is not the published one, the draw itself is computed from what is
    given, so that each check says what it alone finds.
    """
    made = draw(pool, record.seed.seed)
    stated = record.frame()
    chosen = made.filter("drawn").select(stated.columns)
    return (
        Check("pool", "对象库与承诺值一致", _pool(pool, record)),
        Check("values", "公开随机值晚于冻结", "; ".join(_values(record))),
        Check("seed", "种子由公开值算出", _seed(record)),
        Check("strata", "各层抽取数一致", _strata(pool, record)),
        Check("subjects", "抽中名单一致", _subjects(chosen, stated)),
        Check("keys", "随机数与排序键一致", _keys(chosen, stated)),
        Check("probabilities", "入样概率一致", _probabilities(chosen, stated)),
        Check("result", "结果摘要一致", _result(record, stated)),
        *([] if published is None else [_published(published, record)]),
    )


def line_of(pool: Pool, seed: str, subject_id: str) -> Line:
    """Return how a draw came to a subject; :class:`InspectionError` if the pool has no such id."""
    made = draw(pool, seed).with_columns(
        pl.col("key").rank("ordinal").over("stratum").cast(pl.Int64).alias("rank")
    )
    found = made.filter(pl.col("subject_id") == subject_id)
    if found.is_empty():
        raise InspectionError(f"subject '{subject_id}' is not in the pool; look at its spelling")
    row = found.join(pool.strata.select("stratum", "n"), on="stratum").row(0, named=True)
    hashed = seed + subject_id
    return Line(hashed=hashed, digest=sha256(hashed.encode()).hexdigest(), **row)


def _published(published: Commitment, record: DrawRecord) -> Check:
    said = record.seed.commitment
    apart = [
        f"{name} was published as {of[0]}, the record says {of[1]}"
        for name in Commitment.model_fields
        if len(set(of := [str(getattr(one, name)) for one in (published, said)])) > 1
    ]
    return Check("published", "与冻结时公布的承诺一致", "; ".join(apart))


def _pool(pool: Pool, record: DrawRecord) -> str:
    committed = record.seed.commitment
    if pool.commitment != committed.commitment:
        return (
            f"the pool's digest is {pool.commitment}, the record commits to "
            f"{committed.commitment}: this is not the pool that was frozen"
        )
    if pool.frame.height != committed.subjects:
        return f"the pool has {pool.frame.height} subjects, the record says {committed.subjects}"
    return ""


def _values(record: DrawRecord) -> list[str]:
    return troubles(record.seed.commitment, record.seed.entropy)


def _seed(record: DrawRecord) -> str:
    text = seed_text(record.seed.commitment, record.seed.entropy)
    made = sha256(text.encode()).hexdigest()
    return "" if made == record.seed.seed else f"the values give {made}, not {record.seed.seed}"


def _strata(pool: Pool, record: DrawRecord) -> str:
    stated = [one.model_dump() for one in record.strata]
    for made, said in zip(pool.strata.to_dicts(), stated, strict=False):
        if made != said:
            return f"the pool gives {made}, the record says {said}"
    lacking = pool.strata.height - len(stated)
    return f"the record has {-lacking:+d} strata beside the pool's" if lacking else ""


def _subjects(chosen: pl.DataFrame, stated: pl.DataFrame) -> str:
    lost = chosen.join(stated, on="subject_id", how="anti")["subject_id"]
    extra = stated.join(chosen, on="subject_id", how="anti")["subject_id"]
    if lost.len() or extra.len():
        return (
            f"{lost.len()} subjects were to be drawn and are not listed {lost.head(3).to_list()}, "
            f"{extra.len()} are listed and were not drawn {extra.head(3).to_list()}"
        )
    if not chosen["subject_id"].equals(stated["subject_id"]):
        return "the subjects are listed twice or in another order than the pool's"
    return ""


def _keys(chosen: pl.DataFrame, stated: pl.DataFrame) -> str:
    both = chosen.join(stated, on="subject_id", suffix="_stated", maintain_order="left")
    same = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(f"{name}_stated")) for name in ("stratum", "u", "key")
    )
    wrong = both.filter(~same)
    if wrong.is_empty():
        return ""
    row = wrong.row(0, named=True)
    return (
        f"{wrong.height} subjects have other values than computed, the first "
        f"'{row['subject_id']}': u {row['u_stated']!r} for {row['u']!r}, key "
        f"{row['key_stated']!r} for {row['key']!r}"
    )


def _probabilities(chosen: pl.DataFrame, stated: pl.DataFrame) -> str:
    both = chosen.join(stated, on="subject_id", suffix="_stated", maintain_order="left")
    true, said = pl.col("inclusion_probability"), pl.col("inclusion_probability_stated")
    wrong = both.filter((true - said).abs() > TOLERANCE)
    if wrong.is_empty():
        return ""
    name, is_, was = wrong.select("subject_id", true, said).row(0)
    return f"{wrong.height} subjects, the first '{name}': {was!r} is stated, {is_!r} is true"


def _result(record: DrawRecord, stated: pl.DataFrame) -> str:
    made = result_digest(stated["subject_id"])
    return "" if made == record.result else f"the listed ids give {made}, not {record.result}"
