"""Changes: what a subject may lawfully have changed about its own records as of a date.

A change is an edit of records, never of features: a penalty is repaired, a listing ends, a report
or a licence is added. Whether and from when it may be, and when the record would lapse by itself,
is told by the publicity rules (:mod:`models.records.publicity`) and ``remedies.yaml``. What a
change adds is dated the day before the date of view, as though it had been done in time to count.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from itertools import pairwise
from typing import Final, cast

import polars as pl

from models.features.evidence import Cited
from models.features.spec import SUBJECT
from models.records.countable import publicity_end_record, repairable_from_record
from models.records.publicity import Rules, Transition, VoidReason, default_rules
from models.records.reading import MemoryRecords, Records
from models.risk.remedies import Refusal, Remedy, RemedyKind, remedies
from models.risk.wording import words
from models.scenarios.known import counting, known
from models.time import AsOf

_TABLES: Final = ("penalty", "listing")
"""Tables whose rows can be ended one by one."""
_REPORTS, _LICENCES, _REGISTER = "annual_report", "licence", "subject"
_UNREPORTED: Final = "1"
"""``reason_code`` of a listing for yearly reports that were not filed."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Columns of a record that change; ``record_id`` null: a row that is added."""

    table: str
    record_id: str | None
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Change:
    """Something a subject can do: in words, on what ground, and what it does to its records.

    ``needs`` are the conditions that the records cannot tell of. ``available_from``: the first day
    it may be applied for; ``lapses_on``: the day the record ends by itself, null if it does not.
    ``working_days``: what the authority has to decide, null where no rule says.
    """

    remedy: str
    kind: RemedyKind
    text: str
    needs: tuple[str, ...]
    basis: tuple[str, ...]
    working_days: int | None
    available_from: date | None
    lapses_on: date | None
    records: tuple[Cited, ...]
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A record that nothing ends early: why, on what ground, and when it ends by itself."""

    record: Cited
    why: str
    basis: tuple[str, ...]
    lapses_on: date | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What can be changed now, what only later, and what cannot be."""

    now: tuple[Change, ...]
    later: tuple[Change, ...]
    fixed: tuple[Fixed, ...]


def changes_of(
    own: MemoryRecords,
    subject: str,
    as_of: date,
    *,
    tables: Collection[str],
    around: Records | None = None,
    rules: Rules | None = None,
) -> Changes:
    """Return the changes of a subject, whose records and nobody else's are ``own``.

    ``tables``: those that matter to whoever asks; what is in others is left alone. ``around`` tells
    which years' reports have been collected at all (default: ``own``).
    """
    view = _View(own, subject, AsOf(as_of), rules or default_rules())
    owed = view.owed_years(around or own)
    found: list[Change | Fixed] = []
    for table in _TABLES:
        if table in tables:
            found += view.of_rows(table, owed)
    unreported = any(isinstance(one, Change) and one.remedy == "exit_unreported" for one in found)
    if _REPORTS in tables and owed and not unreported:
        found += view.reports(owed)
    if _LICENCES in tables:
        found += view.licences()
    changes = [one for one in found if isinstance(one, Change)]
    return Changes(
        now=tuple(c for c in changes if c.available_from is None or c.available_from <= as_of),
        later=tuple(c for c in changes if c.available_from and c.available_from > as_of),
        fixed=tuple(one for one in found if isinstance(one, Fixed)),
    )


def applied(own: MemoryRecords, changes: Sequence[Change]) -> MemoryRecords:
    """Return the records as they stand once ``changes`` are made."""
    frames = dict(own.frames)
    for edit in (edit for change in changes for edit in change.edits):
        frames[edit.table] = _edited(frames[edit.table], edit)
    return MemoryRecords(frames)


def _edited(frame: pl.DataFrame, edit: Edit) -> pl.DataFrame:
    values = {name: value for name, value in edit.values.items() if name in frame.columns}
    if edit.record_id is None:
        row = pl.DataFrame([values], schema=frame.schema)
        return pl.concat([frame, row])
    here = pl.col("record_id") == edit.record_id
    return frame.with_columns(
        pl.when(here).then(pl.lit(value, frame.schema[name])).otherwise(name).alias(name)
        for name, value in values.items()
    )


