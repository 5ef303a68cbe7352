"""Alembic's entry: runs the steps on the connection that :mod:`serving.ledger.migrate` hands in."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from serving.ledger import (
    audit,
    changes,
    decisions,
    draws,
    explanations,
    hooks,
    inbox,
    jobs,
    keys,
    lists,
    objections,
    plans,
    promotions,
    repairs,
    reports,
    runs,
    sessions,
    users,
    visits,
    warnings,
    workers,
)
from serving.ledger.base import Base

# Modules that declare tables: imported, they are in the metadata.
TABLES = (
    draws,
    lists,
    plans,
    visits,
    decisions,
    explanations,
    promotions,
    repairs,
    reports,
    runs,
    audit,
    changes,
    hooks,
    inbox,
    jobs,
    keys,
    objections,
    sessions,
    users,
    warnings,
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
