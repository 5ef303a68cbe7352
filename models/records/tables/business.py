"""How a subject does business: tax, social insurance, invoices."""

from __future__ import annotations

from typing import Final

import dataframely as dy

from models.records.contract import Contract, Record, one_of, up_to

TAX_KINDS: Final = ("arrears", "rating", "abnormal", "late_filing", "invoice_irregular", "payment")


class TaxEvent(Record):
    """A tax event: arrears notice, yearly rating, non-normal household, late filing."""

    kind = dy.String(check=one_of(*TAX_KINDS))
    tax_type = dy.String(nullable=True, check=up_to(64))
    amount = dy.Float64(nullable=True)
    period = dy.String(nullable=True, check=up_to(16))
    rating = dy.String(nullable=True, check=up_to(16))


class SocialInsurance(Record):
    """A month's social insurance of a subject; ``happened_on`` is the month's last day."""

    period = dy.String(regex=r"^\d{4}-\d{2}$")
    insured = dy.Int64(min=0)
    arrears_amount = dy.Float64(nullable=True, min=0)


class Invoice(Record):
    """A monthly total of invoices with one counterpart, or a single invoice."""

    document_number = dy.String(nullable=True, check=up_to(64))
    counterpart_id = dy.String(nullable=True, check=up_to(64))
    direction = dy.String(check=one_of("sale", "purchase"))
    amount = dy.Float64()
    tax_amount = dy.Float64(nullable=True)
    invoice_count = dy.Int64(nullable=True, min=0)
    reversed_amount = dy.Float64(nullable=True)


TAX_EVENT = Contract(
    name="tax_event",
    title="涉税信息",
    schema=TaxEvent,
    key=("authority", "subject_id", "kind", "tax_type", "period|amount", "happened_on"),
    measures=("amount",),
    categories=("kind", "tax_type", "rating"),
)
SOCIAL_INSURANCE = Contract(
    name="social_insurance",
    title="社会保险",
    schema=SocialInsurance,
    key=("subject_id", "period"),
    measures=("insured", "arrears_amount"),
)
INVOICE = Contract(
    name="invoice",
    title="发票",
    schema=Invoice,
    key=("subject_id", "document_number", "counterpart_id", "direction", "happened_on"),
    measures=("amount", "tax_amount", "invoice_count", "reversed_amount"),
    categories=("direction",),
)
