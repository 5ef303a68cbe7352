"""Ledgers that have a past: many decisions and live records of one subject, by a statement each."""

from __future__ import annotations

from sqlalchemy import text

from serving.ledger.engine import Ledger

_DECISIONS = text(
    """
    insert into decision (id, scenario, subject_id, as_of, inbox_mark, region, probability,
        risk_score, grade, previous_grade, vetoes, valid_until, warn, draw, action, inputs_digest,
        basis, previous, replaces, made_at)
    select gen_random_uuid(), d.scenario, d.subject_id, d.as_of - 1 - (g % 3000)::int, g, d.region,
        d.probability, d.risk_score, d.grade, d.previous_grade, d.vetoes, d.valid_until, d.warn,
        d.draw, d.action, d.inputs_digest, d.basis, null, null, d.made_at
    from (select * from decision where subject_id = :subject limit 1) d,
        generate_series(1, :count) g
    """
)
_MERGED = text(
    """
    insert into inbox (table_name, record_id, subject_id, record, caller, received_at, merged_at,
        lake_version)
    select 'penalty', 'past-' || g, :subject, '{}', 'test', now(), now(), 0
    from generate_series(1, :count) g
    """
)


def decisions_of(ledger: Ledger, subject: str, count: int) -> None:
    """Give a subject that has a decision as many more, of the 3,000 days before it."""
    with ledger.begin() as connection:
        connection.execute(_DECISIONS, {"subject": subject, "count": count})


def merged_rows_of(ledger: Ledger, subject: str, count: int) -> None:
    """Give a subject live records that the lake has had for long."""
    with ledger.begin() as connection:
        connection.execute(_MERGED, {"subject": subject, "count": count})
