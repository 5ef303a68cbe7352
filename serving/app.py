"""The application."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool

from serving import problems
from serving.api import (
    attachments,
    audit,
    auth,
    changes,
    decisions,
    dispatches,
    draws,
    estimates,
    frontiers,
    health,
    hooks,
    jobs,
    keys,
    matters,
    measures,
    models,
    objections,
    plans,
    pools,
    portraits,
    records,
    repairs,
    reports,
    results,
    reviews,
    rules,
    scoring,
    texts,
    together,
    trials,
    users,
    verification,
    visits,
    warnings,
    what_if,
)
from serving.api.quick import Quick
from serving.edge import Edge
from serving.problems import ProblemDetails
from serving.service import Service
from serving.settings import ServeSettings

DESCRIPTION: Final = """信用监管智能服务：信用风险预警、信用画像、双随机抽查与信用修复。

Every error is `application/problem+json` (RFC 9457); every answer has an `X-Request-ID`, which the
log has too.
"""
_ROUTERS: Final = (
    health.router,
    scoring.router,
    decisions.router,
    models.router,
    auth.router,
    users.router,
    keys.router,
    audit.router,
    records.router,
    jobs.router,
    changes.router,
    hooks.router,
    matters.router,
    pools.router,
    plans.router,
    draws.router,
    verification.router,
    visits.router,
    together.router,
    results.router,
    estimates.router,
    frontiers.router,
    trials.router,
    objections.router,
    repairs.router,
    reports.router,
    portraits.router,
    what_if.router,
    texts.router,
    dispatches.router,
    warnings.router,
    attachments.of_warnings,
    attachments.of_repairs,
    attachments.of_objections,
    rules.router,
    reviews.router,
    measures.router,
)


def create_app(settings: ServeSettings | None = None, *, service: Service | None = None) -> FastAPI:
    """Return the application of an installation, or over a service that is open already.

    Args:
        settings: Those of the environment by default; read when the app starts, not before.
        service: Stays open when the app ends; its own settings hold.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        if service is not None:
            app.state.service = service
            yield
            return
        opened = await run_in_threadpool(Service.open, settings or ServeSettings.load())
        app.state.service = opened
        opened.runtime.start()
        try:
            yield
        finally:
            await run_in_threadpool(opened.close)

    known = service.settings if service is not None else settings or ServeSettings.load()
    # /docs with scripts of its own: an office's network has no way to those of the web.
    app = FastAPIOffline(
        title="信鉴 Xinjian",
        description=DESCRIPTION,
        version=_version(),
        redoc_url=None,
        lifespan=lifespan,
        responses={"default": {"model": ProblemDetails, "description": "问题详情 (RFC 9457)"}},
    )
    problems.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    app.add_middleware(Quick)
    app.add_middleware(Edge, body_limit=known.body_limit)
    return app


def _version() -> str:
    from importlib.metadata import version

    return version("xinjian")
