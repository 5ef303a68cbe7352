"""The spreadsheet in which people label texts: written with drop-downs, read back and checked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from models.errors import ConfigError, SourceError
from models.text.mask import mask
from models.text.taxonomy import Taxonomy
from models.yaml import nearest
from training.sources.excel import read_excel
from training.sources.mapping import Options
from training.sources.read import LINE
from training.text.review import LABELS, MADE

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

SHEET: Final = "复核"
LEAVES: Final = "分类"
NONE: Final = "—"
"""What is chosen where a person finds that no leaf holds."""
HEADINGS: Final[Mapping[str, tuple[str, int]]] = {
    "text_id": ("编号", 18),
    "table": ("来源", 10),
    "text": ("文本（已脱敏）", 80),
    "proposed": ("模型判断", 26),
    "confidence": ("置信度", 8),
    "second": ("其次", 26),
    "third": ("再次", 26),
    "leaf": ("正确分类", 30),
    "reviewer": ("复核人", 12),
    "reviewed_on": ("复核日期", 12),
    "note": ("备注", 30),
    "model": ("模型", 12),
    "taxonomy": ("分类版本", 12),
}
"""Column → heading and width; what a person fills in is ``leaf`` to ``note``."""
FILLED: Final = ("leaf", "reviewer", "reviewed_on", "note")
_SHOWN: Final = 10
"""Mistakes that one message names."""
_LONGEST: Final = 32_767
"""Characters that a cell holds."""


def write_sheet(rows: pl.DataFrame, path: Path, *, known: Taxonomy, model: str) -> None:
    """Write texts to be labelled as an .xlsx.

    Args:
        rows: Columns as :func:`training.text.review.useful` gives them.
        path: The file to write.
        known: The taxonomy that the drop-down offers.
        model: Digest of the model that made the proposals.

    Raises:
        ConfigError: The file is no .xlsx, or cannot be written.
    """
    from xlsxwriter import Workbook
    from xlsxwriter.exceptions import XlsxWriterException

    if path.suffix != ".xlsx":
        raise ConfigError(f"{path}: texts to review are written as .xlsx; name such a file")
    names = {leaf.code: f"{leaf.code} {leaf.title}" for leaf in known.leaves}
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Texts that begin with = stay texts, and addresses are no links.
        with Workbook(path, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
            _write_review(book, rows, names, known=known, model=model)
            _write_leaves(book, names)
    except (OSError, XlsxWriterException) as error:
        raise ConfigError(f"{path}: cannot be written ({error}); close it elsewhere") from error


def read_sheet(
    path: Path, *, known: Taxonomy, on: date, reviewer: str | None = None
) -> pl.DataFrame:
    """Read the labels that people filled in; rows without one are passed.

    Args:
        path: What :func:`write_sheet` wrote, filled in.
        known: The taxonomy that labels must belong to.
        on: The day that counts where a row names none.
        reviewer: Who counts as reviewer where a row names none.

    Returns:
        The columns of a label but its id and time (:data:`training.text.review.LABELS`).

    Raises:
        SourceError: The file is no such spreadsheet.
        ConfigError: A label is unknown, or a row lacks what it needs; the message names the cells.
    """
    codes = frozenset(leaf.code for leaf in known.leaves)
    filled = [row for row in _rows(path) if row.said("leaf")]
    wrong = [mistake for row in filled for mistake in row.mistakes(codes, on, reviewer)]
    wrong += _contrary(filled, reviewer)
    if wrong:
        more = [f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        raise ConfigError("\n".join([f"{path}: nothing was imported", *wrong[:_SHOWN], *more]))
    return pl.DataFrame([row.label(on, reviewer) for row in filled], schema=_TOLD)


_TOLD: Final = {name: kind for name, kind in LABELS.items() if name not in MADE}


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the sheet, as text, and where it stands."""

    line: int
    cells: Mapping[str, str | None]

    def said(self, column: str) -> str | None:
        return (self.cells[column] or "").strip() or None

    def mistakes(self, codes: Collection[str], today: date, reviewer: str | None) -> Iterator[str]:
        code = self.code
        if code not in {*codes, NONE}:
            hint = nearest(code, codes)
            hint = "; choose from the list" if "allowed" in hint else hint
            yield f"{self.cell('leaf')}: '{self.said('leaf')}' is no leaf of the taxonomy{hint}"
        if self.said("reviewer") is None and reviewer is None:
            yield f"{self.cell('reviewer')}: nobody is named; fill it in, or say --reviewer"
        if self.said("reviewed_on") is not None and self._day is None:
            yield f"{self.cell('reviewed_on')}: '{self.said('reviewed_on')}': write YYYY-MM-DD"
        if self._day is not None and self._day > today:
            yield f"{self.cell('reviewed_on')}: {self._day} is to come; write the day of the review"
        if self.said("confidence") is not None and self._confidence is None:
            yield f"{self.cell('confidence')}: '{self.said('confidence')}' is no number; leave it"
        if self.said("text_id") is None or self.said("text") is None:
            yield f"{self.cell('text')}: the row has lost its text; export it again"

    def label(self, on: date, reviewer: str | None) -> dict[str, str | float | date | None]:
        proposed = self.said("proposed")
        return {
            **{name: self.said(name) for name in ("text_id", "table", "model", "taxonomy")},
            # Cells can be written over, so what comes back is masked like what went out.
            "text": mask(self.cells["text"]),
            "note": mask(self.said("note")),
            "leaf": None if self.code == NONE else self.code,
            "proposed": proposed and proposed.split()[0],
            "confidence": self._confidence,
            "reviewer": self.said("reviewer") or reviewer,
            "reviewed_on": self._day or on,
        }

    @property
    def code(self) -> str:
        return (self.said("leaf") or "").split()[0]

    @property
    def _confidence(self) -> float | None:
        try:
            found = float(self.said("confidence") or "")
        except ValueError:
            return None
        return found if isfinite(found) else None

    @property
    def _day(self) -> date | None:
        found = re.match(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})", self.said("reviewed_on") or "")
        try:
            return date(int(found[1]), int(found[2]), int(found[3])) if found else None
        except ValueError:
            return None

    def cell(self, column: str) -> str:
        return f"cell {chr(ord('A') + list(HEADINGS).index(column))}{self.line}"


