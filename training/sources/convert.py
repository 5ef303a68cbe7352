"""Turn source rows into typed columns of a contract; name every cell that cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from models.codes import enterprise_types, penalty_kinds, registration_status, uscc
from models.errors import ConfigError
from models.records.contract import Contract
from models.time import SHANGHAI
from training.sources import clean, shown
from training.sources.assign import Assignment
from training.sources.mapping import DERIVED, IDENTITY, ColumnMap, KnownAt, Plan
from training.sources.read import LINE

PROBLEMS: Final = {
    LINE: pl.Int64(),
    "rule": pl.String(),
    "column": pl.String(),
    "value": pl.String(),
}
"""One broken rule of one source row, by line."""


@dataclass(frozen=True, slots=True)
class Converted:
    """Typed rows with ``__line__``; broken cells are null in ``frame`` and named in ``problems``.

    ``normalised`` marks the rows whose text held markup, invisible or full-width characters.
    """

    frame: pl.DataFrame
    problems: pl.DataFrame
    normalised: pl.Series


def convert(
    frame: pl.DataFrame, plan: Plan, assignment: Assignment, *, started: datetime
) -> Converted:
    """Convert one batch: contract columns (but those import makes itself) and identity fields.

    ``started`` is when the run began: nothing can have become known to it later.
    """
    reader = _Reader(frame, plan.contract, started)
    dtypes: dict[str, pl.DataType] = {
        c: d for c, d in plan.contract.dtypes.items() if c not in DERIVED
    }
    dtypes |= {name: pl.String() for name in IDENTITY if name not in dtypes}
    columns = [frame[LINE]]
    for name, dtype in dtypes.items():
        column = assignment.fields.get(name)
        if name in plan.source.constants:
            columns.append(reader.constant(name, plan.source.constants[name], dtype))
        elif column is not None:
            columns.append(reader.read(name, column, dtype))
        else:
            columns.append(pl.Series(name, [None], dtype).new_from_index(0, frame.height))
    typed = pl.DataFrame(columns)
    typed = typed.with_columns(reader.known_at(plan.source.known_at, typed["happened_on"]))
    problems = pl.concat(reader.problems) if reader.problems else pl.DataFrame(schema=PROBLEMS)
    return Converted(frame=typed, problems=problems, normalised=reader.normalised())


def select_rows(frame: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Return the rows that the source's ``where`` takes."""
    condition = plan.source.where
    if condition is None:
        return frame
    try:
        return frame.filter(_condition(condition))
    except (pl.exceptions.PolarsError, OSError) as error:
        columns = shown.listed(c for c in frame.columns if c != LINE)
        raise ConfigError(
            f"source {plan.source.id!r}: 'where' cannot be applied: {shown.reason(error)}; "
            f"it is an SQL condition on the columns {columns}"
        ) from None


def _condition(text: str) -> pl.Expr:
    """Read an SQL condition; a subquery is refused, since it could read any file."""
    if _READING.search(text) or ".subplan(" in str(expression := pl.sql_expr(text)):
        raise pl.exceptions.SQLInterfaceError("a condition takes no subquery and reads no file")
    return expression


class _Reader:
    """Read the cells of one batch; remember what could not be read."""

    def __init__(self, frame: pl.DataFrame, contract: Contract, started: datetime) -> None:
        self.frame = frame
        self.started = started
        self.contract = contract
        self.problems: list[pl.DataFrame] = []
        self.dirty: list[pl.Series] = []

    def read(self, name: str, column: ColumnMap, dtype: pl.DataType) -> pl.Series:
        present = [h for h in column.source if h in self.frame.columns]
        if len(present) == 1 and not column.map and not column.extract:
            stored = self.frame[present[0]]
            if stored.dtype == dtype and stored.dtype in _AS_STORED:
                return stored.alias(name)
            if stored.dtype == dtype == pl.Float64 and not stored.is_infinite().any():
                return clean.rescale(stored, column.unit).alias(name)
        text = self._text(present, keep=tuple(column.map))
        if column.extract is not None:
            text = text.str.extract(column.extract)
        if column.map:
            words, _ = clean.clean_text(pl.Series(list(column.map)), keep=tuple(column.map))
            default = column.otherwise if "otherwise" in column.model_fields_set else text
            mapped = text.replace_strict(
                words, list(column.map.values()), default=default, return_dtype=pl.String
            )
            text = mapped.set(text.is_null(), None)  # what is missing is not "otherwise"
        return self._typed(name, text, dtype, column)

    def constant(self, name: str, value: str, dtype: pl.DataType) -> pl.Series:
        one = _to_type(name, pl.Series(name, [value]), dtype, None, ())
        if one[0] is None:
            raise ConfigError(
                f"the constant {name}: {value!r} is no {dtype}; correct it in the mapping"
            )
        return one.alias(name).new_from_index(0, self.frame.height)

    def known_at(self, how: KnownAt, happened_on: pl.Series) -> list[pl.Series]:
        if how.source is not None:
            known = self._reported(how.source, how)
        elif how.on is not None:
            known = clean.to_time(pl.Series([str(how.on)])).new_from_index(0, self.frame.height)
        else:
            known = _days_after(happened_on, how.days or 0, self.started)
        # What is read now is known now, whatever is said or assumed: a fact of the future is
        # refused for having been reported before it happened (V05).
        known = known.clip(upper_bound=self.started)
        flag = pl.Series("known_assumed", [how.assumed]).new_from_index(0, self.frame.height)
        return [known.alias("known_at"), flag]

    def _reported(self, heading: str, how: KnownAt) -> pl.Series:
        """Read the times of report; one before the records begin or after the run is none."""
        text, column = self._text([heading]), self.frame[heading]
        known = (
            column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
            if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone
            else clean.to_time(text, how.formats)
        )
        sane = known.is_between(_FIRST_KNOWN, self.started + timedelta(days=1))
        known = known.set(~sane, None)
        self._note("known_at", "F01", text, known)
        return known.dt.offset_by(f"{how.days}d") if how.days else known

    def normalised(self) -> pl.Series:
        mask = pl.Series([False]).new_from_index(0, self.frame.height)
        for column in self.dirty:
            mask |= column
        return mask

    def _text(self, headings: list[str], *, keep: tuple[str, ...] = ()) -> pl.Series:
        text: pl.Series | None = None
        for heading in headings:
            cleaned, mask = clean.clean_text(self.frame[heading], keep=keep)
            if mask is not None:
                self.dirty.append(mask)
            text = cleaned if text is None else text.zip_with(text.is_not_null(), cleaned)
        return (
            text
            if text is not None
            else pl.Series([None], dtype=pl.String).new_from_index(0, self.frame.height)
        )

    def _typed(
        self, name: str, text: pl.Series, dtype: pl.DataType, column: ColumnMap
    ) -> pl.Series:
        typed = _to_type(name, text, dtype, column.unit, column.formats)
        if name in _CODES:  # a placeholder code is no code, not a broken one
            return typed.alias(name)
        rule = "F01" if dtype.is_temporal() else "F03" if dtype == pl.Boolean else "F02"
        self._note(name, rule, text, typed)
        return typed.alias(name)

    def _note(self, name: str, rule: str, text: pl.Series, typed: pl.Series) -> None:
        lost = text.is_not_null() & typed.is_null()
        if lost.any():
            lines = self.frame[LINE].filter(lost)
            values = text.filter(lost).str.head(200)
            found = pl.DataFrame({LINE: lines, "value": values}).with_columns(
                rule=pl.lit(rule), column=pl.lit(name)
            )
            self.problems.append(found.select(list(PROBLEMS)))


