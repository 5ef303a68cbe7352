"""Text columns as Arrow keeps them, without a copy, and the numbers of their values.

Polars keeps a text as a *view* of sixteen bytes: up to twelve bytes of text in the view itself,
else its length, its first bytes and the place where it lies. Equal views of one array are equal
texts, so that a text need not be looked at where its view was seen before; a column read from
Parquet has few more views than values. Equal texts with unequal views are told apart by the few
texts themselves. Polars hands the arrays over by Arrow's C data interface
(https://arrow.apache.org/docs/format/CDataInterface.html).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.features.arrays import Bytes, Days, Longs

MOST: Final = 4_096
"""Views of a chunk up to which they are numbered one by one; Polars does a column with more."""

_FEW: Final = 8
"""Rows a run from which on there is room for all runs at the first attempt."""
_VIEWS: Final = b"vu"
_NO_BITS: Final = np.empty(0, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """One chunk of a text column: two words a row, and the bits of rows that are not null.

    ``valid`` is empty where no row is null; its bits begin with bit ``offset``.
    """

    words: Longs
    valid: Bytes
    offset: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.words) // 2


def numbers(column: pl.Series, into: Days, *, known: Sequence[str] = ()) -> list[str]:
    """Write the number of each row's text to ``into``, −1 for null, and return the texts.

    Those in ``known`` come first, whether they occur or not; the others as they are first seen.
    """
    firsts = [column.clear()]
    begun = numbered = 0
    for chunk in column.get_chunks():
        end = begun + chunk.len()
        first = _number(chunk, numbered, into[begun:end])
        if first is None:
            return _by_polars(column, known, into)
        firsts.append(chunk[first])
        begun, numbered = end, numbered + len(first)
    return _renumbered(pl.concat(firsts).to_list(), known, into)


def runs(column: pl.Series) -> tuple[Longs, pl.Series]:
    """Return where each run of rows with one text, or null, begins, and its text."""
    places = [np.empty(0, np.int64)]
    texts = [column.clear()]
    begun = 0
    for chunk in column.get_chunks():
        rows = _changes(chunk)
        places.append(rows + begun)
        texts.append(chunk[rows])
        begun += chunk.len()
    begins, found = np.concatenate(places), pl.concat(texts)
    if found.len() <= 1:
        return begins, found
    joined = found.rle().struct.unnest()  # one text with two views, as where two chunks meet
    lengths = joined["len"].to_numpy().astype(np.int64)
    return begins[np.cumsum(lengths) - lengths], joined["value"]


@contextmanager
def view(chunk: pl.Series) -> Generator[Views | None]:
    """Give the views of a column of text that is one chunk; they hold within the context only.

    Null where Polars hands the column over in another layout.
    """
    capsule = chunk.__arrow_c_stream__()
    stream = _Stream.from_address(_pointer(capsule, b"arrow_array_stream"))
    if _layout(stream) != _VIEWS:
        yield None
        return
    array = _Array()
    _check(stream.get_next(ctypes.byref(stream), ctypes.byref(array)))
    try:
        yield _views(array)
    finally:
        array.release(ctypes.byref(array))


def _layout(stream: _Stream) -> bytes:
    schema = _Schema()
    _check(stream.get_schema(ctypes.byref(stream), ctypes.byref(schema)))
    layout = schema.format
    schema.release(ctypes.byref(schema))
    return layout


def _check(error: int) -> None:
    if error:
        raise RuntimeError(f"Polars could not hand over a column of text: error {error}")


def _views(array: _Array) -> Views:
    valid, words = array.buffers[0], array.buffers[1]
    length, offset = array.length, array.offset
    bits = _at(valid, ctypes.c_uint8, (offset + length + 7) // 8) if valid else _NO_BITS
    return Views(_at(words + 16 * offset, ctypes.c_int64, 2 * length), bits, offset)


def _at(address: int, kind: type[ctypes.c_int64 | ctypes.c_uint8], length: int) -> NDArray[Any]:
    array = np.ctypeslib.as_array((kind * length).from_address(address))
    array.flags.writeable = False
    return array


def _number(chunk: pl.Series, begin: int, into: Days) -> Longs | None:
    """Write the number of each view; return where each is first, null where they are many."""
    from models.features import texts

    with view(chunk) as found:
        if found is None:
            return None
        first = np.empty(min(MOST, chunk.len()), np.int64)
        count = texts.number(found.words, found.valid, found.offset, begin, first, into)
    return None if count < 0 else first[:count]


def _renumbered(seen: list[str], known: Sequence[str], into: Days) -> list[str]:
    """Give equal texts one number, the known ones the first."""
    from models.features import texts

    place = {text: number for number, text in enumerate(dict.fromkeys((*known, *seen)))}
    places = np.array([place[text] for text in seen], np.int32)
    if not np.array_equal(places, np.arange(len(places))):
        texts.renumber(places, into)
    return list(place)


def _by_polars(column: pl.Series, known: Sequence[str], into: Days) -> list[str]:
    seen = column.unique(maintain_order=True).drop_nulls().to_list()
    values = list(dict.fromkeys((*known, *seen)))
    found = column.cast(pl.Enum(values)).to_physical().cast(pl.Int32).fill_null(-1)
    into[:] = found.to_numpy()
    return values


def _changes(chunk: pl.Series) -> Longs:
    """Return the rows whose view is not that of the row before."""
    from models.features import texts

    with view(chunk) as found:
        if found is None:
            return np.arange(chunk.len())
        rows = np.empty(chunk.len() // _FEW + 1, np.int64)
        count = texts.changes(found.words, found.valid, found.offset, rows)
        if count > len(rows):
            rows = np.empty(count, np.int64)
            texts.changes(found.words, found.valid, found.offset, rows)
        return rows[:count]


_Release: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Get: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class _Schema(ctypes.Structure):
    """``struct ArrowSchema``."""

    format: bytes
    release: Callable[[object], None]
    _fields_: ClassVar = [
        ("format", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("metadata", ctypes.c_char_p),
        ("flags", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", _Release),
        ("private_data", ctypes.c_void_p),
    ]


class _Array(ctypes.Structure):
    """``struct ArrowArray``."""

    length: int
    offset: int
    buffers: Sequence[int]
    release: Callable[[object], None]
    _fields_: ClassVar = [
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", _Release),
        ("private_data", ctypes.c_void_p),
    ]


class _Stream(ctypes.Structure):
    """``struct ArrowArrayStream``; its capsule releases it."""

    get_schema: Callable[[object, object], int]
    get_next: Callable[[object, object], int]
    _fields_: ClassVar = [
        ("get_schema", _Get),
        ("get_next", _Get),
        ("get_last_error", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    ]


_pointer: Final = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
