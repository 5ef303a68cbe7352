"""Rounds: joint visits, trials, labels of strata, and drawn lines found by themselves."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from serving.ledger.append_only import append_only

revision = "0008_rounds"
down_revision = "0007_handling"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; every one of them records acts."""
    op.create_index(
        "ix_inspection_line_drawn",
        "inspection_line",
        ["plan_id", "period", "subject_id"],
        postgresql_where=sa.text("drawn"),
    )
    _create_visits()
    _create_trials()
    _create_strata()
    for table in (
        *("inspection_visit", "inspection_strata", "inspection_strata_told"),
        *("inspection_trial", "inspection_trial_seed", "inspection_trial_result"),
    ):
        append_only(op, table)


def downgrade() -> None:
    """Refuse: the ledger only goes forward; an older state comes from a backup."""
    message = "the ledger is not migrated back; restore a backup made before"
    raise NotImplementedError(message)


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), primary_key=True)


def _text(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=null)


def _day(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Date(), nullable=False)


def _act() -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Return who did it, and when."""
    return _text("by"), sa.Column("at", sa.DateTime(timezone=True), nullable=False)


def _create_visits() -> None:
    op.create_table(
        "inspection_visit",
        *(_key("plan_id"), _key("period"), _key("task_id")),
        *(_text("visit_id"), _text("subject_id")),
        *(_day("starts"), _day("ends"), _text("ground", null=True)),
        *_act(),
    )
    for column in ("visit_id", "subject_id"):
        op.create_index(f"ix_inspection_visit_{column}", "inspection_visit", [column])


def _create_trials() -> None:
    op.create_table(
        "inspection_trial",
        *(_key("trial_id"), _text("region"), _text("declaration"), _text("commitment")),
        *_act(),
    )
    op.create_table("inspection_trial_seed", _key("trial_id"), _text("content"), *_act())
    op.create_table(
        "inspection_trial_result",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        *(_text("trial_id"), _text("unit_id"), _text("content")),
        *_act(),
    )
    op.create_index(
        "ix_inspection_trial_result_trial_id",
        "inspection_trial_result",
        ["trial_id", "unit_id", "id"],
    )


def _create_strata() -> None:
    sealed = sa.Column("sealed", sa.LargeBinary(), nullable=False)
    op.create_table("inspection_strata", _key("plan_id"), _key("period"), sealed)
    op.create_table("inspection_strata_told", _key("plan_id"), _key("period"), _text("content"))
