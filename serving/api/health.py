"""Whether the service lives, whether it can work, and what it counts."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from models.errors import LedgerDownError, LedgerError
from serving import metrics
from serving.deps import ServiceDep
from serving.ledger import migrate
from serving.problems import RETRY_AFTER
from serving.service import Service

router = APIRouter(tags=["health"])


class Live(BaseModel):
    """存活状态."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """就绪状态."""

    status: Literal["ready", "not ready"] = Field(description="是否可以接收请求")
    ledger: str = Field(description="台账数据库：ok，或原因与解决办法")
    models: Literal["ok", "loading"] = Field(description="模型：ok，或正在装入")


@router.get("/health/live", summary="存活")
async def live() -> Live:
    """Answer as long as the process runs."""
    return Live()


@router.get("/health/ready", summary="就绪", responses={503: {"model": Ready}})
async def ready(service: ServiceDep, response: Response) -> Ready:
    """Tell whether requests can be served; 503 where not, with the reason."""
    ledger = await run_in_threadpool(_ledger, service)
    loading = service.runtime.loading
    able = ledger == "ok" and not loading
    if not able:
        response.status_code = 503
        response.headers["Retry-After"] = RETRY_AFTER
    return Ready(
        status="ready" if able else "not ready",
        ledger=ledger,
        models="loading" if loading else "ok",
    )


@router.get("/metrics", summary="指标（Prometheus）", response_class=Response)
async def exposed() -> Response:
    """Return the figures of this process."""
    return Response(metrics.exposition(), media_type=metrics.MEDIA)


def _ledger(service: Service) -> str:
    try:
        migrate.check(service.ledger)
    except LedgerDownError:
        return "down: the ledger is not available"  # no addresses for whoever asks
    except LedgerError as error:
        return str(error)
    return "ok"
