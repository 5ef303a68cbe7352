"""A seeded synthetic province: departments' raw files, and the truth behind them."""

from training.synth.province import Summary, make_province
from training.synth.spec import Rates

__all__ = ["Rates", "Summary", "make_province"]
