"""随机抽查事项清单: the matters that may be inspected."""

from __future__ import annotations

from models.inspection.list_fields import ListName
from serving.api.listing import routes

router = routes(ListName.MATTERS, "/v1/matters")
