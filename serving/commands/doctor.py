"""``xinjian serve doctor``: what is missing or misconfigured."""

from __future__ import annotations

from typing import Final

import typer

from serving.settings import ServeSettings

MISCONFIGURED: Final = 2
"""Exit code where something that is needed does not work."""
_SIGNS: Final = {"ok": "正常", "warn": "注意", "fail": "故障"}


def doctor() -> None:
    """Say what is missing or misconfigured, and how to mend it (检查安装)."""
    from serving.doctor import examine
    from serving.service import now

    states: list[str] = []
    for finding in examine(ServeSettings.load(), now=now):
        states.append(finding.state)
        typer.echo(f"[{_SIGNS[finding.state]}] {finding.title}：{finding.told}")
        if finding.remedy is not None:
            typer.echo(f"       → {finding.remedy}")
    failed, warned = states.count("fail"), states.count("warn")
    typer.echo(f"共 {len(states)} 项：故障 {failed}，注意 {warned}")
    if failed:
        raise typer.Exit(MISCONFIGURED)
