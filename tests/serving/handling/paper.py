"""Papers as officers put them in: the least of each type."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Final


def office(*members: str) -> bytes:
    """Return an archive as Office writes one, with these members beside its table of types."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("[Content_Types].xml", *members):
            archive.writestr(name, "<x/>")
    return file.getvalue()


PAPERS: Final[Mapping[str, bytes]] = {
    "pdf": b"%PDF-1.7\n%%EOF\n",
    "png": b"\x89PNG\r\n\x1a\n" + b"\x00" * 8,
    "jpeg": b"\xff\xd8\xff\xe0" + b"\x00" * 8,
    "docx": office("word/document.xml"),
    "xlsx": office("xl/workbook.xml"),
    "txt": "现场检查笔录\r\n第一页".encode("gb18030"),
}
