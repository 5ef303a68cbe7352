"""What is known of each text: the heads that a table of labels asks for, and its answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import BundleError, ConfigError, FitError
from models.features.text import SEVERITIES
from models.text.heads import Floats, Head, check_labels, places, width

TEXT: Final = "text"
SPLIT: Final = "split"
HEADS: Final = ("leaf", "severity", "department")
"""The columns that are read as labels: String for one answer, List[String] for many; null is
unknown."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Answers to learn: rows × columns of the common matrix, and which heads are known."""

    heads: tuple[Head, ...]
    values: Floats
    """1 where a label holds, or a probability where another model gave it."""
    known: npt.NDArray[np.bool_]
    """Rows × heads."""

    def rows(self, which: npt.NDArray[np.int64]) -> Targets:
        """Return the answers of some rows."""
        return Targets(self.heads, self.values[which], self.known[which])

    def of(self, head: Head) -> tuple[npt.NDArray[np.int64], Floats]:
        """Return the rows in which a head is known, and its answers there."""
        number = self.heads.index(head)
        rows = np.flatnonzero(self.known[:, number])
        return rows, self.values[rows][:, places(self.heads)[head.name]]


def learn_heads(
    frame: pl.DataFrame, *, parents: Mapping[str, Mapping[str, str]] | None = None
) -> tuple[Head, ...]:
    """Return the heads of a table: one for each column of :data:`HEADS` that it has.

    Args:
        frame: ``text`` and label columns.
        parents: By head, each known label's parent: the closed list of a taxonomy.

    Raises:
        ConfigError: The table has no text or no labels.
        FitError: A head has fewer than two labels, or one that its taxonomy does not know.
    """
    named = [name for name in HEADS if name in frame.columns]
    for name in named:
        _check_labels(frame, name)
    if TEXT not in frame.columns or not named:
        raise ConfigError(
            f"the table has the columns {', '.join(frame.columns)}; it needs '{TEXT}' and at "
            f"least one of {', '.join(HEADS)}"
        )
    _check_text(frame)
    return tuple(_head(name, frame[name], (parents or {}).get(name)) for name in named)


def _check_text(frame: pl.DataFrame) -> None:
    if not _plain(frame.schema[TEXT]):
        raise ConfigError(f"column {TEXT}: holds {frame.schema[TEXT]}; it needs text")


def _plain(kind: pl.DataType) -> bool:
    return kind.is_integer() or isinstance(kind, pl.String | pl.Categorical | pl.Enum | pl.Null)


def _check_labels(frame: pl.DataFrame, name: str) -> None:
    kind = frame.schema[name]
    inner = cast("pl.DataType", kind.inner) if isinstance(kind, pl.List) else kind
    if not _plain(inner):
        raise ConfigError(
            f"column {name}: holds {kind}; it needs text or whole numbers, or lists of them"
        )


def _head(name: str, column: pl.Series, parents: Mapping[str, str] | None) -> Head:
    many = isinstance(column.dtype, pl.List)
    flat = column.explode() if many else column
    seen = cast("list[str]", flat.drop_nulls().cast(pl.String).unique().sort().to_list())
    if any(not label.strip() for label in seen):
        raise ConfigError(f"column {name}: a label is blank; set it to null where it is unknown")
    if len(seen) < 2:
        raise FitError(
            f"column {name}: {len(seen)} label(s); a head needs at least two to tell apart"
        )
    known = parents.keys() if parents is not None else (SEVERITIES if name == "severity" else seen)
    if odd := [label for label in seen if label not in known]:
        raise FitError(
            f"column {name}: {', '.join(label[:24] for label in odd[:5])} is no label of the "
            f"{'taxonomy' if parents else 'head'}; correct it, or set it to null"
        )
    labels = tuple(label for label in known if label in seen)
    above = tuple(parents[label] for label in labels) if parents and not many else ()
    return Head(name=name, labels=labels, kind="many" if many else "one", parents=above)


def targets_of(frame: pl.DataFrame, heads: Sequence[Head]) -> Targets:
    """Return the answers of a table; :class:`BundleError` for a label that a head lacks."""
    values = np.zeros((frame.height, width(heads)), dtype=np.float32)
    known = np.zeros((frame.height, len(heads)), dtype=np.bool_)
    for number, (head, columns) in enumerate(zip(heads, places(heads).values(), strict=True)):
        if head.name not in frame.columns:
            continue
        _check_labels(frame, head.name)
        column = frame[head.name]
        rows = frame.select(pl.col(head.name).alias("label")).with_row_index("row").drop_nulls()
        if isinstance(column.dtype, pl.List):
            rows = rows.explode("label").drop_nulls()
            _check_single(head, rows["row"])
        said = cast("list[str]", rows["label"].cast(pl.String).to_list())
        check_labels(head, said)
        place = {label: columns.start + place for place, label in enumerate(head.labels)}
        values[rows["row"].to_numpy(), [place[label] for label in said]] = 1
        known[:, number] = column.is_not_null().to_numpy()
    return Targets(tuple(heads), values, known)


