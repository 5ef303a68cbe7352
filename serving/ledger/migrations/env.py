"""Alembic's entry: runs the steps on the connection that :mod:`serving.ledger.migrate` hands in."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from serving.ledger import (
    attachments,
    audit,
    changes,
    decisions,
    dispatches,
    draws,
    explanations,
    feedback,
    hooks,
    inbox,
    jobs,
    joint,
    keys,
    lists,
    measures,
    objections,
    plans,
    promotions,
    repairs,
    reports,
    reviews,
    rules,
    runs,
    sessions,
    trials,
    users,
    visits,
    voids,
    warnings,
    workers,
)
from serving.ledger.base import Base

# Modules that declare tables: imported, they are in the metadata.
TABLES = (
    attachments,
    feedback,
    measures,
    reviews,
    rules,
    draws,
    lists,
    plans,
    visits,
    joint,
    trials,
    decisions,
    dispatches,
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
    voids,
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
