"""Masking of personal data in the sample rows that a report shows to people.

What is shown is chosen by name: a value is shown only under a heading that is known to hold no
personal data. Text that is shown is searched for numbers and names all the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final
from unicodedata import decimal

from models.codes import citizen, uscc
from models.codes.masking import mask_text

HIDDEN: Final = "＊"
LONGEST: Final = 40
"""Symbols of a value that are shown; the rest is only counted."""

SEARCHED: Final = 2_000
"""Symbols of a value that are searched: a hostile cell of megabytes must not hold up a report."""

_TAIL: Final = 64
"""Symbols before a cut that are not shown, as a number cut in two would not be found."""
_HALF_WIDTH: Final = {
    full: full - 0xFEE0
    for first, last in ("AZ", "az", "@@", "--", "..")
    for full in range(ord(first) + 0xFEE0, ord(last) + 0xFEE0 + 1)
}
_GAP: Final = r"[-. ·•‐‑‒–—―]?"
_LONG_NUMBER: Final = re.compile(rf"(?<![0-9A-Za-z])[0-9](?:{_GAP}[0-9Xx]){{13,19}}(?![0-9A-Za-z])")
_DAY: Final = r"(?:19|20)[0-9]{2}[-.][0-9]{1,2}[-.][0-9]{1,2}"
_TWO_DAYS: Final = re.compile(rf"{_DAY}{_GAP}{_DAY}")
_MOBILE: Final = re.compile(
    rf"(?<![0-9])(?:\+?86{_GAP})?1[3-9][0-9]{_GAP}"
    rf"(?:[0-9]{{4}}{_GAP}[0-9]{{4}}|[0-9]{{3}}{_GAP}[0-9]{{5}})(?![0-9])"
)
_LANDLINE: Final = re.compile(rf"(?<![0-9])0[1-9][0-9]{{1,2}}[)）]?{_GAP}[0-9]{{7,8}}(?![0-9])")
_MAIL: Final = re.compile(r"[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_PLATE: Final = re.compile(
    r"([京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Za-z])"
    rf"{_GAP}(?:[0-9A-Za-z]{{5,6}}|[0-9A-Za-z]{{4}}[挂学警港澳])(?![0-9A-Za-z])"
)
_ROLES: Final = (
    "法定代表人|法人代表|负责人|经营者|当事人|联系人|投诉人|举报人|申请人|业主|姓名|店主|公民|被处罚人|"
    "被申请人|驾驶员|驾驶人|司机|违法行为人|行为人|证人|代理人|签收人|收件人|监护人|股东"
)
_HAN: Final = r"[\u4e00-\u9fff]"
_NAME: Final = rf"({_HAN}){_HAN}{{1,3}}(?:{_HAN}{{0,8}}(?:[·•]{_HAN}{{1,12}})+)?"
_NAMED: Final = re.compile(rf"({_ROLES})(\s*[:：为是（(【\[—–-]*\s*){_NAME}")
_SEXED: Final = re.compile(rf"{_NAME}(?=\s?[（(，,、]\s?[男女][）)，,、。；;])")


def mask_name(name: str) -> str:
    """Return the first symbol of a person's name, the rest hidden: ``张＊＊``."""
    return name[:1] + HIDDEN * (len(name) - 1) if len(name) > 1 else HIDDEN * len(name)


def mask_personal(value: str) -> str:
    """Return the shape of a personal value: a short one like a name, a long one as its length."""
    if len(value) <= 12 and not any(symbol.isascii() for symbol in value):
        return mask_name(value)
    return f"{HIDDEN * 3}（{len(value)} 字，已脱敏）"


def mask_value(value: str, *, persons: Collection[str] = ()) -> str:
    """Return a value fit to be shown: numbers and names of persons hidden, long text cut.

    ``persons`` are names that the same row holds elsewhere; they are hidden wherever they occur.
    """
    masked = _masked(value[:SEARCHED], persons)
    if len(value) > SEARCHED:
        masked = masked[:-_TAIL]
    elif len(masked) <= LONGEST:
        return masked
    return f"{masked[:LONGEST]}…（共 {len(value)} 字）"


def mask_file(name: str, *, persons: Collection[str] = ()) -> str:
    """Return a file's name fit to be shown, whole: a reader must find the file by it."""
    return _masked(name[-SEARCHED:], persons)


def _masked(text: str, persons: Collection[str]) -> str:
    for person in sorted(persons, key=len, reverse=True):
        if len(person) > 1:
            text = text.replace(person, mask_name(person))
    named = _NAMED.sub(rf"\1\2\3{HIDDEN * 2}", text)
    return _without_numbers(_SEXED.sub(rf"\1{HIDDEN * 2}", named))


def _without_numbers(text: str) -> str:
    """Hide personal numbers, plates and addresses, in whatever width they are written."""
    plain = "".join(str(decimal(symbol, symbol)) for symbol in text).translate(_HALF_WIDTH)
    value = _MAIL.sub(f"{HIDDEN * 3}@{HIDDEN * 3}", plain)
    for phone in (_MOBILE, _LANDLINE):
        value = phone.sub(lambda found: citizen.mask(found[0]) or "", value)
    value = _PLATE.sub(rf"\1{HIDDEN * 5}", value)
    value = _LONG_NUMBER.sub(_masked_number, mask_text(value) or "")
    return text if value == plain else value


def is_person_name(name: str) -> bool:
    """Say whether ``name`` may be a natural person's: two to four symbols, or written with ``·``.

    An organisation's registered name is longer; where this is wrong, too much is hidden.
    """
    return len(name) <= 4 or "·" in name


def _masked_number(found: re.Match[str]) -> str:
    """Hide a long number unless it is a valid code of an organisation, or two days."""
    number = found[0].upper()
    plain = uscc.is_valid(number) or _TWO_DAYS.fullmatch(number)
    return found[0] if plain else citizen.mask(found[0]) or ""
