"""Who the subjects are: register, changes, persons, relations, yearly reports."""

from __future__ import annotations

from typing import Final

import dataframely as dy
import polars as pl

from models.codes.subjects import SubjectType
from models.records.contract import Contract, Record, one_of, up_to

CHANGE_ITEMS: Final = (
    "name",
    "address",
    "legal_representative",
    "capital",
    "shareholder",
    "scope",
    "status",
    "industry",
    "executive",
    "other",
)
ROLES: Final = ("legal_representative", "executive", "supervisor", "shareholder", "operator")
RELATIONS: Final = (
    "shareholding",
    "branch",
    "address",
    "contact",
    "guarantee",
    "supply",
    "successor",
)


class Subject(Record):
    """A credit subject as its register describes it; ``happened_on`` is null where unknown."""

    happened_on = dy.Date(nullable=True)
    name = dy.String(min_length=1, check=up_to(200))
    subject_type = dy.String(nullable=True, check=one_of(*SubjectType))
    status = dy.String(nullable=True, check=up_to(32))
    enterprise_type = dy.String(nullable=True, check=up_to(8))
    ownership = dy.String(nullable=True, check=up_to(32))
    industry = dy.String(nullable=True, check=up_to(8))
    registered_capital = dy.Float64(nullable=True, min=0)
    paid_capital = dy.Float64(nullable=True, min=0)
    employees = dy.Int64(nullable=True, min=0)
    revoked_on = dy.Date(nullable=True)
    closed_on = dy.Date(nullable=True)
    address = dy.String(nullable=True, check=up_to(400))
    zone = dy.String(nullable=True, check=up_to(64))
    organisation_code = dy.String(nullable=True, check=up_to(10))
    registration_number = dy.String(nullable=True, check=up_to(20))
    business_scope = dy.String(nullable=True)

    @dy.rule()
    def V06_closed_on(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when the subject did not end before it began."""
        return pl.col("closed_on") >= pl.col("happened_on")


class Change(Record):
    """A registered change (变更) of one item."""

    item = dy.String(check=one_of(*CHANGE_ITEMS))
    old_value = dy.String(nullable=True)
    new_value = dy.String(nullable=True)


class PersonRole(Record):
    """A person's role in a subject; persons are known by a keyed hash, never by name."""

    person_id = dy.String(min_length=1, check=up_to(64))
    role = dy.String(check=one_of(*ROLES))
    share_ratio = dy.Float64(nullable=True, min=0, max=1)
    ended_on = dy.Date(nullable=True)


class Relation(Record):
    """A tie between two subjects."""

    other_id = dy.String(min_length=1, check=up_to(64))
    kind = dy.String(check=one_of(*RELATIONS))
    ratio = dy.Float64(nullable=True, min=0, max=1)
    ended_on = dy.Date(nullable=True)


class AnnualReport(Record):
    """A yearly report (年报); ``happened_on`` is the day it was filed."""

    year = dy.Int32(min=1990, max=2100)
    assets = dy.Float64(nullable=True)
    revenue = dy.Float64(nullable=True)
    profit = dy.Float64(nullable=True)
    tax_paid = dy.Float64(nullable=True)
    employees = dy.Int64(nullable=True, min=0)


SUBJECT = Contract(
    name="subject",
    title="信用主体",
    schema=Subject,
    key=("subject_id",),
    measures=("registered_capital", "paid_capital", "employees"),
    categories=("subject_type", "status", "enterprise_type", "ownership", "industry"),
    texts=("business_scope",),
    personal=frozenset({"address"}),
)
CHANGE = Contract(
    name="change",
    title="变更登记",
    schema=Change,
    key=("subject_id", "happened_on", "item", "new_value"),
    categories=("item",),
    personal=frozenset({"old_value", "new_value"}),
)
PERSON_ROLE = Contract(
    name="person_role",
    title="人员任职",
    schema=PersonRole,
    key=("subject_id", "person_id", "role", "happened_on"),
    measures=("share_ratio",),
    categories=("role",),
    personal=frozenset({"person_id"}),
)
RELATION = Contract(
    name="relation",
    title="关联关系",
    schema=Relation,
    key=("subject_id", "other_id", "kind", "happened_on"),
    measures=("ratio",),
    categories=("kind",),
)
ANNUAL_REPORT = Contract(
    name="annual_report",
    title="年度报告",
    schema=AnnualReport,
    key=("subject_id", "year"),
    measures=("assets", "revenue", "profit", "tax_paid", "employees"),
)
