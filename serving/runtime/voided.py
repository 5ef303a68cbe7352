"""Who had a record voided, and which decisions before it has overtaken.

The grade in force comes from an earlier decision, and that may rest on a record of the subject or
of a neighbour which was repaired, annulled or restored since: then it holds no grade any more. See
also :mod:`serving.runtime.forgetting`.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from models.features import relation
from models.features.digest import Keys, keyed
from models.features.network import Network
from models.features.pipeline import Pipeline
from models.features.spec import SUBJECT
from serving.ledger import voids
from serving.ledger.engine import Ledger


class Voids:
    """Subjects of whom a live record said that something counts no more, or again.

    Kept in memory and read on as the inbox grows; may be shared by threads.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Keep where to read; nothing is read yet."""
        self.ledger = ledger
        self._lock = threading.Lock()
        self._seen = 0
        self._frame = pl.DataFrame(
            schema={
                "seq": pl.Int64(),
                SUBJECT: pl.String(),
                "at": pl.Datetime("us", "UTC"),
                "key": pl.UInt64(),
            }
        )

    def upto(self, mark: int) -> pl.DataFrame:
        """Return ``seq``, ``subject_id``, ``at``, ``key`` of all up to a number of the inbox."""
        with self._lock:
            if mark > self._seen:
                self._read(mark)
            frame = self._frame
        return frame.filter(pl.col("seq") <= mark)

    def _read(self, mark: int) -> None:
        with self.ledger.begin() as connection:
            rows = voids.stated(connection, after=self._seen)
        schema = {name: dtype for name, dtype in self._frame.schema.items() if name != "key"}
        new = pl.DataFrame(rows, schema=schema, orient="row")
        new = new.with_columns(keyed(new[SUBJECT]).cast(pl.UInt64).alias("key"))
        self._frame = pl.concat([self._frame, new])
        self._seen = max(mark, *(row[0] for row in rows)) if rows else mark

    def released(self, earlier: pl.DataFrame, mark: int) -> pl.DataFrame:
        """Return ``earlier`` without force where a voided record has overtaken the decision.

        ``earlier`` is that of :func:`.decisions.earlier`, ``mark`` the newest live record seen. A
        decision of an earlier day that is so released stays known, but is valid no more.
        """
        before = earlier.filter(~pl.col("today"))
        oldest = before["mark"].min()
        if oldest is None or self.upto(mark).filter(pl.col("seq") > oldest).is_empty():
            return earlier
        since = dict(before.select(SUBJECT, "mark").iter_rows())
        with self.ledger.begin() as connection:
            found = voids.reached(connection, since, upto=mark)
        gone = ~pl.col("today") & pl.col(SUBJECT).is_in(sorted(found))
        return earlier.with_columns(
            pl.when(gone).then(pl.lit(date.min)).otherwise("valid_until").alias("valid_until")
        )

    def near(self, keys: Keys, *, since: datetime, mark: int) -> list[str]:
        """Return which subjects of these digests a record was voided of since then."""
        known = self.upto(mark).filter(pl.col("at") >= since.astimezone(UTC))
        if known.is_empty() or not len(keys):
            return []
        mine = known.filter(pl.Series(np.isin(known["key"].to_numpy(), keys)))
        return sorted(mine[SUBJECT].unique().to_list())


def left_to_live(
    known: Voids,
    pipeline: Pipeline,
    network: Network,
    waiting: Collection[str],
    on: date,
    *,
    mark: int,
) -> Keys:
    """Return the digests of all whom a network of the lake tells wrong things of neighbours.

    ``waiting`` are subjects of whom live records are not in that lake; of these, those of whom
    something was voided count.
    """
    wanted = pipeline.family("relation")
    voided = known.upto(mark)[SUBJECT].unique()
    subjects = voided.filter(voided.is_in(sorted(waiting)))
    if not wanted or subjects.is_empty():
        return np.empty(0, np.uint64)
    return relation.counted_by(network, subjects, on, wanted=wanted)
