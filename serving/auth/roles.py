"""What can be permitted, who is permitted what, and which roles never meet in one account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from models.errors import AccessError


class Permission(StrEnum):
    """One kind of act; a route asks for exactly one."""

    SCORE = "score"
    DECISIONS_READ = "decisions_read"
    PERSONAL_READ = "personal_read"
    RECORDS_WRITE = "records_write"
    RECORDS_READ = "records_read"
    QUARANTINE_READ = "quarantine_read"
    CHANGES_READ = "changes_read"
    HOOKS_MANAGE = "hooks_manage"
    JOBS_RUN = "jobs_run"
    JOBS_READ = "jobs_read"
    MODELS_READ = "models_read"
    USERS_MANAGE = "users_manage"
    ACCESS_MANAGE = "access_manage"
    AUDIT_READ = "audit_read"
    WARNINGS_READ = "warnings_read"
    WARNINGS_HANDLE = "warnings_handle"
    REPAIRS_WRITE = "repairs_write"
    REPORTS_ISSUE = "reports_issue"
    PLANS_READ = "plans_read"
    PLANS_WRITE = "plans_write"
    PLANS_APPROVE = "plans_approve"
    RESULTS_WRITE = "results_write"
    RULES_WRITE = "rules_write"
    RULES_APPROVE = "rules_approve"
    DISPATCHES_READ = "dispatches_read"
    DISPATCHES_WRITE = "dispatches_write"
    DISPATCHES_HANDLE = "dispatches_handle"


class Role(StrEnum):
    """What somebody is to the service; ``partner`` is another system."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    INSPECTOR = "inspector"
    PUBLISHER = "publisher"
    DATA_MANAGER = "data_manager"
    PARTNER = "partner"
    SYSTEM_ADMIN = "system_admin"
    SECURITY_ADMIN = "security_admin"
    AUDIT_ADMIN = "audit_admin"


TITLES: Final[Mapping[Role, str]] = MappingProxyType(
    {
        Role.VIEWER: "查看员",
        Role.ANALYST: "分析员",
        Role.INSPECTOR: "执法人员",
        Role.PUBLISHER: "发布员",
        Role.DATA_MANAGER: "数据管理员",
        Role.PARTNER: "对接系统",
        Role.SYSTEM_ADMIN: "系统管理员",
        Role.SECURITY_ADMIN: "安全管理员",
        Role.AUDIT_ADMIN: "审计管理员",
    }
)

_BY_NAME: Final = {role.value: role for role in Role}
_READ: Final = frozenset(
    {
        Permission.DECISIONS_READ,
        Permission.MODELS_READ,
        Permission.WARNINGS_READ,
        Permission.PLANS_READ,
        Permission.DISPATCHES_READ,
    }
)
_WORK: Final = _READ | {Permission.SCORE, Permission.RECORDS_READ, Permission.CHANGES_READ}

GRANTS: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        Role.VIEWER: _READ,
        Role.ANALYST: _WORK
        | {
            Permission.JOBS_READ,
            Permission.WARNINGS_HANDLE,
            Permission.REPORTS_ISSUE,
            Permission.PLANS_WRITE,
            Permission.RULES_WRITE,
            Permission.DISPATCHES_WRITE,
            Permission.DISPATCHES_HANDLE,
        },
        Role.INSPECTOR: _WORK
        | {
            Permission.PERSONAL_READ,
            Permission.RECORDS_WRITE,
            Permission.WARNINGS_HANDLE,
            Permission.RESULTS_WRITE,
            Permission.DISPATCHES_WRITE,
            Permission.DISPATCHES_HANDLE,
        },
        Role.PUBLISHER: _READ
        | {
            Permission.RECORDS_READ,
            Permission.CHANGES_READ,
            Permission.JOBS_RUN,
            Permission.JOBS_READ,
            Permission.REPAIRS_WRITE,
            Permission.REPORTS_ISSUE,
            Permission.PLANS_WRITE,
            Permission.PLANS_APPROVE,
            Permission.RULES_WRITE,
            Permission.RULES_APPROVE,
        },
        Role.DATA_MANAGER: _READ
        | {
            Permission.PERSONAL_READ,
            Permission.RECORDS_WRITE,
            Permission.RECORDS_READ,
            Permission.QUARANTINE_READ,
            Permission.CHANGES_READ,
            Permission.HOOKS_MANAGE,
            Permission.JOBS_RUN,
            Permission.JOBS_READ,
            Permission.REPAIRS_WRITE,
            Permission.REPORTS_ISSUE,
        },
        Role.PARTNER: frozenset(
            {
                Permission.SCORE,
                Permission.DECISIONS_READ,
                Permission.RECORDS_WRITE,
                Permission.CHANGES_READ,
                Permission.DISPATCHES_READ,
                Permission.DISPATCHES_WRITE,
            }
        ),
        Role.SYSTEM_ADMIN: frozenset(
            {Permission.USERS_MANAGE, Permission.JOBS_READ, Permission.MODELS_READ}
        ),
        Role.SECURITY_ADMIN: frozenset({Permission.ACCESS_MANAGE}),
        Role.AUDIT_ADMIN: frozenset({Permission.AUDIT_READ}),
    }
)
"""What each role may do; whatever is not here is denied."""

ADMINISTRATORS: Final = frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDIT_ADMIN})
"""Three that watch each other (三员分立, GB/T 22239-2019): one account is one of them at most."""


@lru_cache(maxsize=512)
def permissions(roles: frozenset[Role]) -> frozenset[Permission]:
    """Return what somebody with these roles may do."""
    return frozenset[Permission]().union(*(GRANTS[role] for role in roles))


def known(names: Iterable[str]) -> frozenset[Role]:
    """Return the roles among names; what is no role, or one of a newer release, grants nothing."""
    return frozenset(_BY_NAME[name] for name in names if name in _BY_NAME)


def check_apart(roles: Iterable[Role]) -> None:
    """Raise :class:`AccessError` where an administrator's role meets any other role."""
    held = frozenset(roles)
    if len(held) > 1 and (administrators := held & ADMINISTRATORS):
        raise AccessError(
            f"{', '.join(sorted(held))} in one account: {', '.join(sorted(administrators))} stands "
            "alone, the three administrators being apart from each other and from business; use "
            "an account for each"
        )


def check_system(roles: Iterable[Role]) -> None:
    """Raise :class:`AccessError` where a system would be an administrator."""
    if administrators := frozenset(roles) & ADMINISTRATORS:
        raise AccessError(
            f"{', '.join(sorted(administrators))} for a key: an administrator is a person with a "
            "second factor, never a system; leave it out"
        )
