"""What the province is made of: regions, kinds of subject, industries, departments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from models import yaml
from models.codes import regions
from training.synth.arrays import Floats, Ints


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kind(_Part):
    """A kind of subject: its label, code prefix, share, name endings, enterprise types."""

    subject_type: str
    prefix: str
    share: float
    endings: tuple[str, ...]
    types: dict[str, float]


class Industry(_Part):
    """A small class of GB/T 4754-2017."""

    code: str
    word: str
    group: str
    shares: tuple[float, float, float, float]
    risk: float


class Group(_Part):
    """Industries that are alike to consumers and supervisors."""

    complaints: float
    hazard: float
    licence: float


class Department(_Part):
    """An office; ``city``: the city's office acts, not the county's."""

    name: str
    mark: str
    city: bool = False


class Permit(_Part):
    """A licence that a group of industries needs; ``years`` 0: it has no end."""

    name: str
    department: str
    kind: Literal["普通", "特许", "认可", "核准", "登记"]
    years: int
    content: tuple[str, ...]


class _Mix(_Part):
    cities: dict[str, float]
    heavy: tuple[str, ...]
    light: tuple[str, ...]
    city_risk: dict[str, float]
    kinds: dict[str, Kind]
    ownerships: dict[str, str]
    industries: tuple[Industry, ...]
    groups: dict[str, Group]
    departments: dict[str, Department]
    licences: dict[str, Permit]


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """The mix as arrays: a region, kind, industry, group or department is its index.

    ``industry_shares`` is kind × industry. ``risk_mean`` and ``risk_var`` are those of the region's
    and the industry's inherent risk over the whole mix.
    """

    counties: tuple[str, ...]
    county_names: tuple[str, ...]
    full_names: tuple[str, ...]
    cities: tuple[str, ...]
    city_of: Ints
    county_weights: Floats
    county_risk: Floats
    kinds: tuple[Kind, ...]
    ownerships: dict[str, str]
    industries: tuple[Industry, ...]
    industry_shares: Floats
    industry_risk: Floats
    group_names: tuple[str, ...]
    group_of: Ints
    groups: tuple[Group, ...]
    departments: tuple[str, ...]
    offices: tuple[Department, ...]
    permits: tuple[Permit, ...]
    permit_of: Ints
    risk_mean: float
    risk_var: float


def _weight(code: str, name: str, mix: _Mix) -> float:
    if code in mix.heavy:
        return 3.0
    if code in mix.light:
        return 0.3
    return {"区": 1.5, "市": 1.2}.get(name[-1], 0.8)


def _moments(weights: Floats, values: Floats) -> tuple[float, float]:
    mean = float(np.average(values, weights=weights))
    return mean, float(np.average((values - mean) ** 2, weights=weights))


@cache
def mix() -> Mix:
    """Return the province's mix."""
    with resources.as_file(resources.files("training.synth") / "mix.yaml") as path:
        told = yaml.load(Path(path), _Mix)
    cities = tuple(told.cities)
    pairs = [(city, county) for city in cities for county in regions.children(city)]
    names = [regions.name(county) or county for _, county in pairs]
    inside = np.array([_weight(c, n, told) for (_, c), n in zip(pairs, names, strict=True)])
    city_of = np.array([cities.index(city) for city, _ in pairs])
    share = np.array([told.cities[city] for city in cities])
    weights = share[city_of] * inside / np.bincount(city_of, inside)[city_of]
    county_risk = np.array([told.city_risk.get(city, 0.0) for city, _ in pairs])
    kinds = tuple(told.kinds.values())
    shares = np.array([i.shares for i in told.industries], np.float64).T
    shares /= shares.sum(axis=1, keepdims=True)
    industry_risk = np.array([i.risk for i in told.industries])
    overall = (np.array([k.share for k in kinds])[:, None] * shares).sum(axis=0)
    region_mean, region_var = _moments(weights, county_risk)
    industry_mean, industry_var = _moments(overall, industry_risk)
    group_names = tuple(told.groups)
    permits = tuple(told.licences.items())
    permit_names = [name for name, _ in permits]
    other = permit_names.index("other")
    return Mix(
        counties=tuple(county for _, county in pairs),
        county_names=tuple(names),
        full_names=tuple(regions.full_name(county) or county for _, county in pairs),
        cities=cities,
        city_of=city_of,
        county_weights=weights,
        county_risk=county_risk,
        kinds=kinds,
        ownerships=told.ownerships,
        industries=told.industries,
        industry_shares=shares,
        industry_risk=industry_risk,
        group_names=group_names,
        group_of=np.array([group_names.index(i.group) for i in told.industries]),
        groups=tuple(told.groups.values()),
        departments=tuple(told.departments),
        offices=tuple(told.departments.values()),
        permits=tuple(permit for _, permit in permits),
        permit_of=np.array(
            [permit_names.index(g) if g in permit_names else other for g in group_names]
        ),
        risk_mean=region_mean + industry_mean,
        risk_var=region_var + industry_var,
    )
