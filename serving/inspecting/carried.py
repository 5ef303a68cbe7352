"""A drawn period as the ledger has it, put together for what follows the draw."""

from __future__ import annotations

import json

from models.errors import LedgerError
from models.inspection.progress import Progress, State
from models.time import SHANGHAI
from serving.inspecting.rounds import Carried, draw_id
from serving.ledger import draws, visits
from serving.ledger.engine import Connection
from serving.problems import Problem


def carried(connection: Connection, key: tuple[str, str], progress: Progress) -> Carried:
    """Return a drawn period with its teams; a problem 409 where there are none yet.

    Raises :class:`LedgerError` where the ledger lacks what belongs to its state.
    """
    assigned = visits.assignment(connection, *key)
    if assigned is None:
        raise Problem(
            409,
            "no-teams",
            f"period {key[1]} of plan {key[0]} is {progress.state} and has no teams; assign them "
            "first (POST /v1/plans/{plan_id}/tasks)",
            more={"state": progress.state, "allowed": ["tasks"]},
        )
    drawn, frozen = progress.step(State.DRAWN), draws.frozen(connection, *key)
    if drawn is None or frozen is None:
        raise LedgerError(f"plan {key[0]} has teams for {key[1]} and no draw; restore a backup")
    return Carried(
        draw_id=draw_id(*key),
        mode=json.loads(frozen.made_with)["mode"],
        drawn_at=drawn.at,
        drawn_on=drawn.at.astimezone(SHANGHAI).date(),
        assigned=assigned,
        chosen=draws.chosen(connection, *key),
    )
