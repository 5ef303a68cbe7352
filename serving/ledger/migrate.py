"""The ledger's schema: brought up to date on an empty and on a filled database."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from models.errors import LedgerError
from serving.ledger.engine import Ledger

_FOLDER: Final = Path(__file__).with_name("migrations")
_LOCK: Final = 7_346_112
"""Any number: whoever migrates holds the advisory lock of this one."""


def migrate(ledger: Ledger) -> tuple[str | None, str]:
    """Bring the schema up to date; return the revision before (``None``: empty) and after.

    All in one transaction: a step that fails leaves the schema as it was. Of two that migrate at
    once, one waits and finds nothing to do.
    """
    with ledger.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        before = MigrationContext.configure(connection).get_current_revision()
        _check_known(before)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, head()


def head() -> str:
    """Return the revision that this release needs."""
    (found,) = ScriptDirectory.from_config(_config()).get_heads()
    return found


def revision(ledger: Ledger) -> str | None:
    """Return the revision of the database; ``None`` where it is empty."""
    with ledger.begin() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check(ledger: Ledger) -> None:
    """Raise :class:`LedgerError` unless the schema is the one that this release needs."""
    found = revision(ledger)
    _check_known(found)
    if found != head():
        raise LedgerError(
            f"the ledger is at revision {found or 'none'}, this release needs {head()}; run "
            "xinjian serve migrate"
        )


def _check_known(found: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise LedgerError(
            f"the ledger is at revision {found}, which this release does not know; it was migrated "
            "by a newer one: install that, or restore a backup from before"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config
