"""Inspection: lists, plans, draws, tasks, results."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from serving.ledger.append_only import append_only

revision = "0005_inspection"
down_revision = "0004_work"
branch_labels = None
depends_on = None

_ROUND = ("inspection_pool", "inspection_seed", "inspection_draw")


def upgrade() -> None:
    """Create the tables; every one of them records acts."""
    _create_lists()
    _create_plans()
    _create_rounds()
    _create_visits()
    for table in (
        *("list_content", "list_edition", "inspection_plan", "inspection_step"),
        *(*_ROUND, "inspection_line"),
        *("inspection_assignment", "inspection_result", "inspection_publication"),
    ):
        append_only(op, table)


def downgrade() -> None:
    """Refuse: the ledger only goes forward; an older state comes from a backup."""
    message = "the ledger is not migrated back; restore a backup made before"
    raise NotImplementedError(message)


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), primary_key=True)


def _number(name: str, *, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), primary_key=key, autoincrement=False, nullable=False)


def _text(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=null)


def _bytes(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _float(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Float(), nullable=null)


def _act() -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Return who did it, and when."""
    return _text("by"), sa.Column("at", sa.DateTime(timezone=True), nullable=False)


def _create_lists() -> None:
    op.create_table(
        "list_content", _key("version"), _text("name"), _number("rows"), _bytes("content")
    )
    op.create_table(
        "list_edition",
        _key("name"),
        _key("region"),
        _number("number", key=True),
        sa.Column(
            "version",
            sa.Text(),
            sa.ForeignKey("list_content.version", name="fk_list_edition_version"),
            nullable=False,
        ),
        _text("note", null=True),
        *_act(),
    )


def _create_plans() -> None:
    op.create_table(
        "inspection_plan",
        _key("plan_id"),
        _number("edition", key=True),
        _text("region"),
        _text("declaration"),
        _text("digest"),
        *_act(),
    )
    op.create_table(
        "inspection_step",
        _key("plan_id"),
        _key("period"),
        _key("state"),
        _text("evidence", null=True),
        *_act(),
    )


def _create_rounds() -> None:
    op.create_table(
        "inspection_pool",
        *(_key("plan_id"), _key("period")),
        *(_bytes("content"), _bytes("population"), _text("commitment"), _text("made_with")),
    )
    op.create_table("inspection_seed", _key("plan_id"), _key("period"), _text("content"))
    op.create_table("inspection_draw", _key("plan_id"), _key("period"), _text("record"))
    op.create_table(
        "inspection_line",
        *(_key("plan_id"), _key("period"), _key("subject_id")),
        *(_text("stratum"), _float("pi"), _float("u"), _float("key", null=True)),
        sa.Column("rank", sa.BigInteger(), nullable=True),
        _number("n"),
        sa.Column("drawn", sa.Boolean(), nullable=False),
        _float("inclusion_probability"),
    )


def _create_visits() -> None:
    op.create_table(
        "inspection_assignment",
        *(_key("plan_id"), _key("period"), _number("number", key=True)),
        *(_bytes("tasks"), _bytes("teams"), _text("acts"), _text("authority")),
        _text("inspectors"),
        sa.Column("size", sa.Integer(), nullable=False),
        *_act(),
    )
    op.create_table(
        "inspection_result",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        *(_text("plan_id"), _text("period"), _text("task_id"), _text("matter_id")),
        _text("content"),
        *_act(),
    )
    op.create_index(
        "ix_inspection_result_plan_id_period",
        "inspection_result",
        ["plan_id", "period", "task_id", "matter_id", "id"],
    )
    op.create_table(
        "inspection_publication",
        sa.Column(
            "result_id",
            sa.BigInteger(),
            sa.ForeignKey("inspection_result.id", name="fk_inspection_publication_result_id"),
            primary_key=True,
            autoincrement=False,
        ),
        *(_text("plan_id"), _text("period"), _text("content")),
        *_act(),
    )
    op.create_index(
        "ix_inspection_publication_plan_id_period",
        "inspection_publication",
        ["plan_id", "period", "result_id"],
    )
