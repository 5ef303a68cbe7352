"""Offices: every department of every city and county, with its name and code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from models.codes.uscc import make_uscc_expr
from training.synth.arrays import Ints, texts
from training.synth.mix import Mix, mix
from training.synth.population import base31


@dataclass(frozen=True, slots=True, eq=False)
class Offices:
    """An office's number is unit × department; units are the counties, then the cities."""

    names: list[str]
    codes: list[str]
    marks: list[str]
    regions: list[str]

    def of(self, county: Ints, department: Ints, *, layout: Mix) -> Ints:
        """Return the office that acts for a county."""
        upper = np.array([d.city for d in layout.offices])[department]
        unit = np.where(upper, len(layout.counties) + layout.city_of[county], county)
        return unit * len(layout.departments) + department

    def columns(self, office: Ints) -> dict[str, pl.Series]:
        """Return authority and authority_code."""
        return {"authority": texts(self.names, office), "authority_code": texts(self.codes, office)}


@cache
def offices() -> Offices:
    """Return all offices; codes begin with ``11``, their organisation codes with ``YYA``."""
    layout = mix()
    short = [_short(name) for name in layout.county_names]
    cities = [_city(layout, number) for number in range(len(layout.cities))]
    counties = [name.removeprefix("辽宁省") for name in layout.full_names]
    units = [
        (full, cities[city][0] + own, code)
        for full, own, city, code in zip(
            counties, short, _numbers(layout.city_of), layout.counties, strict=True
        )
    ]
    units += [(name, name[0], code) for name, code in zip(cities, layout.cities, strict=True)]
    names: list[str] = []
    marks: list[str] = []
    regions: list[str] = []
    for full, mark, region in units:
        for department, office in zip(layout.departments, layout.offices, strict=True):
            names.append(f"国家税务总局{full}税务局" if department == "tax" else full + office.name)
            marks.append(mark + office.mark)
            regions.append(region)
    number = np.arange(len(names), dtype=np.int64)
    frame = pl.DataFrame({"region": regions, "body": "YYA" + base31(number, 5)})
    codes = frame.select(make_uscc_expr(pl.lit("11"), "region", body="body")).to_series()
    return Offices(names, codes.to_list(), marks, regions)


def _short(name: str) -> str:
    for ending in ("满族自治县", "蒙古族自治县", "新区", "区", "县", "市"):
        if name.endswith(ending) and len(name) > len(ending) + 1:
            return name.removesuffix(ending)
    return name


def _numbers(values: Ints) -> list[int]:
    return [int(value) for value in values]


def _city(layout: Mix, number: int) -> str:
    full = layout.full_names[_numbers(layout.city_of).index(number)]
    return full.removeprefix("辽宁省").split("市")[0] + "市"
