"""Which live records say that a record counts no more, or counts again, and whom that reaches.

Whatever a decision is made of besides its subject's own records, the figures of neighbours and the
decision before, may have been made while such a record still counted; see
:mod:`serving.runtime.released`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Index, select, text

from serving.ledger.inbox import InboxRow

_SAYS: Final = """strpos(record, '"void_from":"') > 0"""
"""True of a record that states when it is void from: a quote within a value is written ``\\"``."""

Index("ix_inbox_void", InboxRow.seq, postgresql_where=text(_SAYS))


def stated(connection: Connection, *, after: int) -> list[tuple[int, str, datetime]]:
    """Return number, subject and time of arrival of live records that state it, by number."""
    row = InboxRow
    asked = select(row.seq, row.subject_id, row.received_at).where(row.seq > after, text(_SAYS))
    return [(seq, who, at) for seq, who, at in connection.execute(asked.order_by(row.seq))]


def reached(connection: Connection, since: Mapping[str, int], *, upto: int) -> set[str]:
    """Return which subjects were reached after a number of their own, up to a number of all.

    A subject is reached by a record of its own, and by one of a neighbour that was repaired,
    annulled or restored here.
    """
    found = connection.execute(
        _REACHED, {"subjects": list(since), "marks": list(since.values()), "upto": upto}
    )
    return set(found.scalars())


def ties(
    connection: Connection,
) -> list[tuple[str, str, str | None, str | None, str | None]]:
    """Return the live ties that the lake does not have: table, subject, other, person, address."""
    return [(row[0], row[1], row[2], row[3], row[4]) for row in connection.execute(_TIES)]


_TIES: Final = text(
    """
select table_name, subject_id, cast(record as json) ->> 'other_id',
       cast(record as json) ->> 'person_id', cast(record as json) ->> 'address'
from inbox where merged_at is null and table_name in ('relation', 'person_role', 'subject')
order by seq
"""
)
_REACHED: Final = text(
    f"""
select s.id from unnest(cast(:subjects as text[]), cast(:marks as bigint[])) as s(id, mark)
where exists (select from inbox i where i.subject_id = s.id and i.seq > s.mark and i.seq <= :upto
              and {_SAYS})
   or exists (select from repair_effect e where e.subjects @> array[s.id]
              and e.inbox_seq > s.mark and e.inbox_seq <= :upto)
"""  # noqa: S608 - of constants alone
)
