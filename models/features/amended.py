"""A network whose flags of a few subjects are told anew.

A network of the whole lake is made now and then. What must not wait for the next one, that a record
of a neighbour counts no more, is laid over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.features.digest import Keys, keyed
from models.features.network import Network
from models.records.reading import Records


@dataclass(frozen=True, slots=True, eq=False)
class Amended(Network):
    """A network in which flags of the subjects ``anew`` (digests, ascending) are those of ``own``.

    Ties are the network's, and so are the flags of everybody else.
    """

    anew: Keys
    own: Network

    @classmethod
    def over(cls, network: Network, subjects: pl.Series, records: Records) -> Self:
        """Lay over a network the flags that the records of these subjects raise now."""
        return cls(
            network.tables,
            network.members,
            network.belongs,
            network.pairs,
            network.flags,
            network.outcomes,
            np.unique(keyed(subjects).to_numpy()),
            Network.of([records], outcomes=False),
        )

    def flags_of(self, subjects: Keys, on: date) -> NDArray[np.uint8]:
        """Return for each of these subjects the flags as of a date: bit ``n`` for the nth."""
        told = Network.flags_of(self, subjects, on)
        places = np.minimum(np.searchsorted(self.anew, subjects), max(len(self.anew) - 1, 0))
        if len(self.anew):
            mine = self.anew[places] == subjects
            told[mine] = self.own.flags_of(subjects[mine], on)
        return told
