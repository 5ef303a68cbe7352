"""Routes of one list of 一单两库: import by mapping, edits, editions and what changed between them.

Each of the three lists has the same routes. A list is of a region; who reads sees its rows of the
own regions, and names of natural persons only for a purpose. Nobody overwrites an edition unseen:
whoever names the edition they started from (``base``) is refused where it is no longer the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Final, Literal

import polars as pl
from fastapi import APIRouter, Depends, Query, status
from pydantic import BaseModel, ConfigDict, Field

from models.inspection.eligibility import idle
from models.inspection.list_fields import ListMapping, ListName, spec_of
from models.inspection.lists import Listing, Read, difference, read
from serving.api.audited import audited
from serving.auth.caller import Caller
from serving.auth.opening import opened
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.inspecting import lists as kept
from serving.inspecting.lists import Cell, Removal, written
from serving.inspecting.scope import region_of, sees_above
from serving.ledger import lists
from serving.ledger.engine import Connection
from serving.ledger.lists import Edition
from serving.problems import Problem
from serving.service import Service

Reader = Annotated[Caller, Depends(allow(Permission.PLANS_READ))]
Writer = Annotated[Caller, Depends(allow(Permission.PLANS_WRITE))]
Version = Annotated[str, Query(pattern=r"^[0-9a-f]{64}$", description="版本（内容的 SHA-256）")]
REGION: Final = r"^([0-9]{2}){0,3}$"
Region = Annotated[
    str, Query(pattern=REGION, description="行政区划代码或其前缀；空为全部", examples=["2101"])
]
Note = Annotated[str | None, Field(max_length=400, pattern=r"^[^\x00-\x1f]*$", description="说明")]
_SHOWN: Final = 200
"""Faults that are told of one import."""


class Import(BaseModel):
    """一次导入."""

    model_config = ConfigDict(extra="forbid")

    region: str = Field(default="", pattern=REGION, description="清单所属行政区划；空为全部")
    rows: list[dict[str, Cell]] = Field(
        max_length=200_000, description="各行：表头与单元格，表头不限写法"
    )
    mapping: ListMapping = Field(default=ListMapping(), description="词表不认识的表头如何对应")
    mode: Literal["replace", "merge"] = Field(
        default="replace", description="replace 全部替换；merge 按键增改，其余不动"
    )
    partial: bool = Field(default=False, description="有误的行不收、其余照收；默认有误则全部不收")
    base: int | None = Field(default=None, ge=0, description="所据的版次；已有更新的则为 409")
    note: Note = None


class Removals(BaseModel):
    """删除若干行."""

    model_config = ConfigDict(extra="forbid")

    region: str = Field(default="", pattern=REGION, description="清单所属行政区划")
    keys: list[str] = Field(min_length=1, max_length=10_000, description="要删除的行的键")
    base: int | None = Field(default=None, ge=0, description="所据的版次；已有更新的则为 409")
    note: Note = None


class RowChange(BaseModel):
    """一行中要改的单元格；其余不动."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(min_length=1, max_length=64, description="行的键", examples=["i001"])
    cells: dict[str, Cell] = Field(
        min_length=1,
        max_length=50,
        description="表头与新值；空值即清除",
        examples=[{"请假日期": "2026-12-01/2026-12-05", "回避对象": "91210102123456788E"}],
    )


class Changes(BaseModel):
    """修改若干行."""

    model_config = ConfigDict(extra="forbid")

    region: str = Field(default="", pattern=REGION, description="清单所属行政区划")
    rows: list[RowChange] = Field(min_length=1, max_length=10_000, description="要改的行")
    base: int | None = Field(default=None, ge=0, description="所据的版次；已有更新的则为 409")
    note: Note = None


class EditionShown(BaseModel):
    """清单的一版."""

    name: str = Field(description="清单：matters、targets 或 inspectors")
    region: str = Field(description="行政区划前缀；空为全部")
    number: int = Field(description="版次，从 1 起")
    version: str = Field(description="内容的 SHA-256")
    rows: int = Field(description="行数")
    note: str | None = Field(description="说明")
    by: str = Field(description="操作者")
    at: datetime = Field(description="时间")


class FaultShown(BaseModel):
    """一处错误."""

    row: int = Field(description="第几行，从 1 起")
    field: str = Field(description="字段")
    value: str | None = Field(description="值")
    rule: str = Field(description="不符合的规则")
    remedy: str = Field(description="如何更正")


