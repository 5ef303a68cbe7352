"""Texts: complaints dispatched, recalled and corrected; what reports are limited to."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from serving.ledger.append_only import append_only

revision = "0009_texts"
down_revision = "0008_rounds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and the columns of reports."""
    _create_dispatches()
    _create_acts()
    for table in ("dispatch_act", "dispatch_label"):
        append_only(op, table)
    op.add_column("report", _text("domain", null=True))
    op.add_column("report", sa.Column("authorities", sa.ARRAY(sa.Text()), nullable=True))
    op.add_column("report", sa.Column("data_from", sa.Date(), nullable=True))


def downgrade() -> None:
    """Refuse: the ledger only goes forward; an older state comes from a backup."""
    message = "the ledger is not migrated back; restore a backup made before"
    raise NotImplementedError(message)


def _number() -> sa.Column[Any]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True)


def _text(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=null)


def _at(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _day(name: str, *, null: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Date(), nullable=null)


def _of_dispatch(own: str) -> sa.Column[Any]:
    foreign = sa.ForeignKey("dispatch.id", name=f"fk_{own}_dispatch_id")
    return sa.Column("dispatch_id", sa.BigInteger(), foreign, nullable=False)


def _create_dispatches() -> None:
    op.create_table(
        "dispatch",
        _number(),
        _text("source"),
        _text("source_id"),
        _text("kind"),
        _text("region"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        _day("received_on", null=False),
        _text("created_by"),
        _at("created_at"),
        _text("leaf", null=True),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("top", JSONB(), nullable=False),
        sa.Column("reasons", JSONB(), nullable=False),
        _text("model", null=True),
        _text("state"),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("department", null=True),
        _text("office", null=True),
        _day("recall_until"),
        _day("accept_due"),
        _day("end_due"),
        _day("closed_on"),
        _text("outcome", null=True),
    )
    op.create_index("uq_dispatch_source", "dispatch", ["source", "source_id"], unique=True)
    op.create_index(
        "ix_dispatch_open",
        "dispatch",
        ["state", "id"],
        postgresql_where=sa.text("state <> 'closed'"),
    )


def _create_acts() -> None:
    op.create_table(
        "dispatch_act",
        _number(),
        _of_dispatch("dispatch_act"),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("step"),
        _text("state_before", null=True),
        _text("state"),
        _text("by"),
        _at("at"),
        _text("department", null=True),
        _text("office", null=True),
        _text("leaf", null=True),
        _text("outcome", null=True),
        _text("note", null=True),
    )
    op.create_index(
        "uq_dispatch_act_version", "dispatch_act", ["dispatch_id", "version"], unique=True
    )
    op.create_table(
        "dispatch_label",
        _number(),
        _of_dispatch("dispatch_label"),
        _text("region"),
        _text("leaf"),
        _text("department", null=True),
        _text("by"),
        _at("at"),
    )
    op.create_index("ix_dispatch_label_dispatch_id", "dispatch_label", ["dispatch_id"])
