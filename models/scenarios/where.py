"""The ``where`` language: conditions on the rows of one table, as SQL expressions.

    result == 'fail' and draw_mode in ('random_untargeted', 'random_targeted')
    authority like '%文化%' and happened_on >= date '2021-01-01'
    year == year(due) - 1

A condition is true, false or null for each row by itself; rows for which it is true are meant.
Names are columns of the table, and where the caller has them ``as_of`` (the day of view) and
``due`` (the last day of the horizon). There are comparisons, ``and or not in between like is null
case``, arithmetic, and the functions of :data:`FUNCTIONS`. There is nothing that looks at other
rows, reads anything, or gives another answer on another day: no aggregates, windows, subqueries,
casts or clocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, cast

import dataframely as dy
import polars as pl
from polars.exceptions import PanicException, PolarsError

from models.errors import ConfigError
from models.records.contract import Contract
from models.scenarios.tree import misfits, widened
from models.yaml import nearest

AS_OF: Final = "as_of"
DUE: Final = "due"
VARIABLES: Final[Mapping[str, pl.DataType]] = {AS_OF: pl.Date(), DUE: pl.Date()}

FUNCTIONS: Final = frozenset(
    {
        *("left", "right", "substr", "trim", "lower", "upper", "length", "char_length", "strpos"),
        *("starts_with", "ends_with", "regexp_like", "array_contains"),
        *("abs", "ceil", "floor", "round", "greatest", "least", "coalesce", "nullif"),
        *("year", "month", "date_part"),
    }
)
"""Functions that look at one row only and know nothing else."""

_KEYWORDS: Final = frozenset(
    {
        *("and", "or", "not", "in", "is", "null", "true", "false", "between", "like", "ilike"),
        *("case", "when", "then", "else", "end", "distinct", "from", "date", "interval"),
    }
)
_OTHER_ROWS: Final = frozenset({"select", "exists", "over", "union"})
_BEFORE_PARENTHESIS: Final = _KEYWORDS - {"null", "true", "false", "end", "date", "interval"}
_EQUAL: Final = frozenset({"=", "==", "!=", "<>"})
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"[^"]+")
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w.]))
      | (?P<word>[^\W\d]\w*)
      | (?P<mark><=|>=|<>|!=|==|!~\*?|~\*?|\|\||//|[=<>+\-*/%(),])""",
    re.VERBOSE,
)
_COUNTING: Final = frozenset({"length", "char_length", "strpos", "year", "month", "date_part"})
"""Functions whose integers Polars keeps small."""
_LONGEST: Final = 4_000


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition: its text, the names it reads (variables among them), its expression."""

    text: str
    names: frozenset[str]
    expr: pl.Expr

    @property
    def columns(self) -> frozenset[str]:
        """Return the columns it reads."""
        return self.names - VARIABLES.keys()

    def mark(
        self, frame: pl.LazyFrame, name: str, *, as_of: date | None = None, due: date | None = None
    ) -> pl.LazyFrame:
        """Return ``frame`` with the Boolean column ``name``, never null: whether a row is meant."""
        given = {AS_OF: as_of, DUE: due}
        used = [n for n in VARIABLES if n in self.names]
        values = (pl.lit(given[n], VARIABLES[n]).alias(n) for n in used)
        met = self.expr.fill_null(value=False).alias(name)
        return frame.with_columns(*values).with_columns(met).drop(used)

    def keep(
        self, frame: pl.LazyFrame, *, as_of: date | None = None, due: date | None = None
    ) -> pl.LazyFrame:
        """Return the rows of ``frame`` that are meant."""
        return self.mark(frame, _MET, as_of=as_of, due=due).filter(_MET).drop(_MET)

    def problems(self, table: Contract, *, variables: Collection[str] = ()) -> list[str]:
        """Return what is wrong with the condition on rows of ``table``; empty when it is right."""
        allowed = {n: t for n, t in VARIABLES.items() if n in variables}
        schema = {**allowed, **table.dtypes}
        unknown = sorted(self.names - schema.keys())
        if unknown:
            return [
                f"table '{table.name}' has no column '{name}'{nearest(name, schema)}"
                for name in unknown
            ]
        wrong = [*self._misused_lists(schema), *self._impossible_values(table)]
        return wrong or self.type_problems(schema)

    def type_problems(self, schema: Mapping[str, pl.DataType]) -> list[str]:
        """Return what is wrong with the types of the columns it reads, all of ``schema``."""
        used = {name: schema[name] for name in sorted(self.names)}
        try:
            odd = misfits(self.expr, used)
        except ConfigError as error:
            return [f"{self.text!r}: {error}"]
        return [f"{self.text!r}: {text}" for text in odd] or _trial_problems(self, used)

    def _misused_lists(self, schema: Mapping[str, pl.DataType]) -> Iterator[str]:
        tokens = _tokens(self.text)
        for place, token in enumerate(tokens):
            if isinstance(schema.get(token.name), pl.List):
                before = [t.text.lower() for t in tokens[max(place - 2, 0) : place]]
                if before != ["array_contains", "("]:
                    yield (
                        f"column '{token.name}' holds a list; ask it with "
                        f"array_contains({token.name}, 'value')"
                    )

    def _impossible_values(self, table: Contract) -> Iterator[str]:
        for column, value in _compared(_tokens(self.text)):
            known = allowed_values(table, column)
            if known is not None and value not in known:
                yield f"column '{column}' never holds '{value}'{nearest(value, known)}"


_MET: Final = "__met"


@lru_cache(maxsize=1024)
def parse(text: str) -> Condition:
    """Read a condition; raise :class:`ConfigError` for what is not of the language.

    Columns are not looked at; :meth:`Condition.problems` does that.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"a condition of {len(text)} characters; the longest is {_LONGEST}")
    tokens = _tokens(text)
    names = frozenset(_names(tokens))
    if not names:
        raise ConfigError(f"{text!r} names no column; a condition tells rows apart")
    try:
        expression = pl.sql_expr(text)
    except PolarsError as error:
        raise ConfigError(f"{text!r} is no condition: {_first_line(error)}") from None
    if any(token.word in _COUNTING for token in tokens):
        expression = widened(expression)
    return Condition(text, names, expression)


