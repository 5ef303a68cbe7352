"""What a decision has to know of the ledger, as it stood at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl
from sqlalchemy import Connection, text

from serving.ledger.decisions import EARLIER, EARLIER_OF, DecisionRow


@dataclass(frozen=True, slots=True)
class Moment:
    """What a decision needs of the ledger, as it stood at one moment.

    ``mark`` is the number of the newest live record, ``waiting`` tells whether the lake lacks some
    of the subjects', ``earlier`` is that of :func:`.decisions.earlier`.
    """

    mark: int
    waiting: bool
    earlier: pl.DataFrame


def moment(connection: Connection, scenario: str, subjects: Sequence[str], on: date) -> Moment:
    """Return what the ledger says of subjects, in one statement and so at one moment."""
    found = connection.execute(
        MOMENT, {"scenario": scenario, "subjects": list(subjects), "day": on}
    ).all()
    mark, waiting = found[0][:2]
    rows = [tuple(row[2:]) for row in found if row[2] is not None]
    earlier = pl.DataFrame(rows, schema=EARLIER, orient="row") if rows else EARLIER.to_frame()
    return Moment(mark, waiting, earlier)


MOMENT: Final = text(
    f"""
select i.mark, i.waiting, e.*
from (select coalesce((select max(seq) from inbox), 0) as mark,
             exists (select from inbox where subject_id = any(cast(:subjects as text[]))
                     and merged_at is null) as waiting) as i
left join ({EARLIER_OF.format(table=DecisionRow.__tablename__)}) as e on true
"""  # noqa: S608 - of constants alone
)
"""What :func:`moment` asks."""
