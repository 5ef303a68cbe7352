"""Speed and faults: what the busy tables need."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_speed"
down_revision = "0009_texts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index waiting records by subject and by table: those in the lake already cost nothing."""
    op.create_index(
        "ix_inbox_subject_waiting",
        "inbox",
        ["subject_id", "seq"],
        postgresql_where=sa.text("merged_at is null"),
    )
    op.create_index("ix_inbox_table_version", "inbox", ["table_name", "lake_version"])


def downgrade() -> None:
    """Refuse: the ledger only goes forward; an older state comes from a backup."""
    message = "the ledger is not migrated back; restore a backup made before"
    raise NotImplementedError(message)
