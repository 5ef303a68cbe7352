"""Tables that fit a narrow terminal: the names stay, what matters less is left out and said so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_BORDER: Final = 3
"""Cells that a column takes beside its words."""
_LEAST: Final = 4


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``rank`` 0 always stays; of the others the highest is left out first.

    A column that wraps gets at least ``least`` cells, or what its words need; others what they
    need.
    """

    heading: str
    rank: int = 0
    wraps: bool = False
    least: int = 12
    number: bool = False


@dataclass(frozen=True, slots=True)
class Fitted:
    """A table for a terminal of any width; each row has a text for each of ``columns``."""

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, and a line that names the columns there was no room for."""
        widest = [self._widest(place) for place in range(len(self.columns))]
        needs = [
            min(most, column.least) if column.wraps else most
            for most, column in zip(widest, self.columns, strict=True)
        ]
        kept = list(range(len(self.columns)))
        while sum(needs[place] + _BORDER for place in kept) + 1 > options.max_width:
            place = max(kept, key=lambda p: self.columns[p].rank)
            if not self.columns[place].rank:
                break
            kept.remove(place)
        widths = self._widths({p: needs[p] for p in kept}, widest, options.max_width)
        # a text and no string, in which markup would be read
        title = Text(self.title, style="table.title") if self.title else None
        table = Table(title=title, title_justify="left", header_style="bold")
        for place in kept:
            column = self.columns[place]
            table.add_column(
                column.heading,
                justify="right" if column.number else "left",
                overflow="fold",
                no_wrap=not column.wraps,
                width=widths[place],
            )
        for row in self.rows:
            table.add_row(*(row[place] for place in kept))
        yield table
        left_out = [c.heading for place, c in enumerate(self.columns) if place not in kept]
        if left_out:
            yield Text(f"窗口较窄，未列出：{'、'.join(left_out)}", style="dim")

    def _widths(self, needs: Mapping[int, int], widest: Sequence[int], room: int) -> dict[int, int]:
        """Share the room that is left, or lacking, among the columns that wrap."""
        widths = dict(needs)
        wrapping = [place for place in needs if self.columns[place].wraps]
        spare = room - 1 - sum(width + _BORDER for width in widths.values())
        while spare > 0 and (short := [p for p in wrapping if widths[p] < widest[p]]):
            widths[min(short, key=lambda p: widths[p])] += 1
            spare -= 1
        while spare < 0 and (wide := [p for p in wrapping if widths[p] > _LEAST]):
            widths[max(wide, key=lambda p: widths[p])] -= 1
            spare += 1
        return widths

    def _widest(self, place: int) -> int:
        words = (self.columns[place].heading, *(row[place].plain for row in self.rows))
        return max(cell_len(text) for text in words)
