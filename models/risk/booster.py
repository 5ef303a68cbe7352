"""A LightGBM model as it is applied: from its text to log-odds and what they are made of.

Only a binary objective is taken. LightGBM splits on the codes of categories itself and knows NaN
for missing, so a matrix comes from :class:`~models.risk.encode.Encoder` as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, cast

import numpy as np

from models.errors import BundleError
from models.logs import logger
from models.risk import trees
from models.risk.encode import FloatArray
from models.risk.fast import Output, SingleRow

_PROBES: Final = 8


class Booster:
    """A fitted booster that cannot be changed any more; safe to use from several threads."""

    def __init__(self, text: str, features: tuple[str, ...]) -> None:
        """Use :meth:`from_text`, which says what may be wrong."""
        trees.check(text, features)
        import lightgbm

        self.text = text
        self.features = features
        try:
            self._booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            raise BundleError(f"LightGBM cannot read the booster: {error}") from None
        self._threads = threading.local()
        self._fast = self._agrees()

    @classmethod
    def from_text(cls, text: str, *, features: Sequence[str]) -> Booster:
        """Load a booster from LightGBM's own text; ``features`` are the columns it will read.

        The text may name its columns as ``features`` does (blanks written as ``_``), or not at all
        (LightGBM's ``Column_0`` …).

        Raises:
            BundleError: the text is no sound model of a binary objective, or of other features.
        """
        return cls(text, tuple(features))

    @property
    def trees(self) -> int:
        """Return how many trees there are."""
        return self._booster.num_trees()

    @property
    def fast(self) -> bool:
        """Tell whether single rows go through LightGBM's C interface."""
        return self._fast

    def raw(self, matrix: FloatArray, threads: int = 1) -> FloatArray:
        """Return the log-odds of each row of ``matrix`` (rows × features)."""
        rows = self._checked(matrix)
        if not len(rows):
            return np.zeros(0)
        return self._predict(rows, "raw", threads)

    def raw_one(self, row: FloatArray) -> float:
        """Return the log-odds of one row (features), to the bit those of :meth:`raw`."""
        if not self._fast:
            return float(self.raw(row[None, :])[0])
        return float(self._single("raw")(self._checked_one(row))[0])

    def contributions(self, matrix: FloatArray, threads: int = 1) -> FloatArray:
        """Return rows × (features + 1): what each feature adds to the log-odds of a row.

        The last column is the expected value; a row sums to its log-odds. The method is that of
        S. Lundberg et al., From local explanations to global understanding with explainable AI for
        trees, Nature Machine Intelligence 2 (2020).
        """
        rows = self._checked(matrix)
        if not len(rows):
            return np.zeros((0, len(self.features) + 1))
        if len(rows) == 1 and self._fast:
            return self._single("contributions")(rows[0])[None, :].copy()
        return self._predict(rows, "contributions", threads)

    def _predict(self, rows: FloatArray, output: Output, threads: int) -> FloatArray:
        raw = output == "raw"
        result = self._booster.predict(
            rows, raw_score=raw, pred_contrib=not raw, num_threads=threads
        )
        return cast("FloatArray", result)

    def _checked(self, matrix: FloatArray) -> FloatArray:
        if matrix.ndim != 2 or matrix.shape[1] != len(self.features):
            raise self._misfit(matrix)
        flags = matrix.flags
        if matrix.dtype == np.float64 and (flags.c_contiguous or flags.f_contiguous):
            return matrix
        return np.ascontiguousarray(matrix, dtype=np.float64)

    def _checked_one(self, row: FloatArray) -> FloatArray:
        if row.shape != (len(self.features),):
            raise self._misfit(row)
        return row

    def _misfit(self, array: FloatArray) -> BundleError:
        return BundleError(
            f"the booster reads {len(self.features)} features, got an array of {array.shape}; "
            "make it with the bundle's encoder"
        )

    def _single(self, output: Output) -> SingleRow:
        """Return this thread's own fast path: its buffers must not be shared."""
        found = cast("SingleRow | None", getattr(self._threads, output, None))
        if found is None:
            found = SingleRow(self._booster, len(self.features), output)
            setattr(self._threads, output, found)
        return found

    def _agrees(self) -> bool:
        """Hold the C interface against the ordinary path; where it differs, do without it."""
        rows = _probes(len(self.features))
        try:
            same = self._same(rows, "raw") and self._same(rows[:2], "contributions")
            reason = "" if same else "it differs from LightGBM's ordinary prediction"
        except (AttributeError, KeyError, OSError, BundleError) as error:
            reason = str(error)
        if reason:
            logger(__name__).warning("single rows take the slower path", reason=reason)
        return not reason

    def _same(self, rows: FloatArray, output: Output) -> bool:
        single = self._single(output)
        fast = np.stack([single(row).copy() for row in rows])
        plain = self._predict(rows, output, threads=1).reshape(fast.shape)
        return np.array_equal(fast, plain)


def _probes(features: int) -> FloatArray:
    """Return rows of all magnitudes, of codes, and of missing values."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(_PROBES, features)) * 10.0 ** random.integers(-3, 7, features)
    rows[2::3] = random.integers(0, 30, (len(rows[2::3]), features))
    rows[random.random(rows.shape) < 0.2] = np.nan
    return rows
