"""The lake's own tables: what was refused, what each import did, which models were promoted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import dataframely as dy

QUARANTINE: Final = "quarantine"
IMPORT_RUN: Final = "import_run"
PROMOTION: Final = "promotion"

OWN: Final = frozenset({QUARANTINE, IMPORT_RUN, PROMOTION})
"""Tables that hold no records about subjects; no table of a user's may have such a name."""


def of_records(versions: Mapping[str, int]) -> dict[str, int]:
    """Return the versions of the tables that hold records: what a model can be made of."""
    return {table: version for table, version in versions.items() if table not in OWN}


class Quarantine(dy.Schema):
    """One broken rule of one source row; a row that breaks three rules has three entries.

    ``record_id`` hashes source file content, line, rule and column, so a rerun adds nothing.
    ``target_record_id`` is the id the record would have had, null where it could not be formed:
    once a record of that id is in the lake, the row counts as corrected. ``raw`` is the whole
    source row as JSON.
    """

    record_id = dy.String(regex=r"^[0-9a-f]{32}$")
    run_id = dy.String()
    source = dy.String()
    table = dy.String()
    strict = dy.Bool()
    rule = dy.String()
    column = dy.String(nullable=True)
    value = dy.String(nullable=True)
    file = dy.String()
    line = dy.Int64()
    target_record_id = dy.String(nullable=True)
    authority = dy.String(nullable=True)
    region = dy.String(nullable=True)
    happened_on = dy.Date(nullable=True)
    known_at = dy.Datetime(time_unit="us", time_zone="UTC")
    raw = dy.String()


class ImportRun(dy.Schema):
    """What one run did with one source of a mapping; every row read is in exactly one count.

    ``rows_in`` = ``filtered`` + ``collapsed`` + ``accepted`` + ``quarantined``, and
    ``accepted`` = ``inserted`` + ``updated`` + ``unchanged``.
    """

    record_id = dy.String(regex=r"^[0-9a-f]{32}$")
    run_id = dy.String()
    source = dy.String()
    table = dy.String()
    strict = dy.Bool()
    files = dy.Int64()
    rows_in = dy.Int64()
    filtered = dy.Int64()
    collapsed = dy.Int64()
    accepted = dy.Int64()
    inserted = dy.Int64()
    updated = dy.Int64()
    unchanged = dy.Int64()
    quarantined = dy.Int64()
    by_code = dy.Int64()
    by_organisation = dy.Int64()
    by_name = dy.Int64()
    unmatched = dy.Int64()
    mapping_digest = dy.String()
    lake_version = dy.Int64(nullable=True)
    started_at = dy.Datetime(time_unit="us", time_zone="UTC")
    finished_at = dy.Datetime(time_unit="us", time_zone="UTC")


class Promotion(dy.Schema):
    """A decision about which model of a scenario decides: a verdict, or what a person chose.

    ``record_id`` hashes scenario, challenger and ``decided_at``, so that writing it again adds
    nothing. ``promoted`` tells whether the challenger became champion, ``reasons`` why or why not,
    ``verdict`` is the whole verdict as JSON, null where a person decided. ``champion`` is the
    digest of the bundle in force before, null where there was none. A text model's ``scenario`` is
    ``text.`` and its id, and its ``scenario_digest`` is empty.
    """

    record_id = dy.String(regex=r"^[0-9a-f]{32}$")
    scenario = dy.String()
    scenario_digest = dy.String()
    champion = dy.String(nullable=True)
    challenger = dy.String()
    version = dy.Int64()
    promoted = dy.Bool()
    reasons = dy.String()
    verdict = dy.String(nullable=True)
    decided_at = dy.Datetime(time_unit="us", time_zone="UTC")
