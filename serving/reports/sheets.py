"""Task sheets (检查任务单): what each team has to visit and to fill in, as values and as Excel.

The workbook is filled in and read back by :func:`models.inspection.results.read_results`: its
headings are those of the list of results. Text is written as text, never as a formula or a link.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

import polars as pl
from pydantic import TypeAdapter

from models.errors import InspectionError
from models.inspection.eligibility import refuse_unpublished
from models.inspection.list_cells import SEPARATOR
from models.inspection.list_fields import ListName, spec_of, titles
from models.inspection.lists import Listing
from models.inspection.result_codes import codes
from models.inspection.results import Round

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

OVERVIEW: Final = "目录"
CODES: Final = "结果代码"
METHODS: Final[Mapping[str, str]] = {
    "on_site": "现场检查",
    "documents": "书面检查",
    "network": "网络监测",
    "entrusted": "委托专业机构",
}
KINDS: Final[Mapping[str, str]] = {"general": "一般", "key": "重点"}
SHOWN: Final[Mapping[str, tuple[str, int]]] = {
    "subject_id": ("统一社会信用代码", 22),
    "name": ("检查对象", 30),
    "address": ("地址", 36),
    "starts": ("最早检查日期", 13),
    "ends": ("最迟检查日期", 13),
    "title": ("抽查事项", 30),
    "legal_basis": ("检查依据", 40),
    "method": ("检查方式", 12),
}
"""What a team reads beside what it fills in: field → heading and width."""

_FILLED: Final[Mapping[str, int]] = {
    "task_id": 18,
    "matter_id": 12,
    "result_code": 30,
    "ended_on": 14,
    "inspectors": 24,
    "problem": 40,
}
"""Fields of the list of results → width of their column."""
_OPEN: Final = frozenset({"result_code", "ended_on", "inspectors", "problem"})
_LONGEST: Final = 32_767
"""Characters that a cell holds."""


@dataclass(frozen=True, slots=True)
class Member:
    """An inspector of a team."""

    inspector_id: str
    name: str | None
    certificate: str
    unit: str


@dataclass(frozen=True, slots=True)
class SheetMatter:
    """A matter that is inspected on a visit."""

    matter_id: str
    title: str
    legal_basis: tuple[str, ...]
    method: str
    kind: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One task: a visit for all of its matters, on a day from ``starts`` to ``ends``."""

    task_id: str
    subject_id: str
    name: str | None
    address: str | None
    starts: date
    ends: date
    matters: tuple[SheetMatter, ...]


@dataclass(frozen=True, slots=True)
class TeamSheet:
    """All tasks of one team; ``number`` counts the teams of the draw from 1."""

    draw_id: str
    number: int
    authority: str
    members: tuple[Member, ...]
    visits: tuple[Visit, ...]

    @property
    def title(self) -> str:
        """Return what the team is called: ``第001组``."""
        return f"第{self.number:03}组"


def team_sheets(
    drawn: Round, *, matters: Listing, targets: Listing, inspectors: Listing
) -> tuple[TeamSheet, ...]:
    """Return the sheet of each team, sorted by its members; every task is on one of them.

    A target that is not on its list has no name and no address.

    Raises:
        InspectionError: A matter or an inspector is not on its list, or a matter is not published
            before the first visit may begin; then it may not be executed.
    """
    begin = min(drawn.tasks["starts"].to_list(), default=drawn.drawn_on)
    refuse_unpublished(matters, set(drawn.tasks["matters"].explode().to_list()), on=begin)
    known, people = _matters(matters), _members(inspectors)
    places = {
        subject: (name, address)
        for subject, name, address in targets.frame.join(drawn.tasks, on="subject_id", how="semi")
        .select("subject_id", "name", "address")
        .iter_rows()
    }
    found: dict[tuple[str, ...], list[Visit]] = {}
    for task, subject, own, starts, ends, team in _tasks(drawn).iter_rows():
        name, address = places.get(subject, (None, None))
        asked = tuple(known[one] for one in own)
        visit = Visit(task, subject, name, address, starts, ends, asked)
        found.setdefault(tuple(team), []).append(visit)
    return tuple(
        TeamSheet(
            drawn.draw_id,
            number,
            drawn.authority,
            tuple(_member(people, one) for one in team),
            tuple(visits),
        )
        for number, (team, visits) in enumerate(found.items(), 1)
    )


def as_json(sheet: TeamSheet) -> dict[str, object]:
    """Return a sheet as values of JSON; days are written ``2026-03-01``."""
    return TypeAdapter(TeamSheet).dump_python(sheet, mode="json")


def workbook(sheets: Sequence[TeamSheet], *, issued_at: datetime) -> bytes:
    """Return an .xlsx with a worksheet for each team, to be filled in.

    The same sheets give the same bytes. What a team fills in is open, the rest is locked against
    slips; results are chosen from a list.

    Args:
        sheets: Those of one draw.
        issued_at: When it was issued, with its zone.

    Raises:
        InspectionError: There is no team, or a text is longer than a cell holds.
    """
    from xlsxwriter import Workbook

    if not sheets:
        raise InspectionError("there is no team to write a sheet for; assign teams first")
    file = io.BytesIO()
    # Texts that begin with = stay texts, and addresses are no links.
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with Workbook(file, options) as book:
        created = {"created": issued_at.astimezone(UTC).replace(tzinfo=None)}
        book.set_properties(created)  # pyright: ignore[reportUnknownMemberType] - it has no type
        styles = _styles(book)
        _write_overview(_added(book, OVERVIEW), sheets, styles)
        for sheet in sheets:
            _write_team(_added(book, sheet.title), sheet, styles)
        _write_codes(_added(book, CODES), styles)
    return file.getvalue()


