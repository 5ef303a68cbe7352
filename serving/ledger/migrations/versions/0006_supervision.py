"""Supervision: warnings, repairs, objections, reports."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from serving.ledger.append_only import append_only

revision = "0006_supervision"
down_revision = "0005_inspection"
branch_labels = None
depends_on = None

_ACTS = (
    *("warning_step", "feedback", "repair_case", "repair_act", "repair_effect"),
    *("objection", "objection_answer", "report"),
)


def upgrade() -> None:
    """Create the tables."""
    _create_warnings()
    _create_repairs()
    _create_objections()
    _create_reports()
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


def _texts(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.ARRAY(sa.Text()), nullable=False)


def _at(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _day(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Date(), nullable=null)


def _of(name: str, table: str, own: str, *, key: bool = False) -> sa.Column[Any]:
    foreign = sa.ForeignKey(f"{table}.id", name=f"fk_{own}_{name}")
    return sa.Column(
        name, sa.BigInteger(), foreign, primary_key=key, autoincrement=False, nullable=False
    )


def _create_warnings() -> None:
    op.create_table(
        "warning",
        _number(),
        _text("scenario"),
        _text("subject_id"),
        _text("region", null=True),
        sa.Column("decision", sa.Uuid(), nullable=False),
        _day("as_of"),
        _text("level"),
        _texts("rules"),
        _text("grade"),
        _text("previous_grade", null=True),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("previous_probability", sa.Float(), nullable=True),
        _at("raised_at"),
        _text("state"),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("assignee", null=True),
        _day("begun_on"),
        _day("acknowledge_due", null=True),
        _day("close_due", null=True),
        _day("closed_on", null=True),
        _text("outcome", null=True),
    )
    op.create_index("uq_warning_decision", "warning", ["decision"], unique=True)
    op.create_index("ix_warning_subject_id", "warning", ["subject_id", "scenario"])
    op.create_index(
        "ix_warning_open", "warning", ["close_due"], postgresql_where=sa.text("state <> 'closed'")
    )
    op.create_table(
        "warning_step",
        _number(),
        _of("warning_id", "warning", "warning_step"),
        sa.Column("version", sa.Integer(), nullable=False),
        _text("step"),
        _text("state_before", null=True),
        _text("state"),
        _text("by"),
        _at("at"),
        _text("assignee", null=True),
        _text("outcome", null=True),
        _text("note", null=True),
    )
    op.create_index(
        "uq_warning_step_version", "warning_step", ["warning_id", "version"], unique=True
    )
    op.create_table(
        "feedback",
        _number(),
        _of("warning_id", "warning", "feedback"),
        sa.Column("decision", sa.Uuid(), nullable=False),
        _text("scenario"),
        _text("subject_id"),
        _text("region", null=True),
        _day("as_of"),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        _text("by"),
        _at("at"),
    )
    op.create_index("ix_feedback_scenario", "feedback", ["scenario", "id"])


def _create_repairs() -> None:
    op.create_table(
        "repair_case",
        _number(),
        _text("table_name"),
        _text("record_id"),
        _text("subject_id"),
        _text("region", null=True),
        _at("opened_at"),
    )
    op.create_index(
        "uq_repair_case_record", "repair_case", ["table_name", "record_id"], unique=True
    )
    op.create_index("ix_repair_case_subject_id", "repair_case", ["subject_id"])
    op.create_table(
        "repair_act",
        _number(),
        _of("case_id", "repair_case", "repair_act"),
        _text("kind"),
        _day("on"),
        _text("by"),
        _at("at"),
        _text("note", null=True),
    )
    op.create_index("ix_repair_act_case_id", "repair_act", ["case_id", "id"])
    op.create_table(
        "repair_effect",
        _of("act_id", "repair_act", "repair_effect", key=True),
        sa.Column("inbox_seq", sa.BigInteger(), nullable=False),
        sa.Column("jobs", sa.ARRAY(sa.BigInteger()), nullable=False),
        _texts("subjects"),
        _at("at"),
    )


def _create_objections() -> None:
    op.create_table(
        "objection",
        _number(),
        _of("case_id", "repair_case", "objection"),
        _text("objector"),
        _text("ground"),
        _text("by"),
        _at("at"),
        _day("due_on", null=True),
    )
    op.create_index("ix_objection_case_id", "objection", ["case_id"])
    op.create_table(
        "objection_answer",
        _of("objection_id", "objection", "objection_answer", key=True),
        _text("outcome"),
        _text("answer"),
        _text("by"),
        _at("at"),
    )


def _create_reports() -> None:
    op.create_table(
        "report",
        sa.Column("code", sa.Text(), primary_key=True),
        _text("kind"),
        _text("subject_id"),
        _text("name", null=True),
        _day("as_of"),
        _day("since", null=True),
        _day("until"),
        sa.Column("records", sa.Integer(), nullable=False),
        _text("digest"),
        _at("issued_at"),
        _text("issued_by"),
    )
    op.create_index("ix_report_subject_id", "report", ["subject_id"])
