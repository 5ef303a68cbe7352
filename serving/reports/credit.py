"""A credit report as PDF.

The same report gives the same bytes: no clock and no font of the machine goes into it. Text is data
to the template, so nothing that a record says can change the page.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from models import fonts
from models.supervision.report import Report, Section
from models.time import SHANGHAI
from serving.reports.qr import qr

_TEMPLATE: Final = Path(__file__).with_name("credit.typ")
_REGISTER: Final = "subject"
NOTES: Final = (
    "本报告只列示截至查询日仍可公示、共享和使用的信用信息；已修复、期满或被撤销的信息不再列示。",
    "对内容有异议的，可向出具单位提出异议申请；异议信息在处理期间予以标注。",
    "任何人可凭验证码核验本报告的真伪和出具时间。",
)


def pdf(report: Report, *, code: str, issued_at: datetime, verify_at: str | None = None) -> bytes:
    """Return the report as a PDF document.

    A character that the shipped font lacks (it holds GB 2312) is written as its code point, such
    as ``〔U+9FA5〕``, and never dropped.

    Args:
        report: What is shown.
        code: The verification code that goes on every page.
        issued_at: When it was issued, with its zone; shown in UTC+8.
        verify_at: The address at which the code is checked; it becomes a QR code where given.
    """
    import typst

    data = {
        "title": report.title,
        "code": code,
        "facts": _facts(report, code, issued_at),
        "sections": [_section(one) for one in report.sections],
        "notes": NOTES,
        "qr": qr(verify_at),
    }
    return typst.compile(
        _TEMPLATE,
        font_paths=[fonts.FONT.parent],
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
        timestamp=int(issued_at.astimezone(UTC).timestamp()),
        format="pdf",
    )


def printable(text: str) -> str:
    """Return the text with every character that the shipped font lacks as its code point."""
    return "".join(one if _held(one) else f"〔U+{ord(one):04X}〕" for one in text)


def _held(character: str) -> bool:
    if character.isascii():
        return character.isprintable() or character == "\n"
    try:
        return len(character.encode("gb2312")) == 2
    except UnicodeEncodeError:
        return 0xA0 < ord(character) < 0x100 or character in "—–‘’“”…·"


def _facts(report: Report, code: str, issued_at: datetime) -> list[tuple[str, str]]:
    period = f"{report.since or '最早记录'} 至 {report.until}"
    shown = [
        ("主体名称", report.name or "未登记"),
        ("统一社会信用代码", report.subject_id),
        ("查询日", str(report.as_of)),
        ("查询期间", period),
        *_limits(report),
        ("记录条数", f"{report.records} 条"),
        ("出具时间", f"{issued_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"),
        ("验证码", code),
        ("内容摘要（SHA-256）", report.digest),
    ]
    return [(title, printable(value)) for title, value in shown]


def _limits(report: Report) -> list[tuple[str, str]]:
    """Return what the report does not cover, so that nobody takes it for more than it is."""
    limits: list[tuple[str, str]] = []
    if report.data_from is not None:
        limits.append(("数据起始日", f"{report.data_from}，此前的情况本报告不作说明"))
    if report.authorities:
        limits.append(("机关范围", f"只列示下列机关的信息：{'、'.join(report.authorities)}"))
    if report.unsorted:
        limits.append(("未归类信息", f"另有 {report.unsorted} 条信息的领域无从判断，未列示"))
    return limits


def _section(section: Section) -> dict[str, object]:
    rows = [
        [
            (printable(title), printable(value))
            for title, value in zip(section.columns, row, strict=True)
            if value
        ]
        for row in section.rows
    ]
    return {"title": printable(section.title), "rows": rows, "disputed": section.disputed}
