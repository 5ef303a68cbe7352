"""Personal data in running text: found, and starred out before anything is stored or shown.

Masked are natural persons' names beside a role (当事人, 法定代表人, 负责人 …) and wherever else the
text repeats them, identity and other papers' numbers, telephones, bank cards, number plates, mail
addresses and the places where persons live. Names of enterprises and authorities, and their codes,
stay. Every star stands for one character, so offsets into the text stay true, and masking a masked
text changes nothing. Numbers follow :mod:`models.codes.masking`, which also keeps head and tail.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import polars as pl

from models.codes import citizen, uscc
from models.codes.columns import Column, by_distinct
from models.text.encoder import MARKUP
from models.text.simplified import simplified

Kind: TypeAlias = Literal[
    "citizen_id", "paper", "telephone", "bank_card", "plate", "mail", "name", "address"
]

STAR: Final = "*"

# Full-width digits and letters count as half-width ones; one character each, so offsets stay.
_WIDE: Final = {
    code: code - 0xFEE0 for code in range(0xFF10, 0xFF5B) if chr(code - 0xFEE0).isalnum()
}
_GAP: Final = r"[ -]?"
_LEFT, _RIGHT = r"(?<![0-9*])", r"(?![0-9*])"

_CITIZEN: Final = re.compile(
    rf"{_LEFT}(?P<head>[1-9][0-9]{{2}})(?P<hidden>{_GAP}[0-9]{{3}}{_GAP}"
    rf"(?:[0-9]{_GAP}){{8}})(?P<tail>[0-9]{{3}}[0-9Xx]){_RIGHT}"
)
_CARD: Final = re.compile(
    rf"{_LEFT}[0-9]{{4}}(?P<hidden>[0-9]{{8,11}}|(?:[ -][0-9]{{4}}){{2,3}}[ -])[0-9]{{3,4}}{_RIGHT}"
)
_MOBILE: Final = re.compile(
    rf"{_LEFT}(?:\+?86{_GAP})?1[3-9][0-9](?P<hidden>{_GAP}[0-9]{{4}}){_GAP}[0-9]{{4}}{_RIGHT}"
    rf"|{_LEFT}(?:\+?86{_GAP})?1[3-9][0-9]{_GAP}(?P<groups>[0-9]{{3}}{_GAP}[0-9]{{3}}){_GAP}[0-9]{{2}}{_RIGHT}"
)
_LANDLINE: Final = re.compile(
    rf"{_LEFT}0[1-9][0-9]{{1,2}}(?:[)）][ -]?|[ -])(?P<hidden>[0-9]{{3,4}})[ -]?[0-9]{{4}}{_RIGHT}"
)
_NEAR_TELEPHONE: Final = re.compile(
    r"(?:电话|手机|热线|座机|传真|联系方式|微信号?|QQ号?)(?:号码?)?[为是：:（(\s]{0,3}"
    r"[A-Za-z0-9]{2}(?P<hidden>[A-Za-z0-9_-]{3,18})"
    r"|(?<![0-9])[0-9]{2}(?P<digits>[0-9]{5,6})(?=(?:座机)?电话)"
)
_NEAR_PAPER: Final = re.compile(
    r"(?:身份证件?|护照|驾驶证|通行证|居住证|军官证|执法证|社保卡|医保卡|病历|学号|工号)(?:件?号码?|编号)?"
    r"[为是：:（(\s]{0,3}[A-Za-z0-9]{2}(?P<hidden>[A-Za-z0-9]{4,18})"
)
_NEAR_ACCOUNT: Final = re.compile(
    r"(?:银行卡|个人卡|账号|帐号|账户|帐户|卡号|支付宝)(?:号码?)?[为是：:（(\s]{0,3}"
    r"[0-9]{3}(?P<hidden>[0-9]{5,24})"
)
_PLATE: Final = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Z][·•. ]?"
    r"(?P<hidden>[A-HJ-NP-Z0-9]{4,5}[A-HJ-NP-Z0-9挂学警港澳])(?![A-Za-z0-9])"
)
_MAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+*-])[A-Za-z0-9](?P<hidden>[A-Za-z0-9._%+-]{1,63})@(?=[A-Za-z0-9-]{1,63}\.)"
)
_HOME: Final = re.compile(
    r"(?:家庭|现|经常|户籍|身份证|本人|联系)?(?:住址|住处|居住地址?|户籍地址?|户籍所在地|家庭地址|户口所在地|居住(?=[于在]))"
    r"[为是于在：:\s]{0,3}(?P<seen>(?>(?:[\u4e00-\u9fff]{2,9}?[省市区县州盟旗]){0,3}))"
    r"(?P<hidden>[^，。；;、）)\n]{2,60})"
)
_FLAT: Final = re.compile(
    r"(?<![0-9*])(?P<hidden>[0-9]{1,4}号?(?:楼|栋|幢|座)[0-9A-Za-z]{0,3}(?:单元|门)[0-9]{1,5})"
)

SURNAMES: Final = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾萧田董潘袁蔡蒋余杜叶程魏苏吕丁任卢"
    "姚沈钟姜崔谭陆范汪廖石贾韦夏付方白邹孟熊秦邱江尹薛闫段雷侯龙史黎贺顾毛郝龚邵万钱覃武戴严莫孔向汤"
    "温常葛康施牛樊洪庞翟倪殷颜齐柴尚裴解骆霍陶闻简管欧古岳麦焦章涂季褚辛窦祁左柳阎靳鲁申冷屈欧耿詹关"
    "兰盛费喻游阮纪卓柏凌宁穆聂车祝甘苗鲍路卞霍单包房干苑晏楼翁荆羊邢丛佟仝仲仇伍俞傅储全冉匡卫艾茅"
    "成戚明时易曲权桂栾梅毕池沙牟狄甄瞿盖祖竺米糜缪聂肖胥苟蓝蔺虞蒲蒙褚谷贝贡赖边郁郎郜郦鄢闵阳隋项饶"
)
_COMPOUND: Final = (
    r"欧阳|司马|上官|诸葛|东方|皇甫|尉迟|公孙|慕容|令狐|长孙|宇文|司徒|夏侯|轩辕|端木|独孤|南宫"
)
_AMBIGUOUS: Final = frozenset("成时明方向任关解万全单包干路古章简管和于应从常楼游盛施阳高白江")
"""Surnames that are common words: believed only behind a colon or in a list of names."""
_FUNCTION: Final = (
    r"的于在与和及为是系对将以从向到未不等已因被由经按称说至则也均又并或并经之其该本此"
    r"有无签驾负进提收参涉违作主擅拒自现场使用开因出具共同处罚"
)
_NAME: Final = rf"(?:(?:{_COMPOUND})|[{''.join(sorted(SURNAMES))}])[\u4e00-\u9fff]{{1,2}}"
_FOREIGN: Final = r"[\u4e00-\u9fff]{1,6}(?:[·•][\u4e00-\u9fff]{1,8}){1,3}"
_ROLES: Final = (
    "当事人|法定代表人|法人代表|法人|经营者|经营人|负责人|责任人|联系人|投诉人|举报人|申请人|代理人|委托人|"
    "被委托人|业主|店主|店长|老板|经理|厂长|董事长|监事|股东|实际控制人|控制人|司机|驾驶员|从业人员|从业者|工作人员|"
    "员工|职工|工人|执法人员|检查人员|调查人员|监测人员|承办人|证人|见证人|患者|学生|家长|消费者|顾客|当事者|"
    "伤者|死者|受害人|被害人|被冒用人|嫌疑人|行为人|自然人|会计|出纳|业务员|后勤|加油员|医师|医生|护士|教师|导游|记者|"
    "姓名"
)
_LEADING: Final = re.compile(
    rf"(?:{_ROLES})(?:姓名)?(?P<sure>[：:（(，,\s“\"]{{0,3}}(?:姓名)?[为是系：:叫\s]{{0,3}})"
)
_FOLLOWED: Final = re.compile(
    rf"(?P<name>{_NAME})(?=[（(，,、：:\s]{{1,2}}(?:男|女|身份证|执法证|公民身份|联系电话|电话|手机|汉族|\d{{2}}岁))"
)
_LISTED: Final = re.compile(r"\s?[、和及与]\s?")
_ORGANISATION: Final = re.compile(
    r"公司|企业|集团|商行|商店|店|厂|中心|合作社|局|院|学校|学院|超市|酒店|宾馆|餐厅|饭庄|馆|站|所|银行|支行|"
    r"委员会|协会|事务所|工作室|门市|经营部|营业部|分部|部|队|城|坊|堂|楼|摊|个体"
)
_RUN: Final = re.compile(r"[\u4e00-\u9fffA-Za-z0-9（）()]{0,30}")
_STOP: Final = re.compile(
    r"[的于在与和及为是系对将以未不已因被由到开租购住]|经营(?!部)|经过|销售|生产|从事|前往|使用|雇|违|涉嫌|"
    r"无证|擅自|驾驶|食用|承[租包]"
)
_PLACE: Final = re.compile(r"[区县市镇乡街村路省]")


@dataclass(frozen=True, slots=True)
class Personal:
    """Characters of a text that must not be shown, and what they are."""

    kind: Kind
    start: int
    end: int


def find_personal(text: str | None) -> tuple[Personal, ...]:
    """Return what :func:`mask` stars out, in order; spans of different kinds may overlap."""
    if not text:
        return ()
    plain, at = _without_markup(simplified(text.translate(_WIDE)))
    told = {*_numbers(plain), *_homes(plain), *_names(plain)}
    found = {Personal(one.kind, at[one.start], at[one.end - 1] + 1) for one in told}
    return tuple(sorted(found, key=lambda one: (one.start, one.end, one.kind)))


def _without_markup(text: str) -> tuple[str, Sequence[int]]:
    """Return what is seen of a text, and where each character of that stands in it."""
    if "<" not in text:
        return text, range(len(text))
    ends = [0, *(end for tag in MARKUP.finditer(text) for end in tag.span()), len(text)]
    at = [
        place
        for start, end in zip(ends[::2], ends[1::2], strict=True)
        for place in range(start, end)
    ]
    return "".join([text[place] for place in at]), at


def mask(text: str | None) -> str | None:
    """Return a text with personal data starred out, character for character."""
    if text is None:
        return None
    # Stars may part what a name was hidden behind, so it is looked at until nothing more is found.
    while (shown := _starred(text)) != text:
        text = shown
    return text


def _starred(text: str) -> str:
    out = list(text)
    for one in find_personal(text):
        out[one.start : one.end] = [
            char if char in " -" else STAR for char in out[one.start : one.end]
        ]
    return "".join(out)


def mask_expr(column: Column) -> pl.Expr:
    """Return each text with personal data starred out; a repeated text is read once."""
    return by_distinct(column, mask, pl.String())


def _numbers(text: str) -> Iterator[Personal]:
    for match in _CITIZEN.finditer(text):
        if not _is_code(match[0]):
            yield Personal("citizen_id", match.start("hidden"), match.end("hidden"))
    for match in _CARD.finditer(text):
        if not _is_code(match[0]):
            yield Personal("bank_card", match.start("hidden"), match.end("hidden"))
    patterns: tuple[tuple[Kind, re.Pattern[str]], ...] = (
        ("telephone", _MOBILE),
        ("telephone", _LANDLINE),
        ("telephone", _NEAR_TELEPHONE),
        ("paper", _NEAR_PAPER),
        ("bank_card", _NEAR_ACCOUNT),
        ("plate", _PLATE),
        ("mail", _MAIL),
    )
    for kind, pattern in patterns:
        yield from _hidden(kind, pattern.finditer(text))


def _is_code(number: str) -> bool:
    """Tell whether a number is an organisation's code and cannot be a person's id."""
    bare = re.sub("[ -]", "", number).upper()
    return bool(uscc.is_valid(bare)) and not re.match(citizen.PROVINCES + r".{4}(?:19|20)", bare)


def _hidden(kind: Kind, found: Iterable[re.Match[str]]) -> Iterator[Personal]:
    for match in found:
        for name, value in match.groupdict().items():
            if value and name in {"hidden", "groups", "digits"}:
                yield Personal(kind, match.start(name), match.end(name))


def _homes(text: str) -> Iterator[Personal]:
    yield from _hidden("address", _HOME.finditer(text))
    yield from _hidden("address", _FLAT.finditer(text))


def _names(text: str) -> Iterator[Personal]:
    """Find names beside a role or a person's particulars, then the same names elsewhere."""
    spans = {*_beside_roles(text)}
    for match in _FOLLOWED.finditer(text):
        spans.add(match.span("name"))
    known = {text[start:end] for start, end in spans}
    for name in sorted(known):
        for again in re.finditer(re.escape(name), text):
            if not _in_organisation(text, *again.span()):
                spans.add(again.span())
    for start, end in spans:
        yield Personal("name", start + (0 if "·" in text[start:end] else 1), end)


