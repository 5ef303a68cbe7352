"""Data quality: how much of what was reported passes the gate, how late it came, and why not."""

from training.quality.measurement import measure, measure_lake
from training.quality.output import run
from training.quality.quality import Quality, met
from training.quality.scope import Scope
from training.quality.table import as_table

__all__ = ["Quality", "Scope", "as_table", "measure", "measure_lake", "met", "run"]
