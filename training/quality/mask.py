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

_HALF_WIDTH: Final = str.maketrans("Ｘｘ＠－", "Xx@-")
_LONG_NUMBER: Final = re.compile(r"(?<![0-9A-Za-z])[0-9](?: ?[0-9Xx]){13,19}(?![0-9A-Za-z])")
_MOBILE: Final = re.compile(
    r"(?<![0-9])(?:\+?86[- ]?)?1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4}(?![0-9])"
)
_MAIL: Final = re.compile(r"[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_ROLES: Final = "法定代表人|法人代表|负责人|经营者|当事人|联系人|投诉人|举报人|申请人|业主|姓名"
_NAMED: Final = re.compile(
    rf"({_ROLES})(\s*[:：为是]\s*|\s*)([\u4e00-\u9fff])[\u4e00-\u9fff·]{{1,3}}"
)


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
    for person in sorted(persons, key=len, reverse=True):
        if len(person) > 1:
            value = value.replace(person, mask_name(person))
    value = _without_numbers(_NAMED.sub(rf"\1\2\3{HIDDEN * 2}", value))
    return value if len(value) <= LONGEST else f"{value[:LONGEST]}…（共 {len(value)} 字）"


def _without_numbers(text: str) -> str:
    """Hide personal numbers and addresses, in whatever width their digits are written."""
    plain = "".join(str(decimal(symbol, symbol)) for symbol in text).translate(_HALF_WIDTH)
    value = _MAIL.sub(f"{HIDDEN * 3}@{HIDDEN * 3}", plain)
    value = _MOBILE.sub(lambda found: citizen.mask(found[0]) or "", value)
    value = _LONG_NUMBER.sub(_masked_number, mask_text(value) or "")
    return text if value == plain else value


def is_person_name(name: str) -> bool:
    """Say whether ``name`` may be a natural person's: two to four symbols, or written with ``·``.

    An organisation's registered name is longer; where this is wrong, too much is hidden.
    """
    return len(name) <= 4 or "·" in name


def _masked_number(found: re.Match[str]) -> str:
    """Hide a long number unless it is a valid code of an organisation."""
    number = found[0].upper()
    return found[0] if uscc.is_valid(number) else citizen.mask(found[0]) or ""
