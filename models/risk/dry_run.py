"""What other thresholds would change, before anything is published.

    grades: {A: {below: 0.03, draw: 0.01}, B: {below: 0.08, draw: 0.03}, C: {draw: 0.30}}
    validity: {days: 30, hysteresis: 0.02}

An amendment says anew what of a scenario uses the probability; what makes it stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from models import yaml
from models.errors import ConfigError
from models.features.spec import KEYS
from models.scenarios.label import Frozen
from models.scenarios.scenario import Capacity, Grade, Scenario, Text, Validity, Veto


class Amendment(Frozen):
    """What is to be tried; a key that is left out stays as the scenario has it."""

    grades: dict[str, Grade] | None = None
    veto: tuple[Veto, ...] | None = None
    validity: Validity | None = None
    capacity: Capacity | None = None
    actions: dict[str, Text] | None = None


@dataclass(frozen=True, slots=True)
class DryRun:
    """Two sets of decisions side by side.

    ``distribution``: for each grade the subjects and shares now and then. ``moves``: from grade,
    to grade, subjects, by number. ``workload``: for each grade the inspections that its draw share
    makes, now and then. ``months``: how long the capacity needs for them, null without a capacity.
    """

    distribution: pl.DataFrame
    moves: pl.DataFrame
    workload: pl.DataFrame
    months_now: float | None
    months_then: float | None


def amended(scenario: Scenario, path: Path | str) -> Scenario:
    """Return ``scenario`` with the amendment in the YAML file at ``path``.

    Raises :class:`ConfigError` with ``file:line`` for what is no amendment, and without a line for
    one that does not fit the rest of the scenario.
    """
    amendment = yaml.load(path, Amendment)
    data = {
        **scenario.model_dump(mode="json"),
        **amendment.model_dump(mode="json", exclude_none=True),
    }
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        found = "\n".join(f"{path}: {one['msg']}" for one in error.errors(include_url=False))
        raise ConfigError(found.replace("Value error, ", "")) from None


def dry_run(now: pl.DataFrame, then: pl.DataFrame, scenario: Scenario, other: Scenario) -> DryRun:
    """Return what changes between decisions ``now`` by ``scenario`` and ``then`` by ``other``.

    Both are frames of :func:`models.decide.decide` about the same rows. Raises
    :class:`ConfigError` where they are about different ones.
    """
    both = now.select(*KEYS, pl.col("grade").alias("now")).join(
        then.select(*KEYS, pl.col("grade").alias("then")), on=KEYS, how="inner"
    )
    if not both.height == now.height == then.height:
        raise ConfigError("the two sets of decisions are about different rows; decide on the same")
    workload = _work(now, "now").join(_work(then, "then"), on="grade", how="full", coalesce=True)
    return DryRun(
        distribution=_shares(both, sorted({*scenario.grades, *other.grades})),
        moves=both.filter(pl.col("now") != pl.col("then"))
        .group_by("now", "then")
        .agg(pl.len().cast(pl.Int64).alias("subjects"))
        .sort("subjects", "now", "then", descending=[True, False, False]),
        workload=workload.fill_null(0.0).sort("grade"),
        months_now=_months(now, scenario),
        months_then=_months(then, other),
    )


def _shares(both: pl.DataFrame, grades: list[str]) -> pl.DataFrame:
    whole = pl.DataFrame({"grade": grades}, schema={"grade": pl.String})
    for name in ("now", "then"):
        counted = both.group_by(pl.col(name).alias("grade")).agg(
            pl.len().cast(pl.Int64).alias(name)
        )
        whole = whole.join(counted, on="grade", how="left", maintain_order="left")
    return whole.with_columns(pl.col("now", "then").fill_null(0)).with_columns(
        (pl.col(name) / max(both.height, 1)).alias(f"share_{name}") for name in ("now", "then")
    )


def _work(decisions: pl.DataFrame, name: str) -> pl.DataFrame:
    return decisions.group_by("grade").agg(pl.col("draw").sum().alias(name))


def _months(decisions: pl.DataFrame, scenario: Scenario) -> float | None:
    if scenario.capacity is None:
        return None
    return float(decisions["draw"].sum()) / scenario.capacity.per_month
