"""Freeze a pool, and make the public seed of its draw from what nobody knew at the freeze.

The order is the protection: first the pool's digest is published, then values come into being that
the office cannot choose, and only both together give the seed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from models.errors import InspectionError
from models.inspection.pool import Pool

VERSION: Final = "xinjian-draw-v1"

_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+$"
Line = Annotated[str, Field(pattern=_LINE, max_length=4096)]
"""Text of one line."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in lower-case hexadecimal."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Commitment(_Value):
    """What is published when a pool is frozen, before any value of the seed exists."""

    version: Literal["xinjian-draw-v1"] = VERSION
    plan: Line
    commitment: Digest
    """SHA-256 of the pool's canonical file."""
    subjects: int = Field(gt=0)
    frozen_at: AwareDatetime


class Entropy(_Value):
    """One public value that goes into the seed: a lottery's numbers, a drand round, a nonce.

    ``digest`` is for nonces: what the party published before, the SHA-256 of ``value``. A seed made
    of nonces needs two parties or more, for none of them may know the seed alone.
    """

    source: Line
    value: Line
    published_at: AwareDatetime
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


def freeze(pool: Pool, plan: str, *, at: AwareDatetime) -> Commitment:
    """Return the commitment of ``plan`` to ``pool`` as of the instant ``at``."""
    if not re.fullmatch(_LINE, plan):
        raise InspectionError(f"plan {plan!r}: must be one line of text without control characters")
    return Commitment(
        plan=plan, commitment=pool.commitment, subjects=pool.frame.height, frozen_at=at
    )


def make_seed(commitment: Commitment, entropy: Sequence[Entropy]) -> Seed:
    """Return the seed of a frozen pool.

    Raises :class:`InspectionError` where a value was public before the freeze, where there is none,
    where one source comes twice, and where the nonce of a single party would decide alone.
    """
    found = "; ".join(troubles(commitment, entropy))
    if found:
        raise InspectionError(found)
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
    if len(set(sources)) < len(sources):
        found.append(f"a source stands twice in {sources}; name each once")
    nonces = [one for one in entropy if one.digest is not None]
    if len(nonces) == len(entropy) == 1:
        found.append(
            "one party's nonce alone would let that party choose the seed; add a second party's, "
            "or a public value"
        )
    return found
