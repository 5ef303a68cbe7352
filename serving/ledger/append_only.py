"""Tables that record acts: the database itself refuses to change or remove their rows.

Every migration that makes such a table calls :func:`append_only` for it. The triggers hold for the
tables' owner and for superusers as well, also where a session asks for triggers to be left out
(``session_replication_role``); who may change the schema can still drop them, which is what the
audit's anchors are for.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

REFUSED: Final = "55006"
"""The SQLSTATE of a refused change: the object is in use, as an archive is."""
_FUNCTION: Final = "refuse_change"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")


class Executes(Protocol):
    """What runs a statement: Alembic's ``op``."""

    def execute(self, sqltext: str, /) -> None:
        """Run one statement."""
        ...


def create_refusal(op: Executes) -> None:
    """Create the function that the triggers call; the first migration does, once."""
    op.execute(
        f"""
        create function {_FUNCTION}() returns trigger language plpgsql as $$
        begin
            raise exception '% is append-only: no % of what was recorded', tg_table_name, tg_op
                using errcode = '{REFUSED}',
                hint = 'record a new row that corrects or supersedes the old one';
        end $$
        """
    )


def append_only(op: Executes, table: str) -> None:
    """Let ``table`` refuse UPDATE, DELETE and TRUNCATE; ``ON CONFLICT DO NOTHING`` still works."""
    if not _NAME.fullmatch(table):
        message = f"{table!r} is no table's name: lower case letters, digits and _"
        raise ValueError(message)
    # For statements rather than rows: one that finds no row is refused as well.
    op.execute(
        f"create trigger append_only before update or delete or truncate on {table} "
        f"for each statement execute function {_FUNCTION}()"
    )
    op.execute(f"alter table {table} enable always trigger append_only")
