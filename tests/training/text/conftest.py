"""A world of two dozen words, small enough that a network learns it in seconds."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.text.encoder import EncoderShape
from training.text.learn import Course, Place
from training.text.network import FitPlan
from training.text.pretrain import PretrainPlan, pretrain

TINY = EncoderShape(layers=2, hidden=32, heads=2, inner=48, positions=64, dropout=0.0)
WORDS = {
    "F04": ("超过保质期的食品", "销售过期饮料", "虚假标注生产日期"),
    "F09": ("未履行进货查验义务", "未建立食品台账", "进货记录缺失"),
    "E02": ("超标排放水污染物", "废气排放超过标准", "烟尘浓度超标"),
}
PARENTS = {"E02": "E", "F04": "F", "F09": "F"}
DEPARTMENTS = {"F04": "市场监管", "F09": "市场监管", "E02": "生态环境"}
SEVERITY = {"F04": "general", "F09": "minor", "E02": "major"}
CPU = Course(Place("cpu", "fp32"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Generator[None]:
    """Small networks are slower on many threads, and tests run side by side."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def world(rows: int = 60, *, seed: int = 3) -> pl.DataFrame:
    """Return violations with leaf, severity and department, every eighth for testing."""
    rng = np.random.default_rng(seed)
    leaves = [list(WORDS)[place] for place in map(int, rng.integers(0, 3, rows))]
    texts = [
        f"经查，当事人{WORDS[leaf][int(rng.integers(0, 3))]}，数量{int(rng.integers(1, 99))}件"
        for leaf in leaves
    ]
    return pl.DataFrame(
        {
            "text": texts,
            "leaf": leaves,
            "severity": [SEVERITY[leaf] for leaf in leaves],
            "department": [DEPARTMENTS[leaf] for leaf in leaves],
            "split": ["test" if row % 8 == 7 else "train" for row in range(rows)],
        }
    )


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a pre-trained encoder of 2 layers × 32."""
    folder = tmp_path_factory.mktemp("base") / "tiny"
    plan = PretrainPlan(steps=4, tokens=512, length=30, long=60)
    pretrain(world(200)["text"].to_list(), folder, shape=TINY, plan=plan, place=CPU.place)
    return folder


@pytest.fixture(scope="session")
def quick() -> FitPlan:
    return FitPlan(
        epochs=12, tokens=512, length=48, rate=4e-3, dropout=0.0, smoothing=0.0, validation=0.25
    )
