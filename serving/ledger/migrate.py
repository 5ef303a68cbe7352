"""The ledger's schema: brought up to date on an empty and on a filled database."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from models.errors import LedgerError
from serving.ledger.engine import Ledger
from serving.ledger.locks import Lock, hold

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER: Final = Path(__file__).with_name("migrations")


def migrate(ledger: Ledger, *, to: str | None = None) -> tuple[str | None, str]:
    """Bring the schema up to date; return the revision before (``None``: empty) and after.

    ``to`` names an earlier revision than this release's to stop at, as a test does.

    All in one transaction: a step that fails leaves the schema as it was. Of two that migrate at
    once, one waits and finds nothing to do.
    """
    with ledger.begin() as connection:
        hold(connection, Lock.MIGRATION)
        before = _current(connection)
        check_known(before)
        config = _config()
        from alembic import command

        config.attributes["connection"] = connection
        command.upgrade(config, to or "head")
    return before, to or head()


@cache
def revisions() -> tuple[str, ...]:
    """Return the revisions that this release knows, oldest first."""
    config = _config()
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(config).walk_revisions()
    return tuple(script.revision for script in scripts)[::-1]


def head() -> str:
    """Return the revision that this release needs."""
    return revisions()[-1]


def revision(ledger: Ledger) -> str | None:
    """Return the revision of the database; ``None`` where it is empty."""
    with ledger.begin() as connection:
        return _current(connection)


def check(ledger: Ledger) -> None:
    """Raise :class:`LedgerError` unless the schema is the one that this release needs."""
    found = revision(ledger)
    check_known(found)
    if found != head():
        raise LedgerError(
            f"the ledger is at revision {found or 'none'}, this release needs {head()}; run "
            "xinjian serve migrate"
        )


def check_known(found: str | None) -> None:
    """Raise :class:`LedgerError` for a revision of a newer release."""
    if found is not None and found not in revisions():
        raise LedgerError(
            f"the ledger is at revision {found}, which this release does not know; it was migrated "
            "by a newer one: install that, or restore a backup from before"
        )


def _current(connection: Connection) -> str | None:
    _quieten()
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()


def _quieten() -> None:
    """Let Alembic tell what goes wrong alone: it tells of every plug-in and of every look."""
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _config() -> Config:
    _quieten()
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config
