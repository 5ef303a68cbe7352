"""Titles of laws: as cited and in full, and the place whose own law it is."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from models.codes import regions

NATION: Final = "中华人民共和国"
ELSEWHERE: Final = "elsewhere"
"""A place that the table of regions does not list."""

_COMMON: Final = {
    "征管法": "税收征收管理法",
    "消法": "消费者权益保护法",
    "消保法": "消费者权益保护法",
    "食安法": "食品安全法",
    "反法": "反不正当竞争法",
    "价格违法规定": "价格违法行为行政处罚规定",
}
"""Names in use that no rule of shortening explains."""
_EDITION: Final = re.compile(r"\((?:[^()]*(?:年|修正|修订|试行|令|号|版)[^()]*)\)$")
_PLACE: Final = re.compile(
    r"[\u4e00-\u9fff]{2,4}?市(?![场容政民])|[\u4e00-\u9fff]{2,10}?(?:自治[区州县]|地区)"
)
_MOVED: Final = {ord(mark): None for mark in "《》 \u3000"}


@lru_cache(maxsize=16_384)
def plain_title(name: str) -> str:
    """Return a title without marks, blanks, and the year or number in brackets behind it."""
    text = unicodedata.normalize("NFKC", name).translate(_MOVED)
    return _EDITION.sub("", text).replace("(", "（").replace(")", "）")


@lru_cache(maxsize=16_384)
def resolve(name: str, titles: frozenset[str]) -> str | None:
    """Return the one of ``titles`` that a cited name means; null where none or several may be.

    Blanks, a year in brackets and 中华人民共和国 may be there or not. A shortened title
    (税收征管法) counts when exactly one title of the nation's can be shortened so: laws of places
    often differ in a character alone (旅游条例, 旅游管理条例).
    """
    plain = plain_title(name)
    for one in (plain, NATION + plain, plain.removeprefix(NATION)):
        if one in titles:
            return one
    short = plain.removeprefix(NATION)
    if short in _COMMON:
        return resolve(_COMMON[short], titles)
    if len(short) < 3:
        return None
    fits = [title for title in titles if shortened(short, title.removeprefix(NATION))]
    if short != plain:  # 中华人民共和国征收管理法: who writes the nation's name means its law
        fits += [title for title in titles if title.startswith(NATION) and title.endswith(short)]
    everywhere = [title for title in dict.fromkeys(fits) if place_of(title) is None]
    national = [title for title in everywhere if title.startswith(NATION)] or everywhere
    return national[0] if len(national) == 1 else None


def shortened(short: str, title: str) -> bool:
    """Tell whether a title can be shortened to ``short``: same ends, characters in order."""
    if short[0] != title[0] or short[-1] != title[-1] or len(short) >= len(title):
        return False
    rest = iter(title)
    return all(char in rest for char in short)


@lru_cache(maxsize=16_384)
def place_of(title: str) -> str | None:
    """Return the code of the place whose law it is by its title, null for the nation's.

    :data:`ELSEWHERE` for a city that the table of regions does not list.
    """
    plain = plain_title(title)
    if plain.startswith(NATION):
        return None
    for name, code in _names():
        if plain.startswith(name):
            return code
    return ELSEWHERE if _PLACE.match(plain) else None


@lru_cache(maxsize=1)
def _names() -> tuple[tuple[str, str], ...]:
    """Return the names of provinces and cities, the longest first, also without 省 and 市."""
    rows = regions.units().filter(regions.units()["level"].is_in(["province", "city"]))
    named = dict(zip(rows["name"].to_list(), rows["code"].to_list(), strict=True))
    short = {re.sub("[省市]$", "", name): code for name, code in named.items()}
    return tuple(sorted({**short, **named}.items(), key=lambda one: (-len(one[0]), one[0])))


def around(region: str) -> tuple[str, ...]:
    """Return the codes of a region and of those that contain it; empty for an unknown one."""
    out: list[str] = []
    code = regions.resolve(region)
    while code is not None and code not in out:
        out.append(code)
        code = regions.parent(code)
    return tuple(out)
