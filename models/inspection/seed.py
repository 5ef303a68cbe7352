"""Freeze a pool, and make the public seed of its draw from what nobody knew at the freeze.

The order is the protection: first the pool's digest is published, then values come into being that
the office cannot choose, and only both together give the seed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Final, Literal, Self
from unicodedata import normalize

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from models.errors import InspectionError
from models.inspection.pool import Pool

VERSION: Final = "xinjian-draw-v1"
SKEW: Final = timedelta(minutes=5)
"""How far clocks may be apart before a value counts as one of the future."""

_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+$"
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII
)


def _written(value: object, info: ValidationInfo) -> object:
    """Read the instants of a published file in the one way that every reader takes."""
    if info.mode != "json":
        return value
    if not (isinstance(value, str) and _INSTANT.fullmatch(value)):
        raise ValueError("must be written as 2026-01-05T09:00:00+08:00")
    return datetime.fromisoformat(value)


Instant = Annotated[AwareDatetime, BeforeValidator(_written)]
"""An instant with its offset; in files as RFC 3339 writes it."""
Line = Annotated[str, Field(pattern=_LINE, max_length=4096)]
"""Text of one line."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in lower-case hexadecimal."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Commitment(_Value):
    """What is published when a pool is frozen, before any value of the seed exists.

    ``sources`` are those that the seed's values will come from, in order. Where none are named,
    whoever makes the seed may choose among sources after he has seen their values.
    """

    version: Literal["xinjian-draw-v1"] = VERSION
    plan: Line
    commitment: Digest
    """SHA-256 of the pool's canonical file."""
    subjects: int = Field(gt=0)
    frozen_at: Instant
    sources: tuple[Line, ...] = ()


class Entropy(_Value):
    """One public value that goes into the seed: a lottery's numbers, a drand round, a nonce.

    ``digest`` is for nonces: what the party published before, the SHA-256 of ``value``. A seed made
    of nonces needs two parties or more, for none of them may know the seed alone.
    """

    source: Line
    value: Line
    published_at: Instant
    digest: Digest | None = None

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if self.digest not in (None, sha256(self.value.encode()).hexdigest()):
            raise ValueError(
                f"the nonce of '{self.source}' is not the one its digest committed to; ask the "
                "party for the value that it published the digest of"
            )
        return self


class Seed(_Value):
    """The seed of a draw and all that it was made of."""

    commitment: Commitment
    entropy: tuple[Entropy, ...] = Field(min_length=1)
    seed: Digest


def freeze(pool: Pool, plan: str, *, at: datetime, sources: Sequence[str] = ()) -> Commitment:
    """Return the commitment of ``plan`` to ``pool`` as of the instant ``at``.

    ``sources`` announces where the seed's values will come from (a lottery's issue, a round of
    drand), so that nobody can choose among sources once their values are known. Raises
    :class:`InspectionError` for texts that are not one line, sources named twice, and an instant
    without a time zone.
    """
    if _twins(sources):
        raise InspectionError(f"a source stands twice in {list(sources)}; name each once")
    try:
        return Commitment(
            plan=plan,
            commitment=pool.commitment,
            subjects=pool.frame.height,
            frozen_at=at,
            sources=tuple(sources),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InspectionError(
            f"{first['loc'][0]} {str(first['input'])[:80]!r}: must be one line of text without "
            f"control characters, an instant must have a time zone ({first['msg']})"
        ) from None


def make_seed(
    commitment: Commitment, entropy: Sequence[Entropy], *, now: datetime | None = None
) -> Seed:
    """Return the seed of a frozen pool; ``now`` is when it is made, null where nobody knows.

    Raises :class:`InspectionError` where a value was public before the freeze or is of the future,
    where there is none, where sources are not those announced or one comes twice, and where the
    nonce of a single party would decide alone.
    """
    found = troubles(commitment, entropy)
    found += [
        f"the value of '{one.source}' is said to be public at {one.published_at.isoformat()}, and "
        f"it is {now.isoformat()}; wait for the value"
        for one in entropy
        if now is not None and one.published_at > now + SKEW
    ]
    if found:
        raise InspectionError("; ".join(found))
    text = seed_text(commitment, entropy)
    digest = sha256(text.encode()).hexdigest()
    return Seed(commitment=commitment, entropy=tuple(entropy), seed=digest)


def seed_text(commitment: Commitment, entropy: Sequence[Entropy]) -> str:
    """Return the text whose SHA-256 is the seed: lines, each ended by LF."""
    values = [part for one in entropy for part in (one.source, one.value)]
    return "".join(
        f"{line}\n" for line in (VERSION, commitment.plan, commitment.commitment, *values)
    )


def troubles(commitment: Commitment, entropy: Sequence[Entropy]) -> list[str]:
    """Return what is wrong with the values of a seed; empty when they may be used."""
    found = [
        f"the value of '{one.source}' was public at {one.published_at.isoformat()}, not after the "
        f"freeze at {commitment.frozen_at.isoformat()}; use a value that comes later"
        for one in entropy
        if one.published_at <= commitment.frozen_at
    ]
    sources = [one.source for one in entropy]
    if not sources:
        found.append("a seed needs at least one public value")
    if _twins(sources):
        found.append(f"a source stands twice in {sources}; name each once")
    if commitment.sources and sources != list(commitment.sources):
        found.append(
            f"the values are of {sources}, and {list(commitment.sources)} were announced at the "
            "freeze; use these, in that order"
        )
    nonces = [one for one in entropy if one.digest is not None]
    if len({one.digest for one in nonces}) < len(nonces):
        found.append("two parties have the same nonce, so that one of them decides alone")
    if len(nonces) == len(entropy) == 1:
        found.append(
            "one party's nonce alone would let that party choose the seed; add a second party's, "
            "or a public value"
        )
    return found


def _twins(sources: Sequence[str]) -> bool:
    """Tell whether two names differ in nothing that a reader sees: blanks, width, case, accents."""
    seen = Counter(" ".join(normalize("NFKC", one).casefold().split()) for one in sources)
    return any(many > 1 for many in seen.values())