def _days_after(days: pl.Series, count: int, latest: datetime) -> pl.Series:
    """Return the first moment (UTC) so many days later; for days after ``latest``, that moment."""
    today = latest.astimezone(SHANGHAI).date()
    # Only days near any record: others may lead out of the calendar.
    near = days.set(~days.is_between(_FIRST_KNOWN.date() - timedelta(3650), today), None)
    known = clean.from_shanghai(near.dt.offset_by(f"{count}d").cast(pl.Datetime("us")))
    known = known.set(known < _FIRST_KNOWN, None)
    future = pl.Series([latest], dtype=known.dtype).new_from_index(0, len(days))
    return known.zip_with((days <= today).fill_null(value=True), future)


def _to_type(
    name: str, text: pl.Series, dtype: pl.DataType, unit: str | None, formats: tuple[str, ...]
) -> pl.Series:
    if name in _BY_NAME:
        return pl.DataFrame({"v": text}).select(_BY_NAME[name]())["v"]
    return _by_dtype(text, dtype, unit, formats)


def _by_dtype(
    text: pl.Series, dtype: pl.DataType, unit: str | None, formats: tuple[str, ...]
) -> pl.Series:
    match dtype:
        case pl.Date() | pl.Datetime():
            read = clean.to_date if dtype == pl.Date else clean.to_time
            return read(text, formats)
        case pl.Float64():
            return clean.to_number(text, unit)
        case pl.Int32() | pl.Int64():
            return clean.to_integer(text).cast(dtype, strict=False)
        case pl.Boolean():
            return clean.to_flag(text)
        case pl.List():
            return text.str.replace_all(r"\s*[;；、,，|]\s*", ";").str.split(";")
        case _:
            return text


def _code() -> pl.Expr:
    return uscc.normalise_expr("v")


def _penalty_kinds() -> pl.Expr:
    as_ids = pl.col("v").str.contains(r"^\d{2}(?:;\d{2})*$")
    return pl.when(as_ids).then(pl.col("v").str.split(";")).otherwise(penalty_kinds.split_expr("v"))


def _subject_category() -> pl.Expr:
    return pl.coalesce(uscc.party_category_expr("v"), "v").alias("v")


def _ownership() -> pl.Expr:
    return pl.coalesce(enterprise_types.ownership_expr("v"), "v").alias("v")


def _status() -> pl.Expr:
    return pl.coalesce(registration_status.parse_expr("v"), "v").alias("v")


_FIRST_KNOWN: Final = datetime(1949, 9, 30, 16, tzinfo=UTC)  # 1949-10-01 in Shanghai
_AS_STORED: Final = frozenset({pl.Date(), pl.Boolean(), pl.Int32(), pl.Int64()})
_READING: Final = re.compile(r"\bread_\w+\s*\(|\bselect\b", re.IGNORECASE)
_CODES: Final = frozenset({"uscc", "authority_code", "source_authority_code"})
_BY_NAME: Final[Mapping[str, Callable[[], pl.Expr]]] = {
    **dict.fromkeys(_CODES, _code),
    "penalty_kinds": _penalty_kinds,
    "subject_category": _subject_category,
    "ownership": _ownership,
    "status": _status,
}
