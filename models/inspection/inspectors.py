"""The pool of inspectors (执法检查人员名录库): who may inspect what, where and when.

Only holders of a valid certificate (执法证) may inspect; helpers, grid workers and third parties
may not, whatever else they are qualified for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import InspectionError
from models.inspection.pool import refuse_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Flags: TypeAlias = NDArray[np.bool_]

INSPECTOR: Final = pl.Schema(
    {
        "inspector_id": pl.String,
        "certificate": pl.String,
        "valid_from": pl.Date,
        "valid_until": pl.Date,
        "matters": pl.List(pl.String),
        "regions": pl.List(pl.String),
        "capacity": pl.Int64,
    }
)
CONFLICT: Final = pl.Schema({"inspector_id": pl.String, "subject_id": pl.String})
LEAVE: Final = pl.Schema({"inspector_id": pl.String, "starts": pl.Date, "ends": pl.Date})

_OPTIONAL: Final = frozenset({"valid_from", "regions", "capacity"})


@dataclass(frozen=True, eq=False)
class Inspectors:
    """Checked inspectors, sorted by id, with what keeps them from single targets or days.

    ``frame``: ``certificate`` is null for who holds none; it is valid on ``valid_from`` (null:
    since ever) to ``valid_until`` (null: it has no known end, so it is not valid), both included;
    ``regions`` are prefixes of region codes, null or empty for everywhere; ``capacity`` is the
    most tasks of one assignment, null for no bound. ``conflicts`` are the subjects that an
    inspector must keep away from (kinship, former employer, interest); ``leave`` the days away,
    both included.
    """

    frame: pl.DataFrame
    conflicts: pl.DataFrame
    leave: pl.DataFrame

    @classmethod
    def of(
        cls,
        frame: pl.DataFrame,
        *,
        conflicts: pl.DataFrame | None = None,
        leave: pl.DataFrame | None = None,
    ) -> Self:
        """Check the frames; ``valid_from``, ``regions`` and ``capacity`` may be left out.

        Raises :class:`InspectionError` for missing columns or values, duplicates (of certificates
        too: two ids of one person would make a team), empty matters or regions, ids that a line
        cannot hold, spans that end before they begin, and inspectors nobody knows.
        """
        kept = typed(frame, INSPECTOR, _OPTIONAL, "the inspectors").sort("inspector_id")
        refuse_texts(kept, "inspector_id", "certificate")
        refuse_null(kept, ("inspector_id", "matters"), "the inspectors")
        refuse_repeated(kept, "inspector_id")
        refuse_repeated(kept.drop_nulls("certificate"), "certificate")
        refuse_blanks(kept, "matters", "regions")
        _refuse_spans(kept, "valid_from", "valid_until")
        if (kept["capacity"] < 0).any():
            raise InspectionError("an inspector's capacity is below 0; leave it empty for no bound")
        known = kept["inspector_id"]
        return cls(kept, _conflicts(conflicts, known), _leave(leave, known))

    @property
    def size(self) -> int:
        """Return how many inspectors there are."""
        return self.frame.height

    def certified(self) -> Flags:
        """Tell who holds a certificate at all."""
        return self.frame["certificate"].is_not_null().to_numpy()

    def valid(self, starts: date, ends: date) -> Flags:
        """Tell whose certificate is valid on all days from ``starts`` to ``ends``."""
        held = self.frame.select(
            pl.col("certificate").is_not_null()
            & (pl.col("valid_from").is_null() | (pl.col("valid_from") <= starts))
            & (pl.col("valid_until") >= ends).fill_null(value=False)
        )
        return held.to_series().to_numpy()

    def present(self, starts: date, ends: date) -> Flags:
        """Tell who is on leave on no day from ``starts`` to ``ends``."""
        away = self.leave.filter((pl.col("starts") <= ends) & (pl.col("ends") >= starts))
        return ~self.frame["inspector_id"].is_in(away["inspector_id"].to_list()).to_numpy()

    def qualified(self, matters: Iterable[str]) -> Flags:
        """Tell who is qualified for every one of ``matters``."""
        holds = [pl.col("matters").list.contains(one) for one in sorted(matters)]
        return self.frame.select(pl.all_horizontal(holds)).to_series().to_numpy()

    def near(self, region: str | None) -> Flags:
        """Tell whose regions take in ``region``; null is anywhere, which everyone may go to."""
        if region is None:
            return np.ones(self.size, np.bool_)
        inside = pl.lit(region).str.starts_with(pl.element())
        near = self.frame.select(
            pl.col("regions").is_null()
            | (pl.col("regions").list.len() == 0)
            | pl.col("regions").list.eval(inside).list.any()
        )
        return near.to_series().fill_null(value=True).to_numpy()


def typed(
    frame: pl.DataFrame, schema: pl.Schema, optional: Iterable[str], what: str
) -> pl.DataFrame:
    """Return the columns of ``schema``, cast, optional ones null where they are missing."""
    lacking = set(schema) - set(frame.columns)
    if lacking - set(optional):
        raise InspectionError(f"{what} lack the columns {sorted(lacking - set(optional))}")
    try:
        return frame.select(
            pl.lit(None, dtype=dtype).alias(name) if name in lacking else pl.col(name).cast(dtype)
            for name, dtype in schema.items()
        )
    except pl.exceptions.PolarsError as error:
        first = str(error).partition("\n")[0]
        raise InspectionError(f"{what} cannot be read as {dict(schema)}: {first}") from None


def refuse_null(frame: pl.DataFrame, names: Sequence[str], what: str) -> None:
    """Raise :class:`InspectionError` where one of ``names`` has nulls."""
    nulls: Mapping[str, int] = frame.select(pl.col(names).null_count()).row(0, named=True)
    found = {name: count for name, count in nulls.items() if count}
    if found:
        raise InspectionError(f"{what} have nulls ({found}), and these columns must be filled")


def refuse_repeated(frame: pl.DataFrame, name: str) -> None:
    """Raise :class:`InspectionError` where ``name`` has a value twice."""
    twice = frame.filter(pl.col(name).is_duplicated())[name].unique().sort()
    if twice.len():
        raise InspectionError(
            f"{twice.len()} values of {name} stand there more than once, among them "
            f"{twice.head(3).to_list()}; keep one line of each"
        )


def refuse_blanks(frame: pl.DataFrame, *names: str) -> None:
    """Raise :class:`InspectionError` where a list of ``names`` holds null or an empty text."""
    for name in names:
        blank = pl.element().is_null() | (pl.element() == "")
        wrong = frame.filter(pl.col(name).list.eval(blank).list.any().fill_null(value=False))
        if not wrong.is_empty():
            raise InspectionError(
                f"'{wrong.to_series(0)[0]}': {name} holds an empty entry, which would mean "
                "nothing or everything; take it out"
            )


def _conflicts(frame: pl.DataFrame | None, known: pl.Series) -> pl.DataFrame:
    kept = typed(CONFLICT.to_frame() if frame is None else frame, CONFLICT, (), "the conflicts")
    refuse_null(kept, tuple(CONFLICT), "the conflicts")
    _refuse_unknown(kept, known, "the conflicts")
    return kept.unique().sort(kept.columns)


def _leave(frame: pl.DataFrame | None, known: pl.Series) -> pl.DataFrame:
    kept = typed(LEAVE.to_frame() if frame is None else frame, LEAVE, (), "the days of leave")
    refuse_null(kept, tuple(LEAVE), "the days of leave")
    _refuse_unknown(kept, known, "the days of leave")
    _refuse_spans(kept, "starts", "ends")
    return kept.unique().sort(kept.columns)


def _refuse_unknown(frame: pl.DataFrame, known: pl.Series, what: str) -> None:
    lost = frame.filter(~pl.col("inspector_id").is_in(known.to_list()))["inspector_id"].unique()
    if lost.len():
        raise InspectionError(
            f"{what} name inspectors who are not in the pool: {lost.sort().head(3).to_list()}"
        )


def _refuse_spans(frame: pl.DataFrame, first: str, last: str) -> None:
    wrong = frame.filter(pl.col(first) > pl.col(last))
    if not wrong.is_empty():
        who, begins, ends = wrong.select("inspector_id", first, last).row(0)
        raise InspectionError(f"inspector '{who}': {first} {begins} is after {last} {ends}")
