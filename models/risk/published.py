"""Under which names a risk model is published: those of all models, and its scenario's."""

from __future__ import annotations

from typing import Final

from models.published import (
    ALIASES,
    BUNDLE_PATH,
    CHALLENGER,
    CHAMPION,
    DIGEST,
    PREVIOUS,
    TAG,
    VERDICT,
    VERDICT_JSON,
    VERDICT_TEXT,
)

__all__ = [
    "ALIASES",
    "BUNDLE_PATH",
    "CHALLENGER",
    "CHAMPION",
    "DIGEST",
    "FEATURES_DIGEST",
    "PREVIOUS",
    "SCENARIO",
    "SCENARIO_DIGEST",
    "TAG",
    "VERDICT",
    "VERDICT_JSON",
    "VERDICT_TEXT",
    "model_name",
]

SCENARIO: Final = f"{TAG}scenario"
SCENARIO_DIGEST: Final = f"{TAG}scenario_digest"
FEATURES_DIGEST: Final = f"{TAG}features_digest"


def model_name(scenario: str) -> str:
    """Return the name that a scenario's models are registered under."""
    return f"{TAG}risk.{scenario}"
