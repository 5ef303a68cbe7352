"""How a subject stands: lists, judgments, pledges and the repairs that clear them."""

from __future__ import annotations

from typing import Final

import dataframely as dy
import polars as pl

from models.records.contract import Contract, Countable, Record, one_of, up_to

LISTING_KINDS: Final = (
    "abnormal",
    "serious",
    "debtor",
    "tax_serious",
    "wage_arrears",
    "safety",
    "procurement",
    "bidding",
    "statistics",
    "environment",
    "customs",
    "other",
    "honour",
)
CASE_KINDS: Final = ("enforcement", "civil", "administrative", "criminal", "bankruptcy")


class Listing(Countable):
    """An entry on a list (名录名单); ``happened_on`` is the day of entry."""

    kind = dy.String(check=one_of(*LISTING_KINDS))
    document_number = dy.String(nullable=True, check=up_to(128))
    subject_name = dy.String(nullable=True, check=up_to(200))
    reason_code = dy.String(nullable=True, check=up_to(16))
    reason = dy.String(nullable=True)
    removed_on = dy.Date(nullable=True)
    remove_reason = dy.String(nullable=True, check=up_to(400))

    @dy.rule()
    def V06_removed_on(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when the entry was not removed before it was made."""
        return pl.col("removed_on") >= pl.col("happened_on")


class Judgment(Record):
    """A court matter with the subject as a party; it counts until it is voided."""

    case_number = dy.String(min_length=1, check=up_to(128))
    kind = dy.String(check=one_of(*CASE_KINDS))
    party_role = dy.String(nullable=True, check=one_of("defendant", "plaintiff", "debtor", "third"))
    cause = dy.String(nullable=True, check=up_to(200))
    amount = dy.Float64(nullable=True, min=0)
    concluded_on = dy.Date(nullable=True)


class Pledge(Record):
    """A credit pledge (信用承诺) and whether it was kept."""

    kind = dy.String(check=up_to(64))
    content = dy.String(nullable=True)
    due_on = dy.Date(nullable=True)
    fulfilment = dy.String(nullable=True, check=one_of("pending", "fulfilled", "breached"))
    settled_on = dy.Date(nullable=True)


class Repair(Record):
    """A decision that clears, restores or annuls another record (信用修复)."""

    target_table = dy.String(min_length=1, check=up_to(64))
    target_record_id = dy.String(nullable=True, regex=r"^[0-9a-f]{32}$")
    target_document_number = dy.String(nullable=True, check=up_to(128))
    applied_on = dy.Date(nullable=True)
    decision = dy.String(check=one_of("approved", "refused", "annulled", "restored"))
    effective_on = dy.Date(nullable=True)

    @dy.rule()
    def V06_applied_on(cls) -> pl.Expr:  # noqa: N802, N805
        """Hold when the decision did not come before the application."""
        return pl.col("happened_on") >= pl.col("applied_on")


LISTING = Contract(
    name="listing",
    title="名录名单",
    schema=Listing,
    key=("authority", "document_number", "subject_id", "kind", "happened_on", "reason"),
    categories=("kind", "reason_code"),
    texts=("reason",),
    outcome=frozenset({"removed_on", "remove_reason"}),
)
JUDGMENT = Contract(
    name="judgment",
    title="司法信息",
    schema=Judgment,
    key=("case_number", "subject_id"),
    measures=("amount",),
    categories=("kind", "party_role", "cause"),
    outcome=frozenset({"concluded_on"}),
)
PLEDGE = Contract(
    name="pledge",
    title="信用承诺",
    schema=Pledge,
    key=("authority", "subject_id", "kind", "happened_on"),
    categories=("kind", "fulfilment"),
    texts=("content",),
    outcome=frozenset({"fulfilment", "settled_on"}),
)
REPAIR = Contract(
    name="repair",
    title="信用修复",
    schema=Repair,
    key=(
        "authority",
        "subject_id",
        "target_table",
        "target_record_id",
        "target_document_number",
        "happened_on",
    ),
    categories=("decision", "target_table"),
)
