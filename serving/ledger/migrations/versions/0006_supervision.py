"""Supervision: warnings, repairs, objections, reports."""

from __future__ import annotations

revision = "0006_supervision"
down_revision = "0005_inspection"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""


def downgrade() -> None:
    """Refuse: the ledger only goes forward; an older state comes from a backup."""
    message = "the ledger is not migrated back; restore a backup made before"
    raise NotImplementedError(message)