def _contrary(filled: Sequence[_Row], reviewer: str | None) -> Iterator[str]:
    """Name the rows in which one reviewer says something else of a text on the same day."""
    seen: dict[tuple[str | None, ...], _Row] = {}
    for row in filled:
        who = row.said("reviewer") or reviewer
        first = seen.setdefault((row.said("text_id"), who, row.said("reviewed_on")), row)
        if first.code != row.code:
            yield (
                f"{row.cell('leaf')}: the text of line {first.line} has another label there; "
                "leave one of them"
            )


def _rows(path: Path) -> Iterator[_Row]:
    if not path.is_file():
        raise SourceError(f"{path}: no such file; name the .xlsx that was filled in")
    headings = {heading: name for name, (heading, _) in HEADINGS.items()}
    for batch in read_excel(path, Options(sheet=SHEET)):
        if missing := [heading for heading in headings if heading not in batch.frame.columns]:
            raise SourceError(
                f"{path}: sheet {SHEET} has no column {missing[0]}; fill in what xinjian text "
                "review export wrote"
            )
        if batch.broken:
            raise SourceError(f"{path}: line {batch.broken[0].line} holds a formula; write values")
        for row in batch.frame.to_dicts():
            yield _Row(row[LINE], {name: row[heading] for heading, name in headings.items()})


def _write_review(
    book: Workbook, rows: pl.DataFrame, names: Mapping[str, str], *, known: Taxonomy, model: str
) -> None:
    sheet = _add_sheet(book, SHEET)
    bold, wrap = _format(book, bold=True), _format(book, text_wrap=True, valign="top")
    open_ = _format(book, locked=False, bg_color="#FFF8DC", valign="top")
    for place, (heading, width) in enumerate(HEADINGS.values()):
        sheet.set_column(place, place, width)
        sheet.write_string(0, place, heading, bold)
    fixed = {"model": model, "taxonomy": known.digest}
    for line, row in enumerate(cast("list[dict[str, str | float | None]]", rows.to_dicts()), 1):
        for place, name in enumerate(HEADINGS):
            value = row.get(name, fixed.get(name))
            if name in FILLED:
                sheet.write_blank(line, place, None, open_)
            elif isinstance(value, float):
                sheet.write_number(line, place, round(value, 4), wrap)
            else:
                said = str(value or "")
                text = names.get(said, said)
                sheet.write_string(line, place, text[:_LONGEST], wrap)
    last, column = max(rows.height, 1), list(HEADINGS).index("leaf")
    source = f"={LEAVES}!$A$1:$A${len(names) + 1}"
    message = "请从下拉列表中选择；不属于任何一类的选 —"
    choice = {"validate": "list", "source": source, "error_title": "分类", "error_message": message}
    sheet.data_validation(1, column, last, column, choice)
    sheet.freeze_panes(1, 3)
    sheet.protect("", {"format_columns": True, "format_rows": True, "autofilter": True})
    sheet.autofilter(0, 0, last, len(HEADINGS) - 1)


def _write_leaves(book: Workbook, names: Mapping[str, str]) -> None:
    sheet = _add_sheet(book, LEAVES)
    sheet.set_column(0, 0, 50)
    for line, name in enumerate([NONE, *names.values()]):
        sheet.write_string(line, 0, name)


def _format(book: Workbook, **properties: str | bool) -> Format:
    # Its parameter has no type.
    return book.add_format(properties)  # pyright: ignore[reportUnknownMemberType]


def _add_sheet(book: Workbook, name: str) -> Worksheet:
    # Its second parameter, a class of sheets, has no type.
    return book.add_worksheet(name)  # pyright: ignore[reportUnknownMemberType]
