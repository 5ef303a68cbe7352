"""What supervision saw: inspections, samplings, complaints."""

from __future__ import annotations

from typing import Final

import dataframely as dy
import polars as pl

from models.records.contract import Contract, Record, one_of, up_to

RESULTS: Final = ("pass", "fail", "excluded")
RESULT_CODES: Final = (*(f"IR{i}" for i in range(1, 11)), "IRX", "IRV")
DRAW_MODES: Final = (
    "random_untargeted",
    "random_targeted",
    "targeted",
    "complaint",
    "campaign",
    "revisit",
)


class Inspection(Record):
    """A finished inspection (检查); ``excluded``: nothing to inspect was found there."""

    document_number = dy.String(nullable=True, check=up_to(128))
    subject_name = dy.String(nullable=True, check=up_to(200))
    matter = dy.String(nullable=True, check=up_to(200))
    method = dy.String(nullable=True, check=up_to(64))
    result = dy.String(check=one_of(*RESULTS))
    result_code = dy.String(nullable=True, check=one_of(*RESULT_CODES))
    problem = dy.String(nullable=True)
    draw_id = dy.String(nullable=True, check=up_to(64))
    draw_mode = dy.String(nullable=True, check=one_of(*DRAW_MODES))
    inclusion_probability = dy.Float64(nullable=True, min=0, max=1)
    inspector_id = dy.String(nullable=True, check=up_to(128))


class Sampling(Record):
    """A sampled product (抽检) and its laboratory result."""

    document_number = dy.String(nullable=True, check=up_to(128))
    subject_name = dy.String(nullable=True, check=up_to(200))
    product = dy.String(nullable=True, check=up_to(400))
    batch = dy.String(nullable=True, check=up_to(128))
    result = dy.String(check=one_of("pass", "fail"))
    failed_items = dy.Int64(nullable=True, min=0)
    problem = dy.String(nullable=True)


class Complaint(Record):
    """A complaint or report (投诉举报) against a subject."""

    document_number = dy.String(nullable=True, check=up_to(128))
    subject_name = dy.String(nullable=True, check=up_to(200))
    channel = dy.String(nullable=True, check=up_to(64))
    kind = dy.String(nullable=True, check=one_of("complaint", "report", "consultation"))
    content = dy.String(nullable=True)
    department = dy.String(nullable=True, check=up_to(64))
    accepted = dy.Bool(nullable=True)
    outcome = dy.String(nullable=True, check=up_to(64))
    closed_on = dy.Date(nullable=True)

    @dy.rule()
    def V06_closed_on(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when the complaint was not closed before it was made."""
        return pl.col("closed_on") >= pl.col("happened_on")


INSPECTION = Contract(
    name="inspection",
    title="行政检查",
    schema=Inspection,
    key=("authority", "document_number", "subject_id", "happened_on", "matter"),
    measures=("inclusion_probability",),
    categories=("method", "result", "result_code", "draw_mode", "matter"),
    texts=("problem",),
    outcome=frozenset({"problem"}),
    personal=frozenset({"inspector_id"}),
)
SAMPLING = Contract(
    name="sampling",
    title="抽样检验",
    schema=Sampling,
    key=("authority", "document_number", "subject_id", "happened_on", "product", "batch"),
    measures=("failed_items",),
    categories=("result",),
    texts=("problem",),
    outcome=frozenset({"problem"}),
)
COMPLAINT = Contract(
    name="complaint",
    title="投诉举报",
    schema=Complaint,
    key=("authority", "document_number", "subject_id", "happened_on"),
    categories=("channel", "kind", "department", "outcome"),
    texts=("content",),
    outcome=frozenset({"outcome", "closed_on"}),
    personal=frozenset({"content"}),
)