def _beside_roles(text: str) -> Iterator[tuple[int, int]]:
    for role in _LEADING.finditer(text):
        at, sure = role.end(), bool(role["sure"].strip())
        while (span := _name_at(text, at, sure=sure)) is not None:
            yield span
            joint = _LISTED.match(text, span[1])
            if joint is None:
                break
            at, sure = joint.end(), True


def _name_at(text: str, at: int, *, sure: bool) -> tuple[int, int] | None:
    """Return the name that begins at a place; null for an organisation or another word."""
    foreign = re.compile(_FOREIGN).match(text, at)
    if foreign is not None:
        return foreign.span()
    found = re.compile(_NAME).match(text, at)
    if found is None or (not sure and text[at] in _AMBIGUOUS):
        return None
    end = found.end()
    least = at + (2 if text[at] in SURNAMES else 3)
    while end > least and text[end - 1] in _FUNCTION:
        end -= 1
    if text[end - 1] in _FUNCTION and end <= least:
        return None
    return None if _in_organisation(text, at, end) else (at, end)


def _in_organisation(text: str, start: int, end: int) -> bool:
    """Tell whether what begins as a name goes on to be an enterprise's, or a place's."""
    if _PLACE.match(text, end):
        return True
    run = _RUN.match(text, end)
    following = "" if run is None else _STOP.split(run[0])[0]
    return bool(_ORGANISATION.search(text[start:end] + following))
