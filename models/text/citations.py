"""Citations of law in running text: 《中华人民共和国食品安全法》第一百二十四条第一款第（五）项.

Found are laws in title marks with or without articles, bare titles that an article follows at
once (食品安全法第三十四条, 征管法60条), lists and ranges of articles, paragraphs and items, 本法
for the law named last, 及其实施细则 for that law's own rules, and short names that the text
itself gives (以下简称《条例》). 前款 and 前条 are no citations, nor is a law's amendment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from models.records.amounts import parse_amount
from models.text.simplified import simplified

LONGEST: Final = 20_000
"""Characters of a text that are searched."""

MOST: Final = 60
"""Articles of the longest range that is written out."""

_KINDS: Final = "法典|法|条例|办法|规定|细则|规则|准则|标准|决定|通知|解释|意见"
_NUMERAL: Final = r"(?:[0-9０-９]{1,4}|[一二三四五六七八九十百千零〇两]{1,9})"
_JOIN: Final = r"\s{0,3}[、，,和及与至到—－~～-]\s{0,3}"
_SOME: Final = rf"{_NUMERAL}(?:{_JOIN}(?:第\s{{0,3}})?{_NUMERAL}){{0,9}}"
_BRACED: Final = rf"[（(]?\s{{0,3}}{_NUMERAL}\s{{0,3}}[）)]?"
_HEADING: Final = r"(?:\s|[：:]|对单位|对个人|违反|处罚|条款|依据){0,8}"
"""What tables put between a title and its articles: 条例 违反条款：第二十六条."""
# Blanks are bounded everywhere: a run of them would take quadratic time.
_TOKEN: Final = re.compile(
    r"(?P<title>《(?:[^《》]|《[^《》]{1,60}》){2,80}》)"
    rf"|(?P<bare>[\u4e00-\u9fff]{{1,30}}(?:{_KINDS})"
    rf"(?=[》）)]?\s{{0,3}}(?:[（(][^（）()]{{0,40}}[）)])?{_HEADING}第\s{{0,3}}{_NUMERAL}\s{{0,3}}[条條、至]"
    r"|[0-9]{1,3}[条條]))"
    rf"|(?P<article>(?:第|(?<=[条條][、，和及与至])|(?<=[法例定则])(?=[0-9])|(?<=》)|(?<=号[）)]))"
    rf"\s{{0,3}}{_SOME}\s{{0,3}}[条條](?:\s{{0,3}}之\s{{0,3}}{_NUMERAL})?"
    rf"|第{_NUMERAL}(?=第{_NUMERAL}款))"
    rf"|(?P<paragraph>第\s{{0,3}}(?:{_SOME}|{_BRACED})\s{{0,3}}款)"
    rf"|(?P<item>(?:第\s{{0,3}})?{_BRACED}(?:{_JOIN}(?:第\s{{0,3}})?{_BRACED}){{0,9}}\s{{0,3}}[项項])"
)
_RANGE: Final = re.compile(r"\s*(?:至|到|—|－|-|~|～)\s*")
_ALIAS: Final = re.compile(
    r"[（(]\s*以?下(?:简|统)?称[：:]?\s*[《“\"‘']{0,2}([^《》”\"’'（）()]{1,30})"
)
_SAME: Final = re.compile(rf"^(?:本|该|同|上述|前述)(?:{_KINDS})$")
_ITS_OWN: Final = re.compile(r"^其?(实施(?:细则|条例|办法|规定))$")
_LEAD: Final = re.compile(
    r"^.*?(?:根据|依据|依照|按照|违反|违犯|参照|适用|触犯|以及|(?<!共)和|及|与|了|的|为|系|按)"
    r"(?=[\u4e00-\u9fff]{2})"
)
_AMENDING: Final = re.compile(r"关于(?:修改|废止|修订)(?:[〈<《]([^〉>》]*)[〉>》])?.*的决定$")
_LAW: Final = re.compile(rf"(?:{_KINDS})(?:[（(〔].*)?$")
_GAP: Final = re.compile(r"[\s、，,：:“\"和及与或]{0,9}")
_QUOTED: Final = re.compile(
    r"(?:规定)?[\s：:，,]{0,3}[“\"「][^“”\"「」]{1,600}[”\"」][\s、，,和及与或]{0,4}"
)
"""The article's own words, after which its item is named: 第六十条“…”第二项."""
_NEAR: Final = 30
"""Characters between a title and the article that belongs to the same words."""
_PLAIN_DIGITS: Final = str.maketrans("０１２３４５６７８９", "0123456789")


@dataclass(frozen=True, slots=True)
class Citation:
    """One cited provision.

    ``law`` is the title as written, without marks, in simplified characters; null where an article
    stands without a law. ``article``, ``branch`` (第…条之一), ``paragraph`` (款) and ``item`` (项)
    are numbers, null where not named. ``start`` and ``end`` are character offsets of the words.
    """

    law: str | None
    article: int | None
    branch: int | None
    paragraph: int | None
    item: int | None
    start: int
    end: int


def find_citations(text: str | None) -> tuple[Citation, ...]:
    """Return the provisions that a text cites, in order; the same one as often as it stands there.

    A text longer than :data:`LONGEST` is searched up to there.
    """
    return () if not text else tuple(_Reader(simplified(text[:LONGEST])).read())


