"""Jobs, the inbox of live records, changes, and partners' hooks."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004_work"
down_revision = "0003_decisions"
branch_labels = None
depends_on = None

_KEPT = {
    "inbox": ("merged_at", "lake_version"),
    "inbox_refused": ("merged_at",),
    "change": ("position",),
}
"""Tables of acts, and the columns that are filled in once, later; nothing else of them changes."""


def upgrade() -> None:
    """Create the tables."""
    _create_jobs()
    _create_inbox()
    _create_changes()
    _create_hooks()
    _keep()


def downgrade() -> None:
    """Refuse: the ledger only goes forward; an older state comes from a backup."""
    message = "the ledger is not migrated back; restore a backup made before"
    raise NotImplementedError(message)


def _number(name: str = "id") -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), sa.Identity(always=True), primary_key=True)


def _text(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=null)


def _at(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def _create_jobs() -> None:
    op.create_table(
        "job",
        _number(),
        _text("kind"),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        _text("status"),
        sa.Column("priority", sa.Integer(), nullable=False),
        _text("dedupe", null=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        _text("created_by"),
        _at("created_at"),
        _at("ready_at"),
        _at("started_at", null=True),
        _at("beat_at", null=True),
        _at("finished_at", null=True),
        _text("worker", null=True),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=True),
        _text("note", null=True),
        _text("error", null=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
    )
    queued = sa.text("status = 'queued'")
    op.create_index("ix_job_ready", "job", ["priority", "id"], postgresql_where=queued)
    op.create_index(
        "ix_job_running", "job", ["beat_at"], postgresql_where=sa.text("status = 'running'")
    )
    op.create_index("uq_job_dedupe", "job", ["dedupe"], unique=True, postgresql_where=queued)
    op.create_table(
        "worker",
        sa.Column("name", sa.Text(), primary_key=True),
        _at("started_at"),
        _at("seen_at"),
    )


def _create_inbox() -> None:
    op.create_table(
        "inbox",
        _number("seq"),
        _text("table_name"),
        _text("record_id"),
        _text("subject_id"),
        _text("region", null=True),
        _text("record"),
        _text("caller"),
        _at("received_at"),
        _at("merged_at", null=True),
        sa.Column("lake_version", sa.BigInteger(), nullable=True),
    )
    unmerged = sa.text("merged_at is null")
    op.create_index("ix_inbox_waiting", "inbox", ["seq"], postgresql_where=unmerged)
    op.create_index("ix_inbox_subject_id", "inbox", ["subject_id"])
    op.create_table(
        "inbox_refused",
        _number(),
        _text("entry"),
        _at("received_at"),
        _at("merged_at", null=True),
    )
    op.create_index("ix_inbox_refused_waiting", "inbox_refused", ["id"], postgresql_where=unmerged)
    op.create_table(
        "inbox_request",
        sa.Column("caller", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), primary_key=True),
        _text("digest"),
        sa.Column("answer", postgresql.JSONB(), nullable=False),
        _at("at"),
    )
    op.create_index("ix_inbox_request_at", "inbox_request", ["at"])


def _create_changes() -> None:
    op.execute("create sequence change_position")
    op.create_table(
        "change",
        _number(),
        sa.Column("position", sa.BigInteger(), nullable=True),
        _text("kind"),
        _text("subject_id"),
        _text("region", null=True),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        _at("at"),
        sa.UniqueConstraint("position", name="uq_change_position"),
    )
    op.create_index(
        "ix_change_waiting", "change", ["id"], postgresql_where=sa.text("position is null")
    )
    op.create_index("ix_change_region_position", "change", ["region", "position"])
    op.create_index("ix_change_subject_id_position", "change", ["subject_id", "position"])


def _create_hooks() -> None:
    op.create_table(
        "hook",
        _number(),
        _text("title"),
        _text("url"),
        sa.Column("kinds", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("regions", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        _text("created_by"),
        _at("created_at"),
    )
    op.create_table(
        "hook_delivery",
        _number(),
        sa.Column(
            "hook_id",
            sa.BigInteger(),
            sa.ForeignKey("hook.id", name="fk_hook_delivery_hook_id"),
            nullable=False,
        ),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        _text("status"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _at("next_at"),
        sa.Column("answer", sa.Integer(), nullable=True),
        _text("error", null=True),
        _at("created_at"),
        _at("ended_at", null=True),
    )
    op.create_index(
        "ix_hook_delivery_waiting",
        "hook_delivery",
        ["next_at"],
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.create_index("ix_hook_delivery_hook_id_id", "hook_delivery", ["hook_id", "id"])


def _keep() -> None:
    """Let the tables of acts refuse every change but the first filling of the columns for it."""
    op.execute(
        """
        create function fill_once() returns trigger language plpgsql as $$
        declare
            filled text;
        begin
            if tg_op = 'UPDATE' and to_jsonb(old) - tg_argv = to_jsonb(new) - tg_argv then
                foreach filled in array tg_argv loop
                    if to_jsonb(old) -> filled not in ('null', to_jsonb(new) -> filled) then
                        raise exception '%.% is filled in once', tg_table_name, filled
                            using errcode = '55006';
                    end if;
                end loop;
                return new;
            end if;
            raise exception '% is append-only: no % of what was recorded', tg_table_name, tg_op
                using errcode = '55006',
                hint = 'record a new row that corrects or supersedes the old one';
        end $$
        """
    )
    for table, columns in _KEPT.items():
        named = ", ".join(f"'{column}'" for column in columns)
        op.execute(
            f"create trigger fill_once before update or delete on {table} "
            f"for each row execute function fill_once({named})"
        )
        op.execute(f"alter table {table} enable always trigger fill_once")
        op.execute(
            f"create trigger no_truncate before truncate on {table} "
            "for each statement execute function refuse_change()"
        )
        op.execute(f"alter table {table} enable always trigger no_truncate")
