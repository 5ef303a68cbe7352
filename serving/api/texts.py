"""Texts that are read: what violation a text tells of, on what basis, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from models.text.taxonomy import taxonomy
from serving.auth.caller import Caller
from serving.auth.roles import Permission
from serving.deps import ServiceDep, allow
from serving.ledger.rows import values_of
from serving.problems import FieldProblem, Problem
from serving.service import Service
from serving.texts.reading import SEVERITY_TITLES, Reading, read_texts
from serving.texts.texts import LiveText

router = APIRouter(prefix="/v1/texts", tags=["texts"])

LONGEST: Final = 10_000
"""Characters of one text."""
EXPLAINED: Final = 10
"""Texts of one request whose evidence is looked for: it takes as long as forty others."""
_MOST: Final = 100
_PATIENCE: Final = 20.0
"""Seconds to wait for a model that is being loaded."""


class TextsAsked(BaseModel):
    """待识别的文本；不存档."""

    model_config = ConfigDict(extra="forbid")

    texts: list[str] = Field(
        description=f"文本，每条不超过 {LONGEST} 字",
        min_length=1,
        max_length=_MOST,
        examples=[["当事人销售超过保质期的食品，违反《中华人民共和国食品安全法》第三十四条"]],
    )
    evidence: bool | None = Field(
        default=None,
        description="是否查找支持答案的词句，比只读慢数十倍；"
        f"默认不超过 {EXPLAINED} 条时查找，超过的不能要求",
    )


class GuessShown(BaseModel):
    """一个可能的违法行为."""

    code: str = Field(description="代码", examples=["F04"])
    title: str = Field(description="名称", examples=["超过保质期、虚假日期"])
    group: str = Field(description="门类", examples=["食品"])
    probability: float = Field(description="校准后的概率", examples=[0.93])


class ProvisionShown(BaseModel):
    """一条法律依据."""

    law: str | None = Field(description="法律名称；文中未写明的为空")
    article: str | None = Field(description="条", examples=["第三十四条"])
    cited: bool = Field(description="文中所引；否则为该违法行为通常的依据")
    status: str = Field(
        description="所引条文的核对结果：linked 核对无误，later_version 当时未施行，"
        "no_such_part 无此款项，law_only 只引法律，no_such_article 无此条，unknown_law 未收录，"
        "unchecked 未导入法律库；"
        "通常依据：read 已核对原文，unread 未核对原文"
    )
    start: int | None = Field(description="在文中的起点（字）")
    end: int | None = Field(description="终点")


class PieceShown(BaseModel):
    """支持答案的词句."""

    start: int = Field(description="起点（字）")
    end: int = Field(description="终点")
    text: str = Field(description="词句；个人信息已遮盖")
    drop: float = Field(description="去掉它，答案的概率降低多少")


class ReadingShown(BaseModel):
    """一条文本的识别结果；仅供人参考."""

    leaf: str | None = Field(description="违法行为；须由人判断的为空", examples=["F04"])
    probability: float | None = Field(description="最可能的答案的概率；无可识别的为空")
    top: list[GuessShown] = Field(description="最可能的三个，按概率")
    abstains: bool = Field(description="是否须由人判断")
    why: str | None = Field(description="须由人判断的原因")
    severity: str | None = Field(description="轻重：minor、general、major、serious")
    severity_title: str | None = Field(description="轻重名称", examples=["一般"])
    department: str | None = Field(description="承办部门", examples=["market"])
    department_title: str | None = Field(description="承办部门名称", examples=["市场监督管理"])
    departments: list[str] = Field(description="该违法行为涉及的部门，第一个承办")
    basis: list[ProvisionShown] = Field(description="法律依据")
    evidence: list[PieceShown] = Field(description="支持答案的词句，按分量")


class TextsRead(BaseModel):
    """识别结果，与所送文本同序."""

    model: str = Field(description="模型", examples=["kinds"])
    version: int | None = Field(description="登记的版本；由运维放置的为空")
    bundle_digest: str = Field(description="模型的摘要")
    taxonomy: str = Field(description="违法行为分类的版本")
    engine: str = Field(description="运行模型的引擎", examples=["onnx"])
    since: datetime = Field(description="何时启用")
    results: list[ReadingShown] = Field(description="各条的结果")


class TextModelShown(BaseModel):
    """识别文本的模型现状."""

    model: str | None = Field(description="现用模型；没有的为空", examples=["kinds"])
    version: int | None = Field(description="登记的版本；由运维放置的为空")
    bundle_digest: str | None = Field(description="模型的摘要")
    engine: str | None = Field(description="运行模型的引擎", examples=["onnx"])
    since: datetime | None = Field(description="何时启用")
    loaded: bool = Field(description="是否已找过模型")
    says: str | None = Field(description="为什么没有换上新模型；无碍的为空")
    refused: str | None = Field(description="最近一个被拒绝的模型及原因")
    laws: int = Field(description="法律库的条数；未导入为 0")


@router.get("/model", summary="文本模型现状")
def model(
    service: ServiceDep, caller: Annotated[Caller, Depends(allow(Permission.MODELS_READ))]
) -> TextModelShown:
    """Tell which model reads texts, and why no other does; begins to look for one."""
    del caller
    texts = service.texts
    loaded, live, refused = texts.ready(0), texts.live, texts.refused
    return TextModelShown(
        model=None if live is None else live.named.model,
        version=None if live is None else live.named.version,
        bundle_digest=None if live is None else live.named.digest,
        engine=None if live is None else live.engine,
        since=None if live is None else live.since,
        loaded=loaded,
        says=texts.says,
        refused=None if refused is None else f"{refused[0].model}: {refused[1]}",
        laws=0 if texts.laws is None else texts.laws.articles.height,
    )


@router.post(
    "/classify",
    summary="识别违法行为文本",
    responses={
        409: {"description": "没有可用的文本模型"},
        503: {"description": "模型正在载入，或注册表不可用"},
    },
)
def classify(
    body: TextsAsked,
    service: ServiceDep,
    caller: Annotated[Caller, Depends(allow(Permission.SCORE))],
) -> TextsRead:
    """Read texts: leaf, basis, severity, department, evidence; nothing of them is kept."""
    del caller
    check_lengths(body.texts)
    few = len(body.texts) <= EXPLAINED
    if body.evidence and not few:
        raise Problem(
            422,
            "too-many-to-explain",
            f"evidence is looked for in {EXPLAINED} texts at most, not in {len(body.texts)}; send "
            "fewer, or leave evidence out",
        )
    live, texts = text_model(service), service.texts
    evidence = few if body.evidence is None else body.evidence
    with texts.reading:
        found = read_texts(live, body.texts, on=service.today(), laws=texts.laws, evidence=evidence)
    return TextsRead(
        model=live.named.model,
        version=live.named.version,
        bundle_digest=live.named.digest,
        taxonomy=taxonomy().version,
        engine=live.engine,
        since=live.since,
        results=[_shown(one) for one in found],
    )


def text_model(service: Service) -> LiveText:
    """Return the model that reads texts.

    Raises:
        Problem: 409 where there is none; 503 while it is loaded or where the registry is down.
    """
    ready = service.texts.ready(_PATIENCE)
    if (live := service.texts.live) is not None:
        return live
    if not ready:
        raise Problem(
            503,
            "loading",
            "the text model is being loaded; try again",
            headers={"Retry-After": "5"},
        )
    refused = service.texts.refused
    reason = service.texts.says or (None if refused is None else refused[1])
    raise Problem(
        409,
        "no-text-model",
        f"there is no text model that reads: {reason or 'none was promoted'}",
    )


def check_lengths(texts: Sequence[str]) -> None:
    """Refuse texts that are too long, without saying them back: they may be about persons."""
    wrong = [
        FieldProblem(
            field=f"body.texts.{at}",
            message=f"{len(text)} characters; send at most {LONGEST} of each text",
        )
        for at, text in enumerate(texts)
        if len(text) > LONGEST
    ]
    if wrong:
        raise Problem(422, "too-long", "texts are too long; errors says which", errors=wrong)


def _shown(found: Reading) -> ReadingShown:
    names = taxonomy().departments
    titles = {
        "severity_title": SEVERITY_TITLES.get(found.severity or ""),
        "department_title": None if found.department is None else names.get(found.department),
    }
    own = values_of(found)
    return ReadingShown.model_validate({**own, **titles}, from_attributes=True)