class Imported(BaseModel):
    """导入的结果."""

    edition: EditionShown = Field(description="现行的一版")
    changed: bool = Field(description="内容是否有变化；没有则不另起一版")
    rows: int = Field(description="收到的行数")
    refused: int = Field(description="有误而未收的行数")
    faults: list[FaultShown] = Field(description="错误，最多 200 处")
    unread: list[str] = Field(description="没有对应字段的表头")


class Page(BaseModel):
    """清单的一页."""

    edition: EditionShown = Field(description="版次")
    rows: list[dict[str, object]] = Field(description="各行")
    total: int = Field(description="本人范围内的行数")


def routes(name: ListName, prefix: str) -> APIRouter:
    """Return the routes of a list."""
    title = spec_of(name).title
    router = APIRouter(prefix=prefix, tags=["lists"])
    _edits(router, name)

    @router.post("", summary=f"导入{title}", status_code=status.HTTP_201_CREATED)
    def take(body: Import, service: ServiceDep, caller: Writer) -> Imported:
        """Read rows under a department's headings as the list, or as more of it."""
        region = region_of(caller, body.region)
        found = _read(name, body, service.today())
        kept.refuse_beyond(found.kept, caller)
        with service.ledger.begin() as connection:
            last = _last(connection, name, region, body.base)
            listing = found.kept
            if body.mode == "merge" and last is not None:
                listing = kept.merged(content_of(connection, last.version), found.kept)
            made = _keep(connection, service, caller, listing, region, last, body.note)
        return Imported(
            edition=_shown(made),
            changed=last is None or made.number > last.number,
            rows=found.rows,
            refused=found.refused,
            faults=_faults(found.faults),
            unread=list(found.unread),
        )

    @router.get("", summary=title)
    def page(
        service: ServiceDep,
        caller: Reader,
        *,
        region: Region = "",
        number: Annotated[int | None, Query(ge=1, le=2**62, description="版次；默认现行")] = None,
        offset: Annotated[int, Query(ge=0, le=2**31, description="从第几行起，从 0 数")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000, description="最多行数")] = 100,
    ) -> Page:
        """Show rows of the list in force for a region, or of one of its editions."""
        with service.ledger.begin() as connection:
            found = edition_of(connection, name, region, number, caller)
            listing = content_of(connection, found.version)
        mine = kept.own(listing.frame, caller)
        shown = mine.slice(offset, limit)
        if name is ListName.MATTERS:
            shown = idle(Listing(name, shown), on=service.today())
        if name is ListName.TARGETS and kept.has_persons(shown):
            see = opened(service, caller, f"list:targets:{found.region}")
            shown = shown if see else kept.starred(shown)
        return Page(edition=_shown(found), rows=shown.to_dicts(), total=mine.height)

    @router.get("/editions", summary=f"{title}：历次版本")
    def every(service: ServiceDep, caller: Reader, *, region: Region = "") -> list[EditionShown]:
        """List the editions of a region's list, the newest first."""
        with service.ledger.begin() as connection:
            last = edition_of(connection, name, region, None, caller)
            return [_shown(one) for one in lists.editions(connection, name, last.region)]

    @router.get("/difference", summary=f"{title}：两版的差异")
    def compare(
        service: ServiceDep,
        caller: Reader,
        *,
        old: Annotated[int, Query(ge=1, le=2**62, description="旧版次")],
        new: Annotated[int, Query(ge=1, le=2**62, description="新版次")],
        region: Region = "",
    ) -> list[dict[str, object]]:
        """Show the rows that were added, removed or changed, field by field; at most 1,000."""
        with service.ledger.begin() as connection:
            before, after = (
                content_of(connection, edition_of(connection, name, region, one, caller).version)
                for one in (old, new)
            )
        mine = [Listing(name, kept.starred(kept.own(one.frame, caller))) for one in (before, after)]
        return difference(*mine).head(1000).to_dicts()

    return router


