"""Who may be drawn for a plan, as a request tells it or leaves it to the lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from models.errors import InspectionError
from models.inspection.allocate import Mandatory
from models.inspection.caps import Ground
from models.inspection.plan import Period
from serving.inspecting.population import Member, Population, population
from serving.ledger.engine import Connection
from serving.ledger.plans import Declared
from serving.service import Service


class Listed(BaseModel):
    """一个必查对象."""

    model_config = ConfigDict(extra="forbid")

    subject_id: str = Field(min_length=1, max_length=64, description="主体")
    list: Mandatory = Field(description="名单")


class Exempt(BaseModel):
    """一个不受年度上限限制的对象及其理由."""

    model_config = ConfigDict(extra="forbid")

    subject_id: str = Field(min_length=1, max_length=64, description="主体")
    ground: Ground = Field(description="理由：投诉、举报、转办移送、事故或上级部署")


class Who(BaseModel):
    """可抽取的对象：默认取对象库与现行判定，也可直接给出."""

    model_config = ConfigDict(extra="forbid")

    population: list[Member] | None = Field(
        default=None, min_length=1, max_length=200_000, description="对象；默认取对象库"
    )
    mandatory: list[Listed] = Field(
        default=[], max_length=50_000, description="必查对象（取对象库时）"
    )
    exempt: list[Exempt] = Field(
        default=[], max_length=50_000, description="可超过年度上限的对象及其理由"
    )


def told(
    connection: Connection,
    service: Service,
    declared: Declared,
    body: Who,
    period: Period | None = None,
) -> Population:
    """Return who may be drawn for a plan, as a body tells it or the lists do.

    Raises :class:`InspectionError` where somebody is named twice, and as :func:`.population` does.
    """
    _refuse_twice("mandatory", [one.subject_id for one in body.mandatory])
    _refuse_twice("exempt", [one.subject_id for one in body.exempt])
    return population(
        connection,
        service,
        declared,
        members=body.population,
        mandatory={one.subject_id: one.list for one in body.mandatory},
        exempt={one.subject_id: one.ground for one in body.exempt},
        period=period,
    )


def _refuse_twice(field: str, subjects: Sequence[str]) -> None:
    twice = sorted(one for one, many in Counter(subjects).items() if many > 1)
    if twice:
        raise InspectionError(
            f"subject {twice[0]} stands twice in '{field}'; name it once, with what applies first"
        )
