"""Why decisions came out as they did: reasons and evidence, stored once and never made anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import polars as pl
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Mapped, mapped_column

from serving.ledger.base import Base
from serving.ledger.copying import copy_rows

FEW: Final = 200
"""Rows up to which plain inserts are faster than a copy."""


class ExplanationRow(Base):
    """The explanation of one decision, as JSON."""

    __tablename__ = "explanation"

    decision_id: Mapped[UUID] = mapped_column(primary_key=True)
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    made_at: Mapped[datetime]


def keep(
    connection: Connection, explained: Mapping[UUID, Mapping[str, object]], *, at: datetime
) -> None:
    """Store explanations by decision; where there is one already, it stays."""
    if len(explained) > FEW:
        frame = pl.DataFrame(
            {
                "decision_id": [str(one) for one in explained],
                "content": [json.dumps(one, ensure_ascii=False) for one in explained.values()],
            }
        )
        timed = frame.with_columns(pl.lit(at).alias("made_at"))
        copy_rows(connection, ExplanationRow, timed, on_conflict="ignore")
    elif explained:
        values = [
            {"decision_id": one, "content": dict(content), "made_at": at}
            for one, content in explained.items()
        ]
        connection.execute(upsert(ExplanationRow).on_conflict_do_nothing(), values)


def find(connection: Connection, decisions: Sequence[UUID]) -> dict[UUID, Mapping[str, object]]:
    """Return the explanations that are stored, by decision."""
    asked = select(ExplanationRow.decision_id, ExplanationRow.content)
    found = connection.execute(asked.where(ExplanationRow.decision_id.in_(decisions)))
    return {one: cast("Mapping[str, object]", content) for one, content in found}
