"""Posted rows become records: typed, identified and checked by the gate that imports pass too.

JSON has types, so nothing is guessed: a date is written 2024-01-31, a time with its zone, a number
is a number. A row of a known record states what it says something about; a null, or a column left
out, leaves what is stored as it is. When a row became known is when it arrived: nobody can post a
fact as having been known before.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, cast

import polars as pl

from models.codes import masking, uscc
from models.codes.subjects import PartyCategory
from models.records import gate
from models.records.bookkeeping import Quarantine
from models.records.contract import Contract
from models.records.identity import record_ids, stable_id
from serving.auth import masks

MADE: Final = ("record_id", "known_at", "known_assumed", "source_ref", "findings")
"""Columns that the service makes; no row may bring them."""
OWN_ID: Final = "source_id"
"""What a row may bring beside its contract's columns: the record's number in its own system."""

_PERSON: Final = re.compile(r"P_[0-9a-f]{32}")
_NAMELESS: Final = "自然人"
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_INVISIBLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u2060\ufeff]")
_HALF: Final = {
    ord(wide): ord(wide) - 0xFEE0
    for first, last in ("０９", "ＡＺ", "ａｚ")
    for wide in map(chr, range(ord(first), ord(last) + 1))
}
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Sent:
    """What is known of a post as a whole: its table, who sent it, when it came.

    ``ref`` names the post, and with a row's place the row; ``source`` is the name of the system
    whose numbers ``source_id`` are.
    """

    contract: Contract
    source: str
    caller: str
    ref: str
    at: datetime
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """One broken rule of one row, by the row's place from 0; ``value`` shows no personal data."""

    row: int
    rule: str
    column: str | None
    value: str | None


@dataclass(frozen=True, slots=True)
class Taken:
    """Rows that passed, as records with ``__row`` for their place, and what the others break."""

    good: pl.DataFrame
    troubles: tuple[Trouble, ...]


ROW: Final = "__row"


def unknown_columns(rows: Sequence[Mapping[str, object]], contract: Contract) -> dict[str, int]:
    """Return columns that no row of the table may have, each with the place of its first row."""
    allowed = {*contract.columns, OWN_ID} - set(MADE)
    found: dict[str, int] = {}
    for place, row in enumerate(rows):
        for name in row:
            if name not in allowed:
                found.setdefault(name, place)
    return found


def take(rows: Sequence[Mapping[str, object]], sent: Sent) -> Taken:
    """Type, identify and check rows whose columns are all known."""
    cells = _Cells(sent.contract)
    typed = [cells.row(place, row) for place, row in enumerate(rows)]
    dtypes = {**sent.contract.dtypes, OWN_ID: pl.String(), ROW: pl.Int64()}
    frame = _made(pl.DataFrame(typed, schema=dtypes, orient="row"), sent, cells.cleaned)
    twice = frame.filter(
        ~pl.col("record_id").is_first_distinct() & pl.col("subject_id").is_not_null()
    )
    for place, number in twice.select(ROW, "record_id").iter_rows():
        cells.note(place, "V10", "record_id", number)
    gated = gate.check(frame, sent.contract, strict=sent.strict)
    troubles = [*cells.troubles, *_later(gated.problems, frame, cells.troubles)]
    bad = {one.row for one in troubles}
    good = gated.good.join(frame.select("source_ref", ROW), on="source_ref", how="left")
    return Taken(
        good.filter(~pl.col(ROW).is_in(sorted(bad))).sort(ROW),
        tuple(sorted((_masked(one, sent.contract) for one in troubles), key=lambda t: t.row)),
    )


class _Cells:
    """Read cells by their column's type; remember what could not be read, and what was tidied."""

    def __init__(self, contract: Contract) -> None:
        self.names = contract.columns
        self.readers = {name: _reader(dtype) for name, dtype in contract.dtypes.items()}
        self.troubles: list[Trouble] = []
        self.cleaned: set[int] = set()

    def note(self, place: int, rule: str, column: str | None, value: object) -> None:
        shown = None if value is None else _SURROGATE.sub("", str(value))[:_SHOWN]
        self.troubles.append(Trouble(place, rule, column, shown))

    def row(self, place: int, row: Mapping[str, object]) -> dict[str, object]:
        told = {name: self._cell(place, name, row.get(name)) for name in self.names}
        told["subject_id"] = self._subject(place, told.get("subject_id"), told)
        return {**told, OWN_ID: self._cell(place, OWN_ID, row.get(OWN_ID)), ROW: place}

    def _cell(self, place: int, name: str, value: object) -> object:
        if value is None:
            return None
        if isinstance(value, str):
            tidy = _SURROGATE.sub("", _INVISIBLE.sub("", value)).translate(_HALF)
            if tidy != value:
                self.cleaned.add(place)
            value = tidy.strip()
            if not value:
                return None
        rule, read = self.readers.get(name, _TEXT)
        found = read(value)
        if found is None:
            self.note(place, rule, name, value)
        return found

    def _subject(self, place: int, value: object, row: Mapping[str, object]) -> str | None:
        person = row.get("subject_category") == PartyCategory.NATURAL_PERSON
        if value is None:
            if all(one.row != place or one.column != "subject_id" for one in self.troubles):
                self.note(place, "S03" if person else "S01", "subject_id", None)
            return None
        text = str(value)
        if _PERSON.fullmatch(text):
            return text
        code = uscc.normalise(text)
        if code is not None and uscc.is_valid(code) and not person:
            return code
        self.note(place, "S03" if person else "V02", "subject_id", None if person else text)
        return None


