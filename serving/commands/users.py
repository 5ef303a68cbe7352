"""``xinjian serve user``: accounts, at the console of the machine.

Whoever runs these reaches the database anyway; what they do is audited as the system's act, and the
three administrators stay apart here too.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import AccessError

if TYPE_CHECKING:
    from serving.auth.roles import Role
    from serving.service import Service

app = typer.Typer(no_args_is_help=True)

RegionOption = Annotated[
    list[str] | None, typer.Option(help="Code of a region to see, or 'all'; repeat.")
]
DepartmentOption = Annotated[
    list[str] | None, typer.Option(help="Authority whose records to see; none is all; repeat.")
]


@app.command()
def setup(
    *,
    system_admin: Annotated[str, typer.Option(help="Name of the system administrator.")],
    security_admin: Annotated[str, typer.Option(help="Name of the security administrator.")],
    audit_admin: Annotated[str, typer.Option(help="Name of the audit administrator.")],
) -> None:
    """Make the first three accounts of an installation (建立三员账号)."""
    from serving.auth import accounts
    from serving.auth.roles import TITLES, Role

    names = {
        Role.SYSTEM_ADMIN: system_admin,
        Role.SECURITY_ADMIN: security_admin,
        Role.AUDIT_ADMIN: audit_admin,
    }
    with opened() as service:
        token = accounts.first_token(service.ledger, service.clock())
        found = accounts.set_up(service, token, names=names) if token else None
    if found is None:
        raise AccessError("there are accounts already; add others with xinjian serve user add")
    for role, invitation in found.items():
        typer.echo(f"{TITLES[role]} {names[role]}：{invitation}")
    typer.echo("邀请码只显示这一次，七天内有效；请分别交给本人，在 /v1/auth/invitations 设置口令。")


@app.command("list")
def every() -> None:
    """List the accounts (列出账号)."""
    from serving.ledger import users

    with opened() as service, service.ledger.begin() as connection:
        for row in users.every(connection):
            state = "停用" if row.disabled_at else "待设口令" if row.invitation else "启用"
            regions = ",".join(code or "全部" for code in row.regions) or "-"
            typer.echo(f"{row.name}\t{state}\t{','.join(row.roles) or '-'}\t{regions}")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name to sign in with.")],
    *,
    title: Annotated[str, typer.Option(help="Name to show.")] = "",
) -> None:
    """Make an account without any right (新建账号)."""
    from serving.auth import accounts
    from serving.ledger.audit import SYSTEM

    with opened() as service:
        _, invitation = accounts.create(service, SYSTEM, name=name, title=title)
    typer.echo(invitation)


@app.command()
def grant(
    name: Annotated[str, typer.Argument(help="Whose rights.")],
    *,
    role: Annotated[list[str] | None, typer.Option(help="A role; repeat for several.")] = None,
    region: RegionOption = None,
    department: DepartmentOption = None,
) -> None:
    """Set what an account may do and see, in the place of what it could (授权)."""
    from serving.auth import accounts
    from serving.ledger.audit import SYSTEM

    with opened() as service:
        accounts.grant(
            service,
            SYSTEM,
            account_id=_id(service, name),
            roles=roles_of(role or []),
            regions=regions_of(region or []),
            departments=department or [],
        )


@app.command()
def invite(name: Annotated[str, typer.Argument(help="Whose password is to be set anew.")]) -> None:
    """Let an account choose a password and second factor anew; its rights stay (重新邀请)."""
    from serving.auth import accounts
    from serving.ledger.audit import SYSTEM

    with opened() as service:
        account = _id(service, name)
        typer.echo(accounts.invite(service, SYSTEM, account_id=account, keep_rights=True))


@app.command()
def disable(name: Annotated[str, typer.Argument(help="Whose account.")]) -> None:
    """Close an account and end its sessions (停用账号)."""
    _enable(name, enabled=False)


@app.command()
def enable(name: Annotated[str, typer.Argument(help="Whose account.")]) -> None:
    """Open an account that was closed (启用账号)."""
    _enable(name, enabled=True)


@app.command()
def unlock(name: Annotated[str, typer.Argument(help="Whose account.")]) -> None:
    """End the lock that failures to sign in have set (解除锁定)."""
    from serving.auth import accounts
    from serving.ledger.audit import SYSTEM

    with opened() as service:
        accounts.unlock(service, SYSTEM, account_id=_id(service, name))


@contextmanager
def opened() -> Generator[Service]:
    """Open the service of this installation, whose ledger must have been migrated."""
    from serving.ledger.migrate import check
    from serving.service import Service
    from serving.settings import ServeSettings

    service = Service.open(ServeSettings.load())
    try:
        check(service.ledger)
        yield service
    finally:
        service.close()


def roles_of(names: list[str]) -> list[Role]:
    """Return the roles of names; :class:`AccessError` where one is none."""
    from serving.auth.roles import Role

    if unknown := sorted(set(names) - {role.value for role in Role}):
        raise AccessError(f"{', '.join(unknown)}: no such role; there are {', '.join(Role)}")
    return [Role(name) for name in names]


def regions_of(codes: list[str]) -> list[str]:
    """Return codes of regions, of which ``all`` is everywhere."""
    return ["" if code == "all" else code for code in codes]


def _enable(name: str, *, enabled: bool) -> None:
    from serving.auth import accounts
    from serving.ledger.audit import SYSTEM

    with opened() as service:
        accounts.enable(service, SYSTEM, account_id=_id(service, name), enabled=enabled)


def _id(service: Service, name: str) -> str:
    from serving.ledger import users

    with service.ledger.begin() as connection:
        found = users.named(connection, name)
    if found is None:
        raise AccessError(f"there is no account {name!r}; xinjian serve user list shows all")
    return found.id
