"""Guidance of a portrait: what the subject can lawfully do, by scenario, as of today."""

from __future__ import annotations

from typing import Final, cast

import msgspec
import polars as pl

from models.errors import ModelError
from models.risk.guidance import guide
from serving.portrait.view import View
from serving.portrait.what_if import known_of_others
from serving.runtime.gather import eligible, gather
from serving.runtime.live import Live

LIMIT: Final = 30
"""How often features are built anew for one scenario, while somebody waits."""
MOST: Final = 100
"""Records that could be repaired above which nothing is tried out: it would take minutes."""

_REFUSED: Final = {
    "past": "guidance is about what can be done now; leave as_of out",
    "many": f"more than {MOST} records could be repaired; use `xinjian risk guide`",
}


def guidance(view: View, *, ending: int) -> dict[str, object]:
    """Return guidance in every scenario whose cohort the subject is of.

    ``ending`` is how many of its records an application could be about.
    """
    why = "past" if view.past else "many" if ending > MOST else None
    if why is not None:
        return {"scenarios": [], "left_out": why, "detail": _REFUSED[why]}
    made = [_of(view, live) for live in view.champions()]
    return {"scenarios": made, "left_out": None, "detail": None}


def _of(view: View, live: Live) -> dict[str, object]:
    service, subject, on = view.service, view.subject, view.on
    scenario = {"scenario": live.scenario.id, "title": live.scenario.title}
    found = gather(service.runtime, service.ledger, live.scenario, [subject], on)
    inside, outside = eligible(found.records, live.scenario, [subject], on)
    if not inside:
        return {**scenario, "guidance": None, "detail": outside[subject]}
    try:
        reference = known_of_others(service, live, found, subject, on)
    except ModelError as error:
        return {**scenario, "guidance": None, "detail": str(error)}
    earlier = service.runtime.voids.released(found.earlier, found.mark)
    before = earlier.filter(~pl.col("today"))
    told = guide(
        found.records,
        live.bundle,
        subject,
        on,
        reference=reference,
        pipeline=live.pipeline,
        previous=None if before.is_empty() else before,
        limit=LIMIT,
    )
    plain = cast("dict[str, object]", msgspec.to_builtins(told))
    plain["after"] = msgspec.to_builtins(told.after)
    return {**scenario, "guidance": plain, "detail": None}
