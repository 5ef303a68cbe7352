"""How the parts of a bundle that are not of :mod:`models.risk` are written down and read back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from models import yaml as declarations
from models.errors import BundleError, ConfigError
from models.features.spec import FeatureSpec
from models.monitor.psi import Histogram
from models.scenarios.scenario import Scenario

_SPECS: Final = TypeAdapter(tuple[FeatureSpec, ...])
_WORD: Final = re.compile(r"[a-z][a-z_]*|[A-Z]")


def features_text(features: Sequence[FeatureSpec]) -> str:
    """Return the catalogue as JSON."""
    data = [asdict(spec) for spec in features]
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def features_of(text: str) -> tuple[FeatureSpec, ...]:
    """Read what :func:`features_text` wrote; :class:`BundleError` for anything else."""
    try:
        return _SPECS.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(f"features.json: {first['loc']}: {first['msg']}") from None


def scenario_text(scenario: Scenario) -> str:
    """Return the declaration as YAML, every default said."""
    data = scenario.model_dump(mode="json")
    return yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100)


def scenario_of(text: str, source: str) -> Scenario:
    """Read what :func:`scenario_text` wrote; :class:`BundleError` for anything else.

    Record tables are not looked at: the features are made already, and a table of a user's own
    need not be at hand.
    """
    try:
        return declarations.parse(text, source).check(Scenario)
    except ConfigError as error:
        raise BundleError(f"the bundle's scenario cannot be read: {error}") from None


def drift_text(drift: Mapping[str, Histogram]) -> str:
    """Return the histograms as JSON, by feature; ``risk_score`` is the score's."""
    data = {name: histogram.to_json() for name, histogram in drift.items()}
    return json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def drift_of(text: str) -> dict[str, Histogram]:
    """Read what :func:`drift_text` wrote; :class:`BundleError` for anything else."""
    try:
        data = cast("dict[str, dict[str, object]]", json.loads(text))
        return {name: Histogram.from_json(one) for name, one in data.items()}
    except (ValueError, AttributeError) as error:
        raise BundleError(f"drift.json cannot be read: {error}") from None


class _Dumper(yaml.SafeDumper):
    """Quotes every text but bare words, so that no reader takes one for a number or a date."""


def _text(_: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if _WORD.fullmatch(text) else '"'
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