def allowed_values(table: Contract, column: str) -> tuple[str, ...] | None:
    """Return the values an enumerated text column may have; None where any text is allowed."""
    declared = table.schema.columns().get(column)
    if isinstance(declared, dy.List):
        declared = declared.inner
    checks: object = getattr(declared, "check", None)
    if not isinstance(checks, dict) or "enum" not in checks:
        return None
    check = cast("Callable[[object], tuple[str, ...]]", checks["enum"])
    return tuple(check(_Asked()))


class _Asked:
    """Stands in for the column in an enumeration's check, and hears what is allowed."""

    def is_in(self, values: Collection[str]) -> tuple[str, ...]:
        return tuple(values)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    @property
    def name(self) -> str:
        """Return the name it may be, without quotes; empty for other tokens."""
        return self.text.strip('"') if self.kind in {"word", "quoted"} else ""

    @property
    def word(self) -> str:
        """Return a bare word in lower case; empty for other tokens."""
        return self.text.lower() if self.kind == "word" else ""


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or text.startswith(("--", "->"), place):
            shown = text[place : place + 20]
            raise ConfigError(f"{text!r}: {shown!r} is not of the language of conditions")
        if match.lastgroup != "space":
            found.append(_Token(str(match.lastgroup), match.group()))
        place = match.end()
    if not found:
        raise ConfigError("the condition is empty; leave it out, or say which rows are meant")
    return found


def _names(tokens: list[_Token]) -> Iterator[str]:
    """Yield the columns and variables; raise ConfigError for a function that is not allowed."""
    following = [*(t.text for t in tokens[1:]), ""]
    for token, after in zip(tokens, following, strict=True):
        if token.word in _OTHER_ROWS:
            raise ConfigError(
                f"'{token.text}' looks at other rows; a condition judges each row by itself"
            )
        if token.kind == "quoted":
            yield token.name
        elif after == "(" and token.word and token.word not in _BEFORE_PARENTHESIS:
            if token.word not in FUNCTIONS:
                raise ConfigError(
                    f"'{token.text}' is no function of conditions{nearest(token.word, FUNCTIONS)}"
                )
        elif token.word and token.word not in _KEYWORDS:
            yield token.text


def _compared(tokens: list[_Token]) -> Iterator[tuple[str, str]]:
    """Yield (column, text) wherever a column is compared with a text for equality."""
    yield from _compared_from_left(tokens)
    for place, token in enumerate(tokens):
        rest = [t for t in tokens[place + 1 :] if t.word != "not"]
        if not token.name or len(rest) < 2:
            continue
        if rest[0].text in _EQUAL and rest[1].kind == "text":
            yield token.name, _plain(rest[1])
        elif rest[0].word == "in" or (token.word == "array_contains" and rest[0].text == "("):
            column = token.name if rest[0].word == "in" else rest[1].name
            for one in rest[1:]:
                if one.text == ")":
                    break
                if one.kind == "text":
                    yield column, _plain(one)


def _compared_from_left(tokens: list[_Token]) -> Iterator[tuple[str, str]]:
    """Yield (column, text) where the text stands first: ``'fail' = result``."""
    between = ("", "(", "and", "or", "not", "when", "then", "else")
    ends = ("", ")", "and", "or", "then", "else", "end", "when")
    words = ["", *(t.text.lower() for t in tokens), ""]
    for place in range(len(tokens) - 2):
        value, equal, column = tokens[place : place + 3]
        alone = words[place] in between and words[place + 4] in ends
        if alone and value.kind == "text" and equal.text in _EQUAL and column.name:
            yield column.name, _plain(value)


def _plain(token: _Token) -> str:
    return token.text[1:-1].replace("''", "'")


_SAMPLES: Final[Mapping[type[pl.DataType], object]] = {
    pl.Boolean: True,
    pl.Date: date(2024, 2, 29),
    pl.Datetime: datetime(2024, 2, 29, tzinfo=UTC),
    pl.Duration: timedelta(days=1),
    pl.List: [],
    pl.String: "x",
}


def _sample(dtype: pl.DataType) -> pl.Series:
    """Return two rows without a value and one with one."""
    value = _SAMPLES.get(dtype.base_type(), 1)
    return pl.Series([None, None, value]).cast(dtype, strict=False)


def _trial_problems(condition: Condition, schema: Mapping[str, pl.DataType]) -> list[str]:
    """Try the condition on rows: types that do not go together, a broken pattern or interval."""
    rows = pl.DataFrame({name: _sample(dtype) for name, dtype in schema.items()})
    try:
        result = rows.lazy().select(condition.expr.alias(_MET)).collect()[_MET]
    except (PolarsError, PanicException) as error:
        hint = "; write dates as date '2025-01-31'" if "date" in str(error) else ""
        return [f"{condition.text!r} cannot be judged: {_first_line(error)}{hint}"]
    if result.len() != rows.height:  # no function does this today
        return [f"{condition.text!r} looks at other rows; a condition judges each by itself"]
    if result.dtype != pl.Boolean:
        return [f"{condition.text!r} gives {result.dtype}, not true or false; compare it"]
    return []


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
