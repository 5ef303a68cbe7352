"""名录名单: entries on lists of abnormality and dishonesty, and of honour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from training.synth.arrays import Ints, Random, days
from training.synth.chunk import Chunk
from training.synth.clock import FAR
from training.synth.population import ENTERPRISE
from training.synth.returns import Filings


@dataclass(frozen=True, slots=True)
class Ground:
    """Why a subject is listed: list, reason and its code, who lists, for how many months."""

    kind: str
    reason: str
    office: str = "market"
    months: int = 36
    code: str | None = None

    @property
    def severity(self) -> str | None:
        """Return the publicity class; none for an honour."""
        return {"abnormal": "general", "honour": None}.get(self.kind, "serious")


UNREPORTED: Final = Ground("abnormal", "未按规定期限公示年度报告", code="1")
UNPUBLISHED: Final = Ground("abnormal", "未在责令的期限内公示有关企业信息", code="2")
FALSE: Final = Ground("abnormal", "公示企业信息隐瞒真实情况、弄虚作假", code="3")
UNREACHABLE: Final = Ground("abnormal", "通过登记的住所或者经营场所无法联系", code="4")
SERIOUS: Final = Ground("serious", "受到较重行政处罚，性质恶劣、情节严重")
DEBTOR: Final = Ground("debtor", "有履行能力而拒不履行生效法律文书确定义务", "court", 24)
TAX: Final = Ground("tax_serious", "偷税、虚开发票情节严重", "tax")
WAGES: Final = Ground("wage_arrears", "拖欠农民工工资，责令后逾期未支付", "labour")
HONOUR: Final = Ground("honour", "守信激励对象", months=24)


def listings(
    chunk: Chunk, filed: Filings, judged: pl.DataFrame, punished: pl.DataFrame
) -> pl.DataFrame:
    """Return entries on lists; ``_by_name`` marks those that are sent without a code."""
    rng, rate = chunk.rng("listing"), chunk.spec.rates.unreachable
    forced = judged.filter(pl.col("kind") == "enforcement")
    grave = punished.filter(pl.col("severity") == "serious")
    parts = [
        _unreported(chunk, rng, filed),
        _by_chance(chunk, rng, UNREACHABLE, rate=rate, slope=1.1),
        _by_chance(chunk, rng, UNPUBLISHED, rate=rate / 4, slope=0.8),
        _by_chance(chunk, rng, FALSE, rate=rate / 6, slope=1.0),
        _after(chunk, rng, SERIOUS, grave, share=0.10, within=40),
        _after(chunk, rng, DEBTOR, forced, share=0.35, within=200),
        _by_chance(chunk, rng, TAX, rate=0.00008, slope=1.4),
        _by_chance(chunk, rng, WAGES, rate=0.00010, slope=1.2),
        _by_chance(chunk, rng, HONOUR, rate=0.0008, slope=-0.8),
    ]
    frame = pl.concat(parts)
    office = frame["_office_number"].to_numpy()
    columns = chunk.offices.columns(office)
    frame = frame.with_columns(pl.Series(n, v) for n, v in columns.items())
    frame = chunk.numbered(frame.drop("_office_number"), office, "{}列字〔{}〕{}号")
    by_name = rng.random(frame.height) < chunk.spec.rates.name_only
    return chunk.known(frame.with_columns(pl.Series("_by_name", by_name)))


def entries(
    chunk: Chunk, rng: Random, ground: Ground, subject: Ints, day: Ints, removed: Ints
) -> pl.DataFrame:
    """Return entries on the list of ``ground`` from ``day`` on, with no document numbers yet."""
    size = len(subject)
    office, _ = chunk.decided(subject, chunk.department(ground.office))
    gone = removed <= np.minimum(chunk.clock.end, chunk.life.ended[subject])
    why = "履行公示义务或已可联系，申请移出" if ground.kind == "abnormal" else "期满或修复后移出"
    return chunk.base(rng, subject, day, day + rng.integers(1, 6, size=size)).with_columns(
        chunk.name_on(subject, day).alias("subject_name"),
        pl.lit(ground.kind).alias("kind"),
        pl.lit(ground.code, dtype=pl.String).alias("reason_code"),
        pl.lit(ground.reason).alias("reason"),
        days(np.where(gone, removed, 0), none=~gone).alias("removed_on"),
        pl.Series("remove_reason", [why] * size, dtype=pl.String).set(pl.Series(~gone), None),
        pl.lit(ground.severity, dtype=pl.String).alias("severity"),
        pl.lit(ground.severity is not None).alias("published"),
        pl.lit(ground.months, dtype=pl.Int32).alias("max_months"),
        pl.Series("corrected", gone),
        pl.Series("_office_number", office),
    )


def _unreported(chunk: Chunk, rng: Random, filed: Filings) -> pl.DataFrame:
    """List who did not report within 10 working days after 30 June, until the report comes."""
    late = filed.filed > filed.due
    day = chunk.clock.working_after(filed.due, rng.integers(1, 11, size=len(late)))
    listed = late & (filed.filed > day) & (rng.random(len(late)) < 0.95)
    listed &= chunk.there(filed.subject, day)
    subject, day, report = filed.subject[listed], day[listed], filed.filed[listed]
    removed = np.full(len(subject), FAR, np.int64)
    came = report < FAR
    wait = rng.integers(1, 6, size=int(came.sum()))
    removed[came] = chunk.clock.working_after(report[came], wait)
    return entries(chunk, rng, UNREPORTED, subject, day, removed)


def _by_chance(
    chunk: Chunk, rng: Random, ground: Ground, *, rate: float, slope: float
) -> pl.DataFrame:
    firms = chunk.people.kind == ENTERPRISE
    subject, month = chunk.happening(rng, rate, slope, among=firms)
    day = chunk.days_in(rng, subject, month)
    if ground.kind == "abnormal":
        stays = rng.random(len(subject)) < 0.35
        removed = np.where(stays, FAR, day + rng.integers(20, 700, size=len(subject)))
    else:
        removed = day + ground.months * 30
    return entries(chunk, rng, ground, subject, day, removed)


def _after(
    chunk: Chunk, rng: Random, ground: Ground, causes: pl.DataFrame, *, share: float, within: int
) -> pl.DataFrame:
    """List a ``share`` of the subjects of ``causes`` up to ``within`` days later."""
    subject = causes["_subject"].to_numpy()
    size = len(subject)
    caused = causes["happened_on"].cast(pl.Int64).to_numpy()
    day = caused + rng.integers(1, within, size=size)
    listed = (rng.random(size) < share) & chunk.there(subject, day)
    subject, day = subject[listed], day[listed]
    early = rng.random(len(subject)) < 0.4
    stay = np.where(early, rng.integers(120, 700, size=len(subject)), ground.months * 30)
    return entries(chunk, rng, ground, subject, day, day + stay)