@dataclass(frozen=True, slots=True)
class _View:
    """One subject's records as of a date."""

    own: MemoryRecords
    subject: str
    as_of: AsOf
    rules: Rules

    def of_rows(self, table: str, owed: Sequence[int]) -> list[Change | Fixed]:
        """Return what can be done about each countable row of a table, newest first."""
        if table not in self.own.tables():
            return []
        frame = self.own.frames[table]
        rows = frame.filter(counting(self.as_of, frame.columns)).sort(
            "happened_on", "record_id", descending=[True, False]
        )
        known_book = remedies()
        cures = [(r, r.fits(rows)) for r in known_book.remedies if r.table == table]
        refusals = [(r, r.fits(rows)) for r in known_book.refusals if r.table == table]
        found: list[Change | Fixed] = []
        for place, row in enumerate(rows.iter_rows(named=True)):
            refusal = next((r for r, fits in refusals if fits[place]), None)
            cure = next((r for r, fits in cures if fits[place]), None)
            if cure is not None or refusal is not None:
                found.append(self._about(row, table, cure, refusal, owed))
        return found

    def _about(
        self,
        row: Mapping[str, object],
        table: str,
        cure: Remedy | None,
        refusal: Refusal | None,
        owed: Sequence[int],
    ) -> Change | Fixed:
        """Return a row's change; fixed where a rule refuses it or its term has no early end."""
        lapses = publicity_end_record(row, self.as_of, rules=self.rules)
        first = repairable_from_record(row, self.as_of, rules=self.rules)
        instrument = self._instrument(row, table)
        if refusal is not None:
            return Fixed(_cited(table, row), refusal.why, (refusal.basis,), lapses)
        if cure is None or first is None:
            why = remedies().words["no_early_end"]
            return Fixed(_cited(table, row), why, instrument, lapses)
        restricted = cast("date | None", row.get("restrict_until"))
        edits = [self._ended(cure, table, row)]
        years = owed if cure.effect == "file" else ()
        edits += [self._report(year) for year in years if _REPORTS in self.own.tables()]
        return Change(
            remedy=cure.id,
            kind=cure.kind,
            text=_filled(cure, row, years),
            needs=cure.needs,
            basis=tuple(dict.fromkeys((*cure.basis, *instrument))),
            working_days=cure.working_days,
            available_from=max(first, restricted) if restricted else first,
            lapses_on=lapses,
            records=(_cited(table, row),),
            edits=tuple(edits),
        )

    def _ended(self, cure: Remedy, table: str, row: Mapping[str, object]) -> Edit:
        on = self.as_of.on
        values: dict[str, object] = {"void_from": on, "void_reason": VoidReason.REPAIRED.value}
        if cure.effect != "void" and "removed_on" in row:
            values = {"removed_on": on}
        return Edit(table, str(row["record_id"]), values)

    def _instrument(self, row: Mapping[str, object], table: str) -> tuple[str, ...]:
        """Return the instrument of the term that holds for a row."""
        happened = cast("date", row["happened_on"])
        by_document = self.rules.transition is Transition.DOCUMENT_DATE
        on = happened if by_document else self.as_of.on
        group = self.rules.severities
        if table == "listing":
            group = [rule for rule in self.rules.listings if rule.kind == row.get("kind")]
        return tuple(rule.instrument for rule in group if rule.in_force(on))

    def owed_years(self, around: Records) -> list[int]:
        """Return the years whose yearly report is overdue, oldest first.

        A year is owed after its day in the next year, from the year the subject was established,
        and only where reports of that time have been collected, or the subject is listed for it.
        """
        cure = remedies().of_effect("file", _REPORTS)
        register = self._known(_REGISTER)
        if cure is None or cure.due is None or register.is_empty():
            return []
        on, established = self.as_of.on, cast("date | None", register["happened_on"][0])
        if established is None or _REPORTS not in self.own.tables():
            return []
        last = on.year - (1 if on > cure.due.in_year(on.year) else 2)
        first = max(established.year, last + 1 - (cure.days or 0) // 365)
        filed = set(self._known(_REPORTS)["year"].to_list())
        covered = _covered(around)
        listed = self._listed_for_reports()
        years = [year for year in range(first, last + 1) if year not in filed]
        return [y for y in years if listed or (covered and covered[0] <= y <= covered[1])]

    def _listed_for_reports(self) -> bool:
        if "listing" not in self.own.tables():
            return False
        frame = self.own.frames["listing"]
        mine = (pl.col("kind") == "abnormal") & (pl.col("reason_code") == _UNREPORTED)
        return frame.filter(counting(self.as_of, frame.columns), mine).height > 0

    def reports(self, owed: Sequence[int]) -> list[Change]:
        """Return the filing of the reports that are owed."""
        cure = remedies().of_effect("file", _REPORTS)
        if cure is None:
            return []
        return [_plain(cure, {}, owed, [self._report(year) for year in owed])]

    def licences(self) -> list[Change]:
        """Return the renewal of licences that ran out lately and that no other one follows."""
        cure = remedies().of_effect("renew", _LICENCES)
        rows = self._known(_LICENCES)
        if (
            cure is None
            or cure.days is None
            or not {"valid_to", "certificate_name"} <= set(rows.columns)
        ):
            return []
        on = self.as_of.on
        named = pl.coalesce("certificate_name", "document_name")
        last = (
            rows.with_columns(named.alias("_name"))
            .filter(pl.col("_name").is_not_null())
            .sort("valid_to", "record_id", nulls_last=True)
            .unique("_name", keep="last", maintain_order=True)
            .filter(pl.col("valid_to") < on, pl.col("valid_to") >= on - timedelta(days=cure.days))
        )
        return [
            _plain(cure, row, (), [self._licence(row)], records=(_cited(_LICENCES, row),))
            for row in last.iter_rows(named=True)
        ]

    def _known(self, table: str) -> pl.DataFrame:
        """Return the rows of a table that were known and are not annulled."""
        if table not in self.own.tables():
            return pl.DataFrame(schema={"happened_on": pl.Date(), "year": pl.Int32()})
        frame = self.own.frames[table]
        if table == _REGISTER:
            return frame.filter(pl.col("known_at") < self.as_of.known_before)
        return frame.filter(known(self.as_of))

    def _report(self, year: int) -> Edit:
        return Edit(_REPORTS, None, {**self._added(_REPORTS, str(year)), "year": year})

    def _licence(self, row: Mapping[str, object]) -> Edit:
        """Return a licence like the one that ran out, valid for as long."""
        on = self.as_of.on - timedelta(days=1)
        begun = cast("date", row.get("valid_from") or row["happened_on"])
        length = cast("date", row["valid_to"]) - begun
        added = self._added(_LICENCES, str(row["record_id"]))
        dates = {"valid_from": on, "valid_to": on + length, "valid": True}
        return Edit(_LICENCES, None, {**row, **added, **dates})

    def _added(self, table: str, what: str) -> dict[str, object]:
        """Return what every added row has: its times, and an id that no real row has."""
        on = self.as_of.on - timedelta(days=1)
        told = f"if {self.subject} {table} {what} {on}".encode()
        return {
            "record_id": blake2b(told, digest_size=16).hexdigest(),
            SUBJECT: self.subject,
            "happened_on": on,
            "known_at": datetime.combine(on, time(), UTC),
            "known_assumed": False,
            "void_from": None,
            "void_reason": None,
            "source_ref": "guidance",
            "findings": [],
        }


def _plain(
    cure: Remedy,
    row: Mapping[str, object],
    years: Sequence[int],
    edits: Sequence[Edit],
    *,
    records: tuple[Cited, ...] = (),
) -> Change:
    """Return a change that may be made at any time."""
    return Change(
        remedy=cure.id,
        kind=cure.kind,
        text=_filled(cure, row, years),
        needs=cure.needs,
        basis=cure.basis,
        working_days=cure.working_days,
        available_from=None,
        lapses_on=None,
        records=records,
        edits=tuple(edits),
    )


def _cited(table: str, row: Mapping[str, object]) -> Cited:
    return Cited(table, str(row["record_id"]), cast("date | None", row.get("happened_on")))


def _filled(cure: Remedy, row: Mapping[str, object], years: Sequence[int]) -> str:
    on = cast("date | None", row.get("happened_on"))
    number = row.get("document_number")
    return cure.does.format(
        on=words().day(on) if on else "",
        document=f"文号{number}" if number else "未载明文号",
        name=row.get("certificate_name") or row.get("document_name") or "",
        years=_years(years),
    )


def _years(years: Sequence[int]) -> str:
    """Return years as people write them: 2022、2024年, 2021年至2023年."""
    if len(years) > 2 and all(after == before + 1 for before, after in pairwise(years)):
        return f"{years[0]}年至{years[-1]}年"
    return "、".join(map(str, years)) + "年" if years else "未报年份的"


def _covered(around: Records) -> tuple[int, int] | None:
    """Return the first and last year of which any yearly report was collected."""
    if _REPORTS not in around.tables():
        return None
    years = around.frame(_REPORTS, ["year"]).select(
        pl.col("year").min().alias("first"), pl.col("year").max().alias("last")
    )
    first, last = years.collect().row(0)
    return None if first is None else (int(first), int(last))
