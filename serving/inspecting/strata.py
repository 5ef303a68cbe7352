"""Labels of strata in the service: made at the freeze, sealed by the office, told at the close.

A stratum is named for what the office knows of a subject. From the freeze to the close the files of
a draw have labels alone; what they stand for is sealed with the service's own key, so that a copy
of the database does not tell it either.
"""

from __future__ import annotations

from secrets import token_hex

import polars as pl

from models.inspection.strata import StrataKey, hide
from serving.auth.secret import seal, unseal
from serving.inspecting.rounds import draw_id
from serving.ledger import draws
from serving.ledger.engine import Connection
from serving.settings import ServeSettings


def labelled(
    settings: ServeSettings, key: tuple[str, str], frame: pl.DataFrame
) -> tuple[pl.DataFrame, bytes]:
    """Return a pool with labels in ``stratum``, and their names, sealed.

    Raises :class:`InspectionError` for names that a line of a pool cannot hold.
    """
    name = draw_id(*key)
    shown, made = hide(frame, name, secret=token_hex(32))
    return shown, seal(settings, made.model_dump_json().encode(), context=_context(name))


def names_of(
    connection: Connection, settings: ServeSettings, key: tuple[str, str]
) -> StrataKey | None:
    """Return what the labels of a frozen pool stand for; ``None`` where it was frozen without.

    Raises :class:`AccessError` where what is sealed does not open.
    """
    sealed = draws.sealed_strata(connection, *key)
    if sealed is None:
        return None
    name = draw_id(*key)
    opened = unseal(settings, sealed, context=_context(name))
    return StrataKey.parse(opened, f"the sealed names of {name}")


def tell(connection: Connection, settings: ServeSettings, key: tuple[str, str]) -> str | None:
    """Keep the names as everybody may read them from now on; return them as JSON.

    ``None`` where the pool was frozen without labels. Raises what :func:`names_of` does.
    """
    made = names_of(connection, settings, key)
    if made is None:
        return None
    content = made.model_dump_json(indent=1) + "\n"
    draws.keep_told_strata(connection, *key, content=content)
    return content


def _context(name: str) -> str:
    return f"strata:{name}"