def article_number(text: str) -> tuple[int, int | None] | None:
    """Return the number of 第四十二条之一 and its branch; null for what is no article's number."""
    found = re.fullmatch(rf"\s*第\s*({_NUMERAL})\s*[条條](?:\s*之\s*({_NUMERAL}))?\s*", text)
    if found is None or (number := _number(found[1])) is None:
        return None
    return number, None if found[2] is None else _number(found[2])


@dataclass(slots=True)
class _Reader:
    """Goes through a text once; ``pending`` is what the next words may still make narrower."""

    text: str
    law: str | None = None
    pending: Citation | None = None
    aliases: dict[str, str] = field(default_factory=dict[str, str])
    told: int = 0

    def read(self) -> Iterator[Citation]:
        for token in _TOKEN.finditer(self.text):
            if token.start() < self.told:
                continue
            match token.lastgroup:
                case "title" | "bare":
                    yield from self._title(token)
                case "article":
                    yield from self._articles(token)
                case kind:
                    yield from self._parts(token, whole=kind == "paragraph")
        yield from self._release()

    def _release(self) -> Iterator[Citation]:
        if self.pending is not None:
            yield self.pending
        self.pending = None

    def _title(self, token: re.Match[str]) -> Iterator[Citation]:
        written, start = token[0], token.start()
        if token.lastgroup == "title":
            written = written[1:-1].strip()
            if amending := _AMENDING.search(written):
                self.law = self.law or amending[1]
                return
        else:
            written = _without_lead(written)
            start = token.end() - len(written)
        own = _ITS_OWN.match(written)
        if own and self.pending and (self.pending.article, self.pending.end) == (None, start):
            self.pending = None  # 《…规定》实施细则: one title, not two
        yield from self._release()
        if not _SAME.match(written):
            self.law = self.law + own[1] if own and self.law else self._named(written)
            # A document in title marks that is no law by its name is not cited by itself.
            if token.lastgroup == "bare" or _LAW.search(written):
                self.pending = Citation(self.law, None, None, None, None, start, token.end())
        self._note_alias(token.end())

    def _named(self, written: str) -> str:
        return self.aliases.get(written, written)

    def _note_alias(self, at: int) -> None:
        """Remember a short name that stands in brackets right behind a law."""
        found = _ALIAS.match(self.text, at)
        if found is not None and self.law is not None:
            self.aliases[found[1].strip()] = self.law
            self.told = found.end()

    def _articles(self, token: re.Match[str]) -> Iterator[Citation]:
        before, start = self.pending, token.start()
        if before is not None and before.article is None and start - before.end < _NEAR:
            start = before.start
        body, _, branch = token[0].replace("條", "条").partition("条")
        told = Citation(self.law, None, None, None, None, start, token.end())
        made = [replace(told, article=number) for number in _numbers(body)]
        if not made:
            return
        if branch:
            made[-1] = replace(made[-1], branch=_number(branch.lstrip().removeprefix("之")))
        if before is not None and before.article is not None:
            yield before
            if _RANGE.fullmatch(self.text, before.end, token.start()):
                yield from _between(before, made[0])
        yield from made[:-1]
        self.pending = made[-1]

    def _parts(self, token: re.Match[str], *, whole: bool) -> Iterator[Citation]:
        """Add paragraphs or items to an article; each after the first is its own citation."""
        base = self.pending
        if base is None or base.article is None:
            return
        if not any(gap.fullmatch(self.text, base.end, token.start()) for gap in (_GAP, _QUOTED)):
            return
        for value in _numbers(token[0]):
            held = self.pending
            if held is None:
                return
            fresh = held.item is None and (held.paragraph is None or not whole)
            narrowed = (
                replace(held, paragraph=value, item=None) if whole else replace(held, item=value)
            )
            if not fresh:
                yield held
                narrowed = replace(narrowed, start=token.start())
            self.pending = replace(narrowed, end=token.end())


def _without_lead(written: str) -> str:
    """Drop what comes before a bare title: 依据, 违反了, the title before."""
    while (shorter := _LEAD.sub("", written)) != written:
        written = shorter
    return written


def _between(first: Citation, last: Citation) -> Iterator[Citation]:
    if first.article is None or last.article is None or last.article - first.article > MOST:
        return
    for number in range(first.article + 1, last.article):
        yield replace(first, article=number, branch=None, paragraph=None, item=None, end=last.end)


def _numbers(text: str) -> list[int]:
    """Return the numbers of 第六十、六十二至六十四 in order, a range written out."""
    out: list[int] = []
    at = 0
    for found in re.finditer(_NUMERAL, text):
        number = _number(found[0])
        if number is None:
            continue
        joined = re.sub(r"[第（()）\s]", "", text[at : found.start()])
        if out and _RANGE.fullmatch(joined) and out[-1] < number <= out[-1] + MOST:
            out += range(out[-1] + 1, number)
        out.append(number)
        at = found.end()
    return out


def _number(text: str) -> int | None:
    plain = text.strip().translate(_PLAIN_DIGITS).replace("〇", "零")
    if len(plain) > 1 and not re.search("[十百千0-9]", plain):  # 一零八, digit by digit
        plain = plain.translate(str.maketrans("零一二三四五六七八九两", "01234567892"))
    value = parse_amount(plain)
    return None if value is None else int(value)
