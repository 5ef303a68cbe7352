"""Attachments to warnings, repairs and objections: given out as they were put in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response, status
from pydantic import BaseModel, Field

from models.errors import LedgerError
from serving.api.asked import LAST
from serving.api.audited import audited
from serving.api.objections import visible as visible_objection
from serving.api.repairs import found_record
from serving.api.warnings import visible as visible_warning
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.handling import papers
from serving.ledger import attachments, repairs
from serving.ledger.attachments import Attachment, Owner
from serving.ledger.engine import Connection
from serving.problems import Problem, ProblemDetails
from serving.service import Service

_TITLES: Final[dict[Owner, str]] = {"warning": "预警", "repair": "修复案件", "objection": "异议"}
_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    409: {"model": ProblemDetails, "description": "附件已达上限"},
    413: {"model": ProblemDetails, "description": "附件过大"},
    415: {"model": ProblemDetails, "description": "不接收这种类型"},
    422: {"model": ProblemDetails, "description": "内容与名称或所称类型不符"},
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "文件内容；Content-Type 为其类型",
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}}
            for media in papers.TYPES.values()
        },
    }
}
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "文件，与上传时逐字节一致",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    404: {"model": ProblemDetails, "description": "没有这个附件"},
}


class AttachmentShown(BaseModel):
    """一个附件."""

    id: int = Field(description="编号", examples=[1])
    name: str = Field(description="文件名", examples=["现场检查笔录.pdf"])
    media_type: str = Field(description="类型，按内容核定", examples=["application/pdf"])
    size: int = Field(description="字节数")
    sha256: str = Field(description="内容的 SHA-256")
    by: str = Field(description="上传人")
    at: datetime = Field(description="上传时间")


async def _content(request: Request) -> bytes:
    """Return the body as it came: a paper is no JSON."""
    return await request.body()


Number = Annotated[int, Path(ge=1, le=LAST, description="编号")]
PaperNumber = Annotated[int, Path(ge=1, le=LAST, description="附件编号")]
Content = Annotated[bytes, Depends(_content)]
NameQuery = Annotated[
    str, Query(min_length=1, max_length=200, description="文件名", examples=["现场检查笔录.pdf"])
]
MediaHeader = Annotated[str, Header(alias="Content-Type", max_length=200, include_in_schema=False)]


def _routes(
    owner: Owner,
    prefix: str,
    check: Callable[[Service, Connection, int, Caller], object],
    *,
    read: tuple[Permission, ...],
    write: tuple[Permission, ...],
) -> APIRouter:
    """Return the routes of papers; ``check`` refuses who does not see what they are beside."""
    # Defaults, not annotations: those are read where names of this call are not known.
    reader, writer = Depends(allow(*read)), Depends(allow(*write))
    router, title = APIRouter(prefix=prefix, tags=["attachments"]), _TITLES[owner]

    @router.post(
        "/{number}/attachments",
        summary=f"上传{title}的附件",
        status_code=status.HTTP_201_CREATED,
        responses=_REFUSED,
        openapi_extra=_BODY,
        name=f"attach_to_{owner}",
    )
    def attach(
        number: Number,
        name: NameQuery,
        content: Content,
        service: ServiceDep,
        caller: Caller = writer,
        media: MediaHeader = "",
    ) -> AttachmentShown:
        """Keep a file beside it; the same file under the same name is kept once.

        Its type is told by its bytes: a file that is not what its name and Content-Type say, or is
        of a type that is not taken, is refused with what was found.
        """
        kept, told = _checked(service, content, name=name, media=media)
        with service.ledger.begin() as connection:
            check(service, connection, number, caller)
            _refuse_many(service, attachments.hold(connection, owner, number), owner, number)
            made = attachments.add(
                connection,
                owner,
                number,
                name=kept,
                media_type=papers.TYPES[told],
                content=content,
                by=caller.id,
                at=service.clock(),
            )
            _audited(connection, service, caller, f"{owner}.attach", made)
        return AttachmentShown.model_validate(made, from_attributes=True)

    @router.get("/{number}/attachments", summary=f"{title}的附件", name=f"attachments_of_{owner}")
    def every(
        number: Number, service: ServiceDep, caller: Caller = reader
    ) -> list[AttachmentShown]:
        """List what was put in, the oldest first."""
        with service.ledger.begin() as connection:
            check(service, connection, number, caller)
            found = attachments.listing(connection, owner, number)
        return [AttachmentShown.model_validate(one, from_attributes=True) for one in found]

    @router.get(
        "/{number}/attachments/{paper}",
        summary=f"下载{title}的附件",
        response_class=Response,
        responses=_FILE,
        name=f"attachment_of_{owner}",
    )
    def download(
        number: Number,
        paper: PaperNumber,
        service: ServiceDep,
        caller: Caller = reader,
    ) -> Response:
        """Give a file out as it was put in, audited; one that was altered since never."""
        with service.ledger.begin() as connection:
            check(service, connection, number, caller)
            found = attachments.get(connection, owner, number, paper)
            if found is None:
                raise Problem(404, "not-found", f"{owner} {number} has no attachment {paper}")
            content = _whole(connection, found)
            _audited(connection, service, caller, f"{owner}.attachment.read", found)
        return Response(content, media_type=found.media_type, headers=_headers(found))

    return router


def _checked(service: Service, content: bytes, *, name: str, media: str) -> tuple[str, str]:
    """Return name and type of a file; a problem where it is not taken."""
    settings = service.settings
    if len(content) > settings.attachment_limit:
        raise Problem(
            413,
            "too-large",
            f"the file has {len(content)} bytes, more than the {settings.attachment_limit} of one "
            "attachment; make it smaller or split it",
        )
    if not content:
        raise Problem(422, "empty", "the body is empty; send the file's bytes as the body")
    kept, allowed = papers.check_name(name), papers.check_types(settings.attachment_types)
    if papers.type_of_media(media) not in allowed or papers.type_of_name(kept) not in allowed:
        raise Problem(
            415,
            "type-not-taken",
            f"Content-Type {media[:80]!r} with the name {kept!r} is not taken; there are "
            f"{', '.join(sorted(allowed))}, each with its media type and extension",
            more={"found": papers.look(content).told, "allowed": sorted(allowed)},
        )
    found = papers.check(content, name=kept, media=media, allowed=allowed)
    if found.type is None:
        raise Problem(
            422,
            "false-type",
            f"{found.told}; send what the file is, under its own name and type",
            more={"found": papers.look(content).told, "allowed": sorted(allowed)},
        )
    return kept, found.type


def _refuse_many(service: Service, there: int, owner: Owner, number: int) -> None:
    most = service.settings.attachments_most
    if there >= most:
        raise Problem(
            409, "too-many", f"{owner} {number} has {there} attachments, the most of {most}"
        )


def _whole(connection: Connection, found: Attachment) -> bytes:
    try:
        return attachments.content(connection, found)
    except LedgerError as error:
        raise Problem(500, "attachment-altered", str(error)) from None


def _headers(found: Attachment) -> dict[str, str]:
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "ETag": f'"{found.sha256}"',
        "Cache-Control": "private, no-store",
    }


def _audited(
    connection: Connection, service: Service, caller: Caller, action: str, found: Attachment
) -> None:
    details = {"attachment": found.id, "sha256": found.sha256, "size": found.size}
    audited(connection, service, caller, action, f"{found.owner}:{found.owner_id}", details=details)


def _of_warning(service: Service, connection: Connection, number: int, caller: Caller) -> object:
    del service
    return visible_warning(connection, number, caller)


def _of_repair(service: Service, connection: Connection, number: int, caller: Caller) -> object:
    case = repairs.get(connection, number)
    if case is None or not caller.sees_region(case.region):
        raise Problem(404, "not-found", f"there is no repair case {number}")
    return found_record(
        service, connection, caller, case.table_name, case.subject_id, case.record_id
    )


def _of_objection(service: Service, connection: Connection, number: int, caller: Caller) -> object:
    found = visible_objection(connection, number, caller)
    return found_record(
        service, connection, caller, found.table_name, found.subject_id, found.record_id
    )


_RECORDS: Final = (Permission.RECORDS_READ, Permission.REPAIRS_WRITE)
of_warnings: Final = _routes(
    "warning",
    "/v1/warnings",
    _of_warning,
    read=(Permission.WARNINGS_READ,),
    write=(Permission.WARNINGS_HANDLE,),
)
of_repairs: Final = _routes(
    "repair",
    "/v1/repairs",
    _of_repair,
    read=_RECORDS,
    write=(Permission.REPAIRS_WRITE,),
)
of_objections: Final = _routes(
    "objection",
    "/v1/objections",
    _of_objection,
    read=_RECORDS,
    write=(Permission.REPAIRS_WRITE,),
)
