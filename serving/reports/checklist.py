"""A team's check-list as PDF: its tasks, matters with their legal basis, boxes and signatures.

The same sheet gives the same bytes, as of a credit report: no clock and no font of the machine goes
into it, and text is data to the template.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from models import fonts
from models.codes import uscc
from models.inspection.result_codes import codes
from models.inspection.results import PUBLISH_DAYS
from models.time import SHANGHAI
from serving.reports.credit import printable
from serving.reports.qr import qr
from serving.reports.sheets import SheetMatter, TeamSheet, Visit

TITLE: Final = "“双随机、一公开”检查表"
_TEMPLATE: Final = Path(__file__).with_name("checklist.typ")
NOTES: Final = (
    "检查应由两名以上持有有效执法证件的执法人员实施，并主动出示执法证件。",
    "被检查单位认为检查人员与其有利害关系的，可以申请回避。",
    f"检查结果自检查结束之日起{PUBLISH_DAYS}个工作日内公示。",
)
SCAN: Final = "扫描二维码可核验本次抽取的对象、人员和算法。"
"""The note beside a QR code."""


def pdf(sheet: TeamSheet, *, issued_at: datetime, verify_at: str | None = None) -> bytes:
    """Return the check-list of a team as a PDF document.

    A character that the shipped font lacks is written as its code point, as in a credit report.

    Args:
        sheet: The team's tasks.
        issued_at: When it was issued, with its zone; shown in UTC+8.
        verify_at: The address of the page on which the draw is verified; a QR code where given.
    """
    import typst

    return typst.compile(
        _TEMPLATE,
        font_paths=[fonts.FONT.parent],
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(page(sheet, issued_at, verify_at), ensure_ascii=False)},
        timestamp=int(issued_at.astimezone(UTC).timestamp()),
        format="pdf",
    )


def page(sheet: TeamSheet, issued_at: datetime, verify_at: str | None) -> dict[str, object]:
    """Return what the template shows, every text printable."""
    return {
        "title": TITLE,
        "number": f"{printable(sheet.draw_id)} {sheet.title}",
        "facts": [
            ("抽查任务", printable(sheet.draw_id)),
            ("检查机关", printable(sheet.authority)),
            ("组别", f"{sheet.title}，{len(sheet.visits)} 项任务"),
            ("制表时间", f"{issued_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"),
        ],
        "members": [
            [printable(text) for text in (one.name or one.inspector_id, one.certificate, one.unit)]
            for one in sheet.members
        ],
        "visits": [_visit(one) for one in sheet.visits],
        "codes": [(code, entry.label) for code, entry in codes().items()],
        "notes": NOTES if verify_at is None else (*NOTES, SCAN),
        "qr": qr(verify_at),
    }


def _visit(visit: Visit) -> dict[str, object]:
    facts = [
        ("检查对象", visit.name or "未登记"),
        ("统一社会信用代码", visit.subject_id if uscc.is_valid(visit.subject_id) else "（自然人）"),
        ("地址", visit.address or "未登记"),
        ("检查期间", f"{visit.starts} 至 {visit.ends}"),
    ]
    return {
        "task": printable(visit.task_id),
        "facts": [(title, printable(text)) for title, text in facts],
        "matters": [_matter(one) for one in visit.matters],
    }


def _matter(matter: SheetMatter) -> dict[str, object]:
    return {
        "code": printable(matter.matter_id),
        "title": printable(matter.title),
        "kind": f"{matter.kind}事项，{matter.method}",
        "basis": [printable(one) for one in matter.legal_basis],
    }