def _made(frame: pl.DataFrame, sent: Sent, cleaned: set[int]) -> pl.DataFrame:
    """Add what the service makes: origin, time of knowing, id, findings, what a code tells."""
    contract = sent.contract
    tidied = pl.when(pl.col(ROW).is_in(sorted(cleaned))).then(pl.lit("V13"))
    made = [
        pl.lit(sent.at.astimezone(UTC)).dt.cast_time_unit("us").alias("known_at"),
        pl.lit(value=False).alias("known_assumed"),
        pl.format("{}#{}", pl.lit(sent.ref), ROW).alias("source_ref"),
        pl.concat_list(tidied).list.drop_nulls().alias("findings"),
    ]
    if "subject_type" in contract.columns:
        made.append(pl.coalesce("subject_type", uscc.subject_type_expr("subject_id")))
    if "subject_name" in contract.columns and "subject_category" in contract.columns:
        person = pl.col("subject_category") == PartyCategory.NATURAL_PERSON
        named = person & pl.col("subject_name").is_not_null()
        made.append(
            pl.when(named).then(pl.lit(_NAMELESS)).otherwise("subject_name").alias("subject_name")
        )
    whole = frame.with_columns(made)
    return whole.with_columns(record_ids(whole, contract, source=sent.source))


def _later(problems: pl.DataFrame, frame: pl.DataFrame, early: Sequence[Trouble]) -> list[Trouble]:
    """Leave out what the gate only sees because a cell could not be read, or a subject found."""
    told = {(one.row, one.column) for one in early}
    placed = problems.join(frame.select("source_ref", ROW), on="source_ref", how="left")
    found = placed.select(ROW, "rule", "column", "value").iter_rows()
    return [
        Trouble(place, rule, column, value)
        for place, rule, column, value in found
        if (place, column) not in told and column not in MADE
    ]


def _masked(one: Trouble, contract: Contract) -> Trouble:
    hidden = one.column in contract.personal
    value = None if hidden else masking.mask_text(one.value)
    return Trouble(one.row, one.rule, one.column, value)


def quarantined(
    troubles: Sequence[Trouble], rows: Sequence[Mapping[str, object]], sent: Sent
) -> list[str]:
    """Return entries of the lake's quarantine as JSON, one a broken rule; persons are starred."""
    made: list[str] = []
    for one in troubles:
        raw = _raw(rows[one.row], sent.contract)
        entry = {
            "record_id": stable_id(f"{sent.ref}#{one.row}#{one.rule}#{one.column}#{raw}"),
            "run_id": sent.ref,
            "source": sent.source,
            "table": sent.contract.name,
            "strict": sent.strict,
            "rule": one.rule,
            "column": one.column,
            "value": one.value,
            "file": sent.ref,
            "line": one.row,
            "target_record_id": None,
            "authority": _visible(rows[one.row].get("authority")),
            "region": _visible(rows[one.row].get("region")),
            "happened_on": _date(rows[one.row].get("happened_on")),
            "known_at": sent.at.astimezone(UTC),
            "raw": raw,
        }
        made.append(_SURROGATE.sub("", json.dumps(entry, ensure_ascii=False, default=str)))
    return made


def _raw(row: Mapping[str, object], contract: Contract) -> str | None:
    """Return a posted row as JSON, its fields of persons starred and all numbers of theirs."""
    plain = {
        name: _SURROGATE.sub("", value).translate(_HALF) if isinstance(value, str) else value
        for name, value in row.items()
    }
    shown = masks.masked_row(plain, contract)
    if shown.get("subject_category") == PartyCategory.NATURAL_PERSON and shown.get("subject_name"):
        shown["subject_name"] = _NAMELESS
    told = json.dumps(shown, ensure_ascii=False, default=str)
    return masking.mask_text(_SURROGATE.sub("", told))


def quarantine_frame(entries: Sequence[str]) -> pl.DataFrame:
    """Return entries of :func:`quarantined` as rows of the lake's quarantine."""
    dtypes = {name: column.dtype for name, column in Quarantine.columns().items()}
    return pl.Series(entries, dtype=pl.String).str.json_decode(pl.Struct(dtypes)).struct.unnest()


# One cell


def _reader(dtype: pl.DataType) -> tuple[str, Callable[[object], object]]:
    """Return how a JSON value of a column is read, and the rule that an unreadable one breaks."""
    return _READERS.get(type(dtype), _TEXT)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _visible(value: object) -> str | None:
    """Return a text without what nobody sees, and PostgreSQL and files cannot hold."""
    return _INVISIBLE.sub("", value) if isinstance(value, str) else None


def _texts(value: object) -> list[str] | None:
    if not isinstance(value, list):
        return None
    texts = [one for one in cast("list[object]", value) if isinstance(one, str)]
    return texts if len(texts) == len(cast("list[object]", value)) else None


def _date(value: object) -> date | None:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _instant(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
        return None if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _integer(value: object, bits: int) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and -(2**bits) <= value < 2**bits else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


_TEXT: Final[tuple[str, Callable[[object], object]]] = ("F04", _text)
_READERS: Final[Mapping[type[pl.DataType], tuple[str, Callable[[object], object]]]] = {
    pl.Date: ("F01", _date),
    pl.Datetime: ("F01", _instant),
    pl.Float64: ("F02", _number),
    pl.Int32: ("F02", lambda value: _integer(value, 31)),
    pl.Int64: ("F02", lambda value: _integer(value, 63)),
    pl.Boolean: ("F03", _flag),
    pl.List: ("F04", _texts),
}