def _tasks(drawn: Round) -> pl.DataFrame:
    """Return the tasks with their teams, the tasks of one team together."""
    teams = drawn.teams.group_by("task_id").agg(pl.col("inspector_id").sort().alias("team"))
    return (
        drawn.tasks.join(teams, on="task_id")
        .sort(pl.col("team").list.join(SEPARATOR), "task_id")
        .select("task_id", "subject_id", "matters", "starts", "ends", "team")
    )


def _matters(listing: Listing) -> dict[str, SheetMatter]:
    rows = listing.frame.select("matter_id", "title", "legal_basis", "method", "kind").iter_rows()
    return {
        code: SheetMatter(code, title, tuple(basis), METHODS[method], KINDS[kind])
        for code, title, basis, method, kind in rows
    }


def _members(listing: Listing) -> dict[str, Member]:
    rows = listing.frame.select("inspector_id", "name", "certificate", "unit").iter_rows()
    return {row[0]: Member(*row) for row in rows}


def _member(people: Mapping[str, Member], one: str) -> Member:
    if one not in people:
        raise InspectionError(
            f"inspector '{one}' of a team is not on the list; give the list of the assignment"
        )
    return people[one]


@dataclass(frozen=True, slots=True)
class _Styles:
    head: Format
    fixed: Format
    open: Format
    day: Format


def _styles(book: Workbook) -> _Styles:
    cell: dict[str, str | bool] = {"valign": "top", "text_wrap": True, "border": True}
    paper = {**cell, "locked": False, "bg_color": "#FFF8DC"}
    return _Styles(
        _format(book, **cell, bold=True, bg_color="#EDEDED"),
        _format(book, **cell),
        _format(book, **paper, num_format="@"),
        _format(book, **paper, num_format="yyyy-mm-dd"),
    )


def _write_overview(sheet: Worksheet, teams: Sequence[TeamSheet], styles: _Styles) -> None:
    widths = {"组别": 10, "检查人员": 40, "执法证号": 40, "任务数": 8}
    _write_head(sheet, widths, styles)
    for line, team in enumerate(teams, 1):
        names = SEPARATOR.join(one.name or one.inspector_id for one in team.members)
        held = SEPARATOR.join(one.certificate for one in team.members)
        for place, text in enumerate((team.title, names, held)):
            _write(sheet, line, place, text=text, style=styles.fixed)
        sheet.write_number(line, 3, len(team.visits), styles.fixed)


def _write_team(sheet: Worksheet, team: TeamSheet, styles: _Styles) -> None:
    heads = titles(spec_of(ListName.RESULTS))
    fixed = {heads[name]: width for name, width in _FILLED.items() if name not in _OPEN}
    open_ = {heads[name]: width for name, width in _FILLED.items() if name in _OPEN}
    columns = {**fixed, **dict(SHOWN.values()), **open_}
    _write_head(sheet, columns, styles)
    first = len(columns) - len(open_)
    rows = list(_rows(team))
    people = SEPARATOR.join(one.inspector_id for one in team.members)
    for line, row in enumerate(rows, 1):
        for place, text in enumerate(row):
            _write(sheet, line, place, text=text, style=styles.fixed)
        sheet.write_blank(line, first, None, styles.open)
        sheet.write_blank(line, first + 1, None, styles.day)
        _write(sheet, line, first + 2, text=people, style=styles.open)
        sheet.write_blank(line, first + 3, None, styles.open)
    source = f"={CODES}!$A$2:$A${len(codes()) + 1}"
    choice = {"validate": "list", "source": source, "error_message": "请从下拉列表中选择"}
    sheet.data_validation(1, first, len(rows), first, choice)
    sheet.freeze_panes(1, 2)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.protect("", {"format_columns": True, "format_rows": True})


def _rows(team: TeamSheet) -> Iterator[tuple[str, ...]]:
    """Yield the fixed texts of each visit's matters."""
    for visit in team.visits:
        for matter in visit.matters:
            yield (
                visit.task_id,
                matter.matter_id,
                visit.subject_id,
                visit.name or "",
                visit.address or "",
                str(visit.starts),
                str(visit.ends),
                f"{matter.title}（{matter.kind}）",
                SEPARATOR.join(matter.legal_basis),
                matter.method,
            )


def _write_codes(sheet: Worksheet, styles: _Styles) -> None:
    _write_head(sheet, {"结果": 50}, styles)
    for line, (code, entry) in enumerate(codes().items(), 1):
        _write(sheet, line, 0, text=f"{code} {entry.label}", style=styles.fixed)


def _write_head(sheet: Worksheet, widths: Mapping[str, int], styles: _Styles) -> None:
    for place, (heading, width) in enumerate(widths.items()):
        sheet.set_column(place, place, width)
        _write(sheet, 0, place, text=heading, style=styles.head)


def _write(sheet: Worksheet, line: int, place: int, *, text: str, style: Format) -> None:
    if len(text) > _LONGEST:
        raise InspectionError(
            f"a text of {len(text)} characters begins {text[:40]!r}; a cell of Excel holds "
            f"{_LONGEST}: shorten it in its list"
        )
    sheet.write_string(line, place, text, style)


def _format(book: Workbook, **properties: str | bool) -> Format:
    # Its parameter has no type.
    return book.add_format(properties)  # pyright: ignore[reportUnknownMemberType]


def _added(book: Workbook, name: str) -> Worksheet:
    # Its second parameter, a class of sheets, has no type.
    return book.add_worksheet(name)  # pyright: ignore[reportUnknownMemberType]
