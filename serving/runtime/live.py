"""A model made ready to decide, and the trial that it has to pass before it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

import polars as pl

from models.decide import decide
from models.errors import BundleError
from models.features.pipeline import Pipeline
from models.features.spec import AS_OF, SUBJECT
from models.records.contract import Contract
from models.risk.bundle import Bundle
from models.risk.explain import Explainer
from models.risk.manifest import sha256
from models.scenarios import Scenario, load_scenario
from serving.ledger.decisions import Role
from serving.runtime.inline import Inline

_DAY: Final = date(2026, 1, 1)
"""Any day: what is tried out is not stored."""


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """A model in its role. ``version`` is the registry's, null for one from a folder.

    ``scenario`` is the declaration in force, whose grades may differ from those at the fit.
    """

    role: Role
    bundle: Bundle
    scenario: Scenario
    pipeline: Pipeline
    explainer: Explainer
    inline: Inline
    version: int | None
    since: datetime

    @property
    def source(self) -> str:
        """Return where the model comes from: ``registry`` or ``folder``."""
        return "folder" if self.version is None else "registry"


def made_ready(
    bundle: Bundle,
    role: Role,
    *,
    declared: Path,
    contracts: Mapping[str, Contract],
    version: int | None,
    since: datetime,
) -> Live:
    """Return a bundle ready to decide; it was tried out.

    ``declared`` is the file of an operator's own declaration; where there is none, the bundle's is
    in force.

    Raises:
        BundleError: The bundle does not fit the declaration, this release's features or itself.
        ConfigError: The declaration cannot be read.
    """
    scenario = bundle.scenario
    if declared.exists():
        scenario = load_scenario(declared, contracts=contracts)
    live = ready(bundle, role, scenario=scenario, contracts=contracts, version=version, since=since)
    _try_out(live)
    return live


def ready(
    bundle: Bundle,
    role: Role,
    *,
    scenario: Scenario,
    contracts: Mapping[str, Contract],
    version: int | None,
    since: datetime,
) -> Live:
    """Return a bundle ready to decide under a declaration, without trying it out.

    Raises:
        BundleError: The bundle does not fit the declaration or this release's features.
    """
    pipeline = Pipeline.of(scenario, contracts)
    bundle.check(scenario, pipeline.features)
    return Live(
        role=role,
        bundle=bundle,
        scenario=scenario,
        pipeline=pipeline,
        explainer=Explainer.of(bundle, contracts),
        inline=Inline.of(bundle, scenario, pipeline),
        version=version,
        since=since,
    )


def digest_of(folder: Path) -> str:
    """Return the digest that the bundle in a folder claims; :class:`BundleError` for no bundle."""
    try:
        return sha256((folder / "manifest.json").read_bytes())
    except OSError as error:
        raise BundleError(
            f"{folder}: its manifest.json cannot be read ({error.strerror}); put a bundle's whole "
            "folder there"
        ) from None


def _try_out(live: Live) -> None:
    """Decide made-up rows twice and explain them; raise :class:`BundleError` for any surprise."""
    rows = _trial(live)
    first = decide(rows, live.scenario, live.bundle)
    if not first.equals(decide(rows, live.scenario, live.bundle)):
        raise BundleError(
            f"bundle {live.bundle.digest[:12]} decides the same rows in two ways; fit it again"
        )
    explained = live.explainer.explain(rows)
    if len(explained) != rows.height or first["probability"].null_count():
        raise BundleError(
            f"bundle {live.bundle.digest[:12]} decides or explains too few rows; fit it again"
        )


def _trial(live: Live) -> pl.DataFrame:
    """Return rows without any value, of zeros, and of a category each."""
    numbers: list[float | None] = [None, 0.0, 1.0]
    columns: dict[str, pl.Series] = {
        SUBJECT: pl.Series(["a", "b", "c"]),
        AS_OF: pl.Series([_DAY] * 3, dtype=pl.Date),
    }
    for spec in live.pipeline.features:
        known = live.bundle.encoder.categories.get(spec.name, ())
        values = [None, *(known[:1] or [None]), "?"] if spec.dtype == "category" else numbers
        columns[spec.name] = pl.Series(values, dtype=spec.polars)
    return pl.DataFrame(columns)
