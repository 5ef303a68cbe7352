"""What a baseline is once it is fitted: log-odds, or anything that rises with the risk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import polars as pl

from models.risk.encode import FloatArray

Scorer: TypeAlias = Callable[[pl.DataFrame], FloatArray]
"""From rows with features, past and groups to one number each, calibrated afterwards."""
