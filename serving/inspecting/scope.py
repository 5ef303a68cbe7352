"""Regions and departments of lists and plans: whose they are, and who may see them."""

from __future__ import annotations

from models.inspection.plan import Plan
from serving.auth.caller import Caller, region_prefixes
from serving.problems import Problem


def region_of(caller: Caller, code: str) -> str:
    """Return a region code as its prefix; a problem 403 where it is not within the caller's."""
    prefix = prefix_of(code)
    if not caller.sees_region(prefix):
        raise Problem(
            403,
            "outside-scope",
            f"region '{code}' is not within the regions of this caller "
            f"({', '.join(caller.regions) or 'none'}); name one of them",
        )
    return prefix


def sees_above(caller: Caller, region: str) -> bool:
    """Return whether a region is within the caller's, or the caller's within it."""
    return caller.sees_region(region) or any(one.startswith(region) for one in caller.regions)


def takes_part(caller: Caller, plan: Plan) -> bool:
    """Return whether a department of the plan is among the caller's."""
    return any(caller.sees_department(one) for one in plan.departments)


def refuse_apart(caller: Caller, plan: Plan) -> None:
    """Raise a problem 403 where the plan is of other departments alone."""
    if not takes_part(caller, plan):
        raise Problem(
            403,
            "outside-scope",
            f"the plan is of {', '.join(plan.departments)}, and this caller's departments are "
            f"{', '.join(caller.departments)}; name one of them",
        )


def prefix_of(code: str) -> str:
    """Return a region code without the zeros that say nothing; ``00`` and such stay as they are."""
    return code if not code.strip("0") else region_prefixes([code])[0]
