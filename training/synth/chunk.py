"""A chunk: some thousands of subjects with their lives, and what every table of theirs shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from training.synth.arrays import Flags, Ints, Random, days, stream, texts
from training.synth.clock import FAR, Clock
from training.synth.mix import Mix
from training.synth.offices import Offices
from training.synth.population import Population, Renames
from training.synth.risk import Life, Risk
from training.synth.spec import Spec
from training.synth.supervision import Supervision

_DAY: Final = 86_400
_OPENS: Final = 1_800
"""Offices report between 08:30 and 17:30 in Shanghai, which is 00:30 to 09:30 UTC."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Everything known of one chunk before its tables are written."""

    spec: Spec
    number: int
    clock: Clock
    mix: Mix
    offices: Offices
    people: Population
    renames: Renames
    risk: Risk
    life: Life
    watch: Supervision

    def rng(self, topic: str) -> Random:
        """Return the random stream of a topic."""
        return stream(self.spec.seed, self.number, topic)

    def department(self, name: str) -> int:
        """Return a department's number."""
        return self.mix.departments.index(name)

    def days_in(self, rng: Random, subject: Ints, month: Ints) -> Ints:
        """Return a day of each month on which the subject is there, if possible a working day."""
        low = np.maximum(self.clock.first[month], self.people.born[subject])
        high = np.minimum(self.clock.first[month + 1] - 1, self.life.ended[subject])
        day = low + (rng.random(len(subject)) * (high - low + 1)).astype(np.int64)
        after, before = self.clock.working_day(day), self.clock.working_before(day)
        return np.where(after <= high, after, np.where(before >= low, before, day))

    def there(self, subject: Ints, day: Ints) -> Flags:
        """Return whether each subject is there on a day between the first and the last."""
        born, ended = self.people.born[subject], self.life.ended[subject]
        return (
            (born <= day) & (day <= np.minimum(ended, self.clock.end)) & (day >= self.clock.start)
        )

    def name_on(self, subject: Ints, day: Ints) -> pl.Series:
        """Return the name each subject had on a day."""
        rows = pl.Series(subject)
        before = pl.Series(day < self.renames.day[subject])
        before &= pl.Series(self.renames.day[subject] < FAR)
        return self.renames.old.gather(rows).zip_with(before, self.people.name.gather(rows))

    def happening(
        self, rng: Random, rate: float, slope: float, *, among: Flags | None = None
    ) -> tuple[Ints, Ints]:
        """Return (subject, month) of events of a month's chance ``rate * exp(slope * latent)``."""
        chance = rate * np.exp(slope * self.risk.latent)
        happens = (rng.random(chance.shape) < chance) & self.life.active
        if among is not None:
            happens &= among[:, None]
        subject, month = np.nonzero(happens)
        return subject.astype(np.int64), month.astype(np.int64)

    def base(self, rng: Random, subject: Ints, day: Ints, reported: Ints) -> pl.DataFrame:
        """Return what all tables have: ``_subject``, uscc, region, happened_on and known_at."""
        second = rng.integers(_OPENS, _OPENS + 9 * 3_600, size=len(subject))
        known = pl.Series((reported * _DAY + second) * 1_000_000).cast(pl.Datetime("us", "UTC"))
        return pl.DataFrame(
            {
                "_subject": subject,
                "uscc": self.people.uscc.gather(pl.Series(subject)),
                "region": texts(list(self.mix.counties), self.people.county[subject]),
                "happened_on": days(day),
                "known_at": known,
            }
        )

    def decided(self, subject: Ints, department: Ints | int) -> tuple[Ints, dict[str, pl.Series]]:
        """Return the office that acts for each subject, and its name and code."""
        wanted = np.broadcast_to(np.asarray(department, np.int64), (len(subject),))
        office = self.offices.of(self.people.county[subject], wanted, layout=self.mix)
        return office, self.offices.columns(office)

    def numbered(self, frame: pl.DataFrame, office: Ints, pattern: str) -> pl.DataFrame:
        """Add document_number from ``pattern`` (mark, year, serial): unique in the province."""
        marks = texts(self.offices.marks, office)
        serial = pl.int_range(1, pl.len() + 1).over("_office", "_year") + self.number * 10_000
        return (
            frame.with_columns(
                marks.alias("_mark"),
                pl.Series("_office", office),
                pl.col("happened_on").dt.year().alias("_year"),
            )
            .with_columns(pl.format(pattern, "_mark", "_year", serial).alias("document_number"))
            .drop("_mark", "_office", "_year")
        )

    def known(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Keep what was reported by the end, in the order in which it was."""
        end = pl.lit((self.clock.end + 1) * _DAY * 1_000_000 - 8 * 3_600 * 1_000_000)
        reported = pl.col("known_at").dt.timestamp("us")
        return frame.filter(reported < end).sort("known_at", "uscc", maintain_order=True)
