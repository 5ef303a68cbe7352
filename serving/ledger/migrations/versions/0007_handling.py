"""Handling: attachments, reviews of decisions, an office's own rules, measures."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from serving.ledger.append_only import append_only

revision = "0007_handling"
down_revision = "0006_supervision"
branch_labels = None
depends_on = None

_ACTS = (
    *("attachment_content", "attachment", "review", "review_act"),
    *("rule_proposal", "rule_ruling", "measure", "measure_act"),
)


def upgrade() -> None:
    """Create the tables."""
    _create_attachments()
    _create_reviews()
    _create_rules()
    _create_measures()
    for table in _ACTS:
        append_only(op, table)


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


def _day(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Date(), nullable=null)


def _of(name: str, table: str, own: str, *, key: bool = False) -> sa.Column[Any]:
    foreign = sa.ForeignKey(f"{table}.id", name=f"fk_{own}_{name}")
    return sa.Column(
        name, sa.BigInteger(), foreign, primary_key=key, autoincrement=False, nullable=False
    )


def _create_attachments() -> None:
    op.create_table(
        "attachment_content",
        sa.Column("sha256", sa.Text(), primary_key=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
    # Pictures and documents are compressed already.
    op.execute("alter table attachment_content alter column content set storage external")
    op.create_table(
        "attachment",
        _number(),
        _text("owner"),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        _text("name"),
        _text("media_type"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column(
            "sha256",
            sa.Text(),
            sa.ForeignKey("attachment_content.sha256", name="fk_attachment_sha256"),
            nullable=False,
        ),
        _text("by"),
        _at("at"),
    )
    op.create_index(
        "uq_attachment_owner", "attachment", ["owner", "owner_id", "sha256", "name"], unique=True
    )


def _create_reviews() -> None:
    op.create_table(
        "review",
        _number(),
        sa.Column("decision", sa.Uuid(), nullable=False),
        _text("scenario"),
        _text("subject_id"),
        _text("region", null=True),
        _text("asker"),
        _text("ground"),
        _text("by"),
        _at("at"),
        _day("due_on", null=True),
    )
    op.create_index("ix_review_decision", "review", ["decision"])
    op.create_table(
        "review_act",
        _number(),
        _of("review_id", "review", "review_act"),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("step"),
        _text("state"),
        _text("by"),
        _at("at"),
        _text("assignee", null=True),
        _text("outcome", null=True),
        _text("grade", null=True),
        _text("reason", null=True),
    )
    op.create_index("uq_review_act_version", "review_act", ["review_id", "version"], unique=True)
    op.create_index(
        "ix_review_act_annulled",
        "review_act",
        ["review_id"],
        postgresql_where=sa.text("outcome = 'annulled'"),
    )


def _create_rules() -> None:
    op.create_table(
        "rule_proposal",
        _number(),
        _text("kind"),
        _text("content"),
        _text("digest"),
        _day("effective_from"),
        _text("basis"),
        sa.Column("replaces", sa.BigInteger(), nullable=True),
        _text("by"),
        _at("at"),
    )
    op.create_index("ix_rule_proposal_kind", "rule_proposal", ["kind", "id"])
    op.create_table(
        "rule_ruling",
        _of("proposal_id", "rule_proposal", "rule_ruling", key=True),
        sa.Column("approved", sa.Boolean(), nullable=False),
        _text("note", null=True),
        _text("by"),
        _at("at"),
    )


def _create_measures() -> None:
    op.create_table(
        "measure",
        _number(),
        _text("measure"),
        _text("title"),
        sa.Column("type", sa.Integer(), nullable=False),
        _text("trigger"),
        _text("subject_id"),
        _text("region", null=True),
        _text("subject_kind"),
        _text("table_name"),
        _text("record_id"),
        _text("authority"),
        _text("basis"),
        _text("list_digest"),
        _day("on"),
        _text("by"),
        _at("at"),
    )
    op.create_index("ix_measure_subject_id", "measure", ["subject_id"])
    op.create_table(
        "measure_act",
        _of("measure_id", "measure", "measure_act", key=True),
        sa.Column("kind", sa.Text(), primary_key=True),
        _text("reason", null=True),
        _text("by"),
        _at("at"),
    )
