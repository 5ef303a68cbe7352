"""Alembic's entry: runs the steps on the connection that :mod:`serving.ledger.migrate` hands in."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from serving.ledger import (
    audit,
    changes,
    decisions,
    explanations,
    hooks,
    inbox,
    jobs,
    keys,
    promotions,
    runs,
    sessions,
    users,
    workers,
)
from serving.ledger.base import Base

# Modules that declare tables: imported, they are in the metadata.
TABLES = (
    decisions,
    explanations,
    promotions,
    runs,
    audit,
    changes,
    hooks,
    inbox,
    jobs,
    keys,
    sessions,
    users,
    workers,
)


def run() -> None:
    """Run the migrations within the caller's transaction."""
    connection = context.config.attributes["connection"]
    if not isinstance(connection, Connection):
        message = "migrations run through xinjian serve migrate"
        raise TypeError(message)
    context.configure(connection=connection, target_metadata=Base.metadata)
    context.run_migrations()


run()
