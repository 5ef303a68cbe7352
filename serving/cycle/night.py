"""The night: what is brought in, judged, decided, watched and reported before the day begins.

compact   live records come into the lake
quality   what was reported is judged
score     everybody of each scenario is decided; warnings are raised with the decisions
drift     does each champion still hold? where not, a challenger is fitted and judged
report    what the night did, for people and for machines
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

from serving.cycle.steps import Step

QUALITY: Final = "quality.json"
VERDICTS: Final = {
    0: "候选模型晋升",
    10: "候选模型未晋升",
    11: "现用模型仍适用",
    12: "另有换模在进行",
}
"""What the exit codes of ``xinjian risk retrain`` say; none of them is a failure."""
_DRIFT: Final = "drift:"
_JUDGED: Final = "judge:"
"""Apart from the former, so that a night that only judged does not keep one from learning."""


def folder_of(home: Path, on: date) -> Path:
    """Return where the night of a day keeps its journal, logs and report."""
    return home / "night" / on.isoformat()


def steps(scenarios: Sequence[str], on: date, folder: Path, *, learn: bool = True) -> list[Step]:
    """Return the steps of a night.

    No scenario waits for another's, nor for the quality report; live records that could not be
    brought into the lake count all the same.

    Args:
        scenarios: Those that have a model.
        on: The day as of which everybody is decided.
        folder: Gets the quality report.
        learn: Register and promote what proves better; else a verdict is all that is written.
    """
    reports = [f"--out={folder / name}" for name in ("quality.html", QUALITY)]
    first = [
        Step("compact", "实时记录并入数据湖", ("serve", "compact")),
        Step("quality", "数据质量报告", ("data", "quality", *reports)),
    ]
    scored = [
        Step(f"score:{one}", f"判定全部主体并预警：{one}", ("serve", "score", one, f"--as-of={on}"))
        for one in scenarios
    ]
    due = [Step("escalate", "逾期预警升级", ("serve", "escalate"))]
    name, verdict = (_DRIFT, ()) if learn else (_JUDGED, ("--dry-run",))
    watched = [
        Step(
            f"{name}{one}",
            f"漂移与换模结论：{one}",
            ("risk", "retrain", one, "--if-drifted", *verdict),
            fine=frozenset(VERDICTS),
        )
        for one in scenarios
    ]
    return [*first, *scored, *due, *watched]


def verdict_of(name: str, code: int | None) -> str | None:
    """Return what a step that watched a model found; ``None`` for other steps."""
    return VERDICTS.get(code) if code is not None and name.startswith((_DRIFT, _JUDGED)) else None
