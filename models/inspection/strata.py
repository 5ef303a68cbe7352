"""Neutral names of strata in public files (层的公开标签), revealed when the plan is closed.

Strata are named for what the office knows of a subject, its grade first, and a pool's lines and the
record of a draw tell everybody in which stratum each subject lies. Public files therefore have
labels in their place: HMAC-SHA256 (RFC 2104) of the plan and the name, under a secret that stays in
the office until the plan is closed. Whoever then gets the secret and the names computes each label
again; no other names or secret give the same labels, so that the office cannot rename afterwards.

Labels hide names alone. How many are drawn of how many, and the probabilities themselves, are
public by design: where these follow from grades, they tell of them.
"""

from __future__ import annotations

import hmac
from typing import Final, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict

from models.errors import InspectionError
from models.inspection.pool import refuse_texts
from models.inspection.record import parsed
from models.inspection.seed import Digest, Line

VERSION: Final = "xinjian-strata-v1"
_DIGITS: Final = 32


class StrataKey(BaseModel):
    """What labels stand for: ``names`` by label. It is kept secret until the plan is closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal["xinjian-strata-v1"] = VERSION
    plan: Line
    secret: Digest
    names: dict[Line, Line]

    @classmethod
    def parse(cls, text: str | bytes, source: str) -> Self:
        """Read a key; :class:`InspectionError` names the ``source`` and the first fault."""
        return parsed(cls, text, source, "key of strata")


def label(secret: str, plan: str, name: str) -> str:
    """Return the label of a stratum: ``S`` and 32 hexadecimal digits."""
    text = f"{VERSION}\n{plan}\n{name}\n"
    return "S" + hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()[:_DIGITS]


def hide(frame: pl.DataFrame, plan: str, *, secret: str) -> tuple[pl.DataFrame, StrataKey]:
    """Return ``frame`` with labels in ``stratum``, and the key to them.

    ``secret`` are 64 hexadecimal digits of the system's randomness, new for every plan: with a
    known secret, or one used before, anybody can try names. Raises :class:`InspectionError` for
    names that a line cannot hold.
    """
    if "stratum" not in frame.columns or frame["stratum"].null_count():
        raise InspectionError("every subject of a pool needs a 'stratum'; see the pool's columns")
    refuse_texts(frame, "stratum")
    names = frame["stratum"].cast(pl.String).unique().sort().to_list()
    labels = {name: label(secret, plan, name) for name in names}
    made = pl.col("stratum").replace_strict(labels, return_dtype=pl.String)
    key = StrataKey(plan=plan, secret=secret, names={labels[name]: name for name in sorted(labels)})
    return frame.with_columns(made), key


def reveal(frame: pl.DataFrame, key: StrataKey) -> pl.DataFrame:
    """Return ``frame`` with the names of strata in the place of labels.

    Raises :class:`InspectionError` for a label that the key has no true name for.
    """
    wrong = troubles(key, frame["stratum"].unique().sort().to_list())
    if wrong:
        raise InspectionError("; ".join(wrong))
    return frame.with_columns(
        pl.col("stratum").replace_strict(dict(key.names), return_dtype=pl.String)
    )


def troubles(key: StrataKey, labels: list[str]) -> list[str]:
    """Return what is wrong with a key for the ``labels`` of a pool or a draw."""
    found: list[str] = []
    lacking = sorted(set(labels) - set(key.names))
    if lacking:
        found.append(f"{len(lacking)} strata have no name in the key, the first '{lacking[0]}'")
    for given, name in key.names.items():
        made = label(key.secret, key.plan, name)
        if not hmac.compare_digest(made.encode(), given.encode()):
            found.append(f"'{name}' has the label {made} under this secret, the key says {given}")
    return found
