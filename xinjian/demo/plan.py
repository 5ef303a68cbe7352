"""The steps of a demonstration, before and behind the running service."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final

from models.codes import calendar
from serving.cycle.steps import Step

SCENARIOS: Final = ("food_safety", "random_inspection_priority", "unreachable_shell")
"""Scenarios of the province that is made: what a visit finds, whom to visit, who is gone."""
CULTURE: Final = "culture_market_inspection"
TEXT_MODEL: Final = "violation"
FOLDER: Final = "demo"
"""Under the home: the journal, logs, keys."""
PROVINCE: Final = "province"
TEXTS: Final = "texts"
_RESAMPLES: Final = 200
_MOST_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class Demo:
    """A demonstration: what it shows, its steps, the scenarios that decide, the one drawn by."""

    shown: str
    steps: tuple[Step, ...]
    scenarios: tuple[str, ...]
    drawn_by: str

    @property
    def inspection(self) -> Step:
        """Return the step that needs the running service."""
        words = ("demo", "inspect", self.drawn_by)
        return Step("inspect", "编制抽查计划、随机抽取并验证", words)


def synthetic(home: Path, *, subjects: int, seed: int, today: date) -> Demo:
    """Return the demonstration on a province of so many subjects, made up to last month's end."""
    province = home / PROVINCE
    made = Step(
        "province",
        f"合成一个 {subjects:,} 个主体的省份",
        (
            *("data", "synth", f"--subjects={subjects}", f"--seed={seed}"),
            *(f"--until={_last_month(today)}", f"--out={province}"),
        ),
    )
    mapping = str(province / "mapping.yaml")
    imported = Step("import", "导入、校验、入湖", ("data", "import", mapping), needs=("province",))
    return Demo(
        shown=f"synthetic --subjects {subjects} --seed {seed}",
        steps=(made, imported, *_onward(home, SCENARIOS), *_reading(home), *_decided(SCENARIOS)),
        scenarios=SCENARIOS,
        drawn_by="random_inspection_priority",
    )


def real(home: Path, tables: Path) -> Demo:
    """Return the demonstration on Beijing's published tables, which lie in a folder."""
    mapping = files("training.sources") / "examples" / "beijing" / "mapping.yaml"
    words = ("data", "import", str(mapping), f"--root={tables}")
    imported = Step("import", f"导入、校验、入湖：{tables}", words)
    visits = ("--at=visits", "--test-from=2023-10-05")
    return Demo(
        shown=f"real {tables}",
        steps=(imported, *_onward(home, [CULTURE], visits), *_decided([CULTURE])),
        scenarios=(CULTURE,),
        drawn_by=CULTURE,
    )


def _onward(home: Path, scenarios: Sequence[str], more: tuple[str, ...] = ()) -> list[Step]:
    out = f"--out={home / 'quality.html'}"
    fit = (f"--threads={min(os.cpu_count() or 1, _MOST_THREADS)}", f"--resamples={_RESAMPLES}")
    return [
        Step("quality", "数据质量报告", ("data", "quality", out), needs=("import",)),
        *(
            Step(
                f"fit:{one}",
                f"特征、拟合与评价：{one}",
                ("risk", "fit", one, *fit, *more),
                needs=("import",),
            )
            for one in scenarios
        ),
    ]


def _reading(home: Path) -> list[Step]:
    folder = home / TEXTS
    table, base = folder / "labelled.parquet", folder / "base"
    small = ("--layers=2", "--hidden=128", "--heads=2", "--inner=256", "--steps=20")
    return [
        Step("texts", "整理已标注文本", ("demo", "texts"), needs=("import",)),
        Step(
            "pretrain",
            "预训练小型编码器",
            ("text", "pretrain", f"--text={table}:text", f"--out={base}", *small),
            needs=("texts",),
        ),
        Step(
            "read",
            "训练文本模型（线性、Transformer 与组合）",
            (
                *("text", "fit", str(table), f"--out={folder / 'fit'}", f"--base={base}"),
                *("--epochs=2", "--length=64"),
            ),
            needs=("pretrain",),
        ),
    ]


def _decided(scenarios: Sequence[str]) -> list[Step]:
    fitted = tuple(f"fit:{one}" for one in scenarios)
    return [
        Step(
            "publish", "登记到 MLflow 并设为现用模型", ("demo", "publish", *scenarios), needs=fitted
        ),
        Step("migrate", "建立台账", ("serve", "migrate")),
        *(
            Step(
                f"score:{one}",
                f"判定全部主体并预警：{one}",
                ("serve", "score", one),
                needs=("publish", "migrate"),
            )
            for one in scenarios
        ),
    ]


def _last_month(today: date) -> date:
    """Return the end of last month, or of the last year whose working days are known."""
    return min(today.replace(day=1) - timedelta(days=1), date(calendar.known_years()[-1], 12, 31))
