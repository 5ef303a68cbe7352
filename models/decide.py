"""Decisions: from features to probability, score, grade and what follows, for one row or millions.

There is one path. A row's decision depends on the row, the scenario, the bundle and the decision
before, and on no other row, so that any part of a run can be repeated to the bit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from models.errors import ConfigError
from models.features.spec import AS_OF, KEYS, SUBJECT
from models.risk.bundle import Bundle
from models.risk.encode import shown
from models.risk.grade import Hits, Rulebook, risk_score, rulebook
from models.scenarios.scenario import Scenario

COLUMNS: Final[dict[str, pl.DataType]] = {
    SUBJECT: pl.String(),
    AS_OF: pl.Date(),
    "probability": pl.Float64(),
    "risk_score": pl.Float64(),
    "grade": pl.String(),
    "previous_grade": pl.String(),
    "vetoes": pl.List(pl.String()),
    "valid_until": pl.Date(),
    "warn": pl.Boolean(),
    "draw": pl.Float64(),
    "action": pl.String(),
    "scenario_digest": pl.String(),
    "bundle_digest": pl.String(),
}
"""The columns of decisions, in order."""

CHUNK: Final = 64_000
"""Rows that are decided at once; more would need more memory and gain nothing."""

_BEFORE: Final = {SUBJECT: pl.String(), "grade": pl.String(), "valid_until": pl.Date()}
"""What is read of the decisions before; ``as_of`` and ``vetoes`` too where they are there."""
_NONE: Final = -1
_NOBODY: Final = pl.Series([None], dtype=pl.String)
_NO_REASON: Final = pl.Series([[]], dtype=COLUMNS["vetoes"])


def decide(
    features: pl.DataFrame,
    scenario: Scenario,
    bundle: Bundle,
    *,
    previous: pl.DataFrame | None = None,
    threads: int = 1,
) -> pl.DataFrame:
    """Return a decision for each row of ``features``, in order; see :data:`COLUMNS`.

    The grade is the worst of that of the probability and those of the vetoes that hold, whose
    reasons are in ``vetoes``. It is valid up to and with ``valid_until``. ``draw`` is the share to
    be drawn for inspection, never 0. ``action`` is null where the scenario declares none.

    Args:
        features: Keys and features, as :mod:`.features.pipeline` builds them.
        scenario: Its grades, vetoes, validity and actions are applied; they may differ from those
            at the fit.
        bundle: What makes the probability.
        previous: Earlier decisions, one for a subject at most. One that is still valid holds its
            grade until the probability has passed a threshold by the declared hysteresis, unless a
            veto had given it: with the ground for a veto its grade is gone at once. One that was
            made as of a later day than the row is none.
        threads: How many processors LightGBM may use; 1 is best for few rows.

    Raises:
        BundleError: The bundle was fitted for something else, or features are missing, of a wrong
            type or infinite.
        ConfigError: Keys are missing or null, earlier decisions are no such frame, or a subject
            has two of them.
    """
    book = rulebook(scenario)
    bundle.check(scenario)
    _check_keys(features)
    before = None if previous is None else _before(features, previous, book)
    parts = [
        _decide(rows, book, bundle, None if before is None else before[at : at + CHUNK], threads)
        for at, rows in zip(
            range(0, features.height, CHUNK), features.iter_slices(CHUNK), strict=True
        )
    ]
    return parts[0] if len(parts) == 1 else pl.concat([pl.DataFrame(schema=COLUMNS), *parts])


def _decide(
    rows: pl.DataFrame,
    book: Rulebook,
    bundle: Bundle,
    before: pl.DataFrame | None,
    threads: int,
) -> pl.DataFrame:
    probability = bundle.probability(rows, threads=threads)
    numbers = probability.to_numpy()
    held = None if before is None else before["place"].to_numpy()
    hits = book.hits(rows)
    places = book.worst(book.places(numbers, held), hits)
    own = {
        SUBJECT: rows[SUBJECT],
        AS_OF: rows[AS_OF],
        "probability": probability,
        "risk_score": pl.Series(risk_score(numbers)),
        "previous_grade": _NOBODY.new_from_index(0, rows.height)
        if before is None
        else before["grade"],
        "vetoes": _reasons(book, hits),
        "valid_until": (rows[AS_OF].cast(pl.Int32) + book.days).cast(pl.Date),
        "bundle_digest": pl.Series([bundle.digest]).new_from_index(0, rows.height),
    }
    for series in book.consequences(places).iter_columns():
        own[series.name] = series
    return pl.DataFrame([own[name].alias(name) for name in COLUMNS])


def _before(features: pl.DataFrame, previous: pl.DataFrame, book: Rulebook) -> pl.DataFrame:
    """Return for each row the grade before and the place that it holds, -1 where it holds none."""
    earlier = _checked(previous)
    joined = features.select(KEYS).join(earlier, on=SUBJECT, how="left", maintain_order="left")
    known = (pl.col("decided_on") <= pl.col(AS_OF)).fill_null(value=True)
    holds = known & (pl.col("valid_until") >= pl.col(AS_OF)) & ~pl.col("by_veto")
    places = {grade: place for place, grade in enumerate(book.grades)}
    place = pl.col("grade").replace_strict(places, default=_NONE, return_dtype=pl.Int64)
    return joined.select(
        pl.when(known).then("grade").alias("grade"),
        pl.when(holds).then(place).otherwise(_NONE).alias("place"),
    )


def _checked(previous: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in _BEFORE if name not in previous.columns]
    if missing:
        raise ConfigError(f"the decisions before lack {shown(missing)}; give frames of decide()")
    there = set(previous.columns)
    _check_before(previous)
    by_veto = (
        pl.col("vetoes").cast(COLUMNS["vetoes"]).list.len() > 0
        if "vetoes" in there
        else pl.lit(value=False)
    )
    decided = pl.col(AS_OF) if AS_OF in there else pl.lit(None, pl.Date())
    earlier = previous.select(
        *(pl.col(name).cast(dtype) for name, dtype in _BEFORE.items()),
        by_veto.fill_null(value=False).alias("by_veto"),
        decided.cast(pl.Date).alias("decided_on"),
    )
    twice = earlier[SUBJECT].is_duplicated()
    if twice.any():
        raise ConfigError(
            f"subject {earlier[SUBJECT].filter(twice)[0]} has two decisions before; give the last"
        )
    return earlier


def _check_before(previous: pl.DataFrame) -> None:
    for name in (*_BEFORE, AS_OF, "vetoes"):
        wanted = COLUMNS[name]
        held = previous[name].dtype if name in previous.columns else wanted
        # A column without any value has no type of its own.
        if held not in {wanted, pl.Null(), pl.List(pl.Null()) if name == "vetoes" else wanted}:
            raise ConfigError(
                f"'{name}' of the decisions before holds {held}, not {wanted}; give frames of "
                "decide()"
            )
    unnamed = previous[SUBJECT].null_count()
    if unnamed:
        raise ConfigError(f"{unnamed} decisions before have no '{SUBJECT}'; leave them out")


def _check_keys(features: pl.DataFrame) -> None:
    for name in KEYS:
        if name not in features.columns:
            raise ConfigError(f"the features lack the key '{name}'; it tells whose row it is")
        if features[name].dtype != COLUMNS[name]:
            raise ConfigError(f"key '{name}' holds {features[name].dtype}, not {COLUMNS[name]}")
        if features[name].null_count():
            raise ConfigError(
                f"{features[name].null_count()} rows have no '{name}'; leave them out"
            )


def _reasons(book: Rulebook, hits: Hits) -> pl.Series:
    """Return the reasons of the vetoes that hold, in the scenario's order, for each row."""
    if not hits.any():
        return _NO_REASON.new_from_index(0, len(hits))
    sets, places = np.unique(hits, axis=0, return_inverse=True)
    reasons = [[v.reason for v, met in zip(book.vetoes, row, strict=True) if met] for row in sets]
    return pl.Series(reasons, dtype=COLUMNS["vetoes"]).gather(places.ravel())
