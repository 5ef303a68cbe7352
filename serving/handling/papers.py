"""Papers: what type a file is by its own bytes, and whether its name and what it claims agree.

Nothing is unpacked: of an archive only the names of its members are read.
"""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from models.errors import ConfigError

_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
TYPES: Final[Mapping[str, str]] = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "docx": f"{_OFFICE}.wordprocessingml.document",
    "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    "txt": "text/plain",
}
"""The media type of each type of paper there is."""
_EXTENSIONS: Final[Mapping[str, str]] = {**{name: name for name in TYPES}, "jpg": "jpeg"}
_BEGINNINGS: Final = (
    (b"%PDF-", "pdf"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
)
_KNOWN: Final = (
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
    (b"GIF8", "a GIF picture"),
    (b"\xd0\xcf\x11\xe0", "an old Office document (doc, xls)"),
    (b"Rar!", "a RAR archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"{\\rtf", "an RTF document"),
)
"""What is not taken, by its beginning, so that a refusal can say what was found."""
_MAIN: Final = {"word/document.xml": "docx", "xl/workbook.xml": "xlsx"}
_LONGEST: Final = 200
_MEMBERS: Final = 10_000
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Found:
    """What the bytes of a file are: a type of paper, or null with the words for what it is."""

    type: str | None
    told: str


def check_types(names: str) -> frozenset[str]:
    """Return the types of papers in a list with commas; ``ValueError`` for one there is not."""
    found = frozenset(name.strip() for name in names.split(",") if name.strip())
    if not found or found - TYPES.keys():
        message = f"must be of {', '.join(TYPES)}, with commas between"
        raise ValueError(message)
    return found


def check_name(name: str) -> str:
    """Return a file's name as it is kept (NFC); :class:`ConfigError` for one that leads elsewhere.

    A name has no folder in it, no control or formatting character, and does not begin or end with
    a dot or a blank.
    """
    told = unicodedata.normalize("NFC", name)
    odd = [one for one in told if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}]
    if not told or len(told.encode("utf-8", "replace")) > _LONGEST:
        raise ConfigError(f"a file's name has 1 to {_LONGEST} bytes; give it a shorter one")
    if odd or any(one in told for one in '/\\:*?"<>|') or told != told.strip(". "):
        raise ConfigError(
            f"{name[:80]!r} is no file's name: no folder, control character or any of "
            '\\ / : * ? " < > |, and no dot or blank at its ends; rename the file'
        )
    return told


def type_of_name(name: str) -> str | None:
    """Return the type that a name's extension says; ``None`` for none that there is."""
    return _EXTENSIONS.get(name.rpartition(".")[2].lower()) if "." in name else None


def type_of_media(media: str) -> str | None:
    """Return the type that a ``Content-Type`` says; ``None`` for none that there is."""
    plain = media.partition(";")[0].strip().lower()
    return next((name for name, told in TYPES.items() if told == plain), None)


def look(content: bytes) -> Found:
    """Return what bytes are, whatever they are called."""
    for beginning, name in _BEGINNINGS:
        if content.startswith(beginning):
            return Found(name, name)
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _archive(content)
    for beginning, told in _KNOWN:
        if content.startswith(beginning):
            return Found(None, told)
    return _text(content)


def check(content: bytes, *, name: str, media: str, allowed: Collection[str]) -> Found:
    """Return what a file is where it is what it claims to be, by its name and its media type.

    Returns a :class:`Found` whose type is null, with the reason, where it is not.
    """
    found, by_name, by_media = look(content), type_of_name(name), type_of_media(media)
    if found.type is None or found.type not in allowed:
        return Found(None, f"the content is {found.told}, which is not taken")
    if by_name != found.type:
        return Found(
            None, f"the name {name!r} says {by_name or 'nothing'}, the content is {found.type}"
        )
    if by_media != found.type:
        shown = media[:80] or "nothing"
        return Found(None, f"Content-Type says {shown!r}, the content is {found.type}")
    return found


def _archive(content: bytes) -> Found:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError):
        return Found(None, "a broken ZIP archive")
    if len(members) > _MEMBERS or len(set(members)) < len(members):
        return Found(None, "a ZIP archive of too many members, or of one twice")
    kinds = [kind for main, kind in _MAIN.items() if main in members]
    if "[Content_Types].xml" not in members or len(kinds) != 1:
        return Found(None, "a ZIP archive that is no docx or xlsx")
    if any(name.lower().endswith(("vbaproject.bin", ".exe", ".dll")) for name in members):
        return Found(None, f"a {kinds[0]} with macros or programs")
    return Found(kinds[0], kinds[0])


def _text(content: bytes) -> Found:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            told = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(told):
            return Found("txt", "txt")
        break
    return Found(None, "binary data of no known type")
