"""Histories: which live records end others, and whom the acts of repair reach."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_histories"
down_revision = "0010_speed"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index what a decision asks of repairs, voided records and reports."""
    op.create_index(
        "ix_inbox_void",
        "inbox",
        ["seq"],
        postgresql_where=sa.text("""strpos(record, '"void_from":"') > 0"""),
    )
    op.create_index(
        "ix_repair_effect_subjects", "repair_effect", ["subjects"], postgresql_using="gin"
    )


def downgrade() -> None:
    """Refuse: the ledger only goes forward; an older state comes from a backup."""
    message = "the ledger is not migrated back; restore a backup made before"
    raise NotImplementedError(message)
