"""What a model reads in texts, worded for a caller: leaf, basis, severity, department, evidence.

Texts come in as they are and are kept nowhere; every piece of one that goes out is masked first
(:mod:`models.text.mask` keeps each character's place, so offsets stay those of the text sent).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from models.text.citations import find_citations
from models.text.classifier import Answer
from models.text.dispatch import Read
from models.text.evidence import evidence_of
from models.text.laws import Laws
from models.text.mask import mask
from models.text.taxonomy import Basis, Taxonomy, taxonomy
from serving.texts.texts import LEAF, LiveText

SEVERITY_TITLES: Final = {"minor": "轻微", "general": "一般", "major": "较重", "serious": "严重"}


@dataclass(frozen=True, slots=True)
class Guess:
    """A leaf that may be meant, with its calibrated probability."""

    code: str
    title: str
    group: str
    probability: float


@dataclass(frozen=True, slots=True)
class Provision:
    """A provision of law: cited by the text (``cited``) or the leaf's own."""

    law: str | None
    article: str | None
    cited: bool
    status: str
    """Of a citation see :class:`models.text.laws.Link`, ``unchecked`` where no laws were brought
    in; of a leaf's own ``read`` or ``unread``: whether its articles were read in the law's text."""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that carried the answer, masked, and what its probability loses without them."""

    start: int
    end: int
    text: str
    drop: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in one text.

    ``leaf`` is null where a person must decide; ``why`` says why. ``severity`` and ``department``
    are the model's own where it answers these questions, else the likeliest leaf's.
    """

    leaf: str | None
    probability: float | None
    top: tuple[Guess, ...]
    abstains: bool
    why: str | None
    severity: str | None
    department: str | None
    departments: tuple[str, ...]
    basis: tuple[Provision, ...]
    evidence: tuple[Piece, ...]


def read_texts(
    live: LiveText,
    texts: Sequence[str],
    *,
    on: date,
    laws: Laws | None = None,
    evidence: bool = True,
) -> list[Reading]:
    """Return what a model reads in each text.

    Args:
        live: The model.
        texts: As they came.
        on: The day on which a provision must be in force.
        laws: Those of the installation; without them citations are told as written.
        evidence: Also look for the words that carried each answer: some forty readings a text.
    """
    told = live.read(texts)
    return [
        _reading(live, text, one, on, laws, evidence=evidence)
        for text, one in zip(texts, told, strict=True)
    ]


def read_for_dispatch(live: LiveText, text: str) -> Read:
    """Return what a model reads in a complaint, as its dispatch asks for it."""
    answer = live.read([text])[0][LEAF]
    return Read(answer.top, answer.abstains)


def _reading(
    live: LiveText,
    text: str,
    told: Mapping[str, Answer],
    on: date,
    laws: Laws | None,
    *,
    evidence: bool,
) -> Reading:
    known, answer = taxonomy(), told[LEAF]
    leaf = answer.labels[0] if answer.labels else None
    likeliest = answer.top[0][0] if answer.top else None
    groups = {group.code: group.title for group in known.groups}
    threshold = next(
        each.calibration.threshold for each in live.classifier.bundle.answering
        if each.head.name == LEAF
    )  # fmt: skip
    departments = () if likeliest is None else known.leaf(likeliest).departments
    return Reading(
        leaf=leaf,
        probability=answer.confidence,
        top=tuple(
            Guess(code, known.leaf(code).title, groups[code[0]], p) for code, p in answer.top
        ),
        abstains=answer.abstains,
        why=_why(answer, threshold),
        severity=_severity(told, likeliest, known),
        department=_department(told, departments),
        departments=departments,
        basis=(*_cited(text, on, laws), *_own(likeliest, on, known)),
        evidence=_pieces(live, text) if evidence and answer.top else (),
    )


def _why(answer: Answer, threshold: float) -> str | None:
    if not answer.abstains:
        return None
    if answer.confidence is None:
        return "没有可以识别的文字"
    return f"最可能的答案概率为 {answer.confidence:.2f}，低于模型的界限 {threshold:.2f}，须由人判断"


def _severity(told: Mapping[str, Answer], leaf: str | None, known: Taxonomy) -> str | None:
    """Return the model's severity; without such a head the leaf's, if it is but one."""
    if (own := told.get("severity")) is not None:
        return own.labels[0] if own.labels else None
    usual = () if leaf is None else known.leaf(leaf).severity
    return usual[0] if len(usual) == 1 else None


def _department(told: Mapping[str, Answer], usual: Sequence[str]) -> str | None:
    if (own := told.get("department")) is not None and own.labels:
        return own.labels[0]
    return usual[0] if usual else None


def _cited(text: str, on: date, laws: Laws | None) -> list[Provision]:
    if laws is None:
        return [
            Provision(one.law, _number(one.article), True, "unchecked", one.start, one.end)  # noqa: FBT003
            for one in find_citations(text)
        ]
    return [
        Provision(
            law=link.law or link.citation.law,
            article=_number(link.citation.article)
            if link.article is None
            else link.article.article,
            cited=True,
            status=link.status,
            start=link.citation.start,
            end=link.citation.end,
        )
        for link in laws.link(text, on=on)
    ]


def _number(article: int | None) -> str | None:
    return None if article is None else f"第{article}条"


def _own(leaf: str | None, on: date, known: Taxonomy) -> list[Provision]:
    return [] if leaf is None else [
        Provision(basis.law, article, cited=False, status=_checked(basis))
        for basis in known.basis(leaf, on)
        for article in basis.articles or (None,)
    ]  # fmt: skip


def _checked(basis: Basis) -> str:
    return "read" if basis.checked else "unread"


def _pieces(live: LiveText, text: str) -> tuple[Piece, ...]:
    masked = mask(text) or ""
    return tuple(
        Piece(span.start, span.end, masked[span.start : span.end], round(span.drop, 6))
        for span in evidence_of(live.classifier, text, LEAF)
    )
