"""What a decision names: kinds of penalty, amounts, dates, document numbers, with their offsets.

Traditional characters are read as simplified ones.
Amounts are in yuan, from Arabic and Chinese numerals, 万 and 亿, 角 and 分. Whether an amount
agrees with a field beside the text is rule V08 (:func:`models.records.amounts.fine_agrees`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, TypeAlias

from models.codes.penalty_kinds import OTHER, kinds
from models.records.amounts import parse_amount
from models.text.simplified import simplified

LONGEST: Final = 20_000
"""Characters of a text that are searched."""

Role: TypeAlias = Literal["fine", "confiscated", "limit", "rate", "other"]
"""``limit``: 处一万元以下罚款; ``rate``: 每人罚款五百元; both are no amount of this decision."""

_DIGIT: Final = "零〇一二三四五六七八九壹贰叁肆伍陆柒捌玖两貳參陸"
_NUMBER: Final = (
    rf"(?:[0-9][0-9,，]{{0,20}}(?:\.[0-9]{{1,6}})?|[{_DIGIT}十拾百佰千仟万萬亿億]{{1,24}})"
)
_YUAN: Final = re.compile(
    rf"(?P<number>{_NUMBER})\s{{0,2}}(?P<scale>[万亿])?(?P<rest>[0-9]千)?余?"
    rf"(?:\s?[（(]{_NUMBER}[）)])?\s{{0,2}}[元圆][整正]?"
    rf"(?:(?P<jiao>[0-9{_DIGIT}])角)?(?:(?P<fen>[0-9{_DIGIT}])分)?"
)
_BARE: Final = re.compile(
    r"罚款(?:金?额)?(?:人民币|共计|合计|为|[:：（(¥￥]){0,3}\s{0,3}"
    r"(?P<number>[0-9][0-9,]{0,20}(?:\.[0-9]{1,6})?)(?P<scale>[万亿])?"
    r"(?=\s{0,3}(?:$|[。；;，）)\n整]|,(?![0-9])))"
    rf"|处以?(?:人民币)?(?P<round>(?:[0-9.]{{1,8}}|[{_DIGIT}十拾百佰千仟]{{1,8}})[万千])的?(?=罚款)"
)
"""A fine written without 元: 罚款：5000。, 罚款人民币100整, 处以十万罚款."""
_ROLES: Final = re.compile(
    r"(?P<confiscated>没收|违法所得|非法所得)|(?P<fine>罚款|罚金|罚没|处以|并处|处罚|(?<!查)处(?=[人民币\s]{0,4}$))"
)
_AFTER: Final = re.compile(r"(?:人民币|的|整|[）)]|\s){0,4}(?:行政)?罚[款金]")
_LIMIT_AFTER: Final = re.compile(r"\s{0,2}(?:的?(?:以上|以下|以内|及以)|至|到|[-—~～])")
_LIMIT_BEFORE: Final = re.compile(
    r"(?:以上|至|到|不超过|不高于|最高|[0-9元][-—~～])(?:人民币)?\s{0,2}$"
)
_RATE: Final = re.compile(r"(?:每|单价)[^，。；;]{0,10}$")
_TOTAL: Final = re.compile(r"(?:共计|合计|总计|累计|总额|共)[^，。；;]{0,8}$")
_NEAR: Final = 30
"""Characters between a rate and the sum that it comes to."""
_CLAUSE: Final = re.compile(r"[^，。；;！？\n]{1,400}")
_SENTENCE: Final = re.compile(r"[^。；;！？\n]+")
_LAWS_WORDING: Final = re.compile(
    r"以上|以下|以内|可以|可并处|不予|免予|免于|标志|标识|标牌|警告[牌语灯]"
)
"""Clauses that quote what a law allows, or speak of something else."""
_CONDITION: Final = re.compile(r"情节[^，]{0,6}的|拒不|逾期[不未]|构成犯罪")
"""From here to the end of the sentence a law says what it would do."""
_DATE: Final = re.compile(
    r"(?P<year>(?:19|20)[0-9]{2})\s{0,2}(?:年|[-./])\s{0,2}(?P<month>[01]?[0-9])\s{0,2}"
    r"(?:月|[-./])\s{0,2}(?P<day>[0-3]?[0-9])(?![0-9])(?:\s{0,2}日)?"
    r"|(?P<years>[一二][零〇○九一二三四五六七八]{3})年(?P<months>[一二三四五六七八九十]{1,2})月"
    r"(?P<days>[一二三四五六七八九十]{1,3})日"
)
_DOCUMENT: Final = re.compile(
    r"(?P<organ>[\u4e00-\u9fff（）()]{2,24})\s?[〔\[【（(]\s?(?P<year>(?:19|20)[0-9]{2})\s?[〕\]】）)]\s?"
    r"(?P<series>[\u4e00-\u9fff]{0,6}?)\s?第?\s?(?P<number>[0-9]{1,8}(?:-[0-9]{1,5})?)\s?号"
)
_ORGAN_LEAD: Final = re.compile(
    r"^.*(?:根据|依据|按照|作出|出具|下达|送达|发出|收到|编号|文号|以及|了|的|和|与|为|见|之)"
)
_BRACKETS: Final = str.maketrans("()", "（）")


@dataclass(frozen=True, slots=True)
class Penalty:
    """A kind of penalty that a text imposes; ``kind`` is an id of the penalty kinds."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount in yuan and what it is; the offsets hold its words."""

    yuan: float
    role: Role
    total: bool
    """Whether the text says that it is the sum of others."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Day:
    """A date in a text."""

    on: date
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """A document number, in the form 京海税罚〔2021〕234号."""

    number: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Entities:
    """All that was found in a text, each kind in order."""

    penalties: tuple[Penalty, ...]
    amounts: tuple[Amount, ...]
    dates: tuple[Day, ...]
    documents: tuple[Document, ...]


def find_entities(text: str | None) -> Entities:
    """Return what a text names; only its first :data:`LONGEST` characters are searched."""
    read = simplified((text or "")[:LONGEST])
    return Entities(
        tuple(_penalties(read)),
        tuple(_amounts(read)),
        tuple(_dates(read)),
        tuple(_documents(read)),
    )


def fine_in(text: str | None) -> float | None:
    """Return the fine that a decision imposes as a whole, in yuan; null where it names none.

    A text that is nothing but an amount names it. A sum that the text states goes before its
    parts; equal amounts are one said twice; different ones are added up.
    """
    read = simplified((text or "")[:LONGEST])
    found = list(_amounts(read))
    if len(found) == 1 and re.fullmatch(
        r"(?:人民币|[\s。])*", read.replace(_words(read, found[0]), "")
    ):
        return found[0].yuan
    fines = [one for one in found if one.role == "fine"]
    if not fines:
        return None
    totals = [one.yuan for one in fines if one.total]
    return totals[-1] if totals else round(sum(dict.fromkeys(one.yuan for one in fines)), 2)


def _words(text: str, amount: Amount) -> str:
    return text[amount.start : amount.end]


def _penalties(text: str) -> Iterator[Penalty]:
    table = [(kind, re.compile(entry.find)) for kind, entry in kinds().items() if kind != OTHER]
    for start, clause in _decided(text):
        found = [
            Penalty(kind, start + one.start(), start + one.end())
            for kind, pattern in table
            for one in pattern.finditer(clause)
        ]
        yield from sorted(found, key=lambda one: (one.start, one.kind))


def _decided(text: str) -> Iterator[tuple[int, str]]:
    """Give the clauses that may impose something, each with its offset."""
    for sentence in _SENTENCE.finditer(text):
        if_so = _CONDITION.search(sentence[0])
        end = sentence.end() if if_so is None else sentence.start() + if_so.start()
        for clause in _CLAUSE.finditer(text, sentence.start(), end):
            if not _LAWS_WORDING.search(clause[0]):
                yield clause.start(), clause[0]


def _amounts(text: str) -> Iterator[Amount]:
    found = [*_YUAN.finditer(text), *_BARE.finditer(text)]
    rated = -_NEAR
    for match in sorted(found, key=lambda one: one.end()):
        yuan = _yuan(match)
        if yuan is None:
            continue
        start, end = match.start(_written(match)), match.end()
        before = re.split(r"[。；;\n]", text[max(0, start - 40) : start])[-1]
        role = "fine" if match.re is _BARE else _role(before, text[end : end + 12])
        total = bool(_TOTAL.search(before))
        if role == "other" and total and start - rated < _NEAR:
            role = "fine"  # 每平方米200元的罚款。合计78000元
        rated = end if role == "rate" else rated
        yield Amount(yuan, role, total and role == "fine", start, end)


def _written(match: re.Match[str]) -> str:
    """Return the name of the group that holds the number."""
    return "number" if match["number"] else "round"


def _role(before: str, after: str) -> Role:
    """Tell what an amount is by the words around it."""
    if _LIMIT_AFTER.match(after) or _LIMIT_BEFORE.search(before):
        return "limit"
    if _RATE.search(before) or after.startswith("的标准"):
        return "rate"
    if _AFTER.match(after):
        return "fine"
    last: Role = "other"
    for found in _ROLES.finditer(before):
        last = "fine" if found.lastgroup == "fine" else "confiscated"
    return last


def _yuan(match: re.Match[str]) -> float | None:
    """Return the yuan of a match; 角 and 分, and 3万5千, are added to what stands before."""
    parts = match.groupdict()
    base = parse_amount(match[_written(match)] + (parts.get("scale") or ""))
    if base is None:
        return None
    if thousand := parts.get("rest"):
        base += 1000 * int(thousand[0])
    for name, unit in (("jiao", 0.1), ("fen", 0.01)):
        if small := parts.get(name):
            base += unit * (parse_amount(small) or 0)
    return round(base, 2)


def _dates(text: str) -> Iterator[Day]:
    for match in _DATE.finditer(text):
        day = _day(match)
        if day is not None:
            yield Day(day, match.start(), match.end())


def _day(match: re.Match[str]) -> date | None:
    if match["year"]:
        numbers = [int(match[name]) for name in ("year", "month", "day")]
    else:
        places = {char: place for place, char in enumerate("零一二三四五六七八九")} | {
            "〇": 0,
            "○": 0,
        }
        year = int("".join(str(places[char]) for char in match["years"]))
        numbers = [year, *(int(parse_amount(match[name]) or 0) for name in ("months", "days"))]
    try:
        return date(*numbers)
    except ValueError:
        return None


def _documents(text: str) -> Iterator[Document]:
    for match in _DOCUMENT.finditer(text):
        organ = _balanced(_ORGAN_LEAD.sub("", match["organ"]).translate(_BRACKETS))
        start = match.end("organ") - len(organ)
        if len(organ) < 2:
            continue
        number = f"{organ}〔{match['year']}〕{match['series']}{match['number']}号"
        yield Document(number, start, match.end())


def _balanced(organ: str) -> str:
    """Drop what stands before a bracket that is closed but was never opened, and the reverse."""
    depth = 0
    for place in range(len(organ) - 1, -1, -1):
        depth += {"）": 1, "（": -1}.get(organ[place], 0)
        if depth < 0:
            return organ[place + 1 :]
    return organ if depth == 0 else organ.rpartition("）")[2]
