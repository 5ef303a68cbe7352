"""Decisions, their reasons, and which model was live when."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from serving.ledger.append_only import append_only

revision = "0003_decisions"
down_revision = "0002_access"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    _decisions("decision")
    op.create_index(
        "ix_decision_warned",
        "decision",
        ["scenario", "as_of"],
        postgresql_where=sa.text("warn"),
    )
    _decisions("shadow_decision")
    op.create_table(
        "basis",
        _needed("id", sa.Uuid()),
        _needed("scenario", sa.Text()),
        _needed("scenario_digest", sa.Text()),
        _needed("bundle_digest", sa.Text()),
        _needed("data_versions", JSONB()),
        sa.Column("reference", sa.Text()),
        _needed("made_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_basis"),
    )
    op.create_table(
        "declaration",
        _needed("digest", sa.Text()),
        _needed("scenario", sa.Text()),
        _needed("content", sa.Text()),
        _needed("made_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("digest", name="pk_declaration"),
    )
    op.create_table(
        "explanation",
        _needed("decision_id", sa.Uuid()),
        _needed("content", JSONB()),
        _needed("made_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("decision_id", name="pk_explanation"),
    )
    _models()
    _runs()
    kept = ("decision", "shadow_decision", "basis", "declaration", "explanation", "model_event")
    for table in (*kept, "score_run_part"):
        append_only(op, table)


def downgrade() -> None:
    """Refuse: the ledger only goes forward; an older state comes from a backup."""
    message = "the ledger is not migrated back; restore a backup made before"
    raise NotImplementedError(message)


def _decisions(table: str) -> None:
    op.create_table(
        table,
        _needed("id", sa.Uuid()),
        _needed("seq", sa.BigInteger(), sa.Identity(always=True)),
        _needed("scenario", sa.Text()),
        _needed("subject_id", sa.Text()),
        _needed("as_of", sa.Date()),
        _needed("inbox_mark", sa.BigInteger()),
        sa.Column("region", sa.Text()),
        _needed("probability", sa.Float()),
        _needed("risk_score", sa.Float()),
        _needed("grade", sa.Text()),
        sa.Column("previous_grade", sa.Text()),
        _needed("vetoes", JSONB()),
        _needed("valid_until", sa.Date()),
        _needed("warn", sa.Boolean()),
        _needed("draw", sa.Float()),
        sa.Column("action", sa.Text()),
        _needed("inputs_digest", sa.LargeBinary()),
        _needed("basis", sa.Uuid()),
        sa.Column("previous", sa.Uuid()),
        sa.Column("replaces", sa.Uuid()),
        _needed("made_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    )
    by = ["scenario", "subject_id", "as_of", "inbox_mark", "seq"]
    op.create_index(f"ix_{table}_subject", table, by)


def _models() -> None:
    op.create_table(
        "model_event",
        _needed("id", sa.BigInteger(), sa.Identity(always=True)),
        _needed("scenario", sa.Text()),
        _needed("role", sa.Text()),
        _needed("event", sa.Text()),
        _needed("bundle_digest", sa.Text()),
        sa.Column("version", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
        _needed("at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_model_event"),
    )
    op.create_index("ix_model_event_role", "model_event", ["scenario", "role", "id"])


def _runs() -> None:
    op.create_table(
        "score_run",
        _needed("id", sa.BigInteger(), sa.Identity(always=True)),
        _needed("scenario", sa.Text()),
        _needed("as_of", sa.Date()),
        _needed("scenario_digest", sa.Text()),
        _needed("bundle_digest", sa.Text()),
        _needed("inbox_mark", sa.BigInteger()),
        sa.Column("data_versions", JSONB()),
        _needed("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_score_run"),
    )
    op.create_table(
        "score_run_part",
        _needed("run_id", sa.BigInteger()),
        _needed("part", sa.BigInteger()),
        _needed("decided", sa.BigInteger()),
        _needed("warned", sa.BigInteger()),
        _needed("done_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("run_id", "part", name="pk_score_run_part"),
    )


def _needed(
    name: str, kind: sa.types.TypeEngine[Any], numbered: sa.Identity | None = None
) -> sa.Column[Any]:
    number = () if numbered is None else (numbered,)
    return sa.Column(name, kind, *number, nullable=False)
