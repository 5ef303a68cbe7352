"""Rows of the regions that a caller sees."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import false, or_, true
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement


def in_regions(
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None], regions: Sequence[str]
) -> ColumnElement[bool]:
    """Return the condition that a row's region begins with one of the prefixes.

    ``("",)`` sees everything, also what has no region; ``()`` sees nothing.
    """
    if "" in regions:
        return true()
    return or_(false(), *(column.startswith(one, autoescape=True) for one in regions))
