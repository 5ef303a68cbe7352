"""What a demonstration shows in the end: where to look, and requests that work."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import httpx2

from serving.settings import ServeSettings
from xinjian.demo.plan import FOLDER, Demo
from xinjian.demo.services import Running
from xinjian.demo.stages import newest_run


def page(demo: Demo, settings: ServeSettings, found: Running) -> str:
    """Return where to look, and three requests with the key of a reader."""
    home, url, scenario = settings.home, found.address, demo.drawn_by
    runs = [newest_run(home / "risk" / one) for one in demo.scenarios]
    subject = _drawn(url)
    here = _shown(Path(sys.executable).parent)
    mlflow = _word(here / "mlflow")
    ask = f"""curl -H "X-API-Key: $(cat {_word(home / FOLDER / "reader.key")})" '{url}/v1"""
    body = f"""'{{"subjects": ["{subject}"], "explain": true}}'"""
    return "\n".join(
        [
            "",
            f"  API             {url}/docs",
            f"  quality report  {home / 'quality.html'}",
            *(f"  model card      {run / 'card.html'}" for run in runs),
            f"  draw            {url}/v1/plans/demo/record, public",
            f"  its check       {url}/v1/plans/demo/verify, public",
            f"  MLflow          {mlflow} ui --backend-store-uri {_word(settings.tracker)}",
            f"  accounts        the setup token is in {home / FOLDER / 'api.log'}",
            f"  stop            XINJIAN_HOME={_word(home)} {_word(here / 'xinjian')} demo stop",
            "",
            f"  {ask}/warnings?limit=3'",
            f"  {ask}/subjects/{subject}/decision?scenario={scenario}'",
            f"  {ask}/scenarios/{scenario}/score' --json {body}",
        ]
    )


def _word(value: Path | str) -> str:
    """Return what a shell reads as one word."""
    return shlex.quote(str(value))


def _drawn(address: str) -> str:
    """Return a subject that was drawn: anybody may read whom."""
    answer = httpx2.get(f"{address}/v1/plans/demo/record", timeout=60).raise_for_status().json()
    return str(answer["drawn"][0]["subject_id"])


def _shown(folder: Path) -> Path:
    """Return a folder as it is written from here, where it lies below."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
