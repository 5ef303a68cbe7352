"""两库: who may be inspected (对象库), and who may inspect (人员库)."""

from __future__ import annotations

from fastapi import APIRouter

from models.inspection.list_fields import ListName
from serving.api.listing import routes

router = APIRouter()
router.include_router(routes(ListName.TARGETS, "/v1/pools/targets"))
router.include_router(routes(ListName.INSPECTORS, "/v1/pools/inspectors"))