def _check_single(head: Head, rows: pl.Series) -> None:
    twice = rows.filter(rows.is_duplicated())
    if head.kind == "one" and twice.len():
        row, count = twice[0], int((rows == twice[0]).sum())
        raise BundleError(
            f"head {head.name}: row {row + 1} has {count} labels, and this model gives exactly "
            "one; leave one, or fit with lists of labels"
        )


def texts_of(frame: pl.DataFrame) -> list[str]:
    """Return the texts of a table, null as blank; :class:`ConfigError` where it has none."""
    if TEXT not in frame.columns:
        raise ConfigError(
            f"the table has the columns {', '.join(frame.columns)}; it needs '{TEXT}'"
        )
    _check_text(frame)
    return cast("list[str]", frame[TEXT].cast(pl.String).fill_null("").to_list())


def picked(texts: Sequence[str], rows: npt.NDArray[np.int64]) -> list[str]:
    """Return some of the texts, in the order of ``rows``."""
    return [texts[int(row)] for row in rows]


def digest_of(frame: pl.DataFrame) -> str:
    """Return the SHA-256 of a table's texts and labels, in their order."""
    there = [name for name in (TEXT, *HEADS) if name in frame.columns]
    return hashlib.sha256(frame.select(there).write_ndjson().encode()).hexdigest()


def part_of(frame: pl.DataFrame, split: str) -> pl.DataFrame:
    """Return the rows of a part; all of them where the table has no ``split``.

    Raises:
        ConfigError: The column names no such part.
    """
    if SPLIT not in frame.columns or not frame.height:
        return frame
    if frame.schema[SPLIT].is_numeric() or frame.schema[SPLIT].is_nested():
        raise ConfigError(f"column {SPLIT}: holds {frame.schema[SPLIT]}; write train or test")
    part = frame.filter(pl.col(SPLIT).cast(pl.String) == split)
    if part.is_empty():
        named = frame[SPLIT].cast(pl.String).unique().sort().fill_null("nothing").head(5)
        raise ConfigError(
            f"the table has no text in part '{split}': column {SPLIT} is to say train or test, and "
            f"it names {', '.join(name[:24] for name in named)}"
        )
    return part


def held_out(
    frame: pl.DataFrame, *, share: float, seed: int, group: str | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return rows to learn from and rows to hold out, by whole groups where one is named.

    Raises:
        ConfigError: The table has no such column.
        FitError: Nothing would be left on either side.
    """
    count, codes = _units(frame, group)
    order = np.random.default_rng(seed).permutation(count)
    held = np.isin(codes, order[: round(share * count)])
    if held.all() or not held.any():
        raise FitError(
            f"{frame.height} texts in {count} groups: too few to hold {share:.0%} out for "
            "calibration; add texts, or a larger --validation share"
        )
    return np.flatnonzero(~held), np.flatnonzero(held)


def folds(
    frame: pl.DataFrame, count: int, *, seed: int, group: str | None = None
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Return ``count`` pairs of rows to learn from and rows to try on; each row is tried once.

    Groups stay whole. Fewer pairs where there are fewer groups; none for a single one.
    """
    units, codes = _units(frame, group)
    parts = min(count, units)
    place = np.random.default_rng(seed).permutation(units) % max(1, parts)
    fold = place[codes]
    return [
        (np.flatnonzero(fold != part), np.flatnonzero(fold == part))
        for part in range(parts if parts > 1 else 0)
    ]


def _units(frame: pl.DataFrame, group: str | None) -> tuple[int, npt.NDArray[np.int64]]:
    """Return how many rows or groups there are, and each row's number among them."""
    if group is not None and group not in frame.columns:
        raise ConfigError(f"--group {group}: the table has {', '.join(frame.columns)}")
    if group is not None and not (_plain(frame.schema[group]) or frame.schema[group].is_temporal()):
        raise ConfigError(f"--group {group}: holds {frame.schema[group]}; it needs single values")
    keys = frame[group] if group else pl.Series(np.arange(frame.height))
    codes = keys.cast(pl.String).fill_null("").rank("dense").to_numpy().astype(np.int64) - 1
    return (int(codes.max()) + 1 if codes.size else 0), codes
