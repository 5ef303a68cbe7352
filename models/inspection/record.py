"""The record of a draw: one JSON file that, with the pool, lets anyone recompute it."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from typing import Self, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import InspectionError
from models.inspection.draw import draw
from models.inspection.pool import Pool
from models.inspection.seed import Digest, Seed

_Read = TypeVar("_Read", bound=BaseModel)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stratum(_Value):
    """How a stratum was drawn: ``n`` of ``size − mandatory``, beside the mandatory ones."""

    stratum: str
    size: int
    mandatory: int
    n: int
    design: str


class Drawn(_Value):
    """A drawn subject; ``key`` is null for mandatory ones."""

    subject_id: str
    stratum: str
    u: float = Field(ge=0, lt=1)
    key: float | None = Field(ge=0)
    inclusion_probability: float = Field(gt=0, le=1)


class DrawRecord(_Value):
    """All that is published of a draw; ``drawn`` is in the pool's order."""

    seed: Seed
    strata: tuple[Stratum, ...]
    drawn: tuple[Drawn, ...]
    result: Digest
    """SHA-256 of the drawn ids, one a line, in the pool's order."""

    @classmethod
    def of(cls, pool: Pool, seed: Seed, *, made: pl.DataFrame | None = None) -> Self:
        """Draw from ``pool`` and record it.

        ``made`` is what :func:`.draw.draw` made of this pool and seed, where it is known already.
        Raises :class:`InspectionError` where the pool is not the one the seed was made for.
        """
        committed = seed.commitment.commitment
        if pool.commitment != committed:
            raise InspectionError(
                f"the pool's digest is {pool.commitment}, the frozen one is {committed}: the pool "
                "was changed after the freeze; draw from the frozen file"
            )
        chosen = (draw(pool, seed.seed) if made is None else made).filter("drawn")
        rows = chosen.select(*Drawn.model_fields).iter_rows(named=True)
        return cls(
            seed=seed,
            strata=tuple(Stratum(**row) for row in pool.strata.iter_rows(named=True)),
            drawn=tuple(Drawn.model_construct(**row) for row in rows),
            result=result_digest(chosen["subject_id"]),
        )

    @classmethod
    def parse(cls, text: str | bytes, source: str) -> Self:
        """Read a record; :class:`InspectionError` names the ``source`` and the first fault."""
        return parsed(cls, text, source, "draw record")

    def text(self) -> str:
        """Return the record as JSON: floats in their shortest form that reads back to the bit."""
        data = self.model_dump(mode="json")
        rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in data.pop("drawn"))
        head = json.dumps(data, ensure_ascii=False, indent=1).removesuffix("\n}")
        return f'{head},\n "drawn": [\n  {rows}\n ]\n}}\n'

    def frame(self) -> pl.DataFrame:
        """Return the drawn subjects as a frame."""
        schema = {
            "subject_id": pl.String,
            "stratum": pl.String,
            "u": pl.Float64,
            "key": pl.Float64,
            "inclusion_probability": pl.Float64,
        }
        return pl.DataFrame([tuple(dict(one).values()) for one in self.drawn], schema, orient="row")


def result_digest(ids: pl.Series) -> str:
    """Return the SHA-256 of ids, each ended by LF."""
    return sha256("".join(f"{one}\n" for one in ids.to_list()).encode()).hexdigest()


def parsed(model: type[_Read], content: str | bytes, source: str, what: str) -> _Read:
    """Read a published JSON file so that there is one way to read it.

    Nothing is converted (a text is no number), and no key stands twice, of which programs take the
    first or the last as they like. Raises :class:`InspectionError`: ``source`` is no ``what``.
    """
    try:
        made = model.model_validate_json(content, strict=True)
        json.loads(content, object_pairs_hook=_once)
    except ValidationError as error:
        raise InspectionError(f"{source} is no {what}: {told(error)}") from None
    except ValueError as error:
        raise InspectionError(f"{source} is no {what}: {error}") from None
    return made


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for key, many in Counter(key for key, _ in pairs).items() if many > 1)
        raise ValueError(f"the key '{twice}' stands twice in one object")
    return made


def told(error: ValidationError) -> str:
    """Return where the first fault of a file lies, and what it is."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"])) or "the file"
    return f"{place}: {first['msg']}"
