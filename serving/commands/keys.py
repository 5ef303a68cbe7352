"""``xinjian serve key``: keys of systems, at the console of the machine."""

from __future__ import annotations

from typing import Annotated

import typer

from models.errors import AccessError
from serving.commands.users import DepartmentOption, RegionOption, opened, regions_of, roles_of

app = typer.Typer(no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the system.")],
    *,
    role: Annotated[list[str], typer.Option(help="A role; repeat for several.")],
    region: RegionOption = None,
    department: DepartmentOption = None,
    purpose: Annotated[
        list[str] | None, typer.Option(help="A purpose that the key is bound to; repeat.")
    ] = None,
    days: Annotated[int, typer.Option(help="Days that the key lives.")] = 180,
) -> None:
    """Issue a key and show it, once (签发密钥)."""
    from serving.auth import issuing
    from serving.auth.caller import Purpose
    from serving.ledger.audit import SYSTEM

    if unknown := sorted(set(purpose or []) - set(Purpose)):
        raise AccessError(f"{', '.join(unknown)}: no such purpose; there are {', '.join(Purpose)}")
    wish = issuing.Wish(
        name=name,
        roles=frozenset(roles_of(role)),
        regions=tuple(regions_of(region or [])),
        departments=tuple(department or []),
        purposes=tuple(Purpose(one) for one in purpose or []),
        days=days,
    )
    with opened() as service:
        _, text = issuing.issue(service, SYSTEM, wish=wish)
    typer.echo(text)


@app.command("list")
def every() -> None:
    """List the keys, the newest first (列出密钥)."""
    from serving.auth import issuing
    from serving.ledger import keys

    with opened() as service, service.ledger.begin() as connection:
        for row in keys.every(connection):
            used = row.used_at.isoformat(timespec="minutes") if row.used_at else "-"
            state = issuing.state(row, service.clock())
            until = row.expires_at.date().isoformat()
            typer.echo(f"{row.id}\t{row.name}\t{state}\t{until}\t{used}\t{','.join(row.roles)}")


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as in the list.")],
    *,
    hours: Annotated[int, typer.Option(help="Hours for which the old key stays good.")] = 24,
) -> None:
    """Issue a key of the same rights in the place of another (轮换密钥)."""
    from serving.auth import issuing
    from serving.ledger.audit import SYSTEM

    with opened() as service:
        found = issuing.rotate(service, SYSTEM, key_id=key_id, hours=hours)
    if found is None:
        raise AccessError(f"there is no live key {key_id}; xinjian serve key list shows all")
    typer.echo(found[1])


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="Id of the key, as in the list.")]) -> None:
    """End a key at once (吊销密钥)."""
    from serving.auth import issuing
    from serving.ledger.audit import SYSTEM

    with opened() as service:
        if not issuing.revoke(service, SYSTEM, key_id=key_id):
            raise AccessError(f"there is no key {key_id} that is not revoked; see serve key list")
