"""Trials: what is compared, by which seed chance assigned it, and what each unit came to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Connection, Identity, Index, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from models.inspection.record import parsed
from models.inspection.seed import Commitment, Seed
from serving.ledger.base import Base
from serving.ledger.rows import add_once
from serving.ledger.scope import in_regions


class TrialRow(Base):
    """A trial as it was declared (JSON), and the commitment that was published with it."""

    __tablename__ = "inspection_trial"

    trial_id: Mapped[str] = mapped_column(primary_key=True)
    region: Mapped[str]
    declaration: Mapped[str]
    commitment: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]


class TrialSeedRow(Base):
    """The public seed that assigns the units of a trial, as JSON."""

    __tablename__ = "inspection_trial_seed"

    trial_id: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]


class TrialResultRow(Base):
    """The sums of one unit, as JSON; a later row corrects an earlier one."""

    __tablename__ = "inspection_trial_result"
    __table_args__ = (Index("ix_inspection_trial_result_trial_id", "trial_id", "unit_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    trial_id: Mapped[str]
    unit_id: Mapped[str]
    content: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Kept:
    """A trial as it is kept; ``seed`` is None where chance has not assigned its units yet."""

    trial_id: str
    region: str
    declaration: str
    commitment: Commitment
    by: str
    at: datetime
    seed: Seed | None


def declare(
    connection: Connection,
    *,
    region: str,
    declaration: str,
    commitment: Commitment,
    by: str,
) -> bool:
    """Keep a trial, named as its commitment is; false where there is one of that id."""
    values = {
        "trial_id": commitment.plan,
        "region": region,
        "declaration": declaration,
        "commitment": commitment.model_dump_json(),
        "by": by,
        "at": commitment.frozen_at,
    }
    return add_once(connection, TrialRow, values)


def find(connection: Connection, trial_id: str, *, lock: bool = False) -> Kept | None:
    """Return a trial; ``lock`` keeps others from acting on it until the transaction ends."""
    query = _KEPT.where(TrialRow.trial_id == trial_id)
    if lock:
        connection.execute(
            select(TrialRow.trial_id).where(TrialRow.trial_id == trial_id).with_for_update()
        )
    found = connection.execute(query).first()
    return None if found is None else _kept(*found)


def listing(connection: Connection, *, regions: tuple[str, ...], limit: int = 100) -> list[Kept]:
    """Return the trials of regions within one of these prefixes, the newest first."""
    query = _KEPT.where(in_regions(TrialRow.region, regions))
    query = query.order_by(TrialRow.at.desc(), TrialRow.trial_id).limit(limit)
    return [_kept(*one) for one in connection.execute(query)]


def keep_seed(connection: Connection, trial_id: str, seed: Seed, *, by: str, at: datetime) -> None:
    """Keep the seed of a trial, once."""
    values = {"trial_id": trial_id, "content": seed.model_dump_json(), "by": by, "at": at}
    connection.execute(insert(TrialSeedRow).values(values))


def keep_results(
    connection: Connection,
    trial_id: str,
    rows: Mapping[str, Mapping[str, object]],
    *,
    by: str,
    at: datetime,
) -> None:
    """Keep the sums of units, by unit, each beside what was told before of the same."""
    values = [
        {"trial_id": trial_id, "unit_id": unit, "content": json.dumps(row), "by": by, "at": at}
        for unit, row in rows.items()
    ]
    connection.execute(insert(TrialResultRow), values)


def results(connection: Connection, trial_id: str) -> dict[str, dict[str, object]]:
    """Return the last sums of each unit, by unit."""
    row = TrialResultRow
    query = select(row.unit_id, row.content).where(row.trial_id == trial_id)
    found = connection.execute(query.order_by(row.unit_id, row.id))
    return {unit: json.loads(content) for unit, content in found}


_KEPT = select(
    *(TrialRow.trial_id, TrialRow.region, TrialRow.declaration, TrialRow.commitment),
    *(TrialRow.by, TrialRow.at, TrialSeedRow.content),
).join(TrialSeedRow, TrialSeedRow.trial_id == TrialRow.trial_id, isouter=True)


def _kept(
    trial_id: str,
    region: str,
    declaration: str,
    commitment: str,
    by: str,
    at: datetime,
    seed: str | None,
) -> Kept:
    return Kept(
        trial_id=trial_id,
        region=region,
        declaration=declaration,
        commitment=parsed(Commitment, commitment, "the ledger", "commitment"),
        by=by,
        at=at,
        seed=None if seed is None else parsed(Seed, seed, "the ledger", "seed"),
    )
