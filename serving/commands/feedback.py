"""``xinjian serve feedback``: what officers found, as labels that training reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.errors import ConfigError


def feedback(
    out: Annotated[Path, typer.Argument(help="A new file, .parquet or .csv.")],
    *,
    scenario: Annotated[str | None, typer.Option(help="Of one scenario; all by default.")] = None,
) -> None:
    """Write the labels that closed warnings gave, of each decision the newest (导出核查反馈)."""
    from serving.commands.users import opened
    from serving.ledger import audit
    from serving.ledger.audit import SYSTEM, Entry
    from serving.ledger.feedback import frame

    if out.suffix not in {".parquet", ".csv"}:
        raise ConfigError(f"{out}: labels are written as .parquet or .csv; name such a file")
    if out.exists():
        raise ConfigError(f"{out} is there already; name a new file")
    with opened() as service, service.ledger.begin() as connection:
        found = frame(connection, scenario)
        if out.suffix == ".csv":
            found.write_csv(out)
        else:
            found.write_parquet(out)
        details = {"rows": found.height, "scenario": scenario}
        audit.append(
            connection,
            Entry(service.clock(), SYSTEM, "feedback.export", out.name, details=details),
        )
    typer.echo(f"已导出 {found.height} 条核查反馈到 {out}")