def _edits(router: APIRouter, name: ListName) -> None:
    """Add the routes that change a list row by row."""
    title, key = spec_of(name).title, spec_of(name).key[0]

    @router.patch("", summary=f"{title}：修改若干行")
    def change(body: Changes, service: ServiceDep, caller: Writer) -> EditionShown:
        """Change cells of rows by their key, such as leave or conflicts; all other cells stay.

        A key that is not there, or a cell with a fault, refuses them all.
        """
        region = region_of(caller, body.region)
        with service.ledger.begin() as connection:
            last = _last(connection, name, region, body.base)
            if last is None:
                raise _none(name, region)
            before = content_of(connection, last.version)
            told = {one.key: one.cells for one in body.rows}
            rows = kept.changed(before, told, caller)
            found = _read(name, Import(region=body.region, rows=rows), service.today())
            kept.refuse_beyond(found.kept, caller)
            listing = kept.merged(before, found.kept)
            made = _keep(connection, service, caller, listing, region, last, body.note)
        return _shown(made)

    @router.post("/removals", summary=f"{title}：删除若干行")
    def remove(body: Removals, service: ServiceDep, caller: Writer) -> EditionShown:
        """Take rows off the list by their key; a key that is not there refuses them all."""
        region = region_of(caller, body.region)
        with service.ledger.begin() as connection:
            last = _last(connection, name, region, body.base)
            if last is None:
                raise _none(name, region)
            removal = Removal(key, frozenset(body.keys))
            listing = kept.without(content_of(connection, last.version), removal, caller)
            made = _keep(connection, service, caller, listing, region, last, body.note)
        return _shown(made)


def _read(name: ListName, body: Import, today: date) -> Read:
    found = read(written(body.rows), name, on=today, mapping=body.mapping, first_row=1)
    if found.faults.height and not body.partial:
        raise Problem(
            422,
            "faulty-rows",
            f"{found.refused} of {found.rows} rows have faults, and nothing was kept; correct "
            "them, or send partial to keep the others",
            more={
                "faults": [one.model_dump() for one in _faults(found.faults)],
                "unread": list(found.unread),
            },
        )
    return found


def _last(connection: Connection, name: ListName, region: str, base: int | None) -> Edition | None:
    last = lists.current(connection, name, region)
    if base is not None and base != (last.number if last else 0):
        raise _overtaken(name, region, last.number if last else 0)
    return last


def _keep(
    connection: Connection,
    service: Service,
    caller: Caller,
    listing: Listing,
    region: str,
    last: Edition | None,
    note: str | None,
) -> Edition:
    """Keep a list as the next edition, unless it says what the last one does."""
    if last is not None and last.version == listing.version:
        return last
    after = last.number if last else 0
    if not lists.add(
        connection, listing, region, after=after, by=caller.id, at=service.clock(), note=note
    ):
        raise _overtaken(listing.name, region, after + 1)
    made = lists.current(connection, listing.name, region)
    assert made is not None  # noqa: S101 - added in this very transaction
    details = {"number": made.number, "version": made.version, "rows": made.rows}
    target = f"list:{made.name}:{region}"
    audited(connection, service, caller, "list.change", target, details=details)
    return made


def edition_of(
    connection: Connection, name: ListName, region: str, number: int | None, caller: Caller
) -> Edition:
    """Return the edition in force, or that number of it, where the caller may see the region."""
    prefix = region_of(caller, region) if caller.sees_region(region) else region
    found = lists.in_force(connection, name, prefix) if sees_above(caller, prefix) else None
    if found is None:
        raise _none(name, region)
    if number is None or number == found.number:
        return found
    all_ = lists.editions(connection, name, found.region, limit=100_000)
    for one in all_:
        if one.number == number:
            return one
    raise Problem(404, "no-such-edition", f"the list has no edition {number}; see /editions")


def content_of(connection: Connection, version: str) -> Listing:
    """Return the list of a version, which an edition names."""
    listing = lists.content(connection, version)
    assert listing is not None  # noqa: S101 - a foreign key holds it
    return listing


def _none(name: ListName, region: str) -> Problem:
    return Problem(
        404,
        "no-such-list",
        f"there is no {name} list for region '{region}'; import one first",
    )


def _overtaken(name: ListName, region: str, number: int) -> Problem:
    return Problem(
        409,
        "list-changed",
        f"the {name} list of region '{region}' is at edition {number} by now; look at it, then "
        "make your change again",
        more={"number": number},
    )


def _faults(faults: pl.DataFrame) -> list[FaultShown]:
    rows: Sequence[Mapping[str, object]] = faults.head(_SHOWN).to_dicts()
    return [FaultShown.model_validate(row) for row in rows]


def _shown(edition: Edition) -> EditionShown:
    return EditionShown.model_validate(edition, from_attributes=True)
