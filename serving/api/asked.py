"""What many routes are asked in the same way: numbers, pages, subjects and scenarios."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import Field

from serving.api.lookup import PLAIN

LAST: Final = 2**63 - 1
"""The highest number of anything that the ledger counts."""

BeforeQuery = Annotated[int | None, Query(ge=1, le=LAST, description="只看编号更小的；用于翻页")]
LimitQuery = Annotated[int, Query(ge=1, le=200, description="最多条数")]
AfterQuery = Annotated[int, Query(ge=0, le=LAST, description="上次最后的编号；从头为 0")]
PageQuery = Annotated[int, Query(ge=1, le=1000, description="最多条数")]
SubjectFilter = Annotated[str | None, Query(pattern=PLAIN, max_length=64, description="主体")]
ScenarioFilter = Annotated[
    str | None, Query(pattern=PLAIN, max_length=64, description="只看一个场景")
]
SubjectPath = Annotated[
    str, Path(pattern=PLAIN, max_length=64, description="主体", examples=["91210102MA0000000X"])
]
AccessText = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
